"""Incomplete gamma and beta functions and gamma ratios, against mpmath and their definitions."""

import mpmath as mp
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo import ZooError
from zoo.numerics import betainc, gammainc, log_gamma_ratio
from zoo.numerics.special import log_beta

mp.mp.dps = 40
DOUBLE = torch.float64


@given(st.floats(0.5, 1e12), st.floats(0, 1e5))
@settings(deadline=None, derandomize=True)
def test_log_gamma_ratio(a, b):
    expected = mp.loggamma(mp.mpf(a) + mp.mpf(b)) - mp.loggamma(mp.mpf(a))
    assert abs(log_gamma_ratio(a, b) - expected) <= 1e-13 * abs(expected) + 1e-13


@given(st.floats(0.5, 1e5), st.floats(0.5, 1e5))
@settings(deadline=None, derandomize=True)
def test_log_beta_is_symmetric_and_right(a, b):
    expected = mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(mp.mpf(a) + mp.mpf(b))
    assert abs(log_beta(a, b) - expected) <= 1e-12 * abs(expected) + 1e-12
    assert log_beta(a, b) == log_beta(b, a)


@pytest.mark.parametrize("a", [0.5, 1.0, 8.0, 392.0, 1536.0])
def test_gammainc_values(a):
    for share in (0.5, 0.9, 1.0, 1.1, 1.5):
        x = a * share
        expected = mp.gammainc(a, 0, x, regularized=True)
        found = float(gammainc(a, torch.tensor(x, dtype=DOUBLE)))
        assert abs(found - expected) <= 1e-11 * expected + 1e-300


@pytest.mark.parametrize(("a", "b"), [(0.5, 1.0), (1.0, 0.5), (392.0, 0.5), (0.5, 1536.0)])
def test_betainc_values(a, b):
    for x in (1e-6, 0.01, 0.3, 0.7, 0.999):
        expected = mp.betainc(a, b, 0, x, regularized=True)
        found = float(betainc(a, b, torch.tensor(x, dtype=DOUBLE)))
        assert abs(found - expected) <= 1e-11 * expected + 1e-300


# torch's own forward mode warns of itself.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")
@pytest.mark.parametrize(
    "function",
    [
        lambda x: gammainc(2.5, x),
        lambda x: betainc(2.5, 1.5, x),
        lambda x: betainc(0.5, 3.0, x),
    ],
)
def test_derivatives(function):
    x = torch.tensor([0.05, 0.3, 0.8], dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(function, x)
    # torch.func takes them too: forward, backward, and in a batch.
    expected = torch.autograd.grad(function(x).sum(), x)[0].detach()
    x = x.detach()
    for jacobian in (torch.func.jacrev(function), torch.func.jacfwd(function)):
        torch.testing.assert_close(jacobian(x).diagonal(), expected)
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(function))(x), expected)


def test_single_precision_stays():
    x = torch.tensor([0.25, 0.5])
    for value in (gammainc(2.0, x), betainc(1.0, 2.0, x)):
        assert value.dtype == torch.float32
    assert betainc(1.0, 2.0, x).tolist() == pytest.approx([0.4375, 0.75])


def test_a_parameter_is_one_number():
    with pytest.raises(ZooError, match="a of an incomplete function varies"):
        gammainc(torch.ones(2), torch.ones(2))
