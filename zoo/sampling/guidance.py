"""How a prediction is guided: by the network without its class, or by another model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from zoo.errors import ZooError, brief
from zoo.interfaces import FieldKernel
from zoo.interfaces.checks import check_real

Interval = tuple[float, float]


@dataclass(frozen=True)
class Guidance:
    """D = D_guide + weight (D - D_guide) at noise levels of an interval, D elsewhere.

    Attributes:
        weight: 1 is none.
        guide: another model; None for the network itself without class and condition.
        interval: noise levels sigma / alpha, both ends included; None for all.
        asked: the guide as it is asked in the place of a network, once it was.
    """

    weight: float = 1.0
    guide: Any = None
    interval: Interval | None = None
    asked: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def of_classes(self) -> float:
        """The weight with which class and condition are followed; 1 where there is a guide."""
        return 1.0 if self.guide is not None else self.weight

    def inside(self, kernel: FieldKernel, by_level: bool) -> Callable[[Tensor], Tensor] | None:
        """Return which times, or levels where the network is asked `by_level`, are inside.

        None for all of them.
        """
        if self.interval is None:
            return None
        low, high = self.interval

        def inside(t: Tensor) -> Tensor:
            level = t if by_level else kernel.level(t.double())
            return (low <= level) & (level <= high)

        return inside


def as_guidance(guidance: float | Guidance) -> Guidance:
    """Return the guidance of a weight."""
    return guidance if isinstance(guidance, Guidance) else Guidance(guidance)


def check_interval(interval: Any, kernel: FieldKernel | None) -> Interval:
    """Return an interval of noise levels (low, high), of which `kernel`, if given, has some.

    Raises:
        ZooError: not two numbers with 0 <= low < high, or levels that the kernel never has.
    """
    try:
        low, high = (float(end) for end in interval)
    except (TypeError, ValueError) as error:
        raise ZooError(
            f"guidance_interval = {brief(interval)}; expected two noise levels (low, high)"
        ) from error
    if not 0 <= low < high:
        raise ZooError(f"guidance_interval = ({low:g}, {high:g}); expected 0 <= low < high")
    if kernel is None:
        return low, high
    least, most = (float(kernel.level(t)) for t in (kernel.t_min, kernel.t_max))
    if high < least or low > most:
        raise ZooError(
            f"guidance_interval = ({low:g}, {high:g}) lies outside the noise levels of "
            f"{type(kernel).__name__}, {least:.4g} to {most:.4g}"
        )
    return low, high


def check_weight(guidance: Any) -> float:
    """Return a weight as a float: torch takes no whole number beyond 64 bits.

    Raises:
        ZooError: it is no finite number.
    """
    return float(check_real("guidance", guidance, "a finite number, 1 for none"))
