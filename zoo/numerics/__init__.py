"""Numerics for kernels: logarithmic derivatives, special functions, roots, expressions."""

from zoo.numerics import rules as _rules  # noqa: F401  registers the rules of LogJet
from zoo.numerics.derivatives import broadcast, derivative, finite_value, jet, log_value
from zoo.numerics.expressions import Expression, FormulaLike, formula, occurring
from zoo.numerics.krylov import minimal_residual
from zoo.numerics.logjet import LogJet
from zoo.numerics.roots import solve_increasing
from zoo.numerics.rows import beside, power_of_two, row_dot, row_norm
from zoo.numerics.scaled import Scaled
from zoo.numerics.special import betainc, gammainc, log_gamma_ratio, on_cpu
from zoo.numerics.tails import hill, tail_index

__all__ = [
    "Expression",
    "FormulaLike",
    "LogJet",
    "Scaled",
    "beside",
    "betainc",
    "broadcast",
    "derivative",
    "finite_value",
    "formula",
    "gammainc",
    "hill",
    "jet",
    "log_gamma_ratio",
    "log_value",
    "minimal_residual",
    "occurring",
    "on_cpu",
    "power_of_two",
    "row_dot",
    "row_norm",
    "solve_increasing",
    "tail_index",
]
