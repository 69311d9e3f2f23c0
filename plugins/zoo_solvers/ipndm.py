"""iPNDM: a multistep method whose weights are those of equal steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor

from zoo.interfaces import Flow, GridSolver
from zoo_solvers.linear import denoiser, marginal

# Adams and Bashforth's weights of one to four values, newest first.
_WEIGHTS = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


class IPNDM(GridSolver):
    """Improved PNDM: the last four values of the noise e, with Adams-Bashforth's weights.

        e = (x - alpha D) / sigma
        x' = (alpha'/alpha) x + (sigma' - sigma alpha'/alpha) sum_k w_k e_k,
        w = (55, -59, 37, -9) / 24

    One evaluation a step; the first steps take one, two and three values. The weights suit equal
    steps of sigma/alpha, where the order is 4; on the grids that are used it is 2. A baseline: the
    weights of `exp-ab3` and `exp-abm4` are those of the grid.
    Sources: PNDM, arXiv:2202.09778; without its first Runge-Kutta steps, arXiv:2204.13902.
    """

    order = 2

    def states(self, flow: Flow, x: Tensor, times: list[float]) -> Iterator[Tensor]:
        """Yield the state after every step, shape (B, *)."""
        denoise = denoiser(flow)
        grid = marginal(flow.kernel, torch.tensor(times, dtype=torch.float64))
        alpha, sigma = (column.tolist() for column in grid)
        values: deque[Tensor] = deque(maxlen=len(_WEIGHTS))
        for i, t in enumerate(times[:-1]):
            d = denoise(x, t).to(x)
            values.appendleft((x - alpha[i] * d) / sigma[i])
            if i == 0:  # alpha may be 0 here
                x = alpha[1] * d + sigma[1] * values[0]
            else:
                decay = alpha[i + 1] / alpha[i]
                noise = sum(w * e for w, e in zip(_WEIGHTS[len(values) - 1], values, strict=True))
                x = decay * x + (sigma[i + 1] - decay * sigma[i]) * noise
            yield x
