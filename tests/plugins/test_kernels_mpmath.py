"""Log densities against 50-digit arithmetic: 1e-10 relative over 12 decades of r/t."""

import math

import mpmath as mp
import pytest
import torch
from kernel_cases import ISOTROPIC, build

import zoo

mp.mp.dps = 50
DECADES = [10.0**k for k in range(-6, 7)]


def student(d, degrees):
    def log_phi(r, t):
        c = mp.loggamma((d + degrees) / 2) - mp.loggamma(degrees / 2) - d / 2 * mp.log(mp.pi)
        return c - d * mp.log(t) - (d + degrees) / 2 * mp.log1p((r / t) ** 2)

    return log_phi


def normal(d, sigma):
    def log_phi(r, t):
        s = sigma(t)
        return -d * mp.log(s) - d / 2 * mp.log(2 * mp.pi) - (r / s) ** 2 / 2

    return log_phi


def from_cdf(d, log_slope):
    """The density of the radial CDF with d_r psi = exp(log_slope)."""

    def log_phi(r, t):
        area = mp.log(2) + d / 2 * mp.log(mp.pi) - mp.loggamma(d / 2)
        return log_slope(r, t) - area - (d - 1) * mp.log(r)

    return log_phi


def log_sech2(x):
    return mp.log(4) - 2 * x - 2 * mp.log1p(mp.exp(-2 * x))


def warped(r, t):
    s = t + t**2
    return -r / s - mp.log(s)


def power(r, t):
    b = mp.mpf("1.5")
    return log_sech2((r / t) ** b) + mp.log(b) + (b - 1) * mp.log(r) - b * mp.log(t)


def laplace(d):
    def log_phi(r, t):
        c = mp.loggamma(d / 2) - mp.log(2) - d / 2 * mp.log(mp.pi) - mp.loggamma(d)
        return c - d * mp.log(t) - r / t

    return log_phi


def references(case, d):
    d = mp.mpf(d)
    return {
        "gravity": lambda: student(d, mp.mpf(1)),
        "pfgmpp-1.5": lambda: student(d, mp.mpf("1.5")),
        "pfgmpp-128": lambda: student(d, mp.mpf(128)),
        "gaussian": lambda: normal(d, lambda t: t),
        "ve-square": lambda: normal(d, lambda t: 3 * t**2),
        "tanh": lambda: from_cdf(d, lambda r, t: log_sech2(r / t) - mp.log(t)),
        "exp": lambda: from_cdf(d, lambda r, t: -r / t - mp.log(t)),
        "psi-power": lambda: from_cdf(d, power),
        "psi-warped": lambda: from_cdf(d, warped),
        "phi-laplace": lambda: laplace(d),
        "phi-warped": lambda: normal(d, lambda t: t * mp.sqrt(1 + t / 2)),
        "flow": lambda: normal(d, lambda t: t),
        "vp-linear": lambda: normal(d, lambda t: mp.sqrt(-mp.expm1(-vp_linear(t)))),
        "vp-cosine": lambda: normal(d, lambda t: mp.sqrt(1 - vp_cosine(t) ** 2)),
        "interpolant": lambda: normal(d, lambda t: mp.sin(mp.pi * t / 2)),
    }[case]()


def vp_linear(t):
    return t * (mp.mpf("0.1") + mp.mpf("19.9") * t / 2)


def vp_cosine(t):
    s = mp.mpf(0.008)
    return mp.cos(mp.pi / 2 * (t + s) / (1 + s)) / mp.cos(mp.pi / 2 * s / (1 + s))


CASES = [*ISOTROPIC, "flow", "vp-linear", "vp-cosine", "interpolant"]


def compare(kernel, log_phi, t):
    """Compare log densities around 0 at time t, at distances over 12 decades of r/t."""
    radii = [t * ratio for ratio in DECADES]
    x = torch.zeros(len(radii), kernel.dim, dtype=torch.float64)
    x[:, 0] = torch.tensor(radii, dtype=torch.float64)
    found = kernel.log_density(x, torch.zeros_like(x), t).tolist()
    for r, value in zip(radii, found, strict=True):
        expected = log_phi(mp.mpf(r), mp.mpf(t))
        assert abs(mp.mpf(value) - expected) <= mp.mpf("1e-10") * abs(expected), (r / t, value)


@pytest.mark.parametrize("dim", [1, 2, 784, 3072, 200_000])
@pytest.mark.parametrize("case", CASES)
def test_log_density(case, dim):
    kernel = build(case, dim)
    # In the middle of the range, at a time with a short binary form.
    t = 2.0 ** round(math.log2(kernel.t_min * kernel.t_max) / 2)
    compare(kernel, references(case, dim), t)


@pytest.mark.parametrize("degrees", [1.0, 2.0, 2048.0, 1e7, 1e12])
@pytest.mark.parametrize("dim", [2, 3072])
def test_student_density_for_any_number_of_degrees(dim, degrees):
    kernel = zoo.kernel("pfgmpp", dim=dim, D=degrees)
    compare(kernel, student(mp.mpf(dim), mp.mpf(degrees)), 0.5 * degrees**0.5)


def test_map_density_is_the_push_forward():
    """x_t = (1-t) x_0 + t (z + 0.3 sin z), its inverse found by mpmath."""
    kernel = build("map", 1)
    t, x_0 = mp.mpf("0.25"), mp.mpf("0.5")
    for x in (-3.0, -0.2, 0.4, 0.9, 40.0):
        n = (mp.mpf(x) - (1 - t) * x_0) / t
        z = mp.findroot(lambda z, n=n: z + mp.mpf(0.3) * mp.sin(z) - n, n)
        slope = t * (1 + mp.mpf(0.3) * mp.cos(z))
        expected = -(z**2) / 2 - mp.log(2 * mp.pi) / 2 - mp.log(slope)
        point = torch.tensor([[x]], dtype=torch.float64)
        found = float(kernel.log_density(point, torch.full_like(point, 0.5), 0.25))
        assert abs(mp.mpf(found) - expected) <= mp.mpf("1e-10") * abs(expected)


def test_anisotropic_density_is_the_normal_one():
    matrix = [[2.0, 0.5, 0.25], [0.5, 1.0, -0.125], [0.25, -0.125, 0.5]]
    kernel = zoo.kernel("anisotropic", dim=3, covariance=matrix)
    s, t = mp.matrix(matrix), mp.mpf("0.5")
    for point in ([1.0, 2.0, -3.0], [0.0, 1e-3, 0.0], [1e5, -1e5, 3e5]):
        n = mp.matrix([mp.mpf(v) / t for v in point])
        square = (n.T * mp.lu_solve(s, n))[0]
        expected = -(square + mp.log(mp.det(s)) + 3 * mp.log(2 * mp.pi)) / 2 - 3 * mp.log(t)
        x = torch.tensor([point], dtype=torch.float64)
        found = float(kernel.log_density(x, torch.zeros_like(x), 0.5))
        assert abs(mp.mpf(found) - expected) <= mp.mpf("1e-10") * abs(expected)
