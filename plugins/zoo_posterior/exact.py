"""The exact posterior of a finite data set, under every kernel.

    E[G | x_t, y] = sum_i w_i G_i,   w = softmax_i (log G_1(x, x_i, t) + log N(y; A x_i, S))

The posterior's field is the same expectation with other weights (kexue.fm/archives/9370, section
"Green's function"). All other methods are held to it.
"""

from __future__ import annotations

from torch import Tensor

from zoo import ZooError
from zoo.interfaces import Estimate, FieldKernel, Network, Observation, PosteriorMethod


class Exact(PosteriorMethod):
    """The true posterior of the data of `zoo.exact`; for any operator and kernel.

    No pass back through the network.
    """

    gradient = False
    reweighs = True

    def __init__(self) -> None:
        self._log_weights: Tensor | None = None

    def prepare(self, network: Network, kernel: FieldKernel, seen: Observation) -> PosteriorMethod:
        """Return the method with the likelihood of every source.

        Raises:
            ZooError: the model is not one of `zoo.exact` on data points; noise = 0.
        """
        del kernel
        if network.sources is None:
            raise ZooError(
                f"the method 'exact' needs the data themselves, as in zoo.exact(kernel, data); a "
                f"{type(network).__name__} has none: use 'mmps'"
            )
        self.check_noise(seen)
        known = Exact()
        known._log_weights = seen.log_likelihood(network.sources)
        return known

    def denoise(self, at: Estimate, seen: Observation) -> Tensor:
        """Return E[x_0 | x_t, y], shape (B, *shape); the field where the kernel has none."""
        assert self._log_weights is not None, "prepare comes first"
        assert seen.rows is not None, "of a batch"
        out = at.weighted(self._log_weights[seen.rows.to(self._log_weights.device)])
        if at.network.predicts == "field" and at.kernel.affine:
            return at.kernel.denoised(out, at.x, at.t.double())
        return out
