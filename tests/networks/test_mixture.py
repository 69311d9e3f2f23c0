"""The fitted mixture: its denoiser is Bayes' rule, its error and its level are what is measured."""

import copy
import math

import pytest
import torch

import zoo
from zoo.errors import ZooError
from zoo.networks.mixture import Mixture
from zoo.networks.mixture_fit import fit
from zoo.networks.mixture_skip import MixtureSkip
from zoo.networks.precondition import Preconditioned
from zoo.training.batch import LogNormalLevels

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


def stretched(n, seed=0):
    """Those points, each cluster drawn out along an axis of its own."""
    x, number = clusters(n, seed)
    generator = torch.Generator().manual_seed(seed + 100)
    along = torch.nn.functional.one_hot(3 + number, DIM)
    return x + along * torch.randn(n, 1, generator=generator, dtype=torch.float64), number


@pytest.fixture(scope="module")
def fitted():
    mixture = Mixture(DIM, COMPONENTS, BASIS)
    fit(mixture, clusters(3000)[0])
    return mixture


@pytest.fixture(scope="module")
def grouped():
    """Three groups that are found in the points."""
    mixture = Mixture(DIM, 2, BASIS, groups=3)
    fit(mixture, stretched(3000)[0])
    return mixture


@pytest.fixture(scope="module")
def classed():
    mixture = Mixture(DIM, 2, BASIS, labels=COMPONENTS)
    fit(mixture, *stretched(3000))
    return mixture


def by_bayes(mixture, x, alpha, sigma, groups=None):
    """E[x_0 | x] by densities in all DIM coordinates, float64, one component at a time."""
    logs, means, eye = [], [], torch.eye(DIM, dtype=torch.float64)
    for g in range(len(mixture.rest)) if groups is None else groups:
        basis, rest = mixture.basis[:, g].double(), mixture.rest[g].double()
        within = basis @ mixture.variances[g].double().diag() @ basis.T
        within = within + rest * (eye - basis @ basis.T)
        seen = alpha**2 * within + sigma**2 * eye
        gain = alpha * within @ torch.linalg.inv(seen)
        centres = mixture.centres[g].double() @ basis.T + mixture.mean[g].double()
        for centre, weight in zip(centres, mixture.log_weights[g].double(), strict=True):
            law = torch.distributions.MultivariateNormal(alpha * centre, seen)
            logs.append(law.log_prob(x) + weight + mixture.log_shares[g].double())
            means.append(centre + (x - alpha * centre) @ gain.T)
    shares = torch.stack(logs, dim=1).softmax(dim=1)
    return (shares[:, :, None] * torch.stack(means, dim=1)).sum(dim=1)


@pytest.mark.parametrize("alpha", [1.0, 0.6])
@pytest.mark.parametrize("sigma", [0.02, 0.5, 3.0, 40.0])
@pytest.mark.parametrize("which", ["fitted", "grouped", "classed"])
def test_the_denoiser_is_bayes_rule(which, alpha, sigma, request):
    mixture = request.getfixturevalue(which)
    x_0, _ = stretched(64, seed=1)
    x = alpha * x_0 + sigma * torch.randn(64, DIM, generator=torch.Generator().manual_seed(2))
    ones = torch.ones(64)
    found = mixture(x, alpha * ones, sigma * ones)
    torch.testing.assert_close(
        found.double(), by_bayes(mixture, x, alpha, sigma), atol=1e-3, rtol=1e-4
    )


@pytest.mark.parametrize("sigma", [0.1, 2.0])
def test_classes_have_laws_of_their_own(classed, sigma):
    x_0, number = stretched(400, seed=3)
    x = x_0 + sigma * torch.randn(400, DIM, generator=torch.Generator().manual_seed(4))
    ones = torch.ones(400)
    told, untold = classed(x, ones, sigma * ones, number), classed(x, ones, sigma * ones)
    for k in range(COMPONENTS):
        expected = by_bayes(classed, x[number == k], 1.0, sigma, groups=[k])
        torch.testing.assert_close(told[number == k].double(), expected, atol=1e-3, rtol=1e-4)
    hidden = classed(x, ones, sigma * ones, torch.full((400,), -1))
    torch.testing.assert_close(hidden, untold)
    mixed = classed(x, ones, sigma * ones, torch.where(number == 0, -1, number))
    torch.testing.assert_close(mixed, torch.where((number == 0)[:, None], untold, told))


@pytest.mark.parametrize("sigma", [0.1, 2.0])
def test_the_error_is_that_of_the_class(classed, sigma):
    x_0, number = stretched(4000, seed=5)
    x = x_0 + sigma * torch.randn(4000, DIM, generator=torch.Generator().manual_seed(6))
    ones = torch.ones(4000)
    left = classed(x, ones, sigma * ones, number) - x_0
    found = classed.error(sigma * ones, number)
    for k in range(COMPONENTS):
        expected = left[number == k].square().mean().sqrt().item()
        assert found[number == k][0].item() == pytest.approx(expected, rel=0.05)
    unknown = classed.error(sigma * ones, torch.full((4000,), -1))
    assert torch.equal(unknown, classed.error(sigma * ones))
    expected = (classed(x, ones, sigma * ones) - x_0).square().mean().sqrt().item()
    assert unknown[0].item() == pytest.approx(expected, rel=0.05)


def test_groups_know_more_than_one_law(grouped):
    one = Mixture(DIM, 6, BASIS)
    fit(one, stretched(3000)[0])
    x_0, _ = stretched(2000, seed=8)
    x, ones = x_0 + 0.3 * torch.randn(2000, DIM), torch.ones(2000)
    error = (grouped(x, ones, 0.3 * ones) - x_0).square().mean()
    assert error < 0.9 * (one(x, ones, 0.3 * ones) - x_0).square().mean()


def test_each_class_is_fitted_to_its_own_samples_alone(classed):
    x, number = stretched(3000)
    alone = Mixture(DIM, 2, BASIS)
    fit(alone, x[number == 1])
    for name in ("mean", "centres", "variances", "rest", "log_weights", "errors"):
        row = 2 if name == "errors" else 1
        torch.testing.assert_close(getattr(classed, name)[row], getattr(alone, name)[0])
    torch.testing.assert_close(classed.basis[:, 1], alone.basis[:, 0])
    counts = torch.bincount(number).float()
    torch.testing.assert_close(classed.log_shares.exp(), counts / 3000)


def test_the_level_is_read_as_the_class_is(classed):
    x_0, number = stretched(2000, seed=5)
    x = x_0 + 0.6 * torch.randn(2000, DIM, generator=torch.Generator().manual_seed(6))
    ones, rough = torch.ones(2000), torch.full((2000,), 0.7)
    alone = Mixture(DIM, 2, BASIS)
    points, numbers = stretched(3000)
    fit(alone, points[numbers == 1])
    told = classed.level(x, ones, rough, number)[number == 1]
    torch.testing.assert_close(told, alone.level(x, ones, rough)[number == 1])
    untold = classed.level(x, ones, rough)
    assert not torch.equal(untold[number == 1], told)
    # where the class is plain to see, it need not be told
    assert (untold[number == 1] / told - 1).abs().median() < 1e-3


def test_classes_without_labels_are_refused():
    with pytest.raises(ZooError, match="a mixture of 5 classes; the data have no labels"):
        fit(Mixture(DIM, 2, BASIS, labels=COMPONENTS), clusters(100)[0])


@pytest.mark.parametrize("level", [0.02, 0.3, 5.0])
def test_the_order_of_sums_does_not_show(fitted, grouped, level):
    """An ODE amplifies what differs from program to program."""
    x, n = clusters(64)[0].float(), torch.randn(64, DIM, generator=torch.Generator().manual_seed(6))
    x, one = x + level * n, torch.ones(64)
    for mixture in (fitted, grouped):
        turned = copy.deepcopy(mixture)
        turned.mean.copy_(mixture.mean.flip(1))
        turned.basis.copy_(mixture.basis.flip(0))
        found, read = mixture(x, one, level * one), mixture.level(x, one, level * one)
        assert found.dtype == read.dtype == torch.float32
        assert torch.equal(turned(x.flip(1), one, level * one).flip(1), found)
        assert torch.equal(turned.level(x.flip(1), one, level * one), read)


def test_without_signal_it_says_the_mean_and_stays_finite(fitted):
    x = 80 * torch.randn(8, DIM, generator=torch.Generator().manual_seed(5))
    found = fitted(x, torch.zeros(8), torch.ones(8))
    centre = fitted.log_weights[0].exp() @ fitted.centres[0] @ fitted.basis[:, 0].T
    expected = centre + fitted.mean[0]
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
    fit(mixture, x_0)
    levels = torch.logspace(-1, 3, 500)
    x = 0.7 * x_0 + levels[:, None] * torch.randn(500, dim, generator=generator)
    rough = levels * torch.empty(500).uniform_(0.8, 1.25, generator=generator)
    relative = mixture.level(x, torch.full((500,), 0.7), rough) / levels - 1
    assert relative.abs().mean() < 1.2 * math.sqrt(2 / math.pi) / math.sqrt(2 * (dim - 8))


def test_where_the_data_drown_the_level_the_rough_estimate_stands():
    mixture = Mixture(DIM, 2, 3)
    generator = torch.Generator().manual_seed(8)
    x_0 = torch.randn(500, DIM, generator=generator)
    fit(mixture, x_0)
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
    fit(again, clusters(3000)[0])
    assert all(map(torch.equal, again.state_dict().values(), fitted.state_dict().values()))


@pytest.mark.parametrize("numbers", [(0, 3, 1), (4, 0, 1), (4, DIM, 1), (4, 3, 0)])
def test_sizes_that_make_no_mixture_are_refused(numbers):
    components, basis, groups = numbers
    with pytest.raises(ZooError, match="a mixture of"):
        Mixture(DIM, components, basis, groups=groups)


def test_fewer_samples_than_components_are_refused():
    with pytest.raises(ZooError, match="4 samples for a mixture of 5 components; use fewer"):
        fit(Mixture(DIM, 5, BASIS), torch.randn(4, DIM))
    with pytest.raises(ZooError, match="3 samples of class 1 for a mixture of 5 components"):
        fit(Mixture(DIM, 5, BASIS, labels=2), torch.randn(9, DIM), torch.tensor([0] * 6 + [1] * 3))
    with pytest.raises(ZooError, match="2 samples for a mixture of 3 groups"):
        fit(Mixture(DIM, 1, BASIS, groups=3), torch.randn(2, DIM))


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
    law = LogNormalLevels(math.log(level), 0.01)
    x_t, t = law.draw(kernel, data, generator)
    # Where the level is read off images it weighs less below their own detail.
    least = 0.4 if level >= 0.1 or not kernel.random_level else 0.05
    assert least < network.loss(x_t, t, data).mean() < 4.0


class Says1(torch.nn.Module):
    def forward(self, x, features, labels=None):
        return torch.zeros_like(x)


class Shouts(torch.nn.Module):
    """A backbone that says 1 whatever it is shown."""

    def forward(self, x, features, labels=None):
        return torch.ones_like(x[:, : x.shape[1] // 2])


@pytest.mark.parametrize("level", [0.1, 6.0, 1000.0])
def test_the_network_has_its_say_where_data_show_and_none_where_noise_hides_all(level):
    kernel, sd = zoo.kernel("gaussian", dim=64, t_max=2000.0), 0.5
    silent, loud = (
        MixtureSkip(net(), (1, 8, 8), kernel, Mixture(64, 2, 4, sigma_data=sd), sigma_data=sd)
        for net in (Says, Shouts)
    )
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(11)) * level
    t = torch.full((3,), level)
    said = loud(x, t) - silent(x, t)
    error = level * sd / math.hypot(level, sd)
    faded = error / (1 + (level / (12 * sd)) ** 4)
    torch.testing.assert_close(said, torch.full_like(x, faded), rtol=2e-3, atol=1e-4 * sd)


def test_a_level_that_is_not_a_number_has_an_error_that_is_none_either(fitted):
    level = torch.tensor([torch.nan, 1.0])
    assert fitted.error(level).isnan().tolist() == [True, False]
