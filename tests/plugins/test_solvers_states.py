"""Whose memory a state is, and what is looked at before and after a walk."""

import pytest
import torch
from test_solvers import ENDS, FIXED, KERNEL, NAMES, build, denoiser, flow_map, gaussian_flow, start
from zoo_gaussian.kernel import GaussianKernel
from zoo_gravity.kernel import GravityKernel
from zoo_solvers.runge_kutta import Euler

import zoo
from zoo.errors import ZooError
from zoo.interfaces import Flow, over
from zoo.interfaces.checks import all_finite

OWN = [name for name in NAMES if not name.startswith("torchdiffeq")]
FIXED_OWN = [name for name in OWN if name in FIXED]


@pytest.mark.parametrize("name", NAMES)
def test_the_callers_state_is_left_alone(name):
    x = start(80.0)
    before = x.clone()
    end = build(name).integrate(gaussian_flow(), x, *ENDS["decode"], steps=6)
    assert torch.equal(x, before)
    assert end.data_ptr() != x.data_ptr()


@pytest.mark.parametrize("name", OWN)
def test_the_states_of_a_walk_may_be_kept(name):
    kept, copies = [], []

    def keep(i, t, x):
        kept.append(x)
        copies.append(x.clone())

    end = build(name).integrate(
        gaussian_flow(), start(80.0), *ENDS["decode"], steps=6, callback=keep
    )
    assert len(kept) >= 6
    assert all(torch.equal(a, b) for a, b in zip(kept, copies, strict=True))
    assert not torch.equal(kept[0], kept[1])
    torch.testing.assert_close(kept[-1], end)


@pytest.mark.parametrize("name", OWN)
def test_a_predictor_may_overwrite_what_it_is_shown_and_give_it_back(name):
    def in_place(x, t):
        return x.copy_(denoiser(x, t))

    walk = build(name).integrate
    plain = walk(gaussian_flow(), start(80.0), *ENDS["decode"], steps=6)
    overwriting = walk(gaussian_flow(in_place), start(80.0), *ENDS["decode"], steps=6)
    assert torch.equal(plain, overwriting)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_one_number_that_is_not_finite_is_found(bad):
    x = torch.zeros(4, 5)
    assert all_finite(x)
    x[2, 3] = bad
    assert not all_finite(x)
    x[0, 0] = -bad
    assert not all_finite(x)


def test_finite_numbers_whose_sum_overflows_are_finite():
    assert all_finite(torch.full((2, 3), 3e38))
    x = torch.full((3, 4), 1e308, dtype=torch.float64)
    assert torch.equal(Euler().integrate(gaussian_flow(), x, 3.0, 3.0, steps=1), x)


def test_a_time_outside_the_kernels_is_refused_as_number_and_as_tensor():
    flow, x = gaussian_flow(), start(80.0)
    for t in (81.0, 0.001, float("nan"), torch.tensor(81.0), torch.full((3,), 0.001)):
        with pytest.raises(ZooError, match="is outside"):
            flow.denoise(x, t)
    assert flow.nfe == 0


@pytest.mark.parametrize(
    ("name", "steps", "digits"),
    [
        ("euler", 4, 3e-7),
        ("euler", 65, 1e-13),
        ("heun", 4, 3e-7),
        ("heun", 65, 1e-13),
        ("ddim", 4, 3e-7),
        ("exp-heun", 4, 3e-7),
        ("ab2", 4, None),  # which is not exact where D is constant
        ("exp-abm3", 4, 3e-7),
        ("exp-abm3", 64, 2e-6),
        ("exp-abm3", 65, 1e-13),
        ("exp-heun", 65, 1e-13),
    ],
)
def test_the_state_keeps_its_digits_beside_a_predictor_of_fewer_where_steps_are_small(
    name, steps, digits
):
    """Where D is 0 the state is only scaled: what is lost of it is rounding, step by step."""
    x = start(80.0)
    flow = Flow(KERNEL, lambda x, t: torch.zeros_like(x))
    end = build(name).integrate(flow, x, 80.0, 8.0, steps=steps)
    assert end.dtype == torch.float64
    if digits is not None:
        torch.testing.assert_close(end, x / 10, rtol=digits, atol=0)
    if digits != 1e-13:
        assert torch.equal(end, end.float().double())


@pytest.mark.parametrize(("steps", "short"), [(64, True), (65, False)])
def test_the_state_of_a_walk_with_churn_has_the_digits_of_its_steps(steps, short):
    flow = Flow(KERNEL, denoiser)
    end = build("heun-churn", s_churn=5.0).integrate(flow, start(80.0), 80.0, 8.0, steps=steps)
    assert torch.equal(end, end.float().double()) is short


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_predictor_of_half_precision_is_summed_in_float32(dtype):
    flow = Flow(KERNEL, denoiser, dtype=dtype)
    assert flow.denoise(start(3.0), 3.0).dtype == torch.float32
    assert flow.field(start(3.0), 3.0).dtype == torch.float64
    end = build("exp-abm3").integrate(flow, start(80.0), 80.0, 0.002, steps=18)
    exact = flow_map(start(80.0), 80.0, 0.002)
    torch.testing.assert_close(end, exact, rtol=0, atol=0.05 * float(exact.abs().max()))


@pytest.mark.parametrize("kernel", ["gaussian", "gravity", "vp", "flow"])
@pytest.mark.parametrize("name", FIXED_OWN)
def test_nothing_in_a_walk_waits_for_an_accelerator(name, kernel):
    """A tensor of the meta device has no numbers: whoever asks for one on the way fails."""
    built = zoo.kernel(kernel, dim=4)
    predicts = "denoised" if built.affine else "field"
    flow = Flow(built, lambda x, t: x, predicts)
    x = torch.empty(3, 4, dtype=torch.float64, device="meta")
    with pytest.raises(RuntimeError, match="meta"):
        float(x.sum())
    end = build(name)._integrate(flow, x, built.t_max, built.t_min, 5, lambda i, t, x: None)
    assert end.is_meta
    assert end.shape == x.shape
    assert flow.nfe >= 5


# Torchdiffeq's adaptive methods leave out the slope of their step sizes, scipy's have none at all.
DIFFERENTIABLE = [*OWN, "torchdiffeq-rk4", "torchdiffeq-explicit_adams"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kernel", [GaussianKernel(dim=16), GravityKernel(dim=16)])
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_the_gradient_of_a_walk_is_its_slope(name, kernel, dtype):
    """Through the times and weights of the samples' own levels too."""
    solver = build(name)

    def end(x):
        flow = Flow(kernel, lambda x, t: x / (1 + over(t, x)), dtype=dtype, sigma_data=0.5)
        return solver.integrate(flow, x, kernel.t_max, kernel.t_min, steps=6).sum()

    x = torch.linspace(0.5, 1.5, 32, dtype=torch.float64).reshape(2, 16) * kernel.t_max
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(end(x), x)
    step = 1e-5 if dtype == torch.float64 else 1e-3
    with torch.no_grad():
        slope = (end(x * (1 + step)) - end(x * (1 - step))) / (2 * step)
    torch.testing.assert_close(
        (gradient * x).sum(), slope, rtol=1e-8 if dtype == torch.float64 else 5e-3, atol=0
    )


@pytest.mark.parametrize("name", ["exp-heun", "exp-abm4", "ab3"])
@pytest.mark.parametrize("steps", [20, 100])
def test_a_lost_state_is_told_by_its_cause_under_random_levels(name, steps):
    kernel = GravityKernel(dim=16)
    flow = Flow(kernel, lambda x, t: torch.full_like(x, torch.nan))
    x = 50 * torch.ones(2, 16, dtype=torch.float64)
    with pytest.raises(ZooError, match=f"output is not finite at t = {kernel.t_max:g}"):
        build(name).integrate(flow, x, kernel.t_max, kernel.t_min, steps=steps)


def test_the_factors_of_a_long_walk_take_little_memory(monkeypatch):
    kernel = GaussianKernel(dim=2**14)
    numbers, velocity = [], kernel.velocity

    def counted(x_t, x_0, t):
        numbers.append(x_t.numel())
        return velocity(x_t, x_0, t)

    monkeypatch.setattr(kernel, "velocity", counted)
    flow = Flow(kernel, lambda x, t: x)
    x = torch.ones(1, 2**14, dtype=torch.float64)
    build("euler").integrate(flow, x, kernel.t_max, kernel.t_min, steps=100)
    assert sum(numbers) >= 2 * 100 * 2**14
    assert max(numbers) <= 2**18
