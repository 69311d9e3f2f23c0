"""What is trained on vectors ends at the identity and has the law of the data, for every kernel."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

import zoo
from zoo.data.toy import two_moons

KERNELS = ["gravity", "pfgmpp", "tanh", "exp", "gaussian", "flow"]
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in KERNELS[1:]]


def moons(n, seed):
    return two_moons(n, torch.Generator().manual_seed(seed))[0]


def energy_p_value(x, y, permutations=200):
    """P(an energy distance at least this large | one law), by permutation.

    Source: Szekely and Rizzo, InterStat 5 (2004), section 3.
    """
    both = np.concatenate([x, y])
    distances, n = cdist(both, both), len(x)
    chance = np.random.default_rng(0)

    def energy(order):
        a, b = order[:n], order[n:]
        within = distances[np.ix_(a, a)].mean() + distances[np.ix_(b, b)].mean()
        return 2 * distances[np.ix_(a, b)].mean() - within

    found = energy(np.arange(len(both)))
    others = [energy(chance.permutation(len(both))) for _ in range(permutations)]
    return (1 + sum(other >= found for other in others)) / (1 + permutations)


@pytest.fixture(scope="module")
def trained():
    """Return a function that trains a model on two moons, once for each kernel."""
    models = {}

    def train(kernel):
        if kernel not in models:
            recipe = {
                "name": f"{kernel}-moons",
                "kernel": {"use": kernel},
                "network": {"use": "mlp", "width": 64, "blocks": 2},
                "train": {"images": 500_000, "batch": 250, "warmup": 6_400, "lr": 2e-3},
            }
            models[kernel] = zoo.train(recipe, data=moons(10_000, 0), progress=False)
        return models[kernel]

    return train


@pytest.mark.parametrize("kernel", ["gravity", *SLOW])
def test_the_denoiser_is_the_identity_on_data_at_t_min(trained, kernel):
    model, x = trained(kernel), moons(4_000, 1)
    moved = (model.denoise(x, model.kernel.t_min) - x).norm(dim=1)
    assert moved.mean() < 0.01
    assert moved.max() < 0.15


@pytest.mark.parametrize("kernel", ["gravity", *SLOW])
def test_samples_are_told_from_held_out_data_by_no_two_sample_test(trained, kernel):
    samples, data = trained(kernel).sample(500, seed=0), moons(500, 1)
    assert energy_p_value(samples.numpy(), data.numpy()) > 0.01
    # The test has power: points a third further out are told from the moons.
    assert energy_p_value(1.3 * data.numpy(), moons(500, 2).numpy()) < 0.01


@pytest.mark.parametrize(("kernel", "dim"), [("gravity", 1), ("tanh", 2), ("gaussian", 2)])
def test_the_density_at_the_centre_of_the_data_is_theirs(kernel, dim):
    """There the length of x is no smooth function of it; an earlier table erred by 36 nats."""
    x = torch.randn(10_000, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = zoo.fit(x, kernel=kernel, images=100_000, validation=0, progress=False)
    radii = torch.tensor([0.0, 1e-3, 1e-2, 0.1, 0.5], dtype=torch.float64)
    expected = -radii.square() / 2 - dim / 2 * math.log(2 * math.pi)
    along = radii[:, None] * torch.eye(dim, dtype=torch.float64)[0]
    assert (model.log_prob(along) - expected).abs().max() < 3
