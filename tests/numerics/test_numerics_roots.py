"""Bracketed root finding: finds what is there, whatever the shape of the function."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.numerics import solve_increasing

DOUBLE = torch.float64
FUNCTIONS = {
    "line": lambda x: 3 * x,
    "cube": lambda x: x**3,
    "flat": lambda x: x**9,
    "steep": lambda x: torch.tanh(1e8 * x),
    "exponential": lambda x: torch.expm1(x),
    "step": lambda x: torch.sign(x),
    "root": lambda x: x.sign() * x.abs().sqrt(),
    "overflow": lambda x: torch.sinh(1e3 * x),
}


def solve(function, low, high, counts=None):
    low, high = torch.as_tensor(low, dtype=DOUBLE), torch.as_tensor(high, dtype=DOUBLE)

    def counted(x):
        if counts is not None:
            counts.append(1)
        return function(x)

    one = torch.ones_like(low)
    return solve_increasing(counted, low, high, at_low=-one, at_high=one)


@pytest.mark.parametrize("name", FUNCTIONS)
@given(st.lists(st.floats(-90, 90), min_size=1, max_size=5))
@settings(deadline=None, derandomize=True)
def test_finds_the_root(name, roots):
    at = torch.tensor(roots, dtype=DOUBLE)
    found = solve(lambda x: FUNCTIONS[name](x - at), at * 0 - 100, at * 0 + 101)
    # x**9 underflows to 0 well before the root: then anything there is one.
    slack = 1e-33 ** (1 / 9) if name == "flat" else 1e-12
    assert float((found - at).abs().max()) <= slack


def test_smooth_functions_take_few_steps():
    counts = []
    solve(lambda x: torch.expm1(x - 0.3), [-5.0], [5.0], counts)
    assert len(counts) < 15


def test_not_a_number_counts_as_above():
    found = solve(lambda x: torch.where(x > 2, torch.nan, x - 1.5), [-300.0], [300.0])
    assert float(found) == pytest.approx(1.5, abs=1e-12)


def test_a_root_beyond_the_bracket_is_its_end():
    assert float(solve(lambda x: x - 7, [0.0], [1.0])) == pytest.approx(1, abs=1e-9)


def test_every_equation_has_its_own_bracket():
    goal = torch.tensor([1e-9, 1.0, math.pi, 50.0], dtype=DOUBLE)
    found = solve(lambda x: x**3 - goal**3, goal * 0.1, goal * 30)
    torch.testing.assert_close(found, goal, rtol=1e-6, atol=1e-15)
