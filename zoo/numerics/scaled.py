"""Numbers with a separate exponent, for values outside the range of a float."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# A small exponent goes into the mantissa: added to a large exponent it would be rounded away.
# Mantissas within e^-300 ... e^300 can still be squared; the other limit leaves room for products.
POWER_RANGE = 300.0
FACTOR_RANGE = 100.0


class Scaled(NamedTuple):
    """The numbers mantissa * exp(exponent), tensors of one shape, which results have."""

    mantissa: Tensor
    exponent: Tensor

    @classmethod
    def plain(cls, value: Tensor) -> Scaled:
        """Return `value` with exponent 0."""
        return cls(value, torch.zeros_like(value))

    @classmethod
    def of(cls, mantissa: Tensor | float, exponent: Tensor, reach: float = FACTOR_RANGE) -> Scaled:
        """Return mantissa * exp(exponent); an exponent below `reach` goes into the mantissa."""
        near = exponent.detach().abs() < reach
        factor = torch.where(near, exponent, 0.0).exp()
        return cls(mantissa * factor, torch.where(near, 0.0, exponent))

    @classmethod
    def power_of_e(cls, exponent: Tensor) -> Scaled:
        """Return exp(exponent)."""
        return cls.of(1.0, exponent)

    def normal(self) -> Scaled:
        """Return the same number; a very large or small mantissa goes into the exponent."""
        log = torch.where(self.mantissa == 0, 1.0, self.mantissa).abs().log()
        far = log.detach().abs() > POWER_RANGE
        shift = torch.where(far, log, 0.0)
        return Scaled(
            torch.where(far, self.mantissa.detach().sign(), self.mantissa), self.exponent + shift
        )

    def log(self) -> Tensor:
        """Return the log of the number; NaN if it is negative."""
        return self.mantissa.log() + self.exponent

    def log_size(self) -> Tensor:
        """Return the log of its absolute value."""
        return self.mantissa.abs().log() + self.exponent

    def value(self) -> Tensor:
        """Return the number itself; it may underflow."""
        return self.mantissa * self.exponent.exp()
