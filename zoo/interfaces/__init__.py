"""What authors of components write against: the parts of a model as abstract classes, and helpers.

- Parts: FieldKernel with IsotropicKernel, SelfSimilarKernel, GaussianPathKernel; PriorSampler with
  KernelPrior; Network, and the Decoder of latents; Solver, which integrates a Flow, and GridSolver,
  which does so by steps.
- Posterior sampling: PosteriorMethod, which makes an Estimate of x_0 one given an Observation;
  Operator.
- Formats of other libraries: Format, which makes a Checkpoint of Files; Config, Data, Latent, Part,
  SolverPart.
- Checks of options, one line each: check_integer, check_real, check_positive, check_choice.
- Noise levels that a network reads off x: as_read.
- Checks of isotropic laws: check_radial_cdf, far_fault.
- Tensors: over, randn, moved, floating; of isotropic laws directions, uniform_open, log_shell.
"""

from zoo.config.latent import Latent
from zoo.config.model import Config, Data
from zoo.config.part import Part, SolverPart
from zoo.errors import did_you_mean
from zoo.interfaces.checks import (
    all_finite,
    check_choice,
    check_integer,
    check_positive,
    check_real,
)
from zoo.interfaces.decoder import Decoder
from zoo.interfaces.far import far_fault
from zoo.interfaces.flow import Flow
from zoo.interfaces.format import Checkpoint, Files, Format
from zoo.interfaces.grids import (
    LARGEST_RATIO,
    LEAST_RATIO,
    LEVEL_CAP,
    GivenLevels,
    Grid,
    GridSpec,
    ShortStart,
)
from zoo.interfaces.isotropic import LEVEL_RANGE, IsotropicKernel
from zoo.interfaces.kernel import FieldKernel, moved, over, randn
from zoo.interfaces.levels import as_read
from zoo.interfaces.network import SIGMA_DATA, Network
from zoo.interfaces.observation import Near, Observation, Operator
from zoo.interfaces.path import GaussianPathKernel, PathCoefficients
from zoo.interfaces.posterior import Estimate, PosteriorMethod
from zoo.interfaces.prior import KernelPrior, PriorSampler
from zoo.interfaces.radial import directions, log_shell, log_sphere_area, uniform_open
from zoo.interfaces.radial_cdf import check_radial_cdf
from zoo.interfaces.self_similar import SelfSimilarKernel, floating
from zoo.interfaces.solver import FEW_STEPS, GridSolver, Solver, StepCallback

__all__ = [
    "FEW_STEPS",
    "LARGEST_RATIO",
    "LEAST_RATIO",
    "LEVEL_CAP",
    "LEVEL_RANGE",
    "SIGMA_DATA",
    "Checkpoint",
    "Config",
    "Data",
    "Decoder",
    "Estimate",
    "FieldKernel",
    "Files",
    "Flow",
    "Format",
    "GaussianPathKernel",
    "GivenLevels",
    "Grid",
    "GridSolver",
    "GridSpec",
    "IsotropicKernel",
    "KernelPrior",
    "Latent",
    "Near",
    "Network",
    "Observation",
    "Operator",
    "Part",
    "PathCoefficients",
    "PosteriorMethod",
    "PriorSampler",
    "SelfSimilarKernel",
    "ShortStart",
    "Solver",
    "SolverPart",
    "StepCallback",
    "all_finite",
    "as_read",
    "check_choice",
    "check_integer",
    "check_positive",
    "check_radial_cdf",
    "check_real",
    "did_you_mean",
    "directions",
    "far_fault",
    "floating",
    "log_shell",
    "log_sphere_area",
    "moved",
    "over",
    "randn",
    "uniform_open",
]
