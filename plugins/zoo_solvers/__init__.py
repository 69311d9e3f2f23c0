"""Solvers: exponential and classical, an adaptive pair, and torchdiffeq's methods."""

from collections.abc import Iterable

from zoo import Component, hookimpl

_OWN = (
    ("euler", "runge_kutta:Euler", "Euler on the EDM grid, order 1"),
    ("heun", "runge_kutta:Heun", "Heun on the EDM grid, order 2 (EDM)"),
    (
        "heun-churn",
        "churn:HeunChurn",
        "Heun with noise added on the way (EDM's stochastic sampler)",
    ),
    ("rk4", "runge_kutta:RK4", "Runge-Kutta in log t, order 4"),
    ("ab2", "adams:AB2", "Adams-Bashforth in log t, order 2, 1 evaluation a step"),
    ("ab3", "adams:AB3", "Adams-Bashforth in log t, order 3, 1 evaluation a step"),
    ("ddim", "exponential:DDIM", "exponential Euler, order 1"),
    ("exp-heun", "exponential:ExpHeun", "exponential Heun, order 2, 2 evaluations a step"),
    ("exp-ab2", "exponential:ExpAB2", "exponential multistep (DPM-Solver++ 2M), order 2"),
    ("exp-ab3", "exponential:ExpAB3", "exponential multistep (DPM-Solver++ 3M), order 3"),
    ("exp-abm3", "exponential:ExpABM3", "exponential predictor-corrector (UniPC), order 3"),
    ("exp-abm4", "exponential:ExpABM4", "exponential predictor-corrector (UniPC), order 4"),
    (
        "exp-adaptive",
        "exp_adaptive:ExpAdaptive",
        "adaptive exponential Adams, a step size per sample",
    ),
    ("dopri5", "dopri5:Dopri5", "adaptive, a step size per sample, order 5"),
)

_TORCHDIFFEQ = {
    "euler": "Euler in log t, order 1",
    "midpoint": "midpoint in log t, order 2",
    "heun2": "Heun in log t, order 2",
    "heun3": "Heun in log t, order 3",
    "rk4": "Runge-Kutta in log t, order 4",
    "explicit_adams": "Adams-Bashforth in log t, order 4",
    "implicit_adams": "Adams-Bashforth-Moulton in log t, order 4",
    "adaptive_heun": "adaptive in log t, order 2",
    "fehlberg2": "adaptive in log t, order 2",
    "bosh3": "adaptive in log t, order 3",
    "dopri5": "adaptive in log t, order 5",
    "dopri8": "adaptive in log t, order 8",
    "scipy_solver": "SciPy's LSODA in log t, adaptive",
}


@hookimpl
def zoo_solvers() -> Iterable[Component]:
    """Bring the exponential and classical solvers, an adaptive one per sample, and torchdiffeq."""
    for name, target, summary in _OWN:
        yield Component(name, f"zoo_solvers.{target}", summary)
    for method, summary in _TORCHDIFFEQ.items():
        target = f"zoo_solvers.diffeq:{method}"
        yield Component(f"torchdiffeq-{method}", target, f"torchdiffeq: {summary}")
