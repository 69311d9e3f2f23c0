"""zoo.load: name -> folder -> config -> parts -> model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch

from zoo.config.model import Config
from zoo.config.part import Part, SolverPart
from zoo.errors import ZooError, error_context
from zoo.folder.read import CONFIG, opened, read_card, read_config
from zoo.folder.weights import network_with
from zoo.formats.tensors import read_weights
from zoo.host.build import kernel as build_kernel
from zoo.host.build import kernel_of, network_of, prior_of, solver_of, solver_on
from zoo.host.registry import find
from zoo.host.requirements import check_requirements
from zoo.hub import Access
from zoo.interfaces import FieldKernel, Network
from zoo.models.lift import lift
from zoo.models.locate import folder_of, resolve, weight_paths
from zoo.models.model import FieldModel
from zoo.models.names import name_of, repository_of
from zoo.sampling.arguments import parse_dtype
from zoo.sampling.distributed import parse_device


def load(
    ref: str | Path,
    *,
    kernel: str | None = None,
    solver: str | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | str | None = None,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    format_options: Mapping[str, Any] | None = None,
) -> FieldModel:
    """Load a model of the zoo, ready to sample.

    Args:
        ref: a zoo name, a Hub id "owner/name" or "owner/name@revision", or a folder "./x", "/x";
            `hub:` and `path:` say which outright.
        kernel: the kernel to run the model under, at its default options. A model trained under a
            Gaussian one runs under any isotropic kernel (zoo.lift), any other only under its own.
        solver: the name of a solver to use instead of the model's own.
        device: where to put the network, the CPU by default.
        dtype: of the network's weights, torch.float16 or "float16"; float32 by default.
        revision: branch, tag or commit of a Hub repository; a commit that is on disk already is
            used without a request.
        token: for a private or gated Hub repository; None for the one of `hf auth login`.
        cache_dir: the Hub cache; None for the one in $HF_HOME.
        local_files_only: use nothing that is not on disk already.
        format_options: for files of another library, what its format is told, such as
            {"scheduler": "ddpm"}: `zoo components formats NAME` explains them.

    Raises:
        ZooError: the model is unknown or the Hub cannot be asked; its folder is malformed or does
            not match its hashes; it requires what is not installed; its network does not know the
            field of `kernel`.
        PluginError: a plugin that it needs is absent or broken.
    """
    access = Access(token, cache_dir, local_files_only)
    dtype = parse_dtype(dtype)
    folder = folder_of(ref, revision=revision, access=access, options=format_options)
    model = load_folder(
        folder, kernel=kernel, solver=solver, device=device, dtype=dtype, access=access
    )
    model.name, model.repository = name_of(ref), repository_of(ref)
    model.load_guide = partial(
        load, token=token, cache_dir=cache_dir, local_files_only=local_files_only
    )
    return model


@torch.inference_mode(False)
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
    home, config = resolve(folder, config, access)
    as_saved = kernel is None or _same(kernel, config.kernel)
    if solver is not None:
        config = _with_solver(config, solver)
    trained = _as_trained(config)
    where = torch.device("cpu") if device is None else parse_device(device)

    def network(own: FieldKernel) -> Network:
        def untrained() -> Network:
            with error_context(folder / CONFIG):
                return network_of(config.network, config.data.state_shape, own)

        paths = weight_paths(home, config.weights, access)
        listed = dict(zip(paths, config.weights.files.values(), strict=True))
        tensors = read_weights(listed, lambda path: opened(path, listed[path]))
        built = network_with(untrained, tensors, str(folder))
        return built.to(device=where, dtype=dtype or torch.float32)

    model = assemble(trained, network, file=folder / CONFIG)
    if as_saved and config.lifted_from:
        with error_context(folder / CONFIG):
            target = kernel_of(config.kernel, config.data.dim)
            model = lift(model, target, prior=prior_of(config.prior, target))
    elif kernel is not None and not _same(kernel, trained.kernel):
        model = _lifted(model, kernel)
    if as_saved:
        model.config, model.card = config, read_card(folder)
    return model.eval()


def _same(kernel: str, part: Part) -> bool:
    return find("kernels", kernel).qualified == find("kernels", part.use).qualified


def _with_solver(config: Config, name: str) -> Config:
    """Return `config` with another solver, the number of steps kept; its own keeps all options."""
    find("solvers", name)
    if name == config.solver.use:
        return config
    if config.distilled is not None:
        raise ZooError(
            f"solver = {name!r}: {config.distilled} takes its own steps alone; leave solver out"
        )
    other = SolverPart(name, steps=config.solver.steps)
    solver_of(other)  # here its error is not of config.json
    return msgspec.structs.replace(config, solver=other)


def _as_trained(config: Config) -> Config:
    """Return the config of the model as it was trained: not lifted."""
    own = config.lifted_from
    if own is None:
        return config
    return msgspec.structs.replace(config, kernel=own, prior=Part(own.use), lifted_from=None)


def _lifted(model: FieldModel, name: str) -> FieldModel:
    kernel = build_kernel(name, dim=model.kernel.dim)
    try:
        return lift(model, kernel)
    except ZooError as error:
        raise ZooError(f"kernel = {name!r}: {error}; leave kernel out") from error


def assemble(
    config: Config,
    network: Network | Callable[[FieldKernel], Network],
    *,
    kernel: FieldKernel | None = None,
    file: Path | None = None,
) -> FieldModel:
    """Return the model that a config describes.

    Args:
        config: of a model that is not lifted.
        network: with its weights; or a function that makes it for the kernel, called last.
        kernel: the config's, where it is built already.
        file: that holds the config, for errors about its kernel, prior and solver.

    Raises:
        ZooError: a part has no such component, or refuses its options; the network does not
            decode what the config says.
        PluginError: the plugin of a part is absent or broken.
    """
    with error_context(file) if file else nullcontext():
        kernel = kernel or kernel_of(config.kernel, config.data.dim)
        prior = prior_of(config.prior, kernel)
        solver = solver_on(config.solver, config.steps, kernel)
    network = network if isinstance(network, Network) else network(kernel)
    shape = config.data.state_shape
    with error_context(file) if file else nullcontext():
        return FieldModel(kernel, prior, network, solver, shape, config=config)


FieldModel.load_guide = staticmethod(load)
