"""How long a run would take: some steps of it, made and forgotten."""

from __future__ import annotations

import time

from zoo.train.loop import Trainer

STEPS = 20
# The first ones also allocate, compile and fill caches.
_WARMUP = 5


def seconds_per_step(trainer: Trainer) -> float:
    """Make the first 20 steps of a run, fewer where it has fewer; return the mean time of one.

    The first 5 are not counted where there are more. The trainer is changed, but writes nothing.
    """
    steps = min(STEPS, trainer.steps)
    skipped = _WARMUP if steps > _WARMUP else 0
    for _ in range(skipped):
        trainer.advance()
    since = time.perf_counter()
    for _ in range(steps - skipped):
        trainer.advance()
    return (time.perf_counter() - since) / (steps - skipped)


def duration(seconds: float) -> str:
    """Return a time in the two largest units that it has: "3 d 4 h", "2 h 5 min", "7 s"."""
    whole = max(1, round(seconds))
    units = {"d": whole // 86400, "h": whole // 3600 % 24, "min": whole // 60 % 60, "s": whole % 60}
    names = [*units]
    first = next(i for i, name in enumerate(names) if units[name])
    return " ".join(f"{units[n]} {n}" for n in names[first : first + 2] if units[n])
