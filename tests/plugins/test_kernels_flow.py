"""Trajectories by characteristics: flow matching, covariances, rotations and maps of one's own."""

import math

import pytest
import torch
from common import normal, seeded
from zoo_flow.flow import Covariance
from zoo_flow.maps import ElementwiseMapKernel, GeneralMapKernel

import zoo
from zoo import ZooError

DOUBLE = torch.float64


class TestFlow:
    def test_trajectories_are_straight(self):
        kernel = zoo.kernel("flow", dim=3)
        x_0, z = normal(4, 3), normal(4, 3, seed=1)
        for t in (0.01, 0.5, 1.0):
            x = kernel.sample(x_0, t, seeded(1))
            torch.testing.assert_close(x, (1 - t) * x_0 + t * z)
            torch.testing.assert_close(kernel.velocity(x, x_0, t), z - x_0, rtol=1e-10, atol=1e-10)

    def test_the_prior_knows_nothing_of_the_data(self):
        kernel = zoo.kernel("flow", dim=3)
        assert kernel.t_max == 1
        x = normal(4, 3)
        log = kernel.log_density(x, 100 * normal(4, 3, seed=1), 1.0)
        expected = torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(1)
        torch.testing.assert_close(log, expected)
        torch.testing.assert_close(zoo.prior("flow", kernel).log_density(x), expected)

    def test_first_time_has_the_level_of_the_others(self):
        kernel = zoo.kernel("flow", dim=3)
        assert float(kernel.level(kernel.t_min)) == pytest.approx(0.002)
        gaussian = zoo.kernel("gaussian", dim=3)
        assert float(kernel.match_time(gaussian, 0.5)) == pytest.approx(1 / 3)
        assert float(gaussian.match_time(kernel, 1 / 3)) == pytest.approx(0.5)


class TestCovariance:
    MATRIX = ((2.0, 0.6), (0.6, 1.0))

    @pytest.mark.parametrize("given", [MATRIX, [[2.0, 0.6], [0.6, 1.0]], torch.tensor(MATRIX)])
    def test_full(self, given):
        matrix = torch.tensor(self.MATRIX, dtype=DOUBLE)
        covariance = Covariance(given, 2)
        assert covariance.mean_variance == pytest.approx(1.5)
        n = normal(5, 2)
        law = torch.distributions.MultivariateNormal(torch.zeros(2, dtype=DOUBLE), matrix)
        rtol = 1e-6 if isinstance(given, torch.Tensor) else 1e-12
        torch.testing.assert_close(covariance.log_density(n), law.log_prob(n), rtol=rtol, atol=rtol)
        coloured = covariance.colour(normal(100_000, 2))
        torch.testing.assert_close(coloured.T.cov(), matrix, rtol=0, atol=0.03)

    def test_diagonal_forms_are_one(self):
        n = normal(5, 3)
        values = [
            Covariance(given, 3).log_density(n)
            for given in (
                "1 / (1 + i)",
                [1, 1 / 2, 1 / 3],
                torch.diag(torch.tensor([1, 1 / 2, 1 / 3]).double()),
            )
        ]
        torch.testing.assert_close(values[0], values[1])
        torch.testing.assert_close(values[0], values[2])
        torch.testing.assert_close(
            Covariance(2.0, 3).log_density(n), Covariance("2 + 0*i*d", 3).log_density(n)
        )

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ([1.0, 2.0], r"covariance has shape \(2,\); expected \(3,\) or \(3, 3\)"),
            ([1.0, 0.0, 1.0], "variances that are not positive"),
            ("i - 1", "variances that are not positive"),
            ("1/i", "not finite"),
            ("1/k", "unknown name 'k'"),
            ([[1, 0, 0], [0, 1, 0], [0, 1, 1]], "not symmetric"),
            ([[1, 2, 0], [2, 1, 0], [0, 0, 1]], "not positive definite"),
            ([[1, 2], [3]], "covariance is not numbers"),
            (["a"], "covariance is not numbers"),
            ([1.0, math.nan, 1.0], "not finite"),
        ],
    )
    def test_bad_ones_are_told(self, given, message):
        with pytest.raises(ZooError, match=message):
            zoo.kernel("anisotropic", dim=3, covariance=given)

    def test_samples_have_it(self):
        kernel = zoo.kernel("anisotropic", dim=2, covariance=self.MATRIX)
        x_0 = torch.ones(100_000, 2, dtype=DOUBLE)
        x = kernel.sample(x_0, 0.5, seeded())
        expected = 0.25 * torch.tensor(self.MATRIX, dtype=DOUBLE)
        torch.testing.assert_close(x.T.cov(), expected, rtol=0, atol=0.01)
        torch.testing.assert_close(
            x.mean(0), torch.full((2,), 0.5, dtype=DOUBLE), rtol=0, atol=0.01
        )

    def test_typical_level_matches_that_of_flow(self):
        kernel = zoo.kernel("anisotropic", dim=2, covariance=self.MATRIX)
        assert float(kernel.level(0.5)) == pytest.approx(math.sqrt(1.5))
        assert float(kernel.time_at(math.sqrt(1.5))) == pytest.approx(0.5)


class TestRotating:
    @pytest.mark.parametrize("dim", [1, 2, 5])
    def test_noise_turns_as_it_spreads(self, dim):
        """x_t from one z at two near times gives v."""
        kernel = zoo.kernel("rotating", dim=dim, omega=3.0, covariance="1 + i")
        x_0, t, h = normal(4, dim), 0.4, 1e-6
        x, before, after = (kernel.sample(x_0, s, seeded(7)) for s in (t, t - h, t + h))
        v = kernel.velocity(x, x_0, t)
        torch.testing.assert_close((after - before) / (2 * h), v, rtol=1e-7, atol=1e-7)

    def test_without_covariance_only_the_field_turns(self):
        """One density, two velocities: the continuity equation does not determine the flux."""
        turning, flow = zoo.kernel("rotating", dim=4, omega=2.0), zoo.kernel("flow", dim=4)
        x, x_0 = normal(3, 4), normal(3, 4, seed=1)
        torch.testing.assert_close(turning.log_density(x, x_0, 0.3), flow.log_density(x, x_0, 0.3))
        swirl = turning.velocity(x, x_0, 0.3) - flow.velocity(x, x_0, 0.3)
        noise = x - 0.7 * x_0
        torch.testing.assert_close((swirl * noise).sum(1), torch.zeros(3, dtype=DOUBLE))
        torch.testing.assert_close(swirl.norm(dim=1), 2 * noise.norm(dim=1))

    def test_half_a_turn_of_a_plane(self):
        kernel = zoo.kernel("rotating", dim=2, omega=math.pi, covariance=[4.0, 1.0])
        quarter = zoo.kernel("rotating", dim=2, omega=math.pi / 2, covariance=[4.0, 1.0])
        swapped = zoo.kernel("anisotropic", dim=2, covariance=[1.0, 4.0])
        plain = zoo.kernel("anisotropic", dim=2, covariance=[4.0, 1.0])
        x = normal(5, 2)
        for turned, still in ((kernel, plain), (quarter, swapped)):
            torch.testing.assert_close(
                turned.log_density(x, 0 * x, 1.0), still.log_density(x, 0 * x, 1.0)
            )

    @pytest.mark.parametrize("omega", [math.nan, math.inf, "1", None, True])
    def test_bad_angles_are_told(self, omega):
        with pytest.raises(ZooError, match=r"omega = .*expected a finite angle"):
            zoo.kernel("rotating", dim=2, omega=omega)


def sheared(x_0, z, t):
    """Return (1-t) x_0 + t (z + (sin z_2, 0 ...)): coordinates mix, with determinant t^d."""
    shift = torch.zeros_like(z)
    shift = torch.cat([torch.sin(z[:, 1:2]), shift[:, 1:]], dim=1)
    return (1 - t) * x_0 + t * (z + shift)


def unsheared(x_0, x_t, t):
    n = (x_t - (1 - t) * x_0) / t
    return torch.cat([n[:, :1] - torch.sin(n[:, 1:2]), n[:, 1:]], dim=1)


def sheared_log_det(x_0, z, t):
    return z.shape[1] * t.flatten().log()


class TestMaps:
    @pytest.mark.parametrize("kind", ["text", "callable"])
    def test_flow_matching_is_one(self, kind):
        given = "(1-t)*x_0 + t*z" if kind == "text" else lambda x_0, z, t: (1 - t) * x_0 + t * z
        kernel = zoo.kernel("map", dim=3, map=given)
        flow = zoo.kernel("flow", dim=3)
        x, x_0 = normal(4, 3), normal(4, 3, seed=1)
        t = torch.tensor([0.01, 0.3, 0.8, 1.0], dtype=DOUBLE)
        torch.testing.assert_close(kernel.velocity(x, x_0, t), flow.velocity(x, x_0, t))
        torch.testing.assert_close(kernel.log_density(x, x_0, t), flow.log_density(x, x_0, t))
        torch.testing.assert_close(kernel.sample(x_0, t, seeded()), flow.sample(x_0, t, seeded()))
        alpha, sigma = kernel.marginal(t)
        torch.testing.assert_close(alpha, 1 - t)
        torch.testing.assert_close(sigma, t, rtol=0.05, atol=0)

    def test_a_curved_noise_schedule(self):
        """x_t = cos x_0 + sin z is the interpolant; parameters are bound by name."""
        kernel = zoo.kernel("map", dim=2, map="cos(w*t)*x_0 + sin(w*t)*z", w=math.pi / 2)
        other = zoo.kernel("interpolant", dim=2, alpha="cos(pi*t/2)", sigma="sin(pi*t/2)")
        x, x_0 = normal(4, 2), normal(4, 2, seed=1)
        for t in (0.01, 0.5, 0.99):
            torch.testing.assert_close(kernel.velocity(x, x_0, t), other.velocity(x, x_0, t))
            torch.testing.assert_close(kernel.log_density(x, x_0, t), other.log_density(x, x_0, t))

    def test_newton_and_a_given_inverse_agree(self):
        newton = zoo.kernel("map", dim=3, map=sheared)
        given = zoo.kernel("map", dim=3, map=sheared, inverse=unsheared, log_det=sheared_log_det)
        x_0 = normal(6, 3)
        t = torch.linspace(0.05, 1, 6, dtype=DOUBLE)
        x = newton.sample(x_0, t, seeded(1))
        z = normal(6, 3, seed=1)
        torch.testing.assert_close(x, sheared(x_0, z, t[:, None]))
        for method in ("velocity", "log_density"):
            torch.testing.assert_close(
                getattr(newton, method)(x, x_0, t),
                getattr(given, method)(x, x_0, t),
                rtol=1e-9,
                atol=1e-9,
            )
        expected = torch.cat([torch.sin(z[:, 1:2]), torch.zeros(6, 2, dtype=DOUBLE)], 1) + z - x_0
        torch.testing.assert_close(newton.velocity(x, x_0, t), expected)

    def test_an_inverse_frees_the_dimension(self):
        kernel = zoo.kernel("map", dim=500, map=sheared, inverse=unsheared, log_det=sheared_log_det)
        x_0 = normal(3, 500)
        x = kernel.sample(x_0, 0.5, seeded(1))
        assert bool(kernel.log_density(x, x_0, 0.5).isfinite().all())
        with pytest.raises(ZooError, match="a map of 500 coordinates needs inverse and log_det"):
            zoo.kernel("map", dim=500, map=sheared)
        with pytest.raises(ZooError, match="a map of 500 coordinates needs log_det"):
            zoo.kernel("map", dim=500, map=sheared, inverse=unsheared)

    def test_formulas_reach_high_dimensions(self):
        kernel = zoo.kernel("map", dim=20_000, map="(1-t)*x_0 + t*(z + tanh(z))")
        x_0 = normal(2, 20_000)
        x = kernel.sample(x_0, 0.3, seeded(1))
        z = normal(2, 20_000, seed=1)
        torch.testing.assert_close(kernel.velocity(x, x_0, 0.3), z + torch.tanh(z) - x_0)

    def test_a_decreasing_map_is_a_map(self):
        kernel = zoo.kernel("map", dim=2, map="(1-t)*x_0 - t*z")
        flow = zoo.kernel("flow", dim=2)
        x, x_0 = normal(4, 2), normal(4, 2, seed=1)
        torch.testing.assert_close(kernel.log_density(x, x_0, 0.3), flow.log_density(x, x_0, 0.3))

    def test_gradients_pass_through_the_inverse(self):
        for given in ("(1-t)*x_0 + t*(z + 0.5*tanh(z))", sheared):
            kernel = zoo.kernel("map", dim=2, map=given)
            x_0 = normal(2, 2, seed=1)
            x = kernel.sample(x_0, 0.5, seeded()).requires_grad_()
            for method in (kernel.velocity, kernel.log_density):
                assert torch.autograd.gradcheck(
                    lambda x, m=method, y=x_0: m(x, y, 0.5), x, atol=1e-6
                )

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"map": "x_0 + z"}, "away from x_0 as t -> 0"),
            ({"map": lambda x_0, z, t: x_0 + z}, "away from x_0 as t -> 0"),
            ({"map": lambda x_0, z, t: (x_0 + t * z).sum(1)}, r"map gives shape \(\d+,\)"),
            ({"map": "(1-t)*x_0 + t*q"}, "unknown name 'q'"),
            ({"map": "(1-t)*x_0 + t*z.T"}, "attribute"),
            ({"map": "(1-t)*x_0 + t*z", "a": 1.0}, "unknown option 'a'"),
            ({"map": "(1-t)*x_0 + t*z", "inverse": unsheared}, "go with a callable map"),
            ({"map": sheared, "a": 1.0}, "unknown option 'a'"),
            ({"map": 3}, "map = 3; expected a formula"),
            ({}, "needs the option 'map'"),
        ],
    )
    def test_bad_options_are_told(self, options, message):
        with pytest.raises(ZooError, match=message):
            zoo.kernel("map", dim=2, **options)

    def test_what_cannot_be_inverted_is_told(self):
        x = torch.full((1, 2), 5.0, dtype=DOUBLE)
        bounded = zoo.kernel("map", dim=2, map="(1-t)*x_0 + t*tanh(z)")
        with pytest.raises(ZooError, match="map does not reach x_t"):
            bounded.velocity(x, 0 * x, 0.5)
        singular = zoo.kernel("map", dim=2, map=lambda x_0, z, t: x_0 + t * z[:, :1] + 0 * z)
        with pytest.raises(ZooError, match="its Jacobian is singular"):
            singular.log_density(x, 0 * x, 0.5)
        folded = zoo.kernel("map", dim=2, map=lambda x_0, z, t: x_0 + t * torch.sin(z))
        with pytest.raises(ZooError, match="cannot be inverted by Newton's method"):
            folded.log_density(x, 0 * x, 0.5)

    def test_text_and_callables_take_their_own_way(self):
        assert isinstance(zoo.kernel("map", dim=2, map="x_0 + t*z"), ElementwiseMapKernel)
        assert isinstance(zoo.kernel("map", dim=2, map=sheared), GeneralMapKernel)
