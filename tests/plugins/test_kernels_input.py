"""What every kernel of the catalogue refuses, by which name, and where it gives gradients."""

import math

import pytest
import torch
from common import seeded
from kernel_cases import CASES
from zoo_gravity.kernel import GravityKernel

import zoo
from zoo.errors import ZooError
from zoo.host.registry import catalogue
from zoo.interfaces import FieldKernel, IsotropicKernel, over, randn

DOUBLE = torch.float64
NAMES = [found.component.name for found in catalogue("kernels").values()]
EXAMPLES = {
    found.component.name: found.component.example for found in catalogue("kernels").values()
}


class ByAutodiff(IsotropicKernel):
    """A radial CDF of a function whose derivative is autodiff's own."""

    def radial_cdf(self, r, t):
        return 2 * torch.special.ndtr(r / t) - 1


# Kernels of the catalogue, those with other options, and those that fall back on autodiff.
KERNELS = {name: lambda name=name: zoo.kernel(name, dim=4, **EXAMPLES[name]) for name in NAMES}
KERNELS |= {
    case: lambda case=case: zoo.kernel(CASES[case][0], dim=4, **CASES[case][1])
    for case in ("ve-square", "vp-ddpm", "psi-warped", "phi-warped", "rotating")
}
KERNELS |= {
    "a third party's": lambda: ByAutodiff(dim=4),
    "psi as a callable": lambda: zoo.kernel(
        "psi", dim=4, psi=lambda r, t: torch.special.erf(r / (t + t * t) / 2**0.5)
    ),
    "map as a callable": lambda: zoo.kernel(
        "map", dim=4, map=lambda x_0, z, t: (1 - t) * x_0 + t * (z + 0.1 * z.roll(1, 1))
    ),
}


def points(kernel):
    """Return (x_t, x_0, t) at three times, float64."""
    ends = math.log(kernel.t_min), math.log(kernel.t_max)
    t = torch.linspace(*ends, 5, dtype=DOUBLE).exp()[1:-1]
    x_0 = torch.randn(3, 4, dtype=DOUBLE, generator=seeded())
    return kernel.sample(x_0, t, seeded(1)), x_0, t


def told(call, *parts):
    """Check that a call is refused in one line that starts with, and holds, the given words."""
    with pytest.raises(ZooError) as error:
        call()
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert message.startswith(parts[0]), message
    for part in parts[1:]:
        assert part in message, message


# Gradients


@pytest.mark.parametrize("name", KERNELS)
def test_results_require_gradients_only_where_inputs_do(name):
    kernel = KERNELS[name]()
    x_t, x_0, t = points(kernel)
    radial = {}
    if isinstance(kernel, IsotropicKernel):
        r, q = (x_t - x_0).norm(dim=1), torch.tensor([0.2, 0.5, 0.9], dtype=DOUBLE)
        by_r = (kernel.radial_cdf, kernel.radius_log_density, kernel.radial_velocity)
        radial = {f.__name__: f(r, t) for f in (*by_r, kernel.log_phi)}
        radial["radial_icdf"] = kernel.radial_icdf(q, t)
    found = {
        "sample": x_t,
        "log_density": kernel.log_density(x_t, x_0, t),
        "velocity": kernel.velocity(x_t, x_0, t),
        "level": kernel.level(t),
        "least_level": kernel.least_level(t),
        "time_at": kernel.time_at(t),
        **radial,
    }
    assert [key for key, value in found.items() if value.requires_grad] == []


@pytest.mark.parametrize("name", KERNELS)
def test_results_are_differentiable_in_every_input(name):
    kernel = KERNELS[name]()
    inputs = [value.detach().requires_grad_() for value in points(kernel)]
    x_t, x_0, t = inputs
    for found in (kernel.log_density(x_t, x_0, t), kernel.velocity(x_t, x_0, t)):
        grads = torch.autograd.grad(found.sum(), inputs)
        assert all(bool(grad.isfinite().all()) for grad in grads)
        assert all(bool((grad != 0).any()) for grad in grads)


@pytest.mark.parametrize("name", KERNELS)
def test_a_draw_moves_with_t_at_the_conditional_velocity(name):
    """x_t of one noise is a conditional trajectory: d x_t / dt = v(x_t, x_0, t)."""
    kernel = KERNELS[name]()
    _, x_0, t = points(kernel)
    t.requires_grad_()
    x_t = kernel.sample(x_0, t, seeded(1))
    rate = torch.stack(
        [torch.autograd.grad(x_t[:, i].sum(), t, retain_graph=True)[0] for i in range(4)], dim=1
    )
    v = kernel.velocity(x_t.detach(), x_0, t.detach())
    torch.testing.assert_close(rate, v, rtol=1e-6, atol=1e-8)


# Wrong input


def calls_at(kernel, t):
    """Return every method that takes a time, called at t."""
    x_t, x_0, _ = points(kernel)
    return {
        "velocity": lambda: kernel.velocity(x_t, x_0, t),
        "log_density": lambda: kernel.log_density(x_t, x_0, t),
        "green": lambda: kernel.green(x_t, x_0, t),
        "sample": lambda: kernel.sample(x_0, t),
        "match_time": lambda: zoo.kernel("gravity", dim=4).match_time(kernel, t),
        "match_time of itself": lambda: kernel.match_time(kernel, t),
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_time_outside_the_kernels_own_is_told(name):
    kernel = KERNELS[name]()
    outside = (0.0, -1.0, 1.1 * kernel.t_max, 0.9 * kernel.t_min, math.nan, math.inf)
    for t in (*outside, *(torch.tensor(v, dtype=DOUBLE) for v in outside[:2])):
        for call in calls_at(kernel, t).values():
            told(call, "t = ", f"is outside [{kernel.t_min:g}, {kernel.t_max:g}]")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_time_is_told(name):
    kernel = KERNELS[name]()
    x_t, x_0, t = points(kernel)
    for wrong in ("1", None, True, [0.5, 0.5, 0.5], torch.tensor(1j)):
        for call in calls_at(kernel, wrong).values():
            told(call, "t is ", "expected a number or a tensor of numbers")
    for wrong in (t[:2], t[:, None], t.expand(2, 3)):
        told(
            lambda w=wrong: kernel.velocity(x_t, x_0, w), "t has shape", "expected a scalar or (3,)"
        )
        told(lambda w=wrong: kernel.sample(x_0, w), "t has shape", "expected a scalar or (3,)")


@pytest.mark.parametrize("name", NAMES)
def test_states_that_do_not_fit_are_told(name):
    kernel = KERNELS[name]()
    x_t, x_0, t = points(kernel)
    for method in (kernel.velocity, kernel.log_density, kernel.green):
        told(lambda m=method: m(x_t, x_0[:, :3], t), "x_0 has shape (3, 3)", "4 coordinates")
        told(lambda m=method: m(x_t[:, :3], x_0, t), "x_t has shape (3, 3)", "4 coordinates")
        told(lambda m=method: m(x_t, x_0[:2], t), "x_t has shape (3, 4) and x_0 (2, 4)")
        told(lambda m=method: m(x_t.reshape(3, 2, 2), x_0, t), "x_t has shape (3, 2, 2) and x_0")
        told(lambda m=method: m(x_t[0], x_0, t), "x_t has shape (4,)")
        told(lambda m=method: m(x_t.long(), x_0, t), "x_t is int64; expected")
        told(lambda m=method: m(x_t, x_0.tolist(), t), "x_0 is a list; expected a tensor")
    told(lambda: kernel.sample(x_0[:, :3], t), "x_0 has shape (3, 3)")
    told(lambda: kernel.sample(x_0[0], t), "x_0 has shape (4,)")
    told(lambda: kernel.sample(x_0.int(), t), "x_0 is int32; expected")
    told(lambda: kernel.match_time("gravity", 1.0), "other is 'gravity'; expected a FieldKernel")


RADIAL = [name for name in KERNELS if isinstance(KERNELS[name](), IsotropicKernel)]
RADIAL.remove("a third party's")  # writes its own radial_cdf; tested below


@pytest.mark.parametrize("name", RADIAL)
def test_what_no_radial_law_can_be_asked_is_told(name):
    """A radial law holds at any t > 0: times are looked for by it."""
    kernel = KERNELS[name]()
    r, q = torch.tensor([0.2, 0.5, 0.9], dtype=DOUBLE), torch.tensor([0.2, 0.5, 0.9], dtype=DOUBLE)
    by_r = (kernel.radial_cdf, kernel.radius_log_density, kernel.radial_velocity, kernel.log_phi)
    for method, value, letter in (*((f, r, "r") for f in by_r), (kernel.radial_icdf, q, "q")):
        for t in (0.0, -1.0, math.nan, math.inf, torch.tensor([1.0, -1.0, 1.0]).double()):
            told(lambda f=method, v=value, t=t: f(v, t), "t = ", "expected", "positive number")
        for t in ("1", None, True, torch.tensor(1j)):
            told(lambda f=method, v=value, t=t: f(v, t), "t is ", "expected a number")
        told(lambda f=method, v=value: f(v, torch.ones(2)), "t has shape (2,)", f"{letter} (3,)")
        told(lambda f=method, v=value: f(-v, 1.0), f"{letter} = -0.9; expected")
        told(lambda f=method: f(0.5, 1.0), f"{letter} is a float; expected a tensor")
        told(lambda f=method: f(torch.tensor([1, 0]), 1.0), f"{letter} is int64; expected")
    told(lambda: kernel.radial_icdf(q + 1, 1.0), "q = 1.9; expected a probability, 0 to 1")
    told(lambda: kernel.radial_icdf(q * math.nan, 1.0), "q = nan; expected a probability, 0 to 1")


def test_a_third_partys_cdf_is_asked_nothing_that_it_cannot_answer():
    kernel = ByAutodiff(dim=4)
    r = torch.tensor([0.5], dtype=DOUBLE)
    for method in (kernel.radial_icdf, kernel.radial_velocity, kernel.log_phi):
        told(lambda f=method: f(r, -1.0), "t = -1; expected a positive number")


@pytest.mark.parametrize("D", [0.0, -1.0, 0.5, math.nan, math.inf, "128", None, True])
def test_extra_dimensions_are_a_number_of_at_least_one(D):
    told(lambda: zoo.kernel("pfgmpp", dim=4, D=D), f"D = {D!r}; expected a number of at least 1")


# Where a formula may be given: kernel, argument, other options.
FORMULAS = [
    ("psi", "psi", {}),
    ("psi", "lambda_t", {"psi": "tanh(r/t)"}),
    ("phi", "phi", {}),
    ("ve", "sigma", {}),
    ("interpolant", "alpha", {"sigma": "t"}),
    ("interpolant", "sigma", {"alpha": "1 - t"}),
    ("map", "map", {}),
    ("anisotropic", "covariance", {}),
]


@pytest.mark.parametrize(("name", "argument", "others"), FORMULAS)
@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "eval('t')",
        "t.real",
        "().__class__",
        "[t for t in (1,)][0]",
        "lambda t: t",
        "t[0]",
        "'t'",
        "t if t else t",
        "t +",
        "",
    ],
)
def test_a_formula_that_is_more_than_arithmetic_is_told(name, argument, others, text):
    told(lambda: zoo.kernel(name, dim=4, **{argument: text, **others}), argument)


# Kernels that replace the public methods, as all did before 0.1


class Plain(FieldKernel):
    """N(x_0, t^2 I) by the public methods alone."""

    def __init__(self, *, dim):
        super().__init__(dim=dim, t_min=0.01, t_max=10.0)

    def log_density(self, x_t, x_0, t):
        z = ((x_t - x_0) / over(t, x_t)).flatten(1)
        return -z.square().sum(1) / 2 - self.dim * math.log(t * math.sqrt(2 * math.pi))

    def velocity(self, x_t, x_0, t):
        return (x_t - x_0) / over(t, x_t)

    def sample(self, x_0, t, generator=None):
        return x_0 + over(t, x_0) * randn(x_0.shape, x_0, generator)

    def marginal(self, t):
        t = torch.as_tensor(t, dtype=DOUBLE)
        return torch.ones_like(t), t


def test_a_kernel_may_replace_the_public_methods():
    plain, ours = Plain(dim=4), zoo.kernel("gaussian", dim=4)
    x_0 = torch.randn(3, 4, dtype=DOUBLE, generator=seeded())
    x_t = plain.sample(x_0, 2.0, seeded(1))
    torch.testing.assert_close(x_t, ours.sample(x_0, 2.0, seeded(1)))
    torch.testing.assert_close(plain.velocity(x_t, x_0, 2.0), ours.velocity(x_t, x_0, 2.0))
    found, expected = plain.green(x_t, x_0, 2.0), ours.green(x_t, x_0, 2.0)
    torch.testing.assert_close(found, expected)


def test_a_replaced_public_method_is_the_one_that_others_use():
    class Slower(GravityKernel):
        def log_phi(self, r, t):
            return super().log_phi(r, t) + 1

        def velocity(self, x_t, x_0, t):
            return super().velocity(x_t, x_0, t) / 2

    slower, gravity = Slower(dim=4), GravityKernel(dim=4)
    x_t, x_0, t = points(gravity)
    torch.testing.assert_close(
        slower.log_density(x_t, x_0, t), gravity.log_density(x_t, x_0, t) + 1
    )
    torch.testing.assert_close(2 * slower.velocity(x_t, x_0, t), gravity.velocity(x_t, x_0, t))
    told(lambda: slower.velocity(x_t[:, :3], x_0, t), "x_t has shape (3, 3)")


def test_a_kernel_without_a_law_cannot_be_built():
    class Lawless(FieldKernel):
        def velocity(self, x_t, x_0, t):
            return x_t

    with pytest.raises(TypeError, match="_log_density"):
        Lawless(dim=2, t_min=0.1, t_max=1.0)
