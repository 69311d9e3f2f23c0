"""Solvers: exponential and classical, an adaptive pair, and torchdiffeq's methods."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from zoo import Component, hookimpl

_OWN = (
    ("euler", "runge_kutta:Euler", "Euler on the EDM grid, order 1"),
    ("heun", "runge_kutta:Heun", "Heun on the EDM grid, order 2 (EDM)"),
    (
        "heun-churn",
        "runge_kutta:HeunChurn",
        "Heun with noise added on the way (EDM's stochastic sampler)",
    ),
    ("rk4", "runge_kutta:RK4", "Runge-Kutta in log t, order 4"),
    ("ab2", "adams:AB2", "Adams-Bashforth in log t, order 2, 1 evaluation a step"),
    ("ab3", "adams:AB3", "Adams-Bashforth in log t, order 3, 1 evaluation a step"),
    ("ddim", "adams:DDIM", "exponential Euler, order 1"),
    ("exp-heun", "adams:ExpHeun", "exponential Heun, order 2, 2 evaluations a step"),
    ("exp-ab2", "adams:ExpAB2", "exponential multistep (DPM-Solver++ 2M), order 2"),
    ("exp-ab3", "adams:ExpAB3", "exponential multistep (DPM-Solver++ 3M), order 3"),
    ("exp-abm3", "adams:ExpABM3", "exponential predictor-corrector (UniPC), order 3"),
    ("exp-abm4", "adams:ExpABM4", "exponential predictor-corrector (UniPC), order 4"),
    ("ipndm", "ipndm:IPNDM", "improved PNDM, up to four values, 1 evaluation a step"),
    (
        "exp-adaptive",
        "exp_adaptive:ExpAdaptive",
        "adaptive exponential Adams, a step size per sample",
    ),
    ("dopri5", "dopri5:Dopri5", "adaptive, a step size per sample, order 5"),
)


class Method(NamedTuple):
    """A method of torchdiffeq: its evaluations per step where they are fixed, and its options."""

    summary: str
    order: int
    stages: int | None
    options: Mapping[str, float]


_ITERATES = {"rtol": 1e-6, "max_iterations": 50}
ADAPTIVE = {"rtol": 1e-4, "atol": 1e-4, "max_steps": 10_000}
METHODS = {
    "euler": Method("Euler in log t, order 1", 1, 1, {}),
    "midpoint": Method("midpoint in log t, order 2", 2, 2, {}),
    "heun2": Method("Heun in log t, order 2", 2, 2, {}),
    "heun3": Method("Heun in log t, order 3", 3, 3, {}),
    "rk4": Method("Runge-Kutta in log t, order 4", 4, 4, {}),  # the 3/8 rule
    "explicit_adams": Method("Adams-Bashforth in log t, order 4", 4, None, {}),
    "implicit_adams": Method("Adams-Bashforth-Moulton in log t, order 4", 4, None, _ITERATES),
    "adaptive_heun": Method("adaptive in log t, order 2", 2, None, ADAPTIVE),
    "fehlberg2": Method("adaptive in log t, order 2", 2, None, ADAPTIVE),
    "bosh3": Method("adaptive in log t, order 3", 3, None, ADAPTIVE),
    "dopri5": Method("adaptive in log t, order 5", 5, None, ADAPTIVE),
    "dopri8": Method("adaptive in log t, order 8", 8, None, ADAPTIVE),
    # LSODA has orders up to 12.
    "scipy_solver": Method("SciPy's LSODA in log t, adaptive", 12, None, ADAPTIVE),
}


@hookimpl
def zoo_solvers() -> Iterable[Component]:
    """Bring the exponential and classical solvers, an adaptive one per sample, and torchdiffeq."""
    for name, target, summary in _OWN:
        yield Component(name, f"zoo_solvers.{target}", summary)
    yield Component(
        "learned",
        "zoo_solvers.learned:Learned",
        "exp-abm3 with a grid and weights learned for one model (zoo tune --learn, zoo distill)",
        {"grid": [80.0, 20.0, 5.0, 1.0, 0.002]},
    )
    for name, method in METHODS.items():
        target = f"zoo_solvers.diffeq:{name}"
        yield Component(f"torchdiffeq-{name}", target, f"torchdiffeq: {method.summary}")
