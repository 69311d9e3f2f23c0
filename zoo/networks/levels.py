"""What x_t and t tell of a sample's noise level: a table, fitted to the data before training.

Under a kernel with random levels the level s of one sample is no function of t (gravity:
s = t / |eps_t|). It shows in a reading h of x_t = x_0 + s n, but so does x_0: a far point may be
noise, or one from the tail of the data. With q_j(t) the kernel's probability of level s_j at time
t, and K(h | s_j) how often data with noise of that level are read as h, Bayes gives

    E[g | h, t] = sum_j q_j(t) K_j(h) E[g | h, s_j] / sum_j q_j(t) K_j(h).

K is counted once, over data and levels; the law of the level is exact, however rare the level.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.interfaces import IsotropicKernel
from zoo.networks.level_fit import (
    NUMBERS,
    READINGS,
    TIMES,
    Means,
    Observations,
    level_probabilities,
    spread_nodes,
    student_vectors,
    table_axes,
)

# log of a level that bounds nothing.
_OPEN = 64.0
# Part of a typical length below which |x| is no length.
_NEAR = 0.1


def shows_level(shape: tuple[int, ...]) -> bool:
    """Return whether data of a shape are images, which show their noise in their details."""
    return len(shape) == 3 and min(shape[1:]) >= 2


def haar_level(x: Tensor) -> Tensor:
    """Return Donoho's noise level: median |HH| / 0.6745, shape (B,), for images (B, C, H, W).

    HH is the finest diagonal Haar detail, where natural images have almost nothing.
    Source: Donoho and Johnstone, Biometrika 81 (1994), section 5.
    """
    height, width = x.shape[-2] // 2 * 2, x.shape[-1] // 2 * 2
    x = x[..., :height, :width]
    top, bottom = x[..., 0::2, :], x[..., 1::2, :]
    detail = (top[..., 0::2] - top[..., 1::2] - bottom[..., 0::2] + bottom[..., 1::2]) / 2
    return detail.flatten(1).abs().median(dim=1).values / 0.6745


def rms(x: Tensor) -> Tensor:
    """Return |x| / sqrt(d), shape (B,), at x = 0 with the gradient 0."""
    return x.flatten(1).square().mean(dim=1).clamp(min=torch.finfo(x.dtype).tiny).sqrt()


def open_table(columns: int = 1) -> dict[str, Tensor]:
    """Return the state of a table that bounds no level."""
    ends = torch.tensor([0.0, 1.0, 0.0, 1.0])
    return {"values": torch.full((TIMES, READINGS, columns), _OPEN), "ends": ends}


class LevelTable(nn.Module):
    """E[s^2 | h, t], and for vectors the best multiple of x_t as an estimate of x_0.

    The reading h is the noise level that the finest details of an image show, or |x_t| / sqrt(d) of
    a vector. With y = x_t / sqrt(d) and y_0 = x_0 / sqrt(d),

        1 - skip = E[y (y - y_0) | h, t] / h^2,    error^2 = E[(y_0 - skip y)^2 | h, t].

    Until `fit` has seen data, vectors are taken for those of a Student law with 4 degrees of
    freedom, and of images nothing is known: the table bounds no level. Values are interpolated by
    a cubic spline in the logarithms of h and t.

    Args:
        kernel: with random levels.
        shape: of the data.
        sigma_data: standard deviation of the data per coordinate.

    Attributes:
        values: log sqrt E[s^2 | h, t], and for vectors log error and the logit of skip:
            (TIMES, READINGS, 1 or 3).
        ends: logs of the first reading and the last, of t_min and t_max, (4,).
        near: of vectors, a tenth of a typical length of data, (); 0 in files of before it.
    """

    def __init__(self, kernel: IsotropicKernel, shape: tuple[int, ...], sigma_data: float) -> None:
        super().__init__()
        self.kernel, self.of_images = kernel, shows_level(shape)
        first = open_table(1 if self.of_images else 3)
        self.values, self.ends = nn.Buffer(first["values"]), nn.Buffer(first["ends"])
        if not self.of_images:
            self.near = nn.Buffer(torch.zeros(()))
        self._assumed = None if self.of_images else (shape, sigma_data)
        self.register_state_dict_pre_hook(LevelTable.settle)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(LevelTable._loaded)  # type: ignore[no-untyped-call]

    def reading(self, x: Tensor) -> Tensor:
        """Return h, shape (B,)."""
        return haar_level(x) if self.of_images else rms(x)

    def size(self, x: Tensor, alpha: Tensor, level: Tensor) -> Tensor:
        """Return sqrt(h^2 + a tenth of a typical length at this level squared), (B,), of vectors.

        It is smooth in x at the origin, where h is not, and where there are next to no data.
        """
        floor = (alpha * self.near).square() + (_NEAR * level).square() * (self.near > 0)
        return (self.reading(x).square() + floor).sqrt().to(x.dtype)

    def shown(self, reading: Tensor, t: Tensor) -> Tensor:
        """Return the level that images show: h, and no less than the least that t allows, (B,)."""
        return torch.maximum(reading, self.kernel.least_level(t).to(reading))

    def _loaded(self, *_: object) -> None:
        self._assumed = None

    def settle(self, *_: object) -> None:
        """Fill a table that has seen no data; not before it is needed, since that takes a second.

        (Of a kernel whose radial CDF is a quadrature.)
        """
        if self._assumed is not None and not self.values.is_meta:
            self.fit(student_vectors(*self._assumed))

    @torch.inference_mode(False)
    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Learn from data (n, *shape)."""
        self._assumed = None
        edges, times = table_axes(self.kernel)
        if self.of_images:
            count = max(16, min(256, len(x), NUMBERS // (4 * x[0].numel())))
            nodes = x[torch.linspace(0, len(x) - 1, count).long()]
            weights = torch.full((count,), 1 / count, dtype=torch.float64)
            ends = float(edges[0]), float(edges[-1])
        else:
            nodes, weights = spread_nodes(x.flatten(1))
            typical = max(float(rms(x).median()), 1e-18)
            ends = 1e-2 * typical, 2 * max(float(edges[-1]), float(rms(nodes).max()))
        seen = Observations(
            nodes.double(), weights, edges, self.reading, ends, noise_alone=self.of_images
        )
        means = seen.means(level_probabilities(self.kernel, edges, times))
        columns = [means[0].log() / 2]
        if not self.of_images:
            self.near.fill_(_NEAR * typical)
            levels = self.kernel.level(times)[:, None]
            logit, error = Means(*means).best_skip(typical, levels)
            columns += [error.log() / 2, logit]
        last = seen.low + seen.step * (READINGS - 1)
        self.values.copy_(torch.stack(columns, dim=2))
        self.ends.copy_(torch.tensor([seen.low, last, *times[[0, -1]].log().tolist()]))

    def forward(self, reading: Tensor, t: Tensor) -> Tensor:
        """Return the values at readings (B,) and times (B,), shape (B, 1 or 3)."""
        self.settle()
        low, high, first, last = self.ends.to(reading).unbind()
        row, rows = _cubic((t.to(reading).log() - first) / (last - first), TIMES)
        logs = reading.clamp(min=1e-30).log()
        column, columns = _cubic((logs - low) / (high - low), READINGS)
        index = row[:, :, None] * READINGS + column[:, None, :]  # (B, 4, 4)
        weights = rows[:, :, None] * columns[:, None, :]
        found = self.values.flatten(0, 1)[index.flatten(1)].to(reading)
        return (weights.flatten(1)[..., None] * found).sum(dim=1)


def _cubic(position: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return indices and weights (B, 4) of Catmull and Rom's spline through `count` knots.

    Positions (B,) are of [0, 1], beyond which the ends go on.
    """
    position = position.clamp(0, 1) * (count - 1)
    left = position.detach().floor().clamp(max=count - 2)
    f = position - left
    powers = torch.stack([torch.ones_like(f), f, f**2, f**3], dim=1)
    weights = powers @ powers.new_tensor(
        [[0, 1, 0, 0], [-0.5, 0, 0.5, 0], [1, -2.5, 2, -0.5], [-0.5, 1.5, -1.5, 0.5]]
    )
    steps = torch.arange(-1, 3, device=position.device)
    return (left.long()[:, None] + steps).clamp(0, count - 1), weights
