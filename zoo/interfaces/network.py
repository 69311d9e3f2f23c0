"""The network: learns the denoiser E[x_0 | x_t], or the field itself."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from zoo.config.part import Part, described
from zoo.interfaces.decoder import Decoder

# EDM's (arXiv:2206.00364, table 1), where a network does not say.
SIGMA_DATA = 0.5

Predicts = Literal["denoised", "field"]


class Network(nn.Module, ABC):
    """A network of the zoo. A component is called as component(shape, kernel, **options).

    Attributes:
        predicts: "denoised", forward returns E[x_0 | x_t]; or "field", it returns dx/dt.
        labels: number of classes it can be conditioned on, 0 for none.
        condition: shape of one condition that it takes besides, (k,), (C, L) or (C, H, W); None
            for none. Where there is one, `forward` is called with a fourth argument, and `loss`
            with the keyword `condition`: (B, *condition), a row of NaN where it is hidden.
        why_unnamed: of a network that is never built by name: why it cannot be saved, and what to
            do instead; in one line.
        augment: number of augmentation labels per sample, 0 for none. Where there are
            some, `loss` takes them as the keyword `augment`, (B, augment); sampling gives none,
            which means "as it is" (non-leaky augmentation, arXiv:2206.00364, appendix F.2).
        sigma_data: standard deviation of the data per coordinate, in data units, where it is
            known: solvers measure noise by it. None where it is not.
        tile: on the CPU evaluate at least so many samples together (zoo.sampling.predict).
        by_level: it is asked by the noise level in the place of t.
        high: the largest level s = sigma / alpha that it knows: beyond, D is D(y high / s; high)
            of y = x / alpha.
        compiled: whether `compile` has been called on it as a whole.
    """

    part: Part | None = None
    why_unnamed: str = ""
    predicts: Predicts = "denoised"
    labels: int = 0
    condition: tuple[int, ...] | None = None
    augment: int = 0
    sigma_data: float | None = None
    tile: int = 1
    by_level: bool = False
    high: float = math.inf
    compiled: bool = False

    @property
    def sources(self) -> Tensor | None:
        """The data whose exact prediction this is, (N, *shape); None for networks.

        Where there are some, forward takes the keyword `log_weights`, (B, N), of other weights for
        each sample.
        """
        return None

    @property
    def latent_decoder(self) -> Decoder | None:
        """What makes images of its latents, in a latent model; None where it sees data."""
        return None

    def __repr__(self) -> str:
        return described(self, parameters=sum(p.numel() for p in self.parameters()))

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Let torch.compile make the network's code, with its arguments."""
        super().compile(*args, **kwargs)
        self.compiled = True

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return what `forward` does; a copy of the result of compiled code.

        CUDA graphs give every answer in the same memory, and solvers keep some.
        """
        out: Tensor = super().__call__(*args, **kwargs)
        return out.clone() if self.compiled else out

    @abstractmethod
    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the prediction, shape of x_t (B, *).

        t is a scalar or (B,); labels are (B,) class numbers, -1 for "no class". A network with a
        `condition` takes `condition=None` too.
        """

    def state_of(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the state that a file's tensors stand for, shapes as `state_dict` has them.

        Raises:
            ZooError: they are of a version that cannot be read any more.
        """
        return tensors

    @property
    def learns_from_data(self) -> bool:
        """Whether `fit` does anything, so that data have to be read for it."""
        return type(self).fit is not Network.fit

    def fit(self, x: Tensor, labels: Tensor | None = None) -> None:
        """Look at the training data once, before the first step.

        By default nothing is done, and no data are read for networks that leave it at that, or
        whose `learns_from_data` is False.
        What is learned here belongs into buffers, so that it is saved with the weights. The same
        data have to give the same result.

        Args:
            x: all training data or many of them, (n, *shape).
            labels: class numbers (n,), or None.
        """

    def loss(
        self,
        x_t: Tensor,
        t: Tensor,
        target: Tensor,
        labels: Tensor | None = None,
        *,
        condition: Tensor | None = None,
    ) -> Tensor:
        """Return the training loss per sample, shape (B,), minimal at E[target | x_t].

        `target` is x_0 ("denoised") or the conditional velocity ("field"). Any positive weight
        w(x_t, t) keeps the minimiser; override it where the plain square is badly scaled.
        """
        given = () if condition is None else (condition,)
        predicted: Tensor = self(x_t, t, labels, *given)
        return (predicted - target).square().flatten(1).mean(dim=1)
