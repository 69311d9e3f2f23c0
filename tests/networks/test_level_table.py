"""The table of levels: Bayes' rule by counting, against draws; D is the identity at t_min."""

import math

import pytest
import torch
from common import seeded
from kernel_cases import CASES, build
from sklearn.datasets import load_digits, load_sample_images
from torch import nn

import zoo
from zoo.data.toy import two_moons
from zoo.errors import ZooError
from zoo.interfaces import SelfSimilarKernel
from zoo.networks import Preconditioned
from zoo.networks.level_fit import spread_nodes
from zoo.networks.levels import LevelTable, haar_level, open_table, rms
from zoo.training.batch import LogNormalLevels, single_target

# A phi draws by root finding, some thousand points a second.
RANDOM = [c for c in CASES if build(c, 2).random_level and not c.startswith("phi")]


class Silent(nn.Module):
    """A backbone that says 0, as a network does before its first step."""

    def forward(self, x, features, labels=None):
        return torch.zeros_like(x)


def moons(n=10_000, seed=0):
    return two_moons(n, seeded(seed))[0]


def student(n, dim, nu=3, seed=0):
    """A Student law of standard deviation 1/2 per coordinate, whose tail index is nu."""
    z = torch.randn(n, dim, generator=seeded(seed), dtype=torch.float64)
    chi = torch.randn(n, nu, generator=seeded(seed + 1), dtype=torch.float64).square().sum(1)
    return (0.5 * math.sqrt(nu - 2) * z / chi.sqrt()[:, None]).float()


def fitted(kernel, x):
    table = LevelTable(kernel, tuple(x.shape[1:]), 0.5)
    table.fit(x)
    return table


@pytest.mark.parametrize("dim", [1, 2, 20])
@pytest.mark.parametrize("case", ["gravity", "pfgmpp-1.5", "tanh", "psi-warped"])
def test_levels_and_skip_are_those_of_draws(case, dim):
    kernel, x_0 = build(case, dim), student(100_000, dim)
    table = fitted(kernel, x_0)
    for level in (0.02, 0.3, 3.0):
        t = float(kernel.time_at(level))
        x = kernel.sample(x_0.double(), t, seeded(2))
        readings, order = rms(x).sort()
        squares = (x - x_0).square().mean(1)[order]
        products, energies = (x * x_0).mean(1)[order], x_0.square().mean(1)[order]
        for part in torch.arange(len(x)).chunk(40)[1:-1]:
            h = readings[part]
            found = table(h.float(), torch.full((len(h),), t)).double()
            least = min(1.0, float(h.max() / h.min()) - 1)
            slack = 0.1 + least  # a bin is as wide as a twentieth of the readings
            truth = float(squares[part].mean())
            # The mean of a heavy-tailed law is known to the spread of its draws only.
            spread = 4 * float(squares[part].std()) / math.sqrt(len(part))
            assert abs(float(found[:, 0].exp().square().mean()) - truth) < slack * truth + spread
            skip, error = found[:, 2].sigmoid(), found[:, 1].exp()
            left = energies[part] - 2 * skip * products[part] + skip.square() * h.square()
            spread = 4 * float(left.std()) / math.sqrt(len(part))
            assert abs(float(left.mean() - error.square().mean())) < slack * left.mean() + spread


@pytest.mark.parametrize("dim", [2, 64])
@pytest.mark.parametrize("case", RANDOM)
def test_an_untrained_denoiser_leaves_data_alone_at_t_min(case, dim):
    kernel = build(case, dim)
    x = student(20_000, dim) if dim > 2 else moons()
    network = Preconditioned(Silent(), (dim,), kernel)
    network.fit(x[::2])
    t = torch.tensor(kernel.t_min, dtype=torch.float64)
    denoised = network(x[1::2], t)
    if network.predicts == "field":
        denoised = x[1::2] - kernel.t_min * denoised
    moved = (denoised - x[1::2]).square().mean(1).sqrt()
    assert moved.mean() < 0.005
    # What the network may add is no more than rare large noise allows.
    error = network.table(rms(x[1::2]), t.expand(len(moved)).float())[:, 1].exp()
    assert error.median() < 0.06


@pytest.mark.parametrize("case", RANDOM)
def test_the_loss_is_of_order_one_at_every_time(case):
    kernel, x_0 = build(case, 2), student(20_000, 2)
    network = Preconditioned(Silent(), (2,), kernel)
    network.fit(x_0)
    for t in torch.logspace(math.log10(kernel.t_min), math.log10(kernel.t_max), 9).tolist()[1:-1]:
        x = kernel.sample(x_0, t, seeded(1))
        times = torch.full((len(x),), t)
        target = x_0 if network.predicts == "denoised" else kernel.velocity(x, x_0, times)
        loss = network.loss(x, times, target)
        # Rare large losses: at t_min nearly all of the mean is one sample in a thousand.
        assert loss.isfinite().all()
        assert 0.02 < loss.mean() < 4


def test_beyond_the_data_a_pareto_tail_goes_on():
    for nu in (3, 5):
        x = student(50_000, 3, nu)
        nodes, weights = spread_nodes(x)
        assert weights.sum() == pytest.approx(1, abs=0.01)
        radii, truth = rms(nodes), rms(student(1_000_000, 3, nu, seed=5)).double()
        for q in (0.5, 0.9, 0.99, 0.9999):
            at = float(truth.quantile(q))
            assert float(weights[radii > at].sum()) == pytest.approx(1 - q, rel=0.35)
    bounded, weights = spread_nodes(moons())
    far = rms(bounded) > 1.1 * rms(moons()).max()
    assert weights[far].sum() < 1e-3


# Many of the farthest are equally far.
BITS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 1.0]]).repeat(100, 1)


@pytest.mark.parametrize("name", ["gravity", "pfgmpp"])
@pytest.mark.parametrize("x", [torch.zeros(50, 3), torch.ones(1, 2), 1e6 + torch.rand(9, 2), BITS])
def test_odd_data_give_a_finite_table(x, name):
    table = fitted(zoo.kernel(name, dim=x.shape[1]), x)
    far = rms(x).max().clamp(min=1e-3).reshape(1)
    assert table(far, torch.tensor([0.01]))[0, 2].sigmoid() > 0.5 or far < 0.01
    assert table.values.isfinite().all()
    found = table(torch.tensor([1e-30, 1.0, 1e12]), torch.tensor([0.01, 1.0, 50.0]))
    assert found.isfinite().all()


def test_it_is_smooth_and_has_a_derivative():
    kernel = zoo.kernel("gravity", dim=2)
    table = fitted(kernel, moons()).double()
    h = torch.linspace(0.3, 0.7, 50, dtype=torch.float64, requires_grad=True)
    t = torch.full((50,), 0.1, dtype=torch.float64)
    slope = torch.autograd.grad(table(h, t)[:, 1].sum(), h)[0]
    ahead, behind = (table(h.detach() + step, t)[:, 1] for step in (1e-6, -1e-6))
    torch.testing.assert_close((ahead - behind) / 2e-6, slope, rtol=1e-4, atol=1e-4)


# Images


def textures(n, detail):
    """Smooth images 16x16 with white detail of a standard deviation that varies among them."""
    smooth = nn.functional.interpolate(
        torch.randn(n, 1, 4, 4, generator=seeded()), size=16, mode="bilinear"
    )
    scale = detail * torch.rand(n, 1, 1, 1, generator=seeded(1))
    return smooth / 2 + scale * torch.randn(n, 1, 16, 16, generator=seeded(2))


# On demand: their tables of levels are fitted in the way of gravity's.
SLOWER = [pytest.param(name, marks=pytest.mark.slow) for name in ("tanh", "exp")]


def photographs():
    """Patches of the photographs that come with scikit-learn, mixed."""
    whole = torch.from_numpy(load_sample_images().images[0].copy()).permute(2, 0, 1) / 127.5 - 1
    patches = whole[:, :416, :640].unfold(1, 32, 32).unfold(2, 32, 32).permute(1, 2, 0, 3, 4)
    patches = patches.reshape(-1, 3, 32, 32).float()
    return patches[torch.randperm(len(patches), generator=seeded())]


def digits():
    return torch.from_numpy(load_digits().images).float()[:, None] / 8 - 1


@pytest.mark.parametrize("images", [lambda: textures(2_000, 0.2), photographs])
@pytest.mark.parametrize("name", ["gravity", "pfgmpp", *SLOWER])
def test_detail_of_images_is_not_taken_for_noise_where_there_is_none(name, images):
    x = images()
    kernel = zoo.kernel(name, dim=x[0].numel())
    network = Preconditioned(Silent(), tuple(x.shape[1:]), kernel)
    t = torch.tensor(kernel.t_min, dtype=torch.float64)
    before = (network(x[1::2], t) - x[1::2]).square().mean().sqrt()
    network.fit(x[::2])
    after = (network(x[1::2], t) - x[1::2]).square().mean().sqrt()
    assert before > 0.015
    assert after < before / 4
    # Noise that is there is seen as before.
    noisy = kernel.sample(x, float(kernel.time_at(1.0)), seeded(3))
    noisy = noisy[haar_level(noisy) > 0.7]
    assert len(noisy) > 50
    found = network._levels(noisy, kernel.time_at(1.0), None)
    assert (found.sigma / haar_level(noisy)).median() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("images", [lambda: textures(2_000, 0.2), photographs, digits])
@pytest.mark.parametrize("name", ["gravity", "pfgmpp", *SLOWER])
def test_no_draw_outweighs_the_others_in_the_loss(name, images):
    """Training draws levels that are rare given t; the squares of the target were up to 120."""
    x = images()
    kernel = zoo.kernel(name, dim=x[0].numel())
    network = Preconditioned(Silent(), tuple(x.shape[1:]), kernel)
    network.fit(x)
    x_0 = x[torch.randint(len(x), (2_000,), generator=seeded())]
    x_t, t = LogNormalLevels().draw(kernel, x_0, seeded(1))
    target = single_target(kernel, network.predicts, x_t, t, x_0)
    loss = network.loss(x_t, t, target)
    assert 0.5 < loss.mean() < 1.5
    assert loss.max() < 10


def test_images_of_before_the_table_are_bounded_by_nothing():
    kernel = zoo.kernel("gravity", dim=64)
    network = Preconditioned(nn.Conv2d(1, 1, 1), (1, 8, 8), kernel)
    old = {k: v for k, v in network.state_dict().items() if not k.startswith("table.")}
    state = network.state_of(old)
    assert state.keys() == network.state_dict().keys()
    assert torch.equal(state["table.values"], open_table()["values"])


def test_vectors_of_before_the_table_are_refused():
    network = Preconditioned(Silent(), (2,), zoo.kernel("tanh", dim=2))
    with pytest.raises(ZooError, match="train it anew"):
        network.state_of({"backbone.weight": torch.zeros(1)})
    gaussian = Preconditioned(Silent(), (2,), zoo.kernel("gaussian", dim=2))
    assert gaussian.state_of({}) == {}


# Training


@pytest.mark.parametrize("case", RANDOM)
def test_vectors_are_trained_at_all_times_that_a_solver_visits(case):
    kernel = build(case, 64)
    x, t = LogNormalLevels().draw(kernel, torch.zeros(40_000, 64), seeded())
    assert x.shape == (40_000, 64)
    logs = (t.double() / kernel.t_min).log() / math.log(kernel.t_max / kernel.t_min)
    shares = torch.histc(logs.clamp(0, 1).float(), 10, 0, 1) / len(t)
    assert shares.min() > 0.02
    # x_t is drawn given t: what t says of the level is what the kernel says.
    if isinstance(kernel, SelfSimilarKernel):
        r = x.double().norm(dim=1) / t.double()
        assert (
            kernel.radial_cdf(r, 1.0).sort().values - torch.linspace(0, 1, len(r))
        ).abs().max() < 0.02


def test_few_data_near_the_origin_keep_levels_of_their_own():
    """Smoothing toward the origin once took those of the ring around it, eleven times as large."""
    around = torch.randn(10_000, 2, generator=seeded(0), dtype=torch.float64)
    ring = around / around.norm(dim=1, keepdim=True)
    ring[:100] *= 0.05
    h, t = 0.035, 2e-3
    found = fitted(zoo.kernel("gravity", dim=2), ring)(torch.tensor([h]), torch.tensor([t]))
    # E[s^2 | h, t] by a million draws, radii uniform in log r, of density t r / (t^2 + r^2)^1.5.
    near = torch.full((10**6,), 0.05, dtype=torch.float64)
    centre = torch.where(torch.arange(10**6) % 2 == 0, near, 1.0)
    u, angle = torch.rand(2, 10**6, generator=seeded(1), dtype=torch.float64)
    r, angle = 1e-5 * 1e6**u, 2 * math.pi * angle
    x = torch.stack([centre + r * angle.cos(), r * angle.sin()], dim=1)
    weight = t * r**2 / (t**2 + r**2) ** 1.5 * torch.where(centre < 1, 0.01, 0.99)
    weight *= (rms(x) / h).log().abs() < 0.05
    wanted = ((weight * r**2 / 2).sum() / weight.sum()).sqrt()
    assert 0.5 < float(found[0, 0].exp() / wanted) < 2, (found, wanted)


def test_a_vector_model_of_before_the_smooth_length_keeps_its_own():
    network = Preconditioned(Silent(), (2,), zoo.kernel("gravity", dim=2))
    network.fit(moons())
    state = {**network.state_dict()}
    assert state.pop("table.near") > 0
    network.load_state_dict(network.state_of(state))
    x, t = torch.ones(1, 2), torch.ones(1)
    assert network.table.size(x, t, t) == rms(x)
