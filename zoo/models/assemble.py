"""From a config.json to a model: every part built by its name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from zoo.config.model import Config
from zoo.errors import error_context
from zoo.host.build import kernel_of, prior_of, solver_of
from zoo.interfaces import FieldKernel, Network
from zoo.models.model import FieldModel


def assemble(
    config: Config,
    network: Network | Callable[[FieldKernel], Network],
    *,
    kernel: FieldKernel | None = None,
    card: str = "",
    file: Path | None = None,
) -> FieldModel:
    """Return the model that a config describes.

    Args:
        config: of a model that is not lifted.
        network: with its weights; or a function that makes it for the kernel, called last.
        kernel: the config's, where it is built already.
        card: the model card.
        file: that holds the config, for errors about its kernel, prior and solver.

    Raises:
        ZooError: a part has no such component, or refuses its options.
        PluginError: the plugin of a part is absent or broken.
    """
    with error_context(file) if file else nullcontext():
        kernel = kernel or kernel_of(config.kernel, config.data.dim)
        prior = prior_of(config.prior, kernel)
        solver = solver_of(config.solver)
    network = network if isinstance(network, Network) else network(kernel)
    return FieldModel(kernel, prior, network, solver, config.data.shape, config=config, card=card)
