"""The frame of solvers under which every sample has its own time and its own step."""

from itertools import pairwise

import pytest
import torch
from zoo_solvers.adaptive import AdaptiveSolver, SamplesUnderWay

import zoo
from zoo.errors import ZooError
from zoo.interfaces import Flow

KERNEL = zoo.kernel("gaussian", dim=2)
T_FROM, T_TO = 8.0, 1.0
# The longest step that each sample accepts: the first goes all the way in one.
LONGEST = torch.tensor([7.0, 1.0, 0.5, 0.125], dtype=torch.float64)


class Grows(SamplesUnderWay):
    """x <- x (1 + h) where h <= the sample's longest step; the step is halved where it is not."""

    def __init__(self, flow, x, total, step, longest):
        super().__init__(total, step)
        self.flow, self.x, self.longest, self.rows = flow, x, longest, []

    def time(self):
        return T_TO + self.remaining

    def state(self):
        return self.x

    def advance(self):
        self.rows.append(self.flow.rows.tolist())
        h = torch.minimum(self.step, self.remaining)
        accepted = h <= self.longest
        self.x = torch.where(accepted[:, None], self.x * (1 + h)[:, None], self.x)
        self.remaining = torch.where(accepted, self.remaining - h, self.remaining)
        self.step = torch.where(accepted, self.step, h / 2)

    def keep(self, some):
        super().keep(some)
        self.x, self.longest = self.x[some], self.longest[some]


class Plain(AdaptiveSolver):
    order, name, tolerance, cost = 1, "plain", "tol", 3

    def __init__(self, max_evaluations=1000, longest=LONGEST):
        super().__init__(max_evaluations, None)
        self.longest = longest

    def start(self, flow, x, ends, steps, scale):
        total = torch.full((len(x),), ends[0] - ends[1], dtype=x.dtype)
        self.under_way = Grows(flow, x, total, total / steps, self.longest)
        return self.under_way


def walked(solver, x, callback=None):
    flow = Flow(KERNEL, lambda x, t: x)
    try:
        return solver.integrate(flow, x, T_FROM, T_TO, steps=1, callback=callback)
    finally:
        assert flow.rows is None


@pytest.fixture
def x():
    return torch.arange(1.0, 9.0, dtype=torch.float64).reshape(4, 2)


def test_every_sample_goes_its_own_way_to_the_bit(x):
    expected = []
    for one, longest in zip(x, LONGEST.tolist(), strict=True):
        left = step = T_FROM - T_TO
        while left > 0:
            h = min(step, left)
            if h <= longest:
                one, left = one * (1 + h), left - h
            else:
                step = h / 2
        expected.append(one)
    assert torch.equal(walked(Plain(), x), torch.stack(expected))


def test_samples_that_have_arrived_leave_and_the_flow_hears_who_stays(x):
    solver = Plain()
    walked(solver, x)
    rows = solver.under_way.rows
    assert rows[0] == [0, 1, 2, 3]
    assert rows[1] == [1, 2, 3]
    assert rows[-1] == [3]
    assert all(set(later) <= set(earlier) for earlier, later in pairwise(rows))


def test_the_callback_hears_the_time_of_the_sample_furthest_behind(x):
    heard = []
    result = walked(Plain(), x, lambda i, t, state: heard.append((i, t, state)))
    assert [i for i, _, _ in heard] == list(range(len(heard)))
    assert heard[0][1] == T_FROM  # three of four rejected their first step
    assert heard[-1][1] == T_TO
    assert torch.equal(heard[0][2][1:], x[1:])
    assert torch.equal(heard[-1][2], result)


def test_what_cannot_go_on_says_where(x):
    with pytest.raises(ZooError, match=r"plain has used 4 of max_evaluations = 6 at t = 8; .*tol"):
        walked(Plain(max_evaluations=6), x)
    never = torch.tensor([7.0, 0.0, 7.0, 7.0], dtype=torch.float64)
    with pytest.raises(ZooError, match=r"plain's step underflows at t = 8: .*raise tol"):
        walked(Plain(longest=never), x)


@pytest.mark.parametrize("name", ["dopri5", "exp-adaptive"])
@pytest.mark.parametrize("most", [1, 7, 12, 13])
def test_no_more_evaluations_are_used_than_allowed(name, most):
    flow = Flow(KERNEL, lambda x, t: 0.3 * x)
    with pytest.raises(ZooError, match=f"of max_evaluations = {most} at t = "):
        zoo.solver(name, max_evaluations=most).integrate(
            flow, 80 * torch.ones(3, 2, dtype=torch.float64), 80.0, 0.002, steps=10
        )
    assert flow.nfe <= most


@pytest.mark.parametrize("bad", [slice(None), slice(1, 2)], ids=["all", "one"])
@pytest.mark.parametrize("kernel", ["gravity", "exp", "gaussian", "flow"])
@pytest.mark.parametrize("name", ["dopri5", "exp-adaptive"])
def test_a_network_lost_at_the_start_is_told(name, kernel, bad):
    """Where samples have levels of their own, these are read off its first answer."""
    kernel = zoo.kernel(kernel, dim=2)

    def predict(x, t):
        out = 0.3 * x
        if bool((t >= 0.999 * kernel.t_max).all()):
            out[bad] = torch.nan
        return out

    x = 40 * torch.ones(3, 2, dtype=torch.float64)
    with pytest.raises(ZooError, match="not finite"):
        zoo.solver(name).integrate(Flow(kernel, predict), x, kernel.t_max, kernel.t_min, steps=9)


def test_a_sample_that_is_lost_on_the_way_has_not_arrived():
    class Lost(Grows):
        def advance(self):
            super().advance()
            self.remaining = self.remaining * torch.tensor([1.0, torch.nan])[: len(self.remaining)]

    class Loses(Plain):
        def start(self, flow, x, ends, steps, scale):
            total = torch.full((len(x),), ends[0] - ends[1], dtype=torch.float64)
            return Lost(flow, x, total, total / 8, torch.full_like(total, 7.0))

    x = torch.ones(2, 2, dtype=torch.float64)
    with pytest.raises(ZooError, match="plain's step underflows"):
        Loses().integrate(Flow(KERNEL, lambda x, t: x), x, T_FROM, T_TO, steps=8)
