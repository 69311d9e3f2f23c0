"""Which format a checkpoint is in: all that are installed are asked, their order without effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
from torch import Tensor

from zoo.config.model import Config, dump_config, parse_config
from zoo.errors import PluginError, ZooError
from zoo.host import build
from zoo.host.build import options_of
from zoo.host.plugins import describe_error
from zoo.host.registry import Found, catalogue, find, hint
from zoo.host.requirements import check_requirements, requirements
from zoo.interfaces import Checkpoint, Files


class UnknownFormat(ZooError):
    """No format knows the files.

    Attributes:
        tried: which formats were asked, and what to do.
    """

    def __init__(self, files: Files, tried: str) -> None:
        super().__init__(f"{files.where} is in no format that is known here: {tried}")
        self.tried = tried

    def after(self, error: ZooError) -> ZooError:
        """Return `error`, why the files are no model folder of the zoo, with what was tried."""
        return ZooError(f"{error}; nor is it in another format: {self.tried}")


def read_checkpoint(
    files: Files, options: Mapping[str, Any] | None = None, *, format: str | None = None
) -> Checkpoint:
    """Return the model in `files`, read by the one format that knows them.

    Args:
        files: of the checkpoint.
        options: of the format.
        format: its name; None asks every format.

    Raises:
        UnknownFormat: no format knows the files.
        ZooError: two formats do; the one that does cannot read them, or has no such option; what
            the model requires is not installed.
    """
    known = catalogue("formats") if format is None else {format: find("formats", format)}
    found: dict[str, Checkpoint] = {}
    broken: list[str] = []
    refused: dict[str, ZooError] = {}
    for name, component in known.items():
        try:
            if checkpoint := _read(component, files, options or {}):
                found[name] = checkpoint
        except PluginError as error:
            broken.append(str(error))
        except ZooError as error:
            refused[str(error)] = error
    if len(found) > 1:
        names = " and ".join(_owned(known, name) for name in found)
        raise ZooError(
            f"{files.where} is in the formats {names}; choose one by `zoo convert --format`"
        )
    if found:
        (checkpoint,) = found.values()
        check_requirements(checkpoint.config, files.where)
        return checkpoint
    if len(refused) == 1 and not broken:
        raise next(iter(refused.values()))
    if refused:
        raise ZooError("; ".join([*refused, *broken]))
    tried = ", ".join(_owned(known, name) for name in known) or "none is installed"
    told = "; ".join([f"tried {tried}", *broken, "`zoo components formats` says what they read"])
    raise UnknownFormat(files, f"{told}{hint()}")


def _owned(known: Mapping[str, Found], name: str) -> str:
    return f"{name} (plugin {known[name].plugin.name})"


def _read(found: Found, files: Files, options: Mapping[str, Any]) -> Checkpoint | None:
    """Return what one format makes of the files, checked; None where it does not know them."""
    known = options_of(found, build.target_of(found))
    mine = {k: v for k, v in options.items() if known is None or known.others or k in known.named}
    reader = build.format(found.qualified, **mine)
    with _guarded(found, files):
        checkpoint = reader.read(files)
    if checkpoint is None:
        return None
    if not isinstance(checkpoint, Checkpoint):
        kind = type(checkpoint).__name__
        raise PluginError(f"{found.label} gave a {kind}; expected a zoo.interfaces.Checkpoint")
    if mine != options:
        build.format(found.qualified, **options)  # says which option it does not have
    config = _checked(found, checkpoint.config)
    return replace(checkpoint, config=config, tensors=partial(_load, found, files, checkpoint))


def _load(found: Found, files: Files, checkpoint: Checkpoint) -> dict[str, Tensor]:
    with _guarded(found, files):
        return {name: tensor.detach() for name, tensor in checkpoint.load().items()}


def _checked(found: Found, config: Config) -> Config:
    """Return the config as a config.json would hold it, with all that it requires."""
    try:
        config = parse_config(dump_config(config), "config")
    except Exception as error:
        raise PluginError(
            f"{found.label} gave a config that is none: {describe_error(error)}"
        ) from error
    return msgspec.structs.replace(config, requires=requirements(config))


@contextmanager
def _guarded(found: Found, files: Files) -> Iterator[None]:
    """Tell in one line what goes wrong while a format reads; its own mistakes are PluginErrors."""
    try:
        yield
    except (ZooError, KeyboardInterrupt):
        raise
    except MemoryError as error:
        raise ZooError(f"{files.where} asks for more memory than there is") from error
    except OSError as error:
        raise ZooError(f"cannot read {files.where}: {error.strerror or error}") from error
    except BaseException as error:
        raise PluginError(
            f"{found.label} failed on {files.where}: {describe_error(error)}"
        ) from error
