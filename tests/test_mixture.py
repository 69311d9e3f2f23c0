"""The fitted mixture: its denoiser is Bayes' rule, its error and its level are what is measured."""

import math

import pytest
import torch

import zoo
from zoo.errors import ZooError
from zoo.mixture import Mixture
from zoo.mixture_skip import MixtureSkip
from zoo.precondition import Preconditioned
from zoo.train.noise import NoiseLaw

DIM, BASIS, COMPONENTS = 12, 3, 5


def clusters(n, seed=0):
    """Points around COMPONENTS centres in a plane of BASIS dimensions, and their numbers."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(
        COMPONENTS, BASIS, generator=torch.Generator().manual_seed(7), dtype=torch.float64
    )
    number = torch.randint(COMPONENTS, (n,), generator=generator)
    x = 0.05 * torch.randn(n, DIM, generator=generator, dtype=torch.float64)
    x[:, :BASIS] += 2 * centres[number]
    return x + 0.3, number


@pytest.fixture(scope="module")
def fitted():
    mixture = Mixture(DIM, COMPONENTS, BASIS)
    mixture.fit(clusters(3000)[0])
    return mixture


@pytest.fixture(scope="module")
def by_class():
    """A law for all of the points and one for each cluster, which is stretched in its own way."""
    mixture = Mixture(DIM, 2, BASIS, labels=COMPONENTS)
    mixture.fit(*stretched(3000))
    return mixture


def stretched(n, seed=0):
    x, number = clusters(n, seed)
    generator = torch.Generator().manual_seed(seed + 100)
    along = torch.nn.functional.one_hot(3 + number, DIM)
    return x + along * torch.randn(n, 1, generator=generator, dtype=torch.float64), number


def by_bayes(mixture, x, alpha, sigma, row=...):
    """E[x_0 | x] by densities in all DIM coordinates, float64, one component at a time."""
    m, basis, centres, variances, rest, log_weights = (
        getattr(mixture, name)[row].double()
        for name in ("mean", "basis", "centres", "variances", "rest", "log_weights")
    )
    within = basis @ variances.diag() @ basis.T + rest * (torch.eye(DIM) - basis @ basis.T)
    seen = alpha**2 * within + sigma**2 * torch.eye(DIM)
    logs, means = [], []
    for k, centre in enumerate(centres @ basis.T + m):
        law = torch.distributions.MultivariateNormal(alpha * centre, seen)
        logs.append(law.log_prob(x) + log_weights[0, k])
        gain = alpha * within @ torch.linalg.inv(seen)
        means.append(centre + (x - alpha * centre) @ gain.T)
    shares = torch.stack(logs, dim=1).softmax(dim=1)
    return (shares[:, :, None] * torch.stack(means, dim=1)).sum(dim=1)


@pytest.mark.parametrize("alpha", [1.0, 0.6])
@pytest.mark.parametrize("sigma", [0.02, 0.5, 3.0, 40.0])
def test_the_denoiser_is_bayes_rule(fitted, alpha, sigma):
    x_0, _ = clusters(64, seed=1)
    x = alpha * x_0 + sigma * torch.randn(64, DIM, generator=torch.Generator().manual_seed(2))
    ones = torch.ones(64)
    found = fitted(x, alpha * ones, sigma * ones)
    torch.testing.assert_close(
        found.double(), by_bayes(fitted, x, alpha, sigma), atol=3e-4, rtol=1e-4
    )


@pytest.mark.parametrize("sigma", [0.1, 2.0])
def test_classes_have_laws_of_their_own(by_class, sigma):
    x_0, number = stretched(200, seed=3)
    x = x_0 + sigma * torch.randn(200, DIM, generator=torch.Generator().manual_seed(4))
    ones = torch.ones(200)
    told, untold = by_class(x, ones, sigma * ones, number), by_class(x, ones, sigma * ones)
    for k in range(COMPONENTS):
        expected = by_bayes(by_class, x, 1.0, sigma, row=k + 1)
        torch.testing.assert_close(
            told[number == k].double(), expected[number == k], atol=3e-4, rtol=1e-4
        )
    torch.testing.assert_close(
        untold.double(), by_bayes(by_class, x, 1.0, sigma, row=0), atol=3e-4, rtol=1e-4
    )
    hidden = by_class(x, ones, sigma * ones, torch.full((200,), -1))
    torch.testing.assert_close(hidden, untold)
    error = by_class.error(sigma * ones, number)
    assert torch.equal(
        by_class.error(sigma * ones, number - number - 1), by_class.error(sigma * ones)
    )
    for k in range(COMPONENTS):
        found = (told - x_0)[number == k].square().mean().sqrt().item()
        assert error[number == k][0].item() == pytest.approx(found, rel=0.2)
    assert error.mean() < 0.8 * by_class.error(sigma * ones).mean()


def test_each_class_is_fitted_to_its_own_samples_alone(by_class):
    x, number = stretched(3000)
    alone = Mixture(DIM, 2, BASIS)
    alone.fit(x[number == 1])
    for name, value in alone.state_dict().items():
        assert torch.equal(getattr(by_class, name)[2], value), name


def test_the_level_is_read_where_the_class_has_least(by_class):
    x_0, number = stretched(2000, seed=5)
    x = x_0 + 0.6 * torch.randn(2000, DIM, generator=torch.Generator().manual_seed(6))
    ones, rough = torch.ones(2000), torch.full((2000,), 0.6)
    told = by_class.level(x, ones, rough, number)
    alone = Mixture(DIM, 2, BASIS)
    alone.fit(stretched(3000)[0][stretched(3000)[1] == 1])
    of_1 = number == 1
    torch.testing.assert_close(told[of_1], alone.level(x, ones, rough)[of_1])


def test_classes_without_labels_are_refused():
    with pytest.raises(ZooError, match="for each of 5 classes; the data have no labels"):
        Mixture(DIM, 2, BASIS, labels=COMPONENTS).fit(clusters(100)[0])


def test_without_signal_it_says_the_mean_and_stays_finite(fitted):
    x = 80 * torch.randn(8, DIM, generator=torch.Generator().manual_seed(5))
    found = fitted(x, torch.zeros(8), torch.ones(8))
    expected = fitted.log_weights[0].exp() @ fitted.centres @ fitted.basis.T + fitted.mean
    torch.testing.assert_close(found, expected.expand(8, -1))


@pytest.mark.parametrize("sigma", [0.01, 0.3, 2.0])
def test_the_error_is_that_on_data_it_has_not_seen(fitted, sigma):
    x_0, _ = clusters(4000, seed=6)
    x = x_0 + sigma * torch.randn(4000, DIM, generator=torch.Generator().manual_seed(7))
    ones = torch.ones(4000)
    found = (fitted(x, ones, sigma * ones) - x_0).square().mean().sqrt()
    assert fitted.error(torch.tensor([sigma])).item() == pytest.approx(found.item(), rel=0.05)


def test_the_level_is_read_where_the_data_have_least():
    dim = 400
    mixture = Mixture(dim, 2, 8)
    generator = torch.Generator().manual_seed(8)
    x_0 = torch.cat([torch.randn(500, 8, generator=generator), torch.zeros(500, dim - 8)], dim=1)
    mixture.fit(x_0)
    levels = torch.logspace(-1, 3, 500)
    x = 0.7 * x_0 + levels[:, None] * torch.randn(500, dim, generator=generator)
    rough = levels * torch.empty(500).uniform_(0.8, 1.25, generator=generator)
    relative = mixture.level(x, torch.full((500,), 0.7), rough) / levels - 1
    assert relative.abs().mean() < 1.2 * math.sqrt(2 / math.pi) / math.sqrt(2 * (dim - 8))


def test_where_the_data_drown_the_level_the_rough_estimate_stands():
    mixture = Mixture(DIM, 2, 3)
    generator = torch.Generator().manual_seed(8)
    x_0 = torch.randn(500, DIM, generator=generator)
    mixture.fit(x_0)
    rough = torch.full((500,), 0.02)
    x = x_0 + 0.02 * torch.randn(500, DIM, generator=generator)
    torch.testing.assert_close(mixture.level(x, torch.ones(500), rough), rough, rtol=0.01, atol=0)


def test_before_the_fit_it_is_edm(fitted):
    mixture = Mixture(DIM, 4, 2, sigma_data=0.7)
    x, level = torch.randn(6, DIM), torch.logspace(-2, 2, 6)
    skip = 0.49 / (0.49 + level**2)
    torch.testing.assert_close(mixture(x, torch.ones(6), level), skip[:, None] * x)
    c_out = 0.7 * level / (0.49 + level**2).sqrt()
    torch.testing.assert_close(mixture.error(level), c_out, rtol=5e-3, atol=0)


def test_the_same_data_give_the_same_fit(fitted):
    again = Mixture(DIM, COMPONENTS, BASIS)
    again.fit(clusters(3000)[0])
    assert all(map(torch.equal, again.state_dict().values(), fitted.state_dict().values()))


@pytest.mark.parametrize("numbers", [(DIM, 0, 3), (DIM, 4, 0), (DIM, 4, DIM)])
def test_sizes_that_make_no_mixture_are_refused(numbers):
    with pytest.raises(ZooError, match="a mixture of"):
        Mixture(*numbers)


def test_fewer_samples_than_components_are_refused():
    with pytest.raises(ZooError, match="4 samples for a mixture of 5 components; use fewer"):
        Mixture(DIM, 5, BASIS).fit(torch.randn(4, DIM))
    with pytest.raises(ZooError, match="3 samples of class 1 for a mixture of 5 components"):
        Mixture(DIM, 5, BASIS, labels=2).fit(torch.randn(9, DIM), torch.tensor([0] * 6 + [1] * 3))


class Says(torch.nn.Module):
    """A backbone that says 0 and remembers what it was shown."""

    def forward(self, x, features, labels=None):
        self.shown = x
        return torch.zeros_like(x[:, : x.shape[1] // 2])


@pytest.mark.parametrize("name", ["gaussian", "gravity", "vp", "flow", "tanh"])
def test_a_silent_backbone_leaves_the_mixture(name):
    shape, dim = (1, 8, 8), 64
    generator = torch.Generator().manual_seed(9)
    coarse = torch.randn(2000, 1, 2, 2, generator=generator)
    data = torch.nn.functional.interpolate(coarse, size=8, mode="bilinear") / 2
    kernel = zoo.kernel(name, dim=dim)
    mixture = Mixture(dim, 50, 4)
    network = MixtureSkip(Says(), shape, kernel, mixture)
    network.fit(data)
    level = torch.full((2000,), 0.8, dtype=torch.float64)
    t = kernel.time_at(level).float()
    x_t = kernel.sample(data, t, generator)
    d = network(x_t, t)
    assert network.backbone.shown.shape == (2000, 2, 8, 8)
    alpha, sigma = (c.float() for c in kernel.marginal(t))
    if not kernel.random_level:
        expected = mixture(x_t.flatten(1), alpha, sigma).reshape(-1, *shape)
        torch.testing.assert_close(d, expected)
    plain = Preconditioned(Says1(), shape, kernel)(x_t, t)
    assert (d - data).square().mean() < 0.6 * (plain - data).square().mean()
    # the loss is of order 1 at once: what is left has the size that was measured
    assert 0.5 < network.loss(x_t, t, data).mean() < 2.0


@pytest.mark.parametrize("name", ["gaussian", "gravity", "pfgmpp", "vp", "flow", "tanh", "exp"])
@pytest.mark.parametrize("level", [0.02, 0.1, 0.5, 2.0, 10.0])
def test_what_is_left_is_of_order_one_at_every_level(name, level):
    """Also where images differ in what they have outside the basis."""
    shape, dim = (1, 12, 12), 144
    generator = torch.Generator().manual_seed(10)
    coarse = torch.randn(2000, 1, 3, 3, generator=generator)
    data = torch.nn.functional.interpolate(coarse, size=12, mode="bilinear") / 2
    texture = torch.rand(2000, 1, 1, 1, generator=generator) * 0.4
    data = data + texture * torch.randn(2000, 1, 12, 12, generator=generator)
    kernel = zoo.kernel(name, dim=dim)
    network = MixtureSkip(Says(), shape, kernel, Mixture(dim, 20, 9))
    network.fit(data)
    law = NoiseLaw(math.log(level), 0.01)
    x_t, t = law.draw(kernel, data, generator)
    assert 0.4 < network.loss(x_t, t, data).mean() < 4.0


class Says1(torch.nn.Module):
    def forward(self, x, features, labels=None):
        return torch.zeros_like(x)
