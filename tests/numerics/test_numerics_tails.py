"""Hill's estimate, and whether a tail is a power at all."""

import math

import numpy as np
import pytest
import torch

from zoo.numerics import hill, tail_index


def quantiles(n, icdf):
    """The n middle quantiles of a law, as a sample without chance."""
    return torch.from_numpy(icdf((np.arange(n) + 0.5) / n))


@pytest.mark.parametrize("index", [0.5, 1.0, 3.0, 12.0])
def test_the_index_of_a_pareto_law(index):
    x = quantiles(20_000, lambda p: 7 * (1 - p) ** (-1 / index))
    assert hill(x) == pytest.approx(index, rel=0.02)
    assert hill(1e9 * x, 50) == pytest.approx(index, rel=0.02)
    assert tail_index(x.flip(0)) == pytest.approx(index, rel=0.02)


def test_hill_by_hand():
    x = torch.tensor([1.0, 2.0, 4.0, 8.0])
    assert hill(x, 2) == pytest.approx(2 / (math.log(4) + math.log(2)))
    assert hill(torch.ones(100)) == math.inf


@pytest.mark.parametrize(
    "icdf", [lambda p: p, lambda p: -np.log1p(-p), lambda p: np.sqrt(-2 * np.log1p(-p))]
)
def test_uniform_exponential_and_rayleigh_tails_are_no_power(icdf):
    x = quantiles(20_000, icdf)
    assert tail_index(x) == math.inf
    assert tail_index(x + 100.0) == math.inf
    assert hill(x) < math.inf


@pytest.mark.parametrize("d", [2, 20])
def test_the_index_of_student_lengths_is_found_within_its_error(d):
    chance = np.random.default_rng(0)
    x = chance.normal(size=(40_000, d)) / np.sqrt(chance.chisquare(3, 40_000) / 3)[:, None]
    found = tail_index(torch.from_numpy(np.linalg.norm(x, axis=1)))
    assert found == pytest.approx(3, rel=3 / math.sqrt(200))


@pytest.mark.parametrize(
    ("n", "light", "heavy"), [(200, 0.2, 0.25), (1_000, 0.2, 0.5), (4_000, 0.2, 0.85)]
)
def test_draws_of_light_laws_seem_light_and_those_of_students_heavy(n, light, heavy):
    def found(law):
        draws = (torch.from_numpy(law(np.random.default_rng(s))).abs() for s in range(100))
        return np.mean([tail_index(x) < math.inf for x in draws])

    assert found(lambda chance: chance.laplace(size=n)) <= light
    assert found(lambda chance: chance.normal(size=n)) <= light
    assert found(lambda chance: chance.standard_t(3, size=n)) >= heavy


def test_few_numbers_and_equal_ones_say_nothing():
    pareto = quantiles(63, lambda p: (1 - p) ** -1.0)
    assert tail_index(pareto) == math.inf
    assert tail_index(torch.zeros(1_000)) == math.inf
    assert tail_index(torch.ones(1_000)) == math.inf
    assert tail_index(torch.tensor([1.0])) == math.inf
