"""Methods of posterior sampling, held to closed forms and to the exact posterior."""

import math

import pytest
import torch
from common import normal
from torch import Tensor

import zoo
from zoo import ZooError
from zoo.interfaces import Estimate, Network, PosteriorMethod, over
from zoo.interfaces.levels import own_noise
from zoo.models.exact import GaussianMixture
from zoo.models.exact.network import ExactField
from zoo.models.lift import LevelDenoiser
from zoo.networks import Preconditioned
from zoo.networks.lifted import LiftedNetwork
from zoo.numerics import minimal_residual
from zoo.posterior import Linear, Mask, observe
from zoo.testing.posteriors import energy, points

METHODS = ("mmps", "pgdm", "dps", "diffpir", "replacement")
KERNELS = ("gravity", "gaussian", "pfgmpp", "tanh", "exp", "flow", "vp")


def relative(found, expected):
    return float((found - expected).norm() / expected.norm())


# Gaussian data, linear operators: the closed form


def conditional(mean, covariance, matrix, noise, y):
    """Mean of N(mean, covariance) given y = A x + n."""
    gain = covariance @ matrix.T @ (matrix @ covariance @ matrix.T + noise).inverse()
    return mean + gain @ (y - matrix @ mean)


@pytest.mark.parametrize("kernel", ["gaussian", "vp", "flow"])
@pytest.mark.parametrize("noise", [0.3, "covariance"])
def test_mmps_is_exact_for_gaussian_data(kernel, noise):
    d, m = 12, 5
    root = normal(d, d)
    data = GaussianMixture.full(
        normal(1, d, seed=1), (root @ root.T / d + 0.01 * torch.eye(d))[None]
    )
    covariance = root @ root.T / d + 0.01 * torch.eye(d)
    model = zoo.exact(kernel, data)
    matrix, y = normal(m, d, seed=2), normal(m, seed=3)
    spread = normal(m, m, seed=4)
    law = spread @ spread.T + 0.1 * torch.eye(m) if noise == "covariance" else noise
    posterior = model.posterior(y, Linear(matrix), noise=law, iterations=50, tolerance=1e-12)
    full = law if noise == "covariance" else law**2 * torch.eye(m)
    for level in (0.05, 0.5, 3.0, 20.0):
        t = model.kernel.time_at(level)
        alpha, sigma = (float(c) for c in model.kernel.marginal(t))
        x = alpha * normal(1, d, seed=5) + sigma * normal(1, d, seed=6)
        given = model.denoise(x, float(t))[0]
        v = (covariance.inverse() + torch.eye(d) * (alpha / sigma) ** 2).inverse()
        expected = conditional(given, v, matrix, full.double(), y)
        assert relative(posterior.denoise(x, float(t))[0], expected) < 1e-4


class ScaleMixture(Network):
    """E[x_0 | x_t] of N(0, C), C diagonal, under a Student kernel; of x_0 given y too.

    An integral over the level s of the sample's noise: t^2 / s^2 is chi-square with D degrees.
    """

    def __init__(self, kernel, variances, seen=None, y=None, noise=None):
        super().__init__()
        self.kernel, self.variances = kernel, variances
        self.seen, self.y, self.noise = seen, y, noise
        self.sigma_data = float(variances.mean().sqrt())

    def forward(self, x_t: Tensor, t: Tensor, labels=None) -> Tensor:
        degrees = self.kernel.degrees
        # At levels above the data's own size |x| tells it to 2.5 %.
        size = x_t.detach().double().square().mean().sqrt()
        log_s = size.log() + torch.linspace(-0.3, 0.2, 101, dtype=torch.float64)
        s2 = (2 * log_s).exp()
        square = t.double().square() / s2
        log = degrees / 2 * square.log() - square / 2  # of log s
        total = self.variances + s2[:, None]
        x = x_t.double()[:, None]
        log = log - (x.square() / total + total.log()).sum(dim=2) / 2
        mean = x * self.variances / total
        if self.seen is not None:
            v = self.variances * s2[:, None] / total
            spread = v + self.noise**2
            error = self.y - mean
            seen = (error.square() / spread + spread.log()) * self.seen
            log = log - seen.sum(dim=2) / 2
            mean = mean + self.seen * v / spread * error
        return (log.softmax(dim=1)[..., None] * mean).sum(dim=1).to(x_t)


@pytest.mark.parametrize(("kernel", "options"), [("gravity", {}), ("pfgmpp", {"D": 128})])
def test_mmps_under_random_levels_is_near_the_closed_form(kernel, options):
    d = 784
    variances = (1 + torch.arange(d).double()) ** -1.0
    built = zoo.kernel(kernel, dim=d, **options)
    seen = (torch.arange(d) % 3 > 0).double()
    x_0 = normal(1, d) * variances.sqrt()
    y = (x_0 + 0.1 * normal(1, d, seed=1)) * seen
    plain = ScaleMixture(built, variances)
    model = zoo.FieldModel(built, zoo.prior(kernel, built), plain, zoo.solver("heun"), (d,))
    posterior = model.posterior(y, Mask(seen > 0), noise=0.1, iterations=40)
    exact = ScaleMixture(built, variances, seen, y, 0.1)
    for level in (0.5, 3.0, 20.0):
        t = float(built.time_at(level))
        x = built.sample(x_0, t, torch.Generator().manual_seed(3))
        expected = exact(x, torch.tensor(t))
        assert relative(posterior.denoise(x, t), expected) < 0.02
        assert relative(model.denoise(x, t), expected) > 0.1


# Jacobians of networks, which are no covariances


class Silent(torch.nn.Module):
    """A backbone whose output is 0: the denoiser is that of N(0, sigma_data^2 I)."""

    def forward(self, x, features, labels):
        return torch.zeros_like(x)


@pytest.mark.parametrize("lifted", [False, True])
@pytest.mark.parametrize("name", ["gravity", "pfgmpp"])
def test_a_level_that_is_read_off_an_image_is_held(name, lifted):
    shape, kernel, other = (1, 8, 8), zoo.kernel(name, dim=64), zoo.kernel("gaussian", dim=64)
    if lifted:
        source = LevelDenoiser(Preconditioned(Silent(), shape, other), other)
        network = LiftedNetwork(source, kernel, shape)
    else:
        network = Preconditioned(Silent(), shape, kernel)
    t = torch.as_tensor(kernel.time_at(1.0)).float()
    generator = torch.Generator().manual_seed(3)
    x = kernel.sample(0.5 * normal(4, *shape), t.double(), generator).float()
    v, w = normal(4, *shape, seed=1).float(), normal(4, *shape, seed=2).float()
    at = Estimate(network, network, kernel, x, t)
    skip = (at.denoised * x).flatten(1).sum(dim=1) / x.square().flatten(1).sum(dim=1)
    torch.testing.assert_close(at.covariance(v), at.level**2 * over(skip, x) * v)
    # The median tells the level of 64 pixels to a third.
    square = at.level.flatten().square()
    assert ((square * skip) / (0.25 * square / (0.25 + square))).log().abs().max() < 1
    # Elsewhere the network is differentiated as it is.
    at = x.clone().requires_grad_()
    (found,) = torch.autograd.grad((network(at, t) * w).sum(), at)
    assert relative(found, over(skip, x) * w) > 0.1


class Bent(Network):
    """A linear denoiser whose Jacobian has a negative direction, the last."""

    sigma_data = 0.5

    def forward(self, x_t, t, labels=None):
        return x_t * torch.tensor([0.5, 0.4, 0.3, -1.001]).to(x_t)


def test_a_negative_direction_of_the_jacobian_ends_the_solve():
    kernel = zoo.kernel("gaussian", dim=4)
    model = zoo.FieldModel(kernel, zoo.prior("gaussian", kernel), Bent(), zoo.solver("heun"), (4,))
    y = normal(8, 4)
    y[0, 3] = 0  # nothing along it: solved to the end
    x = torch.zeros(8, 4, dtype=torch.float64)
    options = {"iterations": 10, "tolerance": 1e-6}
    posterior = model.posterior(y, Mask(torch.ones(4) > 0), noise=1.0, **options)
    shift = posterior.denoise(x, 1.0)
    assert (shift.norm(dim=1) < 2 * y.norm(dim=1)).all()
    v = torch.tensor([0.5, 0.4, 0.3], dtype=torch.float64)
    torch.testing.assert_close(shift[0, :3].double(), v / (1 + v) * y[0, :3], rtol=1e-3, atol=0)


# Points of the plane: the exact posterior


def truth(x, operator, y, noise):
    """Probabilities of the points (N, d) given y (1, m)."""
    return (-(operator(x) - y).square().sum(dim=1) / (2 * noise**2)).softmax(dim=0)


DIRECTION = Linear(torch.tensor([[0.8, 0.6]], dtype=torch.float64))


@pytest.mark.parametrize("kernel", KERNELS)
def test_exact_draws_each_point_with_its_probability(kernel):
    x, y, noise, n = points()[:24], torch.tensor([[0.4]], dtype=torch.float64), 0.4, 4000
    posterior = zoo.exact(kernel, x).posterior(y, DIRECTION, noise=noise, method="exact")
    samples = posterior.sample(n, seed=0, steps=24)
    landed = torch.cdist(samples.double(), x).argmin(dim=1)
    shares = torch.bincount(landed, minlength=len(x)) / n
    probabilities = truth(x, DIRECTION, y, noise)
    variation = float((shares - probabilities).abs().sum() / 2)
    # What n draws differ by from their own law: sum sqrt(2 p (1 - p) / (pi n)) / 2.
    chance = float((probabilities * (1 - probabilities) / (2 * math.pi * n)).sqrt().sum())
    assert variation < 0.02 + chance
    uniform = float((probabilities - 1 / len(x)).abs().sum() / 2)
    assert uniform > 0.3  # else it would say nothing


@pytest.mark.parametrize("kernel", [*KERNELS, "psi"])
def test_weights_of_zoo_exact_are_the_method_exact(kernel):
    options = {"psi": "1 - exp(-r / (t + t**2))"} if kernel == "psi" else {}
    built = zoo.kernel(kernel, dim=2, **options)
    x, y = points()[:32], torch.tensor([[0.4]], dtype=torch.float64)
    by_method = zoo.exact(built, x).posterior(y, DIRECTION, noise=0.3, method="exact")
    by_weights = zoo.exact(built, x, weights=truth(x, DIRECTION, y, 0.3))
    for level in (0.05, 1.0):
        t = float(built.time_at(level))
        at = points()[:7] + level * normal(7, 2)
        torch.testing.assert_close(by_method.field(at, t), by_weights.field(at, t))
    if kernel == "psi":  # whose radii are found by bisection: slow
        return
    picked = torch.zeros(len(x)).index_fill(0, torch.tensor([3, 5]), 1.0)
    few = zoo.exact(built, x, weights=picked).sample(8, seed=0, steps=20, solver="exp-abm3")
    assert set(torch.cdist(few.double(), x).argmin(dim=1).tolist()) == {3, 5}


@pytest.mark.parametrize("far", [0.0, 1e6])
def test_likelihoods_have_the_digits_of_float64(far):
    x = (far + points()[:64]).float()
    y = x[17:18].double()
    seen = observe(y, Linear(torch.eye(2)), 0.3, shape=(2,))
    expected = -((y - x.double()) / 0.3).square().sum(dim=1) / 2
    torch.testing.assert_close(seen.log_likelihood(x)[0], expected, rtol=1e-9, atol=1e-9)


def test_the_likelihood_of_an_operator_with_numbers_of_its_own():
    matrix = torch.tensor([[0.8, 0.6]])
    x = points()[:64].float()
    by_function, by_matrix = (
        observe([[0.5]], operator, 0.3, shape=(2,)).log_likelihood(x)
        for operator in (lambda v: v @ matrix.T, Linear(matrix))
    )
    torch.testing.assert_close(by_function, by_matrix, rtol=1e-4, atol=1e-4)


def test_the_likelihood_of_an_operator_of_half_precision():
    posterior = zoo.exact("gaussian", points()[:64].float()).posterior(
        [[0.5, 0.5]], lambda x: x.half(), noise=0.2, method="exact"
    )
    assert (posterior.sample(8, seed=0, steps=8) - 0.5).norm(dim=1).mean() < 1


def test_weights_hold_over_all_chunks_of_the_sources(monkeypatch):
    x = points()
    weights = torch.rand(len(x), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    at, t = normal(5, 2), 0.7
    logs = weights.log() - torch.cdist(at, x).square() / (2 * t**2)
    expected = logs.softmax(dim=1) @ x
    for numbers in (2**19, 5 * 100):
        monkeypatch.setattr("zoo.models.exact.network.CHUNK_NUMBERS", numbers)
        model = zoo.exact("gaussian", x, weights=weights)
        torch.testing.assert_close(model.denoise(at, t), expected)
        density = (logs - weights.sum().log()).logsumexp(dim=1) - math.log(2 * math.pi * t**2)
        torch.testing.assert_close(model.network.log_density(at, t), density)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (torch.ones(3), r"weights have shape \(3,\)"),
        (torch.zeros(512), "one of them more"),
        (-torch.ones(512), "at least 0"),
        (torch.full((512,), torch.nan), "finite"),
    ],
)
def test_weights_that_are_none_are_refused(weights, message):
    with pytest.raises(ZooError, match=message):
        zoo.exact("gaussian", points(), weights=weights)


def test_a_mixture_takes_no_weights():
    with pytest.raises(ZooError, match="weights of its own"):
        zoo.exact("gaussian", GaussianMixture.diagonal(torch.zeros(1, 2), 1.0), weights=[1.0])


@pytest.mark.parametrize("kernel", KERNELS)
def test_mmps_comes_near_the_exact_posterior(kernel):
    model = zoo.exact(kernel, points())
    y = torch.tensor([[0.5]], dtype=torch.float64)
    there = points()[truth(points(), DIRECTION, y, 0.2).multinomial(1024, True)]
    posterior = model.posterior(y, DIRECTION, noise=0.2)
    options = {"seed": 0, "steps": 24, "solver": "exp-abm3"}
    samples = posterior.sample(256, **options)
    far = energy(model.sample(256, **options), there)
    assert energy(samples, there) < far / 4
    sizes = [(DIRECTION(x.double()) - y).abs().median() for x in (samples, there)]
    assert 0.8 < sizes[0] / sizes[1] < 1.25  # 256 draws tell a median to 7 %


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kernel", ["gravity", "gaussian", "flow"])
def test_every_method_uses_y(kernel, method):
    model = zoo.exact(kernel, points())
    y = torch.tensor([[0.9]], dtype=torch.float64)
    there = points()[truth(points(), DIRECTION, y, 0.3).multinomial(1024, True)]
    options = {"seed": 0, "steps": 20, "solver": "exp-abm3"}
    samples = model.posterior(y, DIRECTION, noise=0.3, method=method).sample(256, **options)
    assert energy(samples, there) < energy(model.sample(256, **options), there) / 2
    assert samples.std(dim=0).min() > 0.1


# What is refused


# A function is not linear, which "replacement" does not take.
@pytest.mark.parametrize(
    ("method", "axes"),
    [*((m, (3,)) for m in METHODS), *((m, (1, 1, 1, 3)) for m in METHODS if m != "replacement")],
)
@pytest.mark.parametrize("kernel", ["gravity", "gaussian"])
def test_every_method_takes_y_of_other_axes_than_x(kernel, method, axes):
    x, matrix = normal(32, 1, 4, 4), normal(3, 16)

    def folded(v):
        return (v.flatten(1) @ matrix.to(v).T).reshape(-1, *axes)

    operator = folded if len(axes) > 1 else Linear(matrix)
    y = operator(x[:2])
    posterior = zoo.exact(kernel, x).posterior(y, operator, noise=0.3, method=method)
    drawn, free = (m.sample(2, seed=0, steps=8) for m in (posterior, zoo.exact(kernel, x)))
    assert y.shape == (2, *axes)
    assert drawn.shape == (2, 1, 4, 4)
    assert (operator(drawn.double()) - y).norm() < (operator(free.double()) - y).norm()


@pytest.mark.parametrize("method", ["mmps", "pgdm", "dps", "exact"])
def test_no_noise_is_refused_where_it_divides(method):
    with pytest.raises(ZooError, match="noise = 0"):
        zoo.exact("gaussian", points()).posterior([[0.4]], DIRECTION, noise=0, method=method)


@pytest.mark.parametrize("method", ["diffpir", "replacement"])
def test_no_noise_is_fitted_exactly_by_the_others(method):
    posterior = zoo.exact("gaussian", points()).posterior(
        [[0.4]], DIRECTION, noise=0, method=method
    )
    d = posterior.denoise(points()[:5] + 1.0, 1.0)
    torch.testing.assert_close(DIRECTION(d), torch.full((5, 1), 0.4).double())


def test_methods_refuse_what_they_do_not_know():
    model = zoo.exact("gaussian", points())
    with pytest.raises(ZooError, match="replacement knows linear operators only"):
        model.posterior([0.1, 0.2], lambda x: x.square(), noise=0.1, method="replacement")
    with pytest.raises(ZooError, match="did you mean 'mmps'"):
        model.posterior([[0.4]], DIRECTION, noise=0.1, method="mmsp")
    with pytest.raises(ZooError, match="no option 'zeta'"):
        model.posterior([[0.4]], DIRECTION, noise=0.1, zeta=1.0)
    with pytest.raises(ZooError, match="method is 3"):
        model.posterior([[0.4]], DIRECTION, noise=0.1, method=3)
    mixture = zoo.exact("gaussian", GaussianMixture.diagonal(torch.zeros(1, 2), 1.0))
    with pytest.raises(ZooError, match="needs the data themselves"):
        mixture.posterior([[0.4]], DIRECTION, noise=0.1, method="exact")
    built = zoo.kernel("psi", dim=2, psi="1 - exp(-r / (t + t**2))")
    with pytest.raises(ZooError, match="mmps needs the denoiser"):
        zoo.exact(built, points()).posterior([[0.4]], DIRECTION, noise=0.1)


class Returns(PosteriorMethod):
    def __init__(self, change):
        self.change = change

    def denoise(self, at, seen):
        del seen
        return self.change(at.denoised)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d[:, :1], r"method 'Returns' gave shape \(\d+, 1\) for x_t of shape \(\d+, 2\)"),
        (lambda d: None, "method 'Returns' gave a NoneType for x_t"),
        (lambda d: d * math.nan, "what the method 'Returns' makes of the network's output is not"),
    ],
)
@pytest.mark.parametrize("lifted", [False, True])
def test_what_a_method_returns_is_of_the_shape_of_x_and_its_own(change, message, lifted):
    model = zoo.exact(zoo.kernel("gaussian", dim=2), torch.eye(2))
    model = zoo.lift(model, "gravity") if lifted else model
    posterior = model.posterior(
        torch.zeros(1, 2), Mask(torch.tensor([True, False])), noise=0.1, method=Returns(change)
    )
    with pytest.raises(ZooError, match=message) as caught:
        posterior.sample(3, seed=0, steps=2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["anisotropic", "rotating"])
def test_noise_that_is_not_the_same_in_all_directions_is_refused_where_it_matters(name):
    model = zoo.exact(zoo.kernel(name, dim=2, covariance=[0.5, 2.0]), points())
    for method in ("mmps", "pgdm", "dps"):
        with pytest.raises(ZooError, match=f"{method} takes the covariance .* use 'diffpir'"):
            model.posterior([[0.4]], DIRECTION, noise=0.1, method=method)
    for method in ("diffpir", "replacement", "exact"):
        posterior = model.posterior([[0.4]], DIRECTION, noise=0.1, method=method)
        error = DIRECTION(posterior.sample(32, seed=0, steps=12).double()) - 0.4
        assert error.abs().median() < 0.2


def test_a_nonlinear_operator_is_linearised_at_the_denoiser():
    model = zoo.exact("gaussian", points())

    def bent(x):
        return torch.sinh(x @ torch.tensor([[0.8], [0.6]], dtype=x.dtype))

    there = (-(bent(points()) - 1.2).square().sum(dim=1) / (2 * 0.3**2)).softmax(dim=0)
    expected = points()[there.multinomial(1024, True)]
    far = energy(model.sample(256, seed=0), expected)
    for method in ("mmps", "dps", "exact"):
        posterior = model.posterior([[1.2]], bent, noise=0.3, method=method)
        samples = posterior.sample(256, seed=0, steps=20)
        assert energy(samples, expected) < far / 2


@pytest.mark.parametrize("name", ["gravity", "pfgmpp", "tanh", "exp"])
def test_the_noise_of_a_sample_is_read_off_its_radius(name):
    d = 200
    kernel = zoo.kernel(name, dim=d)
    t = kernel.time_at(2.0)
    x = kernel.sample(torch.zeros(64, d).double(), t, torch.Generator().manual_seed(0))
    square, zero = x.square().sum(dim=1), torch.zeros(64)  # D = 0: one point, no trace
    found = own_noise(kernel, square, zero, zero, t).variance
    if name in ("gravity", "pfgmpp"):
        expected = (t**2 + square) / (d + kernel.degrees)
        torch.testing.assert_close(found, expected, rtol=2e-3, atol=0)
    else:
        torch.testing.assert_close(found, square / d, rtol=0.03, atol=0)
    # Half of the coordinates show no noise: the trace accounts for them.
    half = own_noise(kernel, square / 2, torch.full((64,), d / 2), zero, t).variance
    if name in ("gravity", "pfgmpp"):
        expected = (t**2 + square / 2) / (d / 2 + kernel.degrees)
        torch.testing.assert_close(half, expected, rtol=2e-3, atol=0)
    else:
        torch.testing.assert_close(half, found, rtol=0.05, atol=0)


@pytest.mark.parametrize(
    ("name", "options"),
    [("gravity", {}), ("phi", {"phi": "exp(-(r/t)**4)"})],
    ids=["gravity", "light"],
)
def test_the_covariance_is_that_of_the_sources(name, options):
    """Along n = x - D, and in all: both terms of grad D, whose sign differs between laws."""
    d, t = 4, 8.0
    kernel = zoo.kernel(name, dim=d, **options)
    sources = torch.randn(
        100_000, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    x = kernel.sample(torch.zeros(1, d).double(), t, torch.Generator().manual_seed(3))

    def weights(x):
        r = (x - sources).norm(dim=1)
        return kernel.log_phi(r, torch.tensor(t).double()).softmax(dim=0)

    jacobian = torch.autograd.functional.jacobian(lambda x: weights(x) @ sources, x[0])
    w = weights(x)
    centre = w @ sources
    true = (sources - centre).T @ (w[:, None] * (sources - centre))
    n = x[0] - centre
    square, trace = n.square().sum()[None], jacobian.trace()[None]
    along = (n @ jacobian @ n / square).reshape(1)
    found = own_noise(kernel, square, trace, along, torch.tensor(t).double())
    turned = torch.eye(d).double() + found.turn * torch.outer(n, n) / square
    covariance = found.variance * jacobian @ turned
    torch.testing.assert_close(covariance.trace(), true.trace(), rtol=0.03, atol=0)
    torch.testing.assert_close(n @ covariance @ n, n @ true @ n, rtol=0.05, atol=0)


def test_noise_whose_density_rises_with_its_radius_is_refused_but_by_exact():
    kernel = zoo.kernel("psi", dim=2, psi="tanh((r/t)**3)")
    model = zoo.exact(kernel, normal(50, 2))
    for method in ("mmps", "pgdm", "dps", "diffpir", "replacement"):
        with pytest.raises(ZooError, match=f"{method} tells the noise .* rises .* use 'exact'"):
            model.posterior([[1.0]], zoo.posterior.Linear([[1.0, 0.0]]), noise=0.5, method=method)
    model.posterior([[1.0]], zoo.posterior.Linear([[1.0, 0.0]]), noise=0.5, method="exact")


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (zoo.kernel("psi", dim=2, psi="tanh((r/t)**3)"), "no method knows a trained network"),
        (zoo.kernel("anisotropic", dim=2, covariance=[0.5, 2.0]), "use 'diffpir' or 'replacement'"),
    ],
)
def test_a_trained_network_is_not_sent_to_the_method_that_takes_the_data(kernel, message):
    network = zoo.network("mlp", shape=(2,), kernel=kernel, width=8, blocks=1)
    prior, solver = zoo.prior(kernel.part.use, kernel), zoo.solver("heun")
    model = zoo.FieldModel(kernel, prior, network, solver, (2,))
    with pytest.raises(ZooError, match=message) as caught:
        model.posterior([[1.0]], zoo.posterior.Linear([[1.0, 0.0]]), noise=0.5)
    assert "exact" not in str(caught.value)


def test_observations_have_the_units_of_the_network():
    from zoo.config.standardise import Standardise

    known = Standardise(mean=(1e4, -3.0), scale=(2.0, 0.5))
    z = normal(1, 2)
    x = known.undo(z)
    seen = observe(
        x @ torch.tensor([[1.0, 2.0]]).T.double(),
        Linear([[1.0, 2.0]]),
        0.1,
        shape=(2,),
        standardise=known,
    )
    near = seen.near(z)
    assert near.residual.abs().max() < 1e-6
    torch.testing.assert_close(
        near.push(over(torch.tensor(1.0), z) * z), (z[:, :1] * 2 + z[:, 1:]) / 0.1
    )


@pytest.mark.parametrize("factor", [0.1, 10.0])
@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_replacement_ends_where_the_noise_of_y_is_larger_in_any_units(factor, scale):
    from zoo_posterior.replacement import Replacement

    from zoo.config.standardise import Standardise

    model = zoo.exact("gaussian", points())
    y = points()[:1] * scale
    seen = observe(
        factor * y,
        Linear(factor * torch.eye(2)),
        0.3 * scale * factor,
        shape=(2,),
        standardise=Standardise(mean=(0.0, 0.0), scale=(scale, scale)),
    )
    for t, replaced in ((0.25, False), (0.35, True)):
        x = points()[1:2]
        at = Estimate(model.network, model.network, model.kernel, x, torch.tensor(t))
        d = Replacement().denoise(at, seen.of(torch.zeros(1).long(), x))
        expected = y / scale if replaced else at.denoised
        torch.testing.assert_close(d, expected)


def test_an_exact_field_of_an_affine_kernel_is_conditioned_as_its_denoiser():
    model = zoo.exact("gaussian", points()[:32])
    field = zoo.FieldModel(
        model.kernel, model.prior, ExactField(model.kernel, points()[:32]), model.solver, (2,)
    )
    options = {"noise": 0.3, "method": "exact"}
    expected, found = (m.posterior([[0.4]], DIRECTION, **options) for m in (model, field))
    x = points()[:7] + 0.5
    torch.testing.assert_close(found.denoise(x, 0.5), expected.denoise(x, 0.5))


def test_beyond_its_largest_level_the_covariance_of_a_lifted_denoiser_stays():
    d = 3
    spread = torch.tensor([0.25, 1.0, 4.0], dtype=torch.float64)
    data = GaussianMixture.diagonal(torch.zeros(1, d).double(), spread[None])
    network = LevelDenoiser(zoo.exact("gaussian", data).network, zoo.kernel("gaussian", dim=d))
    v = normal(1, d)
    for level in (0.5, 20.0, network.high, 50 * network.high):
        x = level * normal(1, d, seed=1)
        at = Estimate(network, network, network.source, x, torch.tensor(level))
        expected = spread / (1 + spread / level**2) * v
        torch.testing.assert_close(at.covariance(v), expected, rtol=2e-3, atol=0)


@pytest.mark.parametrize("name", ["flow", "vp", "gaussian"])
def test_so_it_does_of_a_network_that_is_lifted(name):
    d, most = 3, 20.0
    spread = torch.tensor([0.25, 1.0, 4.0], dtype=torch.float64)
    data = GaussianMixture.diagonal(torch.zeros(1, d).double(), spread[None])
    source = zoo.exact(zoo.kernel("gaussian", dim=d, t_max=most), data)
    kernel = zoo.kernel(name, dim=d)
    network = LiftedNetwork(LevelDenoiser(source.network, source.kernel), kernel, (d,))
    v = normal(1, d)
    for level in (0.5, 3.0, 70.0):
        t = kernel.time_at(level)
        alpha, sigma = kernel.marginal(t)
        at = Estimate(network, network, kernel, sigma * normal(1, d, seed=1), t)
        expected = spread / (1 + spread * (alpha / sigma) ** 2) * v
        torch.testing.assert_close(at.covariance(v), expected, rtol=1e-2, atol=0)


class Projection(Network):
    """D = 0.9 P x, P a projection to half of the dimensions: the trace of grad D is 0.45 d."""

    def __init__(self, d):
        super().__init__()
        half = torch.linalg.qr(normal(d, d // 2, seed=d))[0]
        self.matrix = 0.9 * half @ half.T

    def forward(self, x_t, t, labels=None):
        return x_t @ self.matrix


@pytest.mark.parametrize(("d", "room"), [(16, 1e-6), (64, 0.1)])
def test_the_level_of_a_sample_of_few_coordinates_does_not_depend_on_chance(d, room):
    kernel, network = zoo.kernel("gravity", dim=d), Projection(d)
    t = kernel.time_at(1.0)
    x = kernel.sample(torch.zeros(4, d).double(), t, torch.Generator().manual_seed(0))
    n = x - network(x, t)
    square, trace = n.square().sum(dim=1), network.matrix.trace().expand(4)
    along = ((n @ network.matrix) * n).sum(dim=1) / square
    expected = own_noise(kernel, square, trace, along, t).variance
    level = Estimate(network, network, kernel, x, t).level.flatten()
    torch.testing.assert_close(level.square(), expected, rtol=room, atol=0)


@pytest.mark.parametrize("method", ["pgdm", "dps"])
def test_y_with_next_to_no_noise_is_not_ignored(method):
    model = zoo.exact("gaussian", points().float())
    models = model.posterior([[0.9]], DIRECTION, noise=1e-10, method=method), model
    x = points()[:8].float() + 1.0
    near, far = (float((DIRECTION(m.denoise(x, 1.0)) - 0.9).abs().max()) for m in models)
    assert near < far / 2  # pgdm, whose r^2 is larger than V here, does not get all the way


def test_the_size_of_the_data_is_in_their_units():
    from zoo_posterior.pgdm import PGDM

    from zoo.config.standardise import Standardise

    model, x = zoo.exact("gaussian", points()), points()[:4] + 0.5
    at = Estimate(model.network, model.network, model.kernel, x, torch.tensor(0.5))
    matrix = torch.tensor([[0.8, 0.6], [0.1, 0.2]])
    found = []
    for scale in (1.0, 50.0):
        known = Standardise(mean=(0.0, 0.0), scale=(scale, scale))
        y = torch.tensor([0.9, 0.1]) * scale
        seen = observe(y, Linear(matrix), 0.1 * scale, shape=(2,), standardise=known)
        method = PGDM(sigma_data=0.1 * scale)
        found.append(method.denoise(at, seen.of(torch.zeros(4).long(), x)))
    torch.testing.assert_close(*found)
    plain = PGDM().denoise(at, seen.of(torch.zeros(4).long(), x))
    assert not torch.allclose(plain, found[1], rtol=1e-3)


def test_a_step_on_numbers_that_half_precision_does_not_hold():
    def half(x, t):
        return (x.half() * 0.5).float()

    network, x = zoo.exact("gaussian", points()).network, torch.ones(2, 2)
    at = Estimate(half, network, zoo.kernel("gaussian", dim=2), x, torch.tensor(1.0))
    v = torch.tensor([[2.0**20, -(2.0**18)], [0.0, 0.0]])
    assert torch.equal(at.covariance(v), v / 2)
    big = torch.tensor([[3e37, 1e-3], [2.0, 1.0]])
    for factor in (1.0, torch.inf):  # a row whose image overflows is left as it is
        scale = torch.tensor([[factor], [1.0]])
        found = minimal_residual(lambda p, s=scale: (p, p * s), big, iterations=3)
        torch.testing.assert_close(found[1], big[1])
        torch.testing.assert_close(found[0], big[0] if factor == 1.0 else torch.zeros(2))


def test_a_solve_ends_after_as_many_directions_as_there_are_numbers():
    asked = []

    def direction(p):
        asked.append(p)
        return p, p @ torch.tensor([[2.0, 1.0], [0.0, 3.0]]).double()

    minimal_residual(direction, normal(4, 2), iterations=10**9)
    assert len(asked) == 2


def test_tables_of_noise_are_made_once_for_each_time(monkeypatch):
    kernel, asked = zoo.kernel("gravity", dim=3), []
    log_phi = kernel.log_phi
    monkeypatch.setattr(kernel, "log_phi", lambda r, t: asked.append(t) or log_phi(r, t))
    square, zero = torch.ones(2), torch.zeros(2)
    found = [
        own_noise(kernel, square, zero, zero, torch.as_tensor(t)).variance
        for t in (1.0, 1.0, 2.0, [1.0, 2.0])
    ]
    assert len(asked) == 3
    assert torch.equal(found[0], found[1])
    assert found[3].tolist() == [float(found[0][0]), float(found[2][1])]
