"""columns = True: one-dimensional denoisers of the columns, against draws and closed forms."""

import math

import numpy as np
import pytest
import torch
from common import seeded
from scipy import stats
from torch import nn

import zoo
from zoo.errors import ZooError
from zoo.networks import ColumnSkip
from zoo.networks.columns import Columns

GAUSSIAN = ["gaussian", "vp", "flow", "ve"]
KERNELS = [*GAUSSIAN, "pfgmpp", "gravity", "tanh", "anisotropic"]
OPTIONS = {"anisotropic": {"covariance": "1 / (1 + i)"}}


class Silent(nn.Module):
    """A backbone that says 0 and remembers what it was shown."""

    def forward(self, x, features, labels=None):
        self.seen = x
        return torch.zeros_like(x[:, : x.shape[1] // 2])


def hard(n, seed=0):
    """Independent columns with an edge, a spike at the edge, a heavy tail, and two modes."""
    chance = np.random.default_rng(seed)
    columns = [
        chance.random(n) - 0.5,
        0.3 * chance.chisquare(1, n),
        0.3 * chance.standard_t(5, n),
        np.where(chance.random(n) < 0.3, -0.8, 0.4) + 0.1 * chance.normal(size=n),
    ]
    return torch.from_numpy(np.column_stack(columns)).float()


def build(name, x):
    kernel = zoo.kernel(name, dim=x.shape[1], **OPTIONS.get(name, {}))
    network = ColumnSkip(Silent(), (x.shape[1],), kernel)
    network.fit(x)
    return kernel, network


@pytest.mark.parametrize("n", [1, 2, 3, 8, 50, 1_000, 30_000])
def test_its_law_is_that_of_the_columns(n):
    columns, x = Columns(4, 0.5), hard(n)
    columns.fit(x)
    assert columns.weights.exp().sum(dim=1).tolist() == pytest.approx([1] * 4)
    mean = (columns.weights.exp() * columns.centres).sum(dim=1)
    torch.testing.assert_close(mean, x.mean(dim=0), rtol=1e-4, atol=1e-4)
    if n < 1_000:
        return
    for i in range(4):
        parts = stats.norm(columns.centres[i].numpy(), columns.widths[i].numpy())
        at = np.quantile(x[:, i].numpy(), np.linspace(0.01, 0.99, 99))
        cdf = (columns.weights[i].exp().numpy() * parts.cdf(at[:, None])).sum(axis=1)
        assert np.abs(cdf - np.linspace(0.01, 0.99, 99)).max() < 0.03


@pytest.mark.parametrize("level", [0.003, 0.05, 0.4, 3.0, 1e3])
def test_what_is_left_has_unit_variance_at_every_level_and_place(level):
    columns, x = Columns(4, 0.5), hard(60_000)
    columns.fit(x[::2])
    x = x[1::2]
    y = x + level * torch.randn(x.shape, generator=seeded())
    mean, error = columns(y, torch.full((len(x),), level))
    assert (error > 0).all()
    ratio = ((x - mean) / error).square()
    for i in range(4):
        for part in y[:, i].argsort().chunk(8):
            slack = 5 * float(ratio[part, i].std()) / math.sqrt(len(part))
            assert float(ratio[part, i].mean()) == pytest.approx(1, abs=0.25 + slack)


def test_of_gaussian_columns_it_is_the_shrinkage_of_wiener():
    columns = Columns(3, 0.5)
    y = torch.linspace(-2, 2, 9)[:, None].expand(9, 3)
    mean, error = columns(y, torch.ones(9))
    torch.testing.assert_close(mean, 0.2 * y)
    torch.testing.assert_close(error, torch.full_like(y, 0.2**0.5))


def test_far_away_the_nearest_component_speaks_and_none_that_is_unused():
    columns, x = Columns(1, 0.5), 100 + torch.linspace(-0.1, 0.1, 8)[:, None]
    columns.fit(x)
    mean, error = columns(torch.tensor([[0.0], [200.0]]), torch.full((2,), 0.1))
    assert (mean - 100).abs().max() < 50
    assert error.max() < 0.05


@pytest.mark.parametrize("name", KERNELS)
def test_data_are_left_alone_at_t_min_and_the_prior_is_finite(name):
    x = hard(10_000)
    kernel, network = build(name, x[::2])
    last = torch.tensor(kernel.t_min, dtype=torch.float64)
    moved = (network(x[1::2], last) - x[1::2]).square().mean(dim=1).sqrt()
    assert moved.median() < 0.005
    prior = zoo.prior(name, kernel).sample(200, (4,), seeded()).float()
    denoised = network(prior, torch.tensor(kernel.t_max))
    assert denoised.isfinite().all()
    if network.predicts == "denoised":
        assert denoised.norm(dim=1).median() < 2
    assert network.backbone.seen.isfinite().all()
    assert network(1e6 * prior, torch.full((200,), kernel.t_max)).isfinite().all()


@pytest.mark.parametrize("name", ["gaussian", "flow", "pfgmpp", "gravity"])
def test_the_loss_is_of_order_one_from_the_start(name):
    x = hard(20_000)
    kernel, network = build(name, x)
    for level in (0.01, 0.3, 5.0):
        t = torch.full((len(x),), float(kernel.time_at(level)))
        loss = network.loss(kernel.sample(x, t, seeded()), t, x)
        assert loss.isfinite().all()
        assert 0.3 < float(loss.mean()) < 3


@pytest.mark.parametrize("name", KERNELS)
def test_a_far_column_hides_no_other(name):
    kernel, network = build(name, hard(5_000))
    t = kernel.time_at(0.1)
    x = torch.tensor([[0.3, 0.1, 1000.0, -0.3]])
    alpha, _ = kernel.marginal(t)
    network(float(alpha) * x, torch.as_tensor(t))
    plain, own = network.backbone.seen.chunk(2, dim=1)
    assert plain[0, [0, 1, 3]].abs().max() < 1e-3
    if name in GAUSSIAN:
        assert own[0, [0, 3]].abs().min() > 0.1
    assert own[0, 2].abs() < 20


def test_models_without_it_are_as_they_were():
    x, t = hard(10), torch.tensor(0.3)
    kernel = zoo.kernel("gaussian", dim=4)
    network = zoo.network("mlp", shape=(4,), kernel=kernel, width=8, blocks=1)
    torch.testing.assert_close(network(x, t), 0.25 / (0.25 + 0.09) * x)
    assert not [name for name in network.state_dict() if "columns" in name]


def test_it_is_of_vectors():
    kernel = zoo.kernel("gaussian", dim=64)
    with pytest.raises(ZooError, match=r"columns = true takes vectors \(d,\), not shape"):
        zoo.network("mlp", shape=(1, 8, 8), kernel=kernel, columns=True)


@pytest.mark.parametrize("name", ["gaussian", "pfgmpp", "flow"])
def test_a_model_comes_back_from_its_folder(name, tmp_path):
    small = {"use": "mlp", "width": 8, "blocks": 1, "columns": True}
    x = hard(300).numpy()
    model = zoo.fit(x, kernel=name, network=small, images=512, progress=False)
    assert all(b.isfinite().all() for b in model.network.columns.buffers())
    again = zoo.load(model.save_pretrained(tmp_path / "m"))
    assert torch.equal(again.sample(8, seed=0, steps=4), model.sample(8, seed=0, steps=4))
    if name == "gaussian":
        assert model.log_prob(x[:1]).isfinite().all()
