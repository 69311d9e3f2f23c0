"""Every solver on data N(0, 0.09 I) under the Gaussian kernel, whose flow map is known.

D(x, t) = x v / (v + t^2) and x(t) = x(T) sqrt((v + t^2) / (v + T^2)), v = 0.09.
"""

import math
from importlib import import_module
from itertools import pairwise

import pytest
import torch
from walked import OWN_STEPS
from zoo_gaussian.kernel import GaussianKernel
from zoo_solvers import zoo_solvers
from zoo_solvers.runge_kutta import Heun

from zoo.errors import ZooError
from zoo.interfaces import FieldKernel, Flow, over

VARIANCE = 0.09
KERNEL = GaussianKernel(dim=4)
ENDS = {"decode": (80.0, 0.002), "encode": (0.002, 80.0)}
# For one number of steps: tests/evaluation/test_learn.py, tests/training/test_distill.py.
NAMES = [component.name for component in zoo_solvers() if component.name not in OWN_STEPS]
ADAPTIVE = {
    "exp-adaptive": 5e-3,
    "dopri5": 1e-3,
    "torchdiffeq-adaptive_heun": 1e-3,
    "torchdiffeq-fehlberg2": 0.2,
    "torchdiffeq-bosh3": 5e-3,
    "torchdiffeq-dopri5": 2e-3,
    "torchdiffeq-dopri8": 1e-3,
    "torchdiffeq-scipy_solver": 1e-2,
}
FIXED = [name for name in NAMES if name not in ADAPTIVE]


PER_SAMPLE = ["exp-adaptive", "dopri5"]


def tolerance(name, value):
    """Return the options that set the tolerance of an adaptive solver; none for the others."""
    if name not in ADAPTIVE:
        return {}
    return {"tol": value} if name == "exp-adaptive" else {"rtol": value, "atol": value}


def build(name, **options):
    target = next(component.target for component in zoo_solvers() if component.name == name)
    module, attribute = target.split(":")
    return getattr(import_module(module), attribute)(**options)


def denoiser(x, t):
    return x * VARIANCE / (VARIANCE + over(t, x).square())


def flow_map(x, t_from, t_to):
    return x * math.sqrt((VARIANCE + t_to**2) / (VARIANCE + t_from**2))


def start(t, n=3, shape=(4,)):
    noise = torch.randn(n, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return noise * math.sqrt(VARIANCE + t**2)


def gaussian_flow(predict=denoiser, kernel=KERNEL):
    return Flow(kernel, predict, dtype=torch.float64)


def error(solver, t_from, t_to, steps):
    x, flow = start(t_from), gaussian_flow()
    expected = flow_map(x, t_from, t_to)
    got = solver.integrate(flow, x, t_from, t_to, steps=steps)
    assert got.dtype == torch.float64
    return float((got - expected).abs().max() / expected.abs().max())


class Straight(FieldKernel):
    """x_t = (1 - t) x_0 + t n: a kernel whose level is infinite at t_max = 1."""

    def __init__(self):
        super().__init__(dim=4, t_min=1e-3, t_max=1.0)

    def marginal(self, t):
        t = torch.as_tensor(t, dtype=torch.float64)
        return 1 - t, t

    def velocity(self, x_t, x_0, t):
        return (x_t - x_0) / over(t, x_t)

    def log_density(self, x_t, x_0, t):
        raise NotImplementedError

    def sample(self, x_0, t, generator=None):
        raise NotImplementedError


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("name", FIXED)
def test_measured_order_is_the_declared_order(name, ends):
    options = {"rtol": 1e-12} if name.endswith("implicit_adams") else {}
    solver = build(name, **options)
    coarse, fine = (error(solver, *ENDS[ends], steps) for steps in (120, 240))
    assert math.log2(coarse / fine) == pytest.approx(solver.order, abs=0.25)


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("name", ADAPTIVE)
def test_adaptive_solvers_are_as_good_as_their_tolerance(name, ends):
    assert error(build(name), *ENDS[ends], 18) < ADAPTIVE[name]
    assert error(build(name, **tolerance(name, 2e-6)), *ENDS[ends], 18) < 0.1 * ADAPTIVE[name]


@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.parametrize("ends", [(80.0, 0.002), (0.002, 80.0), (3.0, 0.1), (0.1, 3.0)])
@pytest.mark.parametrize("name", NAMES)
def test_no_evaluation_leaves_the_interval(name, ends, steps):
    seen = []

    def recorder(x, t):
        seen.extend(t.reshape(-1).tolist())
        return denoiser(x, t)

    flow = gaussian_flow(recorder)
    x = start(ends[0])
    build(name, **tolerance(name, 1e-2)).integrate(flow, x, *ends, steps=steps)
    assert min(seen) >= min(ends)
    assert max(seen) <= max(ends)
    assert seen[0] == pytest.approx(ends[0], rel=1e-14)


@pytest.mark.parametrize(
    "name",
    ["euler", "heun", "ab2", "dopri5", "exp-adaptive", "exp-heun", "exp-abm3", "torchdiffeq-rk4"],
)
def test_an_infinite_level_at_the_end_is_no_obstacle(name):
    def straight_denoiser(x, t):
        t = over(t, x)
        return VARIANCE * (1 - t) * x / (VARIANCE * (1 - t) ** 2 + t**2)

    x = start(0.0)
    solver, flow = build(name), gaussian_flow(straight_denoiser, Straight())
    got = solver.integrate(flow, x / VARIANCE**0.5, 1.0, 1e-3, steps=400)
    torch.testing.assert_close(got, x, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", NAMES)
def test_encode_then_decode_returns_the_data(name):
    solver, flow, x = build(name, **tolerance(name, 1e-6)), gaussian_flow(), start(0.002)
    noise = solver.integrate(flow, x, 0.002, 80.0, steps=300)
    back = solver.integrate(flow, noise, 80.0, 0.002, steps=300)
    torch.testing.assert_close(back, x, rtol=0.2 if solver.order == 1 else 0.01, atol=0.01)


@pytest.mark.parametrize(
    ("name", "per_step"),
    [
        *(("euler", 1), ("heun", 2), ("rk4", 4), ("ab2", 1), ("ab3", 1), ("ddim", 1)),
        *(("exp-heun", 2), ("exp-ab2", 1), ("exp-ab3", 1), ("exp-abm3", 1), ("exp-abm4", 1)),
        *(("torchdiffeq-euler", 1), ("torchdiffeq-rk4", 4)),
    ],
)
def test_evaluations_are_counted_exactly(name, per_step):
    flow = gaussian_flow()
    build(name).integrate(flow, start(80.0), 80.0, 0.002, steps=17)
    assert flow.nfe == 17 * per_step


def test_heun_with_edm_settings_costs_35_evaluations():
    flow = gaussian_flow()
    x = Heun().integrate(flow, start(80.0), 80.0, 0.002, steps=18 - 1)
    flow.denoise(x, 0.002)
    assert flow.nfe == 35


@pytest.mark.parametrize("name", NAMES)
def test_the_callback_sees_every_step(name):
    calls = []
    x = start(80.0)
    solver = build(name)
    result = solver.integrate(
        gaussian_flow(), x, 80.0, 0.002, steps=30, callback=lambda *call: calls.append(call)
    )
    assert [i for i, _, _ in calls] == list(range(len(calls)))
    if name in FIXED:
        assert len(calls) == 30
        assert all(later < earlier for earlier, later in pairwise(t for _, t, _ in calls))
    assert calls[-1][1] == 0.002
    assert torch.equal(calls[-1][2], result)
    for _, t, state in calls[:-1]:
        if name not in PER_SAMPLE:
            torch.testing.assert_close(state, flow_map(x, 80.0, t), rtol=1.0, atol=0.5)


@pytest.mark.parametrize("name", NAMES)
def test_steps_zero_returns_the_start_and_negative_steps_are_refused(name):
    flow, x = gaussian_flow(), start(80.0)
    assert torch.equal(build(name).integrate(flow, x, 80.0, 0.002, steps=0), x)
    assert torch.equal(build(name).integrate(flow, x, 80.0, 80.0, steps=5), x)
    assert flow.nfe == 0
    for steps in (-1, 2.5, True):
        with pytest.raises(ZooError, match="steps = "):
            build(name).integrate(flow, x, 80.0, 0.002, steps=steps)


@pytest.mark.parametrize("steps", [1, 5, 300])
@pytest.mark.parametrize("way", [2.3e-16, -2.3e-16, 3e-15, -1e-13, 1e-12])
@pytest.mark.parametrize("name", NAMES)
def test_an_interval_of_a_few_roundings_is_walked(name, way, steps):
    t_from, times = 0.4, []
    t_to = t_from * (1 + way)
    x = start(t_from)

    def predict(x, t):
        times.extend(t.reshape(-1).tolist())
        return denoiser(x, t)

    got = build(name).integrate(gaussian_flow(predict), x, t_from, t_to, steps=steps)
    assert float((got - x).abs().max()) <= 4 * abs(way) + 1e-15
    assert all(min(t_from, t_to) <= t <= max(t_from, t_to) for t in times)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_input_is_named(name):
    flow, x = gaussian_flow(), start(80.0)
    with pytest.raises(ZooError, match="t = 81 is outside"):
        build(name).integrate(flow, x, 81.0, 0.002, steps=5)
    with pytest.raises(ZooError, match=r"t = 'far' to 0\.002; expected two numbers"):
        build(name).integrate(flow, x, "far", 0.002, steps=5)
    x[1, 2] = math.nan
    with pytest.raises(ZooError, match="x is not finite"):
        build(name).integrate(flow, x, 80.0, 0.002, steps=5)


@pytest.mark.parametrize(
    "name",
    ["euler", "heun", "exp-abm3", "exp-heun", *PER_SAMPLE, "torchdiffeq-rk4", "torchdiffeq-bosh3"],
)
def test_a_field_that_breaks_down_is_an_error_that_names_t(name):
    def breaks(x, t):
        return torch.where(over(t, x) < 1.0, math.nan, denoiser(x, t))

    with pytest.raises(ZooError, match=r"t = (0\.\d+|1)\b"):
        build(name).integrate(gaussian_flow(breaks), start(80.0), 80.0, 0.002, steps=40)


@pytest.mark.parametrize("name", NAMES)
def test_the_start_is_left_as_it_was(name):
    x = start(80.0)
    before = x.clone()
    build(name).integrate(gaussian_flow(), x, 80.0, 0.002, steps=20)
    assert torch.equal(x, before)


# A step size per sample


def rough(x, t):
    """A denoiser of two images, so that samples need different steps."""
    images = torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0]], dtype=x.dtype)
    weights = (-(x[:, None] - images).square().sum(2) / (2 * over(t, x).square())).softmax(1)
    return weights @ images


@pytest.mark.parametrize("name", PER_SAMPLE)
def test_a_sample_is_the_same_alone_and_in_any_batch(name):
    x = start(80.0, n=16)
    x[3] *= 1e-3
    x[5] *= 1e3
    solver = build(name)
    together = solver.integrate(gaussian_flow(rough), x, 80.0, 0.002, steps=10)
    alone = torch.cat(
        [solver.integrate(gaussian_flow(rough), one, 80.0, 0.002, steps=10) for one in x.split(1)]
    )
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", PER_SAMPLE)
def test_samples_step_on_their_own_and_leave_when_they_arrive(name):
    sizes, spreads = [], []

    def recorder(x, t):
        sizes.append(len(x))
        spreads.append(float(t.max() / t.min()) if t.ndim else 1.0)
        return rough(x, t)

    x = start(80.0, n=8)
    x[0] = 40.0 * torch.tensor([1.0, 1.0, 0.0, 0.0]) + 1e-3 * x[0]
    build(name).integrate(gaussian_flow(recorder), x, 80.0, 0.002, steps=10)
    assert sizes[0] == 8
    assert sizes[-1] < 8
    assert sizes == sorted(sizes, reverse=True)
    assert max(spreads) > 1.1


@pytest.mark.parametrize("name", PER_SAMPLE)
def test_a_solver_tells_the_flow_whose_label_is_whose(name):
    labels = torch.arange(8)

    def predict(x, t, label):
        assert len(label) == len(x)
        return rough(x, t) + 0.1 * label[:, None]

    def labelled(numbers):
        return Flow(KERNEL, predict, dtype=torch.float64, labels=numbers)

    x = start(80.0, n=8)
    x[0] = 40.0 * torch.tensor([1.0, 1.0, 0.0, 0.0]) + 1e-3 * x[0]
    flow = labelled(labels)
    together = build(name).integrate(flow, x, 80.0, 0.002, steps=10)
    assert flow.rows is None
    alone = [
        build(name).integrate(labelled(labels[i : i + 1]), x[i : i + 1], 80.0, 0.002, steps=10)
        for i in range(8)
    ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", PER_SAMPLE)
def test_an_adaptive_solver_costs_fewer_evaluations_at_a_larger_tolerance(name):
    costs = []
    for tol in (1e-3, 1e-5, 1e-7):
        flow = gaussian_flow(rough)
        solver = build(name, **tolerance(name, tol))
        solver.integrate(flow, start(80.0), 80.0, 0.002, steps=10)
        costs.append(flow.nfe)
    assert costs == sorted(set(costs))


@pytest.mark.parametrize("name", PER_SAMPLE)
def test_an_adaptive_solver_says_where_its_evaluations_ran_out(name):
    solver = build(name, max_evaluations=15)
    with pytest.raises(ZooError, match=r"max_evaluations = 15 at t = \d"):
        solver.integrate(gaussian_flow(rough), start(80.0), 80.0, 0.002, steps=10)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        *(("dopri5", "rtol", 0.0), ("dopri5", "atol", -1.0), ("dopri5", "max_evaluations", 0)),
        *(("exp-adaptive", "tol", math.inf), ("exp-adaptive", "max_evaluations", 2.5)),
        *(("dopri5", "scale", 0.0), ("exp-adaptive", "scale", -1.0), ("exp-abm3", "scale", 0.0)),
    ],
)
def test_wrong_options_are_named(name, option, value):
    with pytest.raises(ZooError, match=option):
        build(name, **{option: value})


@pytest.mark.parametrize("name", ["exp-abm3", "exp-heun", "dopri5", "exp-adaptive"])
def test_the_scale_of_the_data_is_the_models_own_unless_given(name):
    def walk(solver, sigma_data):
        flow = Flow(KERNEL, rough, dtype=torch.float64, sigma_data=sigma_data)
        return solver.integrate(flow, start(80.0), 80.0, 0.002, steps=9)

    solver = build(name)
    assert torch.equal(walk(solver, 0.3), walk(build(name, scale=0.3), 0.7))
    assert torch.equal(walk(solver, None), walk(solver, 0.5))
    assert not torch.equal(walk(solver, 0.3), walk(solver, 0.7))


def test_solvers_with_one_step_size_for_all_say_so():
    coupled = {name for name in NAMES if build(name).couples_samples}
    assert coupled == (set(ADAPTIVE) - set(PER_SAMPLE)) | {"torchdiffeq-implicit_adams"}


@pytest.mark.parametrize("ends", [(0.5, 0.1), (80.0, 58.2), (0.3, 0.03)])
@pytest.mark.parametrize("steps", [1, 5, 31, 63])
def test_steps_whose_sum_is_the_way_up_to_rounding_arrive(ends, steps):
    solver = build("exp-adaptive")
    end = solver.integrate(gaussian_flow(), start(ends[0]), *ends, steps=steps)
    exact = flow_map(start(ends[0]), *ends)
    torch.testing.assert_close(end, exact, rtol=0, atol=0.02 * float(exact.abs().max()))
