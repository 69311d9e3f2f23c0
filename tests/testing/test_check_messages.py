"""What `zoo check` says of a law that is broken: the law's own words, file and line, once."""

import pytest
from fake_distributions import brings, install

import zoo
from zoo.cli import main
from zoo.interfaces import IsotropicKernel
from zoo.testing import CheckFailure, checks
from zoo.testing.far import far

BODY = """
import torch
from zoo.interfaces import SelfSimilarKernel

class Cubic(SelfSimilarKernel):
    def unit_cdf(self, rho):
        return {}
"""
BRINGS = (
    '@hookimpl\ndef zoo_field_kernels():\n    yield Component("cubic", "zoo_cubic.kernel:Cubic")\n'
)


def check(site, capsys, law):
    install(site, "zoo-cubic", source=BRINGS, files={"kernel.py": BODY.format(law)})
    with pytest.raises(SystemExit) as stop:
        main(["check", "cubic", "-k", "cubic-[mqd]*-d2"])
    assert stop.value.code == 1
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("law", "said"),
    [
        ("torch.tanh(rho**3) / 2", "psi tends to 0.5 as r -> inf at t = "),
        ("torch.tanh(rhoo**3)", "NameError: name 'rhoo' is not defined (zoo_cubic/kernel.py:7)"),
        ("torch.tanhh(rho**3)", "AttributeError: module 'torch' has no attribute 'tanhh'"),
        ("{}['\\x1b[31m' + 'x' * 3000]", "x..."),
    ],
)
def test_a_broken_law_is_told_once_with_its_place(site, capsys, law, said):
    first, *others = check(site, capsys, law)
    assert first.startswith("FAIL  cubic-divergence-d2: ")
    assert said in first
    assert "zoo_cubic/kernel.py:" in first
    assert len(first) <= 500
    assert first.isprintable()
    assert others[:-1] == [
        f"FAIL  cubic-{law}-d2: as cubic-divergence-d2"
        for law in ("mass", "density", "quantiles", "declarations", "determinism", "dtypes")
    ]


def test_a_solver_of_ours_is_not_the_place_of_a_methods_fault(site):
    body = """
    from zoo.interfaces import PosteriorMethod

    class Lost(PosteriorMethod):
        def denoise(self, at, seen):
            return at.denoised / 0 * 0
    """
    source = brings("zoo_posteriors", "lost", "zoo_lost.method:Lost")
    install(site, "zoo-lost", source=source, files={"method.py": body})
    check = next(c for c in checks("lost") if c.__name__ == "lost-posterior-closeness")
    with pytest.raises(
        CheckFailure, match=r"the method 'lost:lost' makes of .* not finite"
    ) as told:
        check()
    assert "runge_kutta" not in str(told.value)


class Cancels(IsotropicKernel):
    """The quotient of issue reports, with derivatives that autodiff takes as written."""

    def _radial_cdf(self, r, t):
        x = (r / t).clamp(min=0) ** 4
        return x / (1 + x)


def test_a_kernel_that_is_wrong_far_out_fails():
    with pytest.raises(CheckFailure, match=r"far out, .* at r = "):
        far(Cancels(dim=2))
    far(zoo.kernel("psi", dim=2, psi="(r/t)**4/(1+(r/t)**4)"))
