"""The exponential solvers: their orders on every kind of kernel, and what they are exact for."""

import math
from functools import cache
from importlib import import_module

import pytest
import torch
from zoo_flow.flow import FlowKernel
from zoo_flow.rotating import RotatingKernel
from zoo_gaussian.kernel import GaussianKernel
from zoo_gaussian.paths import VPKernel
from zoo_gravity.kernel import GravityKernel
from zoo_radial.psi import ExpKernel, TanhKernel
from zoo_solvers import zoo_solvers
from zoo_solvers.adams import DDIM, ExpAB2, ExpABM3
from zoo_solvers.linear import level_ratio, typical_noise
from zoo_solvers.runge_kutta import RK4

from zoo.interfaces import Flow, over

TARGETS = {component.name: component.target for component in zoo_solvers()}
FIXED = ["rk4", "ab2", "ab3", "ddim", "exp-heun", "exp-ab2", "exp-ab3", "exp-abm3", "exp-abm4"]
KERNELS = {
    "gaussian": GaussianKernel(dim=4),
    "gravity": GravityKernel(dim=4),
    "tanh": TanhKernel(dim=4),
    "exp": ExpKernel(dim=4),
    "vp": VPKernel(dim=4),
    "flow": FlowKernel(dim=4, t_min=0.01),
    "rotating": RotatingKernel(dim=4, t_min=0.01),
}


def build(name, **options):
    module, attribute = TARGETS[name].split(":")
    return getattr(import_module(module), attribute)(**options)


def denoiser(kernel, variance=0.09):
    """E[x_0 | x_t] of N(0, variance I) at the kernel's typical level, bent a little."""

    def predict(x, t):
        alpha, sigma = (over(v, x) for v in kernel.marginal(t))
        linear = alpha * variance * x / (alpha**2 * variance + sigma**2)
        return linear + 0.02 * torch.sin(x / (1 + sigma.square()).sqrt())

    return predict


def flow(kernel, predict=None, predicts="denoised"):
    return Flow(kernel, predict or denoiser(kernel), predicts, dtype=torch.float64)


def start(kernel, n=3):
    noise = torch.randn(n, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return noise * kernel.marginal(kernel.t_max)[1]


@cache
def converged(kind):
    kernel = KERNELS[kind]
    solver = RK4(grid="log-time")
    return solver.integrate(flow(kernel), start(kernel), kernel.t_max, kernel.t_min, steps=1000)


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("kind", KERNELS)
def test_measured_order_is_the_declared_order_on_every_kernel(kind, name):
    # On "focus" the steps at the ends are long, and order 4 shows late.
    options = {"grid": "log-time"} if name == "exp-abm4" else {}
    kernel, solver = KERNELS[kind], build(name, **options)
    few = 60 if solver.order == 4 else 240
    coarse, fine = (
        float(
            (
                solver.integrate(
                    flow(kernel), start(kernel), kernel.t_max, kernel.t_min, steps=steps
                )
                - converged(kind)
            )
            .abs()
            .max()
        )
        for steps in (few, 2 * few)
    )
    # Fourth order may show early: the next term of the error is still felt.
    assert solver.order - 0.3 < math.log2(coarse / fine) < solver.order + 0.8


def test_only_kernels_whose_velocity_is_the_marginals_are_scalar():
    assert {kind for kind, kernel in KERNELS.items() if not kernel.affine_path} == {"rotating"}


class Unaffine(GaussianKernel):
    affine = False


def test_a_field_that_is_not_affine_gets_the_same_steps_from_the_field_itself():
    plain, unaffine = GaussianKernel(dim=4), Unaffine(dim=4)
    predict = denoiser(plain)

    def field(x, t):
        return (x - predict(x, t)) / over(t, x)

    x = start(plain)
    for solver in (ExpABM3(), DDIM()):
        expected = solver.integrate(flow(plain), x, 80.0, 0.002, steps=20)
        got = solver.integrate(flow(unaffine, field, "field"), x, 80.0, 0.002, steps=20)
        torch.testing.assert_close(got, expected)


def gaussian_data(kernel, share, std=0.5):
    """The denoiser of N(0, std^2 I) for samples of level share * typical: high dimension."""

    def predict(x, t):
        sigma = over(kernel.marginal(t)[1], x) * share
        return x * std**2 / (std**2 + sigma**2)

    return predict


@pytest.mark.parametrize("steps", [17, 35])
@pytest.mark.parametrize("name", ["exp-ab2", "exp-ab3", "exp-abm3", "exp-abm4"])
def test_gaussian_data_of_the_stated_scale_are_exact(name, steps):
    kernel = GaussianKernel(dim=64)
    x = torch.full((1, 64), math.hypot(0.5, 80.0), dtype=torch.float64)
    got = build(name).integrate(
        flow(kernel, gaussian_data(kernel, 1.0)), x, 80.0, 0.002, steps=steps
    )
    torch.testing.assert_close(got, torch.full_like(x, math.hypot(0.5, 0.002)), rtol=1e-4, atol=0)


@pytest.mark.parametrize("kernel", [GravityKernel(dim=784), TanhKernel(dim=784)])
def test_a_random_level_is_read_off_the_sample(kernel):
    share = torch.tensor([[0.4], [1.0], [6.0]], dtype=torch.float64)
    noise = torch.randn(3, 784, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    noise = noise / noise.square().mean(dim=1, keepdim=True).sqrt()
    half = torch.tensor(0.5, dtype=torch.float64)
    top, bottom = (share * float(kernel.level(t)) for t in (kernel.t_max, kernel.t_min))
    got = ExpABM3().integrate(
        flow(kernel, gaussian_data(kernel, share)),
        noise * torch.hypot(top, half),
        kernel.t_max,
        kernel.t_min,
        steps=17,
    )
    assert float((got - noise * torch.hypot(bottom, half)).abs().max()) < 2e-3


def test_a_level_ratio_is_the_level_over_the_typical_one():
    kernel = GravityKernel(dim=784)
    x_0 = torch.zeros(2, 784, dtype=torch.float64)
    x = x_0 + kernel.t_max * torch.ones_like(x_0) * torch.tensor([[1.0], [3.0]])
    ratio = level_ratio(typical_noise(kernel, kernel.t_max), x, x_0)
    expected = torch.tensor([1.0, 3.0], dtype=torch.float64) / float(kernel.level(1.0))
    torch.testing.assert_close(ratio, expected)
    assert typical_noise(GaussianKernel(dim=784), 80.0) is None


def test_a_single_point_is_exact_for_ddim_and_order_two():
    kernel, point = VPKernel(dim=4), torch.tensor([[1.0, -0.5, 0.2, 0.0]], dtype=torch.float64)
    noise = start(kernel, 1)
    (a0, s0), (a1, s1) = (kernel.marginal(t) for t in (kernel.t_max, kernel.t_min))
    for solver in (DDIM(), ExpAB2(), ExpABM3()):
        got = solver.integrate(
            flow(kernel, lambda x, t: point),
            a0 * point + s0 * noise,
            kernel.t_max,
            kernel.t_min,
            steps=5,
        )
        torch.testing.assert_close(got, a1 * point + s1 * noise)


@pytest.mark.parametrize("kind", ["gaussian", "gravity"])
@pytest.mark.parametrize("name", ["exp-abm3", "exp-abm4", "exp-heun"])
def test_a_sample_is_the_same_alone_and_in_any_batch(name, kind):
    kernel, solver = KERNELS[kind], build(name)
    x = start(kernel, 8) * torch.linspace(0.2, 5, 8, dtype=torch.float64)[:, None]
    ends = (kernel.t_max, kernel.t_min)
    together = solver.integrate(flow(kernel), x, *ends, steps=12)
    alone = [solver.integrate(flow(kernel), one, *ends, steps=12) for one in x.split(1)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-10, atol=1e-10)


def test_a_plan_is_kept_for_its_own_kernel_only():
    solver, x = ExpABM3(), start(KERNELS["gaussian"])
    other = GaussianKernel(dim=4, t_max=40.0)
    first = solver.integrate(flow(KERNELS["gaussian"]), x, 40.0, 0.01, steps=9)
    second = solver.integrate(flow(other), x, 40.0, 0.01, steps=9)
    torch.testing.assert_close(first, second)
    shorter = solver.integrate(flow(other), x, 40.0, 0.01, steps=8)
    assert not torch.equal(second, shorter)
    assert torch.equal(second, solver.integrate(flow(other), x, 40.0, 0.01, steps=9))
