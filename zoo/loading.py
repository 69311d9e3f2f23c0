"""zoo.load: name -> folder -> config -> parts -> model."""

from __future__ import annotations

from pathlib import Path

import msgspec
import torch

from zoo.config import Config, Part
from zoo.device import parse_device
from zoo.errors import ZooError
from zoo.folder import check_requirements, read_card, read_config
from zoo.locate import folder_of, weight_paths
from zoo.model import FieldModel
from zoo.parts import kernel_of, network_of, prior_of, solver_of
from zoo.refs import Access
from zoo.registry import find
from zoo.weights import network_with, read_weights


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
        kernel: the kernel to run the model under; only the one that it was trained under will do.
        solver: the name of a solver to use instead of the model's own.
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
    return load_folder(
        folder, kernel=kernel, solver=solver, device=device, dtype=dtype, access=access
    )


def _check_kernel(config: Config, name: str) -> None:
    asked, own = find("kernels", name), find("kernels", config.kernel.use)
    if asked.qualified != own.qualified:
        raise ZooError(
            f"kernel = {name!r}: the network was trained under {config.kernel.use!r} and knows no "
            "other field; leave kernel out"
        )


def _with_solver(config: Config, name: str) -> Config:
    """Return `config` with another solver, the number of steps kept."""
    find("solvers", name)
    steps = {k: v for k, v in config.solver.options.items() if k == "steps"}
    return msgspec.structs.replace(config, solver=Part(name, steps))


def load_folder(
    folder: Path,
    *,
    kernel: str | None = None,
    solver: str | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    access: Access | None = None,
) -> FieldModel:
    """Load the model in `folder`; arguments as for `load`, and how to reach weights elsewhere."""
    config = read_config(folder)
    check_requirements(config, folder.name)
    if kernel is not None:
        _check_kernel(config, kernel)
    if solver is not None:
        config = _with_solver(config, solver)
    field_kernel = kernel_of(config.kernel, config.data.dim)
    tensors = read_weights(weight_paths(folder, config.weights, access))
    network = network_with(
        lambda: network_of(config.network, config.data.shape, field_kernel), tensors, str(folder)
    )
    where = parse_device(device) if isinstance(device, str) else device
    model = FieldModel(
        kernel=field_kernel,
        prior=prior_of(config.prior, field_kernel),
        network=network.to(device=where or "cpu", dtype=dtype or torch.float32),
        solver=solver_of(config.solver),
        shape=config.data.shape,
        config=config,
        card=read_card(folder),
    )
    return model.eval()
