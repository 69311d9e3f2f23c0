"""What kernels declare of themselves is true, and goes no farther than the methods it is about."""

import pytest
import torch
from kernel_cases import CASES, build
from zoo_flow.flow import AnisotropicKernel
from zoo_gaussian.kernel import GaussianKernel
from zoo_gravity.kernel import GravityKernel

from zoo.interfaces import FieldKernel, over
from zoo.testing import CheckFailure
from zoo.testing.declared import affine_path, declarations, gaussian

GAUSSIAN = {"gaussian", "ve", "vp", "interpolant", "flow"}
WITHOUT_AFFINE_PATH = {"rotating", "map", "psi-warped", "phi-warped"}


@pytest.mark.parametrize("dim", [2, 256])
@pytest.mark.parametrize("case", CASES)
def test_declarations_are_true(case, dim):
    declarations(build(case, dim))


def test_who_declares_what():
    kernels = {case: build(case, 2) for case in CASES}
    assert {c for c, k in kernels.items() if not k.affine_path} == WITHOUT_AFFINE_PATH
    assert {CASES[c][0] for c, k in kernels.items() if k.gaussian} == GAUSSIAN


class Faster(GravityKernel):
    affine_path = True

    def velocity(self, x_t, x_0, t):
        return 1.01 * super().velocity(x_t, x_0, t)


class Swapped(GravityKernel):
    gaussian = True


class Sheared(FieldKernel):
    """Affine in x_0, and mixes coordinates: the default of `denoised` cannot know."""

    _turn = torch.tensor([[1.0, 0.5], [-0.5, 1.0]], dtype=torch.float64)

    def marginal(self, t):
        return torch.ones_like(torch.as_tensor(t)), torch.as_tensor(t)

    def _velocity(self, x_t, x_0, t):
        return (x_t - x_0) @ self._turn.T / over(t, x_t)

    def _log_density(self, x_t, x_0, t):
        raise NotImplementedError

    def _sample(self, x_0, t, generator):
        raise NotImplementedError


def test_a_false_declaration_fails_the_check():
    with pytest.raises(CheckFailure, match=r"affine_path is declared, but v at t = .* is 0.01,"):
        affine_path(Faster(dim=2))
    with pytest.raises(CheckFailure, match=r"affine is declared, but denoised\(.* write denoised"):
        declarations(Sheared(dim=2, t_min=0.01, t_max=10.0))
    with pytest.raises(CheckFailure, match="gaussian is declared, but log_density at t = "):
        gaussian(Swapped(dim=2))
    declarations(GravityKernel(dim=2))


def test_a_kernel_with_a_law_or_velocity_of_its_own_declares_it_anew():
    class OwnVelocity(GaussianKernel):
        def velocity(self, x_t, x_0, t):
            return (x_t - x_0) / over(t, x_t)

    class OwnLaw(GaussianKernel):
        def log_density(self, x_t, x_0, t):
            return super().log_density(x_t, x_0, t)

    class Closed(OwnLaw):
        gaussian = True

    class NotAffine(GaussianKernel):
        affine = False

    declared = {k: (k.affine_path, k.gaussian) for k in (GaussianKernel, OwnVelocity, OwnLaw)}
    assert list(declared.values()) == [(True, True), (False, True), (True, False)]
    assert (Closed.affine_path, Closed.gaussian) == (True, True)
    assert not NotAffine.affine_path
    assert not AnisotropicKernel.gaussian
    x = torch.ones(1, 2, dtype=torch.float64)
    assert torch.equal(OwnVelocity(dim=2).velocity(x, 0 * x, 2.0), x / 2)
