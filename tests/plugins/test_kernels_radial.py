"""The reverse construction and the quadrature: known kernels recovered, false ones refused."""

import math

import mpmath as mp
import pytest
import torch
from zoo_gaussian.kernel import GaussianKernel
from zoo_gravity.kernel import GravityKernel
from zoo_radial.phi import PhiKernel, UnitPhiKernel
from zoo_radial.psi import ExpKernel, PsiKernel, TanhKernel, UnitPsiKernel

import zoo
from zoo import ZooError
from zoo.interfaces import radial
from zoo.numerics import betainc, formula

DOUBLE = torch.float64
# The radial CDFs of four closed forms, written out.
PSI = {
    "tanh": (TanhKernel, "tanh(r/t)"),
    "exp": (ExpKernel, "1 - exp(-r/t)"),
    "gravity": (GravityKernel, "1 - betainc(0.5, d/2, 1/(1 + (r/t)**2))"),
    "gaussian": (GaussianKernel, "gammainc(d/2, r**2/(2*t**2))"),
}
PHI = {
    "gaussian": (GaussianKernel, "exp(-r**2/(2*t**2)) / t**d"),
    "gaussian up to a factor": (GaussianKernel, "exp(-r**2/(2*t**2))"),
    "gravity": (GravityKernel, "t / (t**2 + r**2)**((d+1)/2)"),
}
QUANTILES = torch.tensor([1e-6, 1e-3, 0.1, 0.5, 0.9, 0.999, 1 - 1e-6], dtype=DOUBLE)


def points(kernel, dim, t):
    """Return x_t at the radii of QUANTILES around x_0, and x_0."""
    generator = torch.Generator().manual_seed(0)
    x_0 = torch.randn(len(QUANTILES), dim, dtype=DOUBLE, generator=generator)
    u = torch.randn(len(QUANTILES), dim, dtype=DOUBLE, generator=generator)
    r = kernel.radial_icdf(QUANTILES, t)
    return x_0 + (r / u.norm(dim=1))[:, None] * u, x_0


@pytest.mark.parametrize("as_callable", [False, True])
@pytest.mark.parametrize("dim", [1, 2, 784, 3072])
@pytest.mark.parametrize("name", PSI)
def test_psi_reproduces_closed_forms(name, dim, as_callable):
    kind, text = PSI[name]
    closed = kind(dim=dim)
    law = formula(text, ("r", "t"), argument="psi", constants={"d": dim})
    given = (lambda r, t: law(r, t)) if as_callable else law
    # PsiKernel itself, not psi_kernel: that would notice the similarity and know v.
    kernel = PsiKernel(dim=dim, psi=given)
    for t in closed.time_at(torch.tensor([0.01, 1.0, 30.0])).tolist():
        x, x_0 = points(closed, dim, t)
        v, expected = kernel.velocity(x, x_0, t), closed.velocity(x, x_0, t)
        assert float(((v - expected).norm(dim=1) / expected.norm(dim=1)).max()) < 1e-8
        found, log = kernel.log_density(x, x_0, t), closed.log_density(x, x_0, t)
        # Near x_0, 1 - 1/(1 + (r/t)^2) has lost its digits: that is the formula's own doing.
        kept = slice(2, None) if name == "gravity" else slice(None)
        torch.testing.assert_close(found[kept], log[kept], rtol=1e-10, atol=1e-10)
        q = kernel.radial_cdf(closed.radial_icdf(QUANTILES, t), t)
        torch.testing.assert_close(q, QUANTILES, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dim", [1, 2, 16, 784, 3072])
@pytest.mark.parametrize("name", PHI)
def test_phi_reproduces_closed_forms_by_quadrature(name, dim):
    kind, text = PHI[name]
    closed = kind(dim=dim)
    law = formula(text, ("r", "t"), argument="phi", constants={"d": dim})
    kernel = PhiKernel(dim=dim, phi=law, t_min=closed.t_min, t_max=closed.t_max)
    for t in (0.03, 1.7, 20.0):
        x, x_0 = points(closed, dim, t)
        v, expected = kernel.velocity(x, x_0, t), closed.velocity(x, x_0, t)
        assert float(((v - expected).norm(dim=1) / expected.norm(dim=1)).max()) < 1e-8
        torch.testing.assert_close(
            kernel.log_density(x, x_0, t), closed.log_density(x, x_0, t), rtol=1e-10, atol=1e-10
        )
        r = closed.radial_icdf(QUANTILES, t)
        torch.testing.assert_close(kernel.radial_cdf(r, t), QUANTILES, rtol=1e-8, atol=1e-12)
        torch.testing.assert_close(kernel.radial_icdf(QUANTILES, t), r, rtol=1e-8, atol=0)


def test_far_out_the_velocity_of_a_phi_has_a_slope():
    """There nodes of the quadrature round to their neighbours, now and then inwards."""
    kernel = zoo.kernel("phi", dim=2, phi="exp(-(r/t)**(1 + t/(1+t)))", t_min=0.1, t_max=10.0)
    r = torch.logspace(15, 30, 3_000, dtype=DOUBLE, requires_grad=True)
    (slope,) = torch.autograd.grad(kernel.radial_velocity(r, torch.full_like(r, 10.0)).sum(), r)
    assert slope.isfinite().all()


@pytest.mark.parametrize("dim", [2, 784])
def test_phi_velocity_is_right_for_a_density_of_changing_shape(dim):
    """phi = exp(-(r/s)^p) with p = 1 + t/(1+t), s = t: no closed velocity; psi is gammainc."""
    t = 1.0
    kernel = zoo.kernel("phi", dim=dim, phi="exp(-(r/t)**(1 + t/(1+t)))", t_min=0.1, t_max=10.0)
    assert isinstance(kernel, PhiKernel)
    r = kernel.radial_icdf(torch.tensor([0.1, 0.5, 0.9], dtype=DOUBLE), t)

    def psi(r, t):
        p = 1 + t / (1 + t)
        return mp.gammainc(dim / p, 0, (r / t) ** p, regularized=True)

    for radius, v in zip(r.tolist(), kernel.radial_velocity(r, t).tolist(), strict=True):
        by_t = mp.diff(lambda s, radius=radius: psi(radius, s), t)
        expected = -by_t / mp.diff(lambda s: psi(s, t), radius)
        assert v == pytest.approx(float(expected), rel=1e-8)


@pytest.mark.parametrize(
    ("name", "option", "text", "kind"),
    [
        ("psi", "psi", "tanh((r/t)**2)", UnitPsiKernel),
        ("psi", "psi", "1 - exp(-r**2/(2*t**2))", UnitPsiKernel),
        ("psi", "psi", lambda r, t: torch.tanh(r / t), UnitPsiKernel),
        ("psi", "psi", "tanh(r/(t + t**2))", PsiKernel),
        ("psi", "psi", "1 - (1 + r/t)**-(1 + t)", PsiKernel),
        ("phi", "phi", "exp(-r/t)", UnitPhiKernel),
        ("phi", "phi", "t**7 * exp(-r/t)", UnitPhiKernel),
        ("phi", "phi", "exp(-r/(t + t**2))", PhiKernel),
    ],
)
def test_similarity_is_noticed(name, option, text, kind):
    """psi of r/t alone has a velocity affine in x_0, so that a network may predict the denoiser."""
    kernel = zoo.kernel(name, dim=2, t_min=0.1, t_max=10.0, **{option: text})
    assert type(kernel) is kind
    assert kernel.affine is (kind in (UnitPsiKernel, UnitPhiKernel))


def test_parameters_and_dimension_occur_in_formulas():
    kernel = zoo.kernel("psi", dim=4, psi="tanh((r/t)**(a*d))", a=0.5)
    r = torch.tensor([0.7], dtype=DOUBLE)
    assert float(kernel.radial_cdf(r, 1.0)) == pytest.approx(math.tanh(0.7**2))
    called = zoo.kernel("psi", dim=4, psi=lambda r, t, a: torch.tanh((r / t) ** a), a=2.0)
    assert float(called.radial_cdf(r, 1.0)) == pytest.approx(math.tanh(0.7**2))


NOT_A_CDF = {
    "1 - tanh(r/t)": "tends to 1 as r -> 0",
    "2*tanh(r/t)": "tends to 2 as r -> inf",
    "tanh(r/t)/2": "tends to 0.5 as r -> inf",
    "0.5 + tanh(r/t)/2": "tends to 0.5 as r -> 0",
    "tanh(r*t)": " at r = 1 as t -> 0",
    "tanh(r/(1 + t))": "as t -> 0",
    "tanh(r/t) * (1 + 0.9*exp(-square(r/t - 3)))": "decreases in r near r = ",
    "sqrt(tanh(r/t) - 0.01)": "is not finite at r = ",
    "log(r/t)": "tends to",
    "0.5": "tends to 0.5",
}


@pytest.mark.parametrize("given", [{}, {"t_min": 0.1, "t_max": 10.0}])
@pytest.mark.parametrize("text", NOT_A_CDF)
def test_what_is_no_radial_cdf_is_told(text, given):
    with pytest.raises(ZooError) as error:
        zoo.kernel("psi", dim=3, psi=text, **given)
    message = str(error.value)
    assert message.startswith("psi ")
    assert NOT_A_CDF[text] in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"psi": "tanh(r/t)", "t_mn": 0.1}, "unknown option 't_mn'"),
        ({"psi": "tanh(r/q)"}, "psi = 'tanh.r/q.': unknown name 'q'"),
        ({"psi": "r.tanh()"}, "attribute .tanh"),
        ({"psi": "compile(r/t)"}, "the call compile"),
        ({"psi": 3}, "psi tends to 3"),
        ({"psi": lambda r, t: torch.tanh(r / t)[:5]}, r"psi gives \(5,\) for r of shape"),
        ({"psi": lambda r, t: 1.0}, "psi"),
        ({}, "needs the option 'psi'"),
    ],
)
def test_bad_options_of_psi_are_told(options, message):
    with pytest.raises(ZooError, match=message):
        zoo.kernel("psi", dim=3, **options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 / (t + r)**2", "phi cannot be integrated|phi has no finite integral"),
        ("-exp(-r/t)", "phi is not positive"),
        ("exp(r/t)", "phi "),
        ("exp(-r*t)", "phi has .* of its mass within r = 1 as t -> 0"),
        ("exp(-r/(1 + t))", "phi has .* of its mass within r = 1 as t -> 0"),
        ("t", "phi "),
        ("exp(-r/t).real", "attribute"),
    ],
)
def test_what_is_no_density_is_told(text, message):
    with pytest.raises(ZooError, match=message) as error:
        zoo.kernel("phi", dim=3, phi=text)
    assert "\n" not in str(error.value)


class TestLambda:
    def test_adds_its_flux_and_warns(self):
        with pytest.warns(UserWarning, match="does not conserve mass"):
            kernel = zoo.kernel(
                "psi", dim=2, psi="tanh(r/t)", lambda_t="2*t", t_min=0.1, t_max=10.0
            )
        assert not kernel.affine
        assert not kernel.conserves_mass
        r, t = torch.tensor([0.3, 1.0, 2.5], dtype=DOUBLE), 1.3
        slope = (1 - torch.tanh(r / t) ** 2) / t
        torch.testing.assert_close(kernel.radial_velocity(r, t), r / t - 2 / slope)
        # G_{>1} has the extra term -lambda' (x_t - x_0) / (S_d r^d).
        x = torch.zeros(3, 2, dtype=DOUBLE)
        x[:, 1] = r
        density, flux = kernel.green(x, torch.zeros_like(x), t)
        expected = density * r / t - 2 / (2 * math.pi * r)
        torch.testing.assert_close(flux[:, 1], expected)

    def test_a_constant_changes_nothing(self, recwarn):
        kernel = zoo.kernel("psi", dim=2, psi="tanh(r/t)", lambda_t="0.3")
        assert kernel.conserves_mass
        r = torch.tensor([0.3, 2.0], dtype=DOUBLE)
        torch.testing.assert_close(kernel.radial_velocity(r, 1.3), r / 1.3)
        assert not recwarn.list

    def test_is_a_function_of_t_alone(self):
        with pytest.raises(ZooError, match="lambda_t = 'r': unknown name 'r'"):
            zoo.kernel("psi", dim=2, psi="tanh(r/t)", lambda_t="r")


def test_a_psi_of_incomplete_functions_may_be_a_callable():
    kernel = zoo.kernel("psi", dim=3, psi=lambda r, t: betainc(1.5, 0.5, 1 / (1 + (t / r) ** 2)))
    closed = GravityKernel(dim=3)
    x, x_0 = points(closed, 3, 2.0)
    torch.testing.assert_close(kernel.velocity(x, x_0, 2.0), closed.velocity(x, x_0, 2.0))
    assert kernel.t_max == pytest.approx(closed.t_max)


def test_tails_of_formulas_do_not_underflow():
    """Far sources of an exact field: 1e6 noise levels away, in any dimension."""
    for dim in (2, 3072):
        kernel = zoo.kernel("psi", dim=dim, psi="tanh((r/t)**b)", b=1.5)
        x = torch.zeros(3, dim, dtype=DOUBLE)
        x[:, 0] = torch.tensor([1e2, 1e4, 1e6]) * kernel.t_min
        log = kernel.log_density(x, torch.zeros_like(x), kernel.t_min)
        assert bool(log.isfinite().all())
        torch.testing.assert_close(
            kernel.velocity(x, torch.zeros_like(x), kernel.t_min), x / kernel.t_min
        )


def test_a_phi_that_shrinks_fast_is_a_kernel_and_one_that_stays_is_not():
    fast = zoo.kernel("phi", dim=3, phi="exp(-r**2/(2*t**4))")
    same = zoo.kernel("ve", dim=3, sigma="t**2")
    r = torch.tensor([0.3, 1.0, 2.0], dtype=torch.float64)
    torch.testing.assert_close(fast.radial_cdf(r, 1.0), same.radial_cdf(r, 1.0), rtol=1e-6, atol=0)
    with pytest.raises(ZooError, match="of its mass within r = 1 as t -> 0"):
        zoo.kernel("phi", dim=3, phi="exp(-r**2/(2*(t+3)**2))")


def test_a_density_at_the_data_itself_is_its_limit():
    kernel = zoo.kernel("psi", dim=3, psi="1-exp(-(r/t)**3)")
    x = torch.zeros(2, 3, dtype=torch.float64)
    expected = torch.full((2,), -math.log(4 * math.pi / 3), dtype=torch.float64)
    torch.testing.assert_close(kernel.log_density(x, x, 1.0), expected)


def test_a_direction_on_the_line_is_a_sign_even_where_a_draw_is_zero(monkeypatch):
    monkeypatch.setattr(radial, "randn", lambda *_: torch.tensor([[0.0], [-2.0], [0.5]]))
    drawn = radial.directions(torch.empty(3, 1), None)
    assert drawn.tolist() == [[1.0], [-1.0], [1.0]]
