"""zoo.load: name -> folder -> config -> parts -> model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from zoo.build import kernel as build_kernel
from zoo.build import network as build_network
from zoo.build import prior as build_prior
from zoo.build import solver as build_solver
from zoo.config import Config, Part
from zoo.errors import ZooError
from zoo.folder import check_requirements, read_card, read_config
from zoo.interfaces import FieldKernel
from zoo.locate import folder_of, weight_paths
from zoo.model import FieldModel
from zoo.refs import Access
from zoo.weights import network_with, read_weights


def _options(part: Part, *taken: str) -> dict[str, Any]:
    """Return a part's options for its builder, which fills in `taken` and its name itself."""
    if clash := sorted({"name", *taken} & part.options.keys()):
        raise ZooError(f"{part.use!r} has no option {clash[0]!r}; zoo fills that in itself")
    return part.options


def _kernel(config: Config) -> FieldKernel:
    part = config.kernel
    return build_kernel(part.use, dim=config.data.dim, **_options(part, "dim"))


def load(
    ref: str | Path,
    *,
    kernel: str | None = None,
    solver: str | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> FieldModel:
    """Load a model of the zoo, ready to sample.

    Args:
        ref: a zoo name, a Hub id "owner/name" or "owner/name@revision", or a folder "./x", "/x";
            `hub:` and `path:` say which outright.
        kernel: run the model under another kernel.
        solver: a solver to use instead of the model's own.
        device: where to put the network, the CPU by default.
        dtype: of the network's weights, float32 by default.
        revision: branch, tag or commit of a Hub repository; a commit that is on disk already is
            used without a request.
        token: for a private or gated Hub repository; None for the one of `hf auth login`.
        cache_dir: the Hub cache; None for the one in $HF_HOME.
        local_files_only: use nothing that is not on disk already.

    Raises:
        ZooError: the model is unknown or the Hub cannot be asked; its folder is malformed or does
            not match its hashes; it requires what is not installed.
        PluginError: a plugin that it needs is absent or broken.
    """
    access = Access(token, cache_dir, local_files_only)
    where = f"path:{ref}" if isinstance(ref, Path) else ref
    folder = folder_of(where, revision=revision, access=access)
    return load_folder(folder, solver=solver, device=device, dtype=dtype, access=access)


def load_folder(
    folder: Path,
    *,
    solver: str | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    access: Access | None = None,
) -> FieldModel:
    """Load the model in `folder`; arguments as for `load`, and how to reach weights elsewhere."""
    config = read_config(folder)
    check_requirements(config, folder.name)
    kernel = _kernel(config)
    tensors = read_weights(weight_paths(folder, config.weights, access))

    def build() -> Any:
        options = _options(config.network, "shape", "kernel")
        return build_network(config.network.use, shape=config.data.shape, kernel=kernel, **options)

    network = network_with(build, tensors, str(folder))
    solver_part = Part(solver, {}) if solver else config.solver
    options = {k: v for k, v in _options(solver_part).items() if k != "steps"}
    model = FieldModel(
        kernel=kernel,
        prior=build_prior(config.prior.use, kernel, **_options(config.prior, "kernel")),
        network=network.to(device=device or "cpu", dtype=dtype or torch.float32),
        solver=build_solver(solver_part.use, **options),
        shape=config.data.shape,
        config=config,
        card=read_card(folder),
    )
    return model.eval()
