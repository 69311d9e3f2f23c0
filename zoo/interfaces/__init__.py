"""What a plugin author implements, as abstract classes: the parts of a model, and formats."""

from zoo.config import Config, Data, Part
from zoo.interfaces.flow import Flow
from zoo.interfaces.format import Checkpoint, Files, Format
from zoo.interfaces.isotropic import IsotropicKernel, SelfSimilarKernel
from zoo.interfaces.kernel import FieldKernel, over, randn
from zoo.interfaces.network import Network
from zoo.interfaces.path import GaussianPathKernel
from zoo.interfaces.prior import KernelPrior, PriorSampler
from zoo.interfaces.solver import Solver

__all__ = [
    "Checkpoint",
    "Config",
    "Data",
    "FieldKernel",
    "Files",
    "Flow",
    "Format",
    "GaussianPathKernel",
    "IsotropicKernel",
    "KernelPrior",
    "Network",
    "Part",
    "PriorSampler",
    "SelfSimilarKernel",
    "Solver",
    "over",
    "randn",
]
