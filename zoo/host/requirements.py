"""What has to be installed for a model: named by its parts, checked against the environment."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from zoo.__about__ import __version__
from zoo.config.model import Config
from zoo.errors import ZooError
from zoo.host.registry import find, is_own_law

if TYPE_CHECKING:
    from zoo.config.recipe import Recipe


def requirements(parts: Config | Recipe) -> tuple[str, ...]:
    """Return what has to be installed to build the parts: ("fieldzoo>=0.1.0", ...).

    Further requirements of a config, for other distributions, are kept.

    Raises:
        ZooError: a part is not there.
    """
    named = [
        ("kernels", parts.kernel),
        ("priors", parts.prior),
        ("networks", parts.network),
        ("solvers", parts.solver),
    ]
    if isinstance(parts, Config) and parts.lifted_from is not None:
        named.append(("kernels", parts.lifted_from))
    if is_own_law(parts.prior.use, parts.kernel.use):
        named.remove(("priors", parts.prior))
    owners = [find(kind, part.use).plugin for kind, part in named]
    versions = {"fieldzoo": __version__} | {o.distribution: o.version for o in owners}
    found = [f"{name}>={Version(v).public}" for name, v in versions.items() if name]
    asked = parts.requires if isinstance(parts, Config) else ()
    found += [r for r in asked if Requirement(r).name not in versions]
    return tuple(sorted(found))


def missing_requirements(
    config: Config, is_met: Callable[[str], bool] | None = None
) -> tuple[str, ...]:
    """Return the entries of `requires` that the environment does not meet.

    `is_met` answers for one entry, as `requirement_is_met` does; a cached one for many configs.

    Raises:
        ZooError: an entry is not a requirement such as "zoo-yukawa>=0.2".
    """
    met = is_met or requirement_is_met
    return tuple(r for r in config.requires if not met(r))


def check_requirements(config: Config, name: str) -> None:
    """Raise ZooError, saying what to install, unless all that `config` requires is installed."""
    if needs := [" ".join(need.split()) for need in missing_requirements(config)]:
        wanted = " ".join(f"'{n}'" for n in needs)
        raise ZooError(f"{name} needs {', '.join(needs)}: pip install {wanted}")


def requirement_is_met(text: str) -> bool:
    """Return whether the environment has what an entry of `requires` asks for.

    Raises:
        ZooError: it is not a requirement such as "zoo-yukawa>=0.2".
    """
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise ZooError(f"requires: {text!r} is not a requirement such as 'zoo-x>=1.0'") from error
    if requirement.url or requirement.marker or requirement.extras:
        raise ZooError(f"requires: {text!r} is more than a name and versions, such as 'zoo-x>=1.0'")
    try:
        installed = metadata.version(requirement.name)
        return requirement.specifier.contains(installed, prereleases=True)
    except (metadata.PackageNotFoundError, InvalidVersion, TypeError):
        return False  # not installed, or of a version that says nothing
