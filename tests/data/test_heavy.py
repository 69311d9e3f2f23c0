"""Data with heavy tails: each law against a closed form, options in the reference, one seed."""

import numpy as np
import pytest
import torch
from common import seeded
from scipy import stats

from zoo import data
from zoo.data.heavy import LAWS, alpha_stable, copula, student
from zoo.errors import ZooError

QUARTILE = 0.5 * stats.norm.ppf(0.75)


@pytest.mark.parametrize(("d", "nu"), [(2, 3.0), (20, 3.0), (50, 1.5), (2, 0.5)])
def test_squared_lengths_of_student_vectors_have_the_law_of_fisher(d, nu):
    x = student(20_000, seeded(), d=d, nu=nu).numpy()
    scale = QUARTILE / stats.t.ppf(0.75, nu)
    assert stats.kstest((x**2).sum(1) / d / scale**2, stats.f(d, nu).cdf).pvalue > 1e-3
    assert stats.kstest(x[:, -1] / scale, stats.t(nu).cdf).pvalue > 1e-3


def test_columns_of_the_copula_are_student_and_their_scores_correlated_gaussians():
    x = copula(20_000, seeded(), d=4, nu=3.0).numpy()
    scores = np.empty_like(x)
    for i, nu in enumerate([3, 6, 12, 3]):
        law = stats.t(nu, scale=QUARTILE / stats.t.ppf(0.75, nu))
        assert stats.kstest(x[:, i], law.cdf).pvalue > 1e-3
        scores[:, i] = stats.norm.ppf(law.cdf(x[:, i]))
    correlations = np.corrcoef(scores.T)[np.triu_indices(4, 1)]
    assert np.abs(correlations - 0.5).max() < 4 / np.sqrt(len(x))


def test_the_stable_law_of_index_one_is_that_of_cauchy():
    x = 2**0.5 / 0.5 * alpha_stable(20_000, seeded(), d=5, alpha=1.0).numpy()
    assert stats.kstest((x**2).sum(1) / 5, stats.f(5, 1).cdf).pvalue > 1e-3
    assert stats.kstest(x[:, 0], stats.cauchy.cdf).pvalue > 1e-3


@pytest.mark.parametrize("alpha", [0.7, 1.3, 1.7, 1.95])
def test_the_stable_law_has_its_characteristic_function(alpha):
    x = alpha_stable(50_000, seeded(), d=3, alpha=alpha) / (0.5 / 2**0.5)
    for k in ([0.5, 0.0, 0.0], [0.3, -0.4, 0.6], [1.0, 1.0, 1.0]):
        wave = torch.tensor(k, dtype=torch.float64)
        found = (x @ wave).cos()
        error = float(found.std()) / len(x) ** 0.5
        assert abs(float(found.mean()) - np.exp(-(float(wave.norm()) ** alpha))) < 4 * error


@pytest.mark.parametrize("name", LAWS)
def test_a_reference_names_its_options_and_draws_the_same_again(name):
    x = data.load(f"toy:{name}?d=7&n=500")
    assert (x.shape, len(x), x.range, x.name) == ((7,), 500, None, f"{name}?d=7&n=500")
    assert torch.equal(x.images, data.load(f"toy:{name}?n=500&d=7").images)
    assert not torch.equal(x.images, data.load(f"toy:{name}?d=7&n=500", split="test").images)
    plain = data.load(f"toy:{name}").images
    assert plain.shape == (10_000, 2)
    assert plain.dtype == torch.float32
    middle = np.diff(np.quantile(plain.numpy(), [0.25, 0.75], axis=0), axis=0) / 2
    assert np.abs(middle / QUARTILE - 1).max() < 0.1


def test_a_tail_index_in_the_reference_is_that_of_the_data():
    far = [
        np.quantile(data.load(f"toy:student?nu={nu}").images.norm(dim=1), 0.999) for nu in (2, 9)
    ]
    assert far[0] > 3 * far[1]


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("toy:studen", "did you mean 'student'"),
        ("toy:student?nu", "nu = ''; expected a number from 0.5 to 100"),
        ("toy:student?nu=x", "nu = 'x'; expected a number"),
        ("toy:student?nu=nan", "nu = 'nan'; expected a number"),
        ("toy:student?d=2.5", "d = '2.5'; expected a whole number from 2 to 50"),
        ("toy:student?d=51", "d = '51'"),
        ("toy:student?alpha=1", "no option 'alpha'; there are d, n and nu"),
        ("toy:alpha-stable?alpha=2", "expected a number from 0.5 to 1.99"),
        ("toy:two-moons?d=2", "no option 'd'; there is n"),
        ("toy:two-moons?n=5", "n = '5'; expected a whole number from 10 to 1e+06"),
    ],
)
def test_wrong_options_are_one_line(ref, said):
    with pytest.raises(ZooError) as caught:
        data.load(ref)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_moons_may_be_few():
    moons = data.load("toy:two-moons?n=50")
    assert (len(moons), moons.name, moons.classes) == (50, "two-moons", 2)
