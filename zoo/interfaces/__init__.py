"""The four parts of a model, as abstract classes: what a plugin author implements."""

from zoo.interfaces.flow import Flow
from zoo.interfaces.grids import Grid
from zoo.interfaces.isotropic import IsotropicKernel, SelfSimilarKernel
from zoo.interfaces.kernel import FieldKernel, over, randn
from zoo.interfaces.network import Network
from zoo.interfaces.path import GaussianPathKernel
from zoo.interfaces.prior import KernelPrior, PriorSampler
from zoo.interfaces.solver import GridSolver, Solver, StepCallback

__all__ = [
    "FieldKernel",
    "Flow",
    "GaussianPathKernel",
    "Grid",
    "GridSolver",
    "IsotropicKernel",
    "KernelPrior",
    "Network",
    "PriorSampler",
    "SelfSimilarKernel",
    "Solver",
    "StepCallback",
    "over",
    "randn",
]
