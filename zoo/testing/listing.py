"""The checks of a plugin. Nothing is imported or built before a check is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from zoo.errors import CheckFailure, PluginError, ZooError, did_you_mean, shown
from zoo.hookspecs import Component
from zoo.host import build
from zoo.host.places import place_in
from zoo.host.plugins import OWN, PluginRecord, describe_error, plugins
from zoo.testing.places import place_of

# A check raises CheckFailure, one line, where a component breaks a law.
Check = Callable[[], None]
Options = Mapping[str, Mapping[str, Any]]

DIMS = (2, 3072)
# Longest text of a failure, in characters, beside its name and place.
_MOST = 380
# Kind of component -> its laws: functions of one argument in zoo.testing.<module>.
KERNEL_LAWS = {
    "divergence": "green",
    "mass": "green",
    "density": "green",
    "velocity": "green",
    "quantiles": "green",
    "far": "far",
    "concentration": "declared",
    "levels": "declared",
    "declarations": "declared",
    "sampling": "draws",
    "transport": "draws",
    "shares": "draws",
    "determinism": "calls",
    "shapes": "calls",
    "times": "calls",
    "dtypes": "calls",
    "pickling": "calls",
}
PRIOR_LAWS = ("law", "normalisation", "agreement", "far", "calls", "pickling")
NETWORK_LAWS = ("shapes", "samples", "gradient", "labels", "condition", "pickling")
SOLVER_LAWS = ("order", "interval", "trivial", "pickling")
FORMAT_LAWS = ("refusals", "inert")
POSTERIOR_LAWS = ("closeness", "rows", "axes", "dtypes", "pickling")
MODEL_LAWS = ("files", "samples", "identity")


def checks(plugin: str, *, options: Options | None = None) -> list[Check]:
    """Return every check of one plugin, as plain functions without arguments.

    Args:
        plugin: the entry point's name, as in `zoo plugins`.
        options: component name -> options to build it with, instead of its Component.example.

    Raises:
        PluginError: there is no such plugin, or it is broken.
        ZooError: options for a component that the plugin does not bring.
    """
    record = _record(plugin)
    names = {name for found in record.components.values() for name in _names(found)}
    for name in options or {}:
        if name not in names:
            hint = did_you_mean(name, names)
            raise ZooError(f"options for {name!r}: plugin {plugin!r} has no such component; {hint}")
    return [*_checks(record, options or {})]


def _record(plugin: str) -> PluginRecord:
    known = {record.name: record for record in plugins()}
    if plugin not in known:
        raise PluginError(f"no plugin {plugin!r}; {did_you_mean(plugin, known)}")
    record = known[plugin]
    if record.error is not None:
        raise PluginError(f"plugin {plugin!r} is broken: {record.cause}") from record.error
    return record


def _checks(record: PluginRecord, options: Options) -> Iterator[Check]:
    def given(kind: str, component: Component) -> dict[str, Any]:
        """Return the options of a component; the caller's go to the first kind with its name."""
        kinds = [k for k, found in record.components.items() if component.name in _names(found)]
        mine = component.name in options and kinds[0] == kind
        return {**(options[component.name] if mine else component.example)}

    def builder(kind: str, component: Component) -> Callable[..., Any]:
        build_one = getattr(build, kind[:-1])
        return partial(build_one, f"{record.name}:{component.name}", **given(kind, component))

    parts = record.components
    make: Callable[[], Any]
    yield _check(f"{record.name}-torch-line", "torch_line", "torch_line", lambda: record)
    yield _check(f"{record.name}-names", "names", "names", lambda: record)
    kernels = {k.name: builder("kernels", k) for k in parts.get("kernels", ())}
    for name, build_kernel in kernels.items():
        for dim in DIMS:
            make = cache(partial(_kernel, build_kernel, dim))
            for law, module in KERNEL_LAWS.items():
                yield _check(f"{name}-{law}-d{dim}", module, law, make)
    for prior in parts.get("priors", ()):
        for dim in DIMS:
            make = cache(partial(_prior, builder("priors", prior), kernels, prior.name, dim))
            for law in PRIOR_LAWS:
                yield _check(f"{prior.name}-prior-{law}-d{dim}", "priors", law, make)
    for kind, laws, word in (
        ("networks", NETWORK_LAWS, ""),
        ("solvers", SOLVER_LAWS, ""),
        ("formats", FORMAT_LAWS, "format-"),
        ("posteriors", POSTERIOR_LAWS, "posterior-"),
    ):
        for component in parts.get(kind, ()):
            make = builder(kind, component)
            if kind == "networks":  # their laws build them with options of their own
                make = partial(builder, kind, component)
            for law in laws:
                yield _check(f"{component.name}-{word}{law}", kind, law, make)
    for folder in record.models:
        for law in MODEL_LAWS:
            make = partial(Path, str(folder))
            yield _check(f"{folder.name}-model-{law}", "models", law, make)


def _names(found: Iterable[Component]) -> set[str]:
    return {component.name for component in found}


def _kernel(build_kernel: Callable[..., Any], dim: int) -> Any:
    """Return the kernel; raise CheckFailure if it is isotropic and psi is no radial CDF.

    Every other law would fail for that reason and not say so.
    """
    kernel = build_kernel(dim=dim)
    interfaces = import_module("zoo.interfaces")
    if isinstance(kernel, interfaces.IsotropicKernel):
        try:
            interfaces.check_radial_cdf(
                kernel.radial_cdf, kernel.t_min, kernel.t_max, argument="psi"
            )
        except ZooError as error:
            raise CheckFailure(f"{error}{place_of(kernel)}") from error
    return kernel


def _prior(
    build_prior: Callable[..., Any],
    kernels: Mapping[str, Callable[..., Any]],
    name: str,
    dim: int,
) -> Any:
    """Return the prior for the plugin's kernel of its name, else for its first, else a Gaussian."""
    build_kernel = kernels.get(name) or next(iter(kernels.values()), None)
    if build_kernel is None:
        return build_prior(import_module("zoo.testing.reference").ReferenceKernel(dim=dim))
    return build_prior(build_kernel(dim=dim))


def _check(name: str, module: str, law: str, make: Callable[[], Any]) -> Check:
    """Return the check of one law, a function called `name`."""

    def check() -> None:
        subject = None
        try:
            subject = make()
            getattr(import_module(f"zoo.testing.{module}"), law)(subject)
        except CheckFailure as failure:
            text = str(failure)
            raise CheckFailure(f"{name}: {shown(text, _MOST)}{place_of(subject)}") from None
        except Exception as error:
            built = isinstance(error, ZooError) and subject is None
            text = f"cannot be built: {error}" if built else describe_error(error)
            # A ZooError that a component of ours raises is about what it was given.
            ours = {p.package for p in plugins() if p.distribution == OWN}
            where = place_in(error, ours if isinstance(error, ZooError) else ())
            text = text.removesuffix(where)
            raise CheckFailure(f"{name}: {shown(text, _MOST)}{where}") from error

    check.__name__ = check.__qualname__ = name
    return check
