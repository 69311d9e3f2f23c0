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
from zoo.folder import check_file, missing_requirements, read_card, read_config
from zoo.interfaces import FieldKernel
from zoo.model import FieldModel
from zoo.names import find_model
from zoo.refs import Local, Name, parse_ref
from zoo.weights import network_with, read_weights


def folder_of(ref: str) -> Path:
    """Return the folder that a reference stands for.

    Raises:
        ZooError: an unknown name, a folder that does not exist, a malformed reference.
    """
    parsed = parse_ref(ref)
    if isinstance(parsed, Name):
        return find_model(parsed.name).folder
    if isinstance(parsed, Local):
        if not parsed.path.is_dir():
            raise ZooError(f"{ref}: there is no folder {parsed.path}")
        return parsed.path
    from zoo.hub import pull_repository

    return pull_repository(parsed.repo, revision=parsed.revision)


def _kernel(config: Config) -> FieldKernel:
    return build_kernel(config.kernel.use, dim=config.data.dim, **config.kernel.options)


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
        revision: of a Hub repository.
        token: for a private or gated Hub repository.
        cache_dir: the Hub cache.
        local_files_only: use nothing that is not on disk already.

    Raises:
        ZooError: the model is unknown, or its folder is malformed or does not match its hashes.
        PluginError: a plugin that it needs is absent or broken.
    """
    folder = folder_of(str(ref))
    return load_folder(folder, solver=solver, device=device, dtype=dtype)


def load_folder(
    folder: Path,
    *,
    solver: str | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> FieldModel:
    """Load the model in `folder`; arguments as for `load`."""
    config = read_config(folder)
    if needs := missing_requirements(config):
        wanted = " ".join(f"'{n}'" for n in needs)
        raise ZooError(f"{folder.name} needs {', '.join(needs)}: pip install {wanted}")
    kernel = _kernel(config)
    paths = []
    for name, expected in config.weights.files.items():
        check_file(folder / name, expected)
        paths.append(folder / name)

    def build() -> Any:
        part = config.network
        return build_network(part.use, shape=config.data.shape, kernel=kernel, **part.options)

    network = network_with(build, read_weights(paths), str(folder)) if paths else build()
    solver_part = Part(solver, {}) if solver else config.solver
    options = {k: v for k, v in solver_part.options.items() if k != "steps"}
    model = FieldModel(
        kernel=kernel,
        prior=build_prior(config.prior.use, kernel, **config.prior.options),
        network=network.to(device=device or "cpu", dtype=dtype or torch.float32),
        solver=build_solver(solver_part.use, **options),
        shape=config.data.shape,
        config=config,
        card=read_card(folder),
    )
    return model.eval()
