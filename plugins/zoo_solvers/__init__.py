"""Solvers: classical methods on EDM's grid, an adaptive pair, and torchdiffeq's methods."""

from collections.abc import Iterable

from zoo import Component, hookimpl

_TORCHDIFFEQ = {
    "euler": ("Euler", "Euler in log t, order 1"),
    "midpoint": ("Midpoint", "midpoint in log t, order 2"),
    "heun2": ("Heun2", "Heun in log t, order 2"),
    "heun3": ("Heun3", "Heun in log t, order 3"),
    "rk4": ("RK4", "Runge-Kutta in log t, order 4"),
    "explicit_adams": ("ExplicitAdams", "Adams-Bashforth in log t, order 4"),
    "implicit_adams": ("ImplicitAdams", "Adams-Bashforth-Moulton in log t, order 4"),
    "adaptive_heun": ("AdaptiveHeun", "adaptive in log t, order 2"),
    "fehlberg2": ("Fehlberg2", "adaptive in log t, order 2"),
    "bosh3": ("Bosh3", "adaptive in log t, order 3"),
    "dopri5": ("Dopri5", "adaptive in log t, order 5"),
    "dopri8": ("Dopri8", "adaptive in log t, order 8"),
    "scipy_solver": ("ScipySolver", "SciPy's LSODA in log t, adaptive"),
}


@hookimpl
def zoo_solvers() -> Iterable[Component]:
    """Bring Euler, Heun, a per-sample adaptive Dormand-Prince pair, and torchdiffeq."""
    yield Component("euler", "zoo_solvers.euler:Euler", "Euler on the EDM grid, order 1")
    yield Component("heun", "zoo_solvers.heun:Heun", "Heun on the EDM grid, order 2 (EDM)")
    yield Component("dopri5", "zoo_solvers.dopri5:Dopri5", "adaptive per sample, order 5")
    for method, (name, summary) in _TORCHDIFFEQ.items():
        yield Component(
            f"torchdiffeq-{method}", f"zoo_solvers.diffeq:{name}", f"torchdiffeq: {summary}"
        )
