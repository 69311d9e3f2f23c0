"""Derivatives with an exponent: equal to autodiff where that works, right where it does not."""

import math

import mpmath as mp
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo import ZooError
from zoo.numerics import betainc, finite_value, gammainc, jet, log_value
from zoo.numerics.rules import RULES

DOUBLE = torch.float64
mp.mp.dps = 50

FORMULAS = {
    "arithmetic": lambda r, t: (2 * r - t / 3 + 1) * (r + 0.5) / (3 + t) - (-r) / 7,
    "reversed": lambda r, t: 1 / (1 + r) + (2 - t) * 2.0**r + torch.ones(()) - r,
    "powers": lambda r, t: r**3 + t**-0.5 + (r * t) ** (r - t) + (r - 10) ** 2 + (t - 9) ** 3,
    "exp-log": lambda r, t: torch.exp(-r * t) + torch.log(r + t) + r.expm1() * t.log1p(),
    "roots": lambda r, t: torch.sqrt(r + t) + torch.square(r - t) + torch.reciprocal(r),
    "hyperbolic": lambda r, t: torch.tanh(r / t) + torch.sinh(r - t) + torch.cosh(r * t),
    "circular": lambda r, t: torch.sin(r) * torch.cos(t) + torch.atan(r / t),
    "errors": lambda r, t: torch.erf(r - t) + torch.erfc(r / t) + torch.special.erfc(t - r),
    "logistic": lambda r, t: torch.sigmoid(r - t) + torch.special.expit(t),
    "gamma": lambda r, t: (
        gammainc(2.5, r / t) + torch.special.gammainc(torch.tensor(1.5, dtype=DOUBLE), r * t)
    ),
    "beta": lambda r, t: betainc(2.5, 0.5, r**2 / (r**2 + t**2)),
    "functions": lambda r, t: torch.add(torch.mul(r, t), torch.div(r, torch.sub(t, torch.neg(r)))),
    "constant": lambda r, t: 3.0 + 0 * r,
}
positive = st.floats(0.05, 5)


@pytest.mark.parametrize("name", FORMULAS)
@given(positive, positive)
@settings(deadline=None, derandomize=True, max_examples=30)
def test_equals_autodiff(name, r, t):
    r, t = (torch.tensor([v], dtype=DOUBLE, requires_grad=True) for v in (r, t))
    plain = FORMULAS[name](r, t)
    expected = torch.autograd.grad(plain.sum(), (r, t), allow_unused=True)
    at = jet(FORMULAS[name], r.detach(), t.detach())
    torch.testing.assert_close(at.plain, plain.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(at.scaled.value(), plain.detach(), rtol=1e-10, atol=1e-11)
    for i in range(2):
        slope = torch.zeros(1, dtype=DOUBLE) if expected[i] is None else expected[i]
        torch.testing.assert_close(at.slope(i).value(), slope, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", sorted(RULES.keys() - {"full_like"}))
def test_every_rule_is_that_of_the_torch_function(name):
    """By its name as a function and, where torch has one, as a method."""
    own = {"gammainc": gammainc, "betainc": betainc}
    function = own.get(name) or getattr(torch, name, None) or getattr(torch, f"{name}_", None)
    function = function or getattr(torch.special, name.removeprefix("special_"))
    x = torch.tensor([0.3, 0.6], dtype=DOUBLE)
    before = {"betainc": (1.5, 2.5), "gammainc": (1.5,), "special_gammainc": (x * 0 + 1.5,)}
    binary = {"add", "div", "divide", "mul", "multiply", "pow", "sub", "subtract", "true_divide"}
    arguments = (x + 1,) if name in binary else ()

    def formula(v):
        return function(*before.get(name, ()), v, *arguments)

    if name == "special_gammainc":  # torch takes a tensor of one number, not two
        before[name] = (torch.tensor(1.5, dtype=DOUBLE),)
    at = jet(formula, x)
    y = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(formula(y).sum(), y)
    torch.testing.assert_close(at.plain, formula(x))
    torch.testing.assert_close(at.slope(0).value(), slope)
    if hasattr(torch.Tensor, name):
        method = jet(lambda v: getattr(v, name)(*arguments), x)
        torch.testing.assert_close(method.slope(0).value(), slope)


@pytest.mark.parametrize(
    ("formula", "log_slope"),
    [
        (
            lambda r, t: torch.tanh(r / t),
            lambda x: mp.log(4) - 2 * x - 2 * mp.log1p(mp.exp(-2 * x)),
        ),
        (lambda r, t: 1 - torch.exp(-r / t), lambda x: -x),
        (lambda r, t: -torch.expm1(-r / t), lambda x: -x),
        (lambda r, t: torch.erf(r / t), lambda x: mp.log(2 / mp.sqrt(mp.pi)) - x**2),
        (lambda r, t: 1 - torch.erfc(r / t), lambda x: mp.log(2 / mp.sqrt(mp.pi)) - x**2),
        (lambda r, t: 2 * torch.sigmoid(r / t), lambda x: mp.log(2) - x - 2 * mp.log1p(mp.exp(-x))),
        (
            lambda r, t: 2 / math.pi * torch.atan(r / t),
            lambda x: mp.log(2 / mp.pi) - mp.log1p(x**2),
        ),
        (lambda r, t: gammainc(1536.0, r / t), lambda x: 1535 * mp.log(x) - x - mp.loggamma(1536)),
        (
            lambda r, t: 1 - 1 / torch.cosh(r / t),
            lambda x: mp.log(mp.sinh(x)) - 2 * mp.log(mp.cosh(x)),
        ),
        (lambda r, t: 1 - (1 + r / t) * torch.exp(-r / t), lambda x: mp.log(x) - x),
        (
            lambda r, t: (1 + (r / t) ** 2) ** -1536,
            lambda x: mp.log(3072 * x) - 1537 * mp.log1p(x**2),
        ),
    ],
)
@pytest.mark.parametrize("ratio", [1e-3, 1.0, 30.0, 400.0, 1e6])
def test_far_slopes(formula, log_slope, ratio):
    """log |d_r f| and the quotient of both derivatives, where autodiff has only zeros."""
    t = torch.tensor([0.5], dtype=DOUBLE)
    at = jet(formula, ratio * t, t)
    expected = log_slope(mp.mpf(ratio)) - mp.log(mp.mpf("0.5"))
    found = float(at.slope(0).log_size())
    assert abs(found - expected) <= mp.mpf("1e-10") * (1 + abs(expected))
    # All of them depend on r / t: r d_r f + t d_t f = 0.
    quotient = float(-at.slope(1).mantissa / at.slope(0).mantissa)
    assert quotient == pytest.approx(ratio, rel=1e-10)


def test_log_value_does_not_underflow():
    r = torch.tensor([1.0, 1e3, 1e6], dtype=DOUBLE)
    torch.testing.assert_close(log_value(lambda r: torch.exp(-(r**2)), r), -(r**2))
    torch.testing.assert_close(log_value(lambda r: 1 / torch.cosh(r), r)[1:], math.log(2) - r[1:])
    found = log_value(lambda r: r**5000 * torch.exp(-r), r)
    torch.testing.assert_close(found, 5000 * r.log() - r)
    assert bool(log_value(lambda r: -r, r).isnan().all())


def test_can_be_differentiated_again():
    r = torch.tensor([0.3, 2.0, 60.0], dtype=DOUBLE, requires_grad=True)
    log = jet(torch.tanh, r).slope(0).log()
    (curve,) = torch.autograd.grad(log.sum(), r)
    torch.testing.assert_close(curve, -2 * r.detach().tanh())


@pytest.mark.parametrize("inference", [False, True])
def test_any_other_function_falls_back_to_autodiff(inference):
    def formula(r, t):
        return torch.where(r > t, torch.special.ndtr(r / t), torch.relu(r))

    with torch.inference_mode(inference):
        r = torch.tensor([0.5, 1.5], dtype=DOUBLE)
        at = jet(formula, r, torch.ones_like(r))
    normal = math.exp(-(1.5**2) / 2) / math.sqrt(2 * math.pi)
    assert at.slope(0).value().tolist() == pytest.approx([1, normal])
    assert at.slope(1).value().tolist() == pytest.approx([0, -1.5 * normal])


def test_comparisons_fall_back():
    def formula(r):
        return r if r > 1 else 2 * r

    assert float(jet(formula, torch.tensor(3.0)).slope(0).value()) == 1


def test_a_formula_without_gradient_is_told():
    def by_table(r):
        return torch.as_tensor(r.detach().numpy() ** 2)

    with pytest.raises(ZooError, match="by_table has no gradient"):
        jet(by_table, torch.ones(2))


@pytest.mark.parametrize(
    "spelled",
    [
        lambda r, t: (r / t) ** 4 / (1 + (r / t) ** 4),
        lambda r, t: r**4 / (r**4 + t**4),
        lambda r, t: 1 / (1 + (t / r) ** 4),
    ],
)
def test_derivatives_of_quotients_do_not_cancel(spelled):
    x = torch.logspace(-2, 60, 125, dtype=torch.float64)
    at = jet(spelled, x, torch.ones_like(x))
    expected = math.log(4) + 3 * x.log() - 2 * torch.logaddexp(0 * x, 4 * x.log())
    torch.testing.assert_close(at.slope(0).log(), expected, rtol=1e-12, atol=1e-10)
    torch.testing.assert_close(at.slopes[1] / at.slopes[0], -x, rtol=1e-10, atol=0)


def test_a_value_whose_powers_overflow_is_taken_in_logarithms():
    r = torch.tensor([0.0, 1.0, 1e8, 1e30], requires_grad=True)
    value = finite_value(lambda r, t: (r / t) ** 4 / (1 + (r / t) ** 8).sqrt(), r, 1.0)
    torch.testing.assert_close(value, torch.tensor([0.0, 2**-0.5, 1.0, 1.0]))
    (slope,) = torch.autograd.grad(value.sum(), r)
    assert bool(slope.isfinite().all())


def test_a_parameter_of_an_incomplete_function_may_be_full_like():
    x = torch.tensor([0.3, 2.0, 50.0], dtype=DOUBLE)
    found = jet(lambda x: torch.special.gammainc(torch.full_like(x, 1.5), x), x)
    expected = jet(lambda x: gammainc(1.5, x), x)
    torch.testing.assert_close(found.plain, expected.plain)
    torch.testing.assert_close(found.slope(0).log(), expected.slope(0).log())
