"""Components built by name: the target is imported here, its options checked before the call.

    kernel = zoo.kernel("gravity", dim=784)
    prior = zoo.prior("gravity", kernel)
    network = zoo.network("unet", shape=(1, 28, 28), kernel=kernel)
    solver = zoo.solver("heun")

What the user got wrong is a ZooError, what the plugin got wrong a PluginError that says whose it
is; both keep their cause. Torch is imported only inside the functions.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.config.part import Part
from zoo.errors import PluginError, ZooError, brief, did_you_mean
from zoo.host.hooks import KINDS
from zoo.host.interrupt import only_ctrl_c
from zoo.host.places import place_in
from zoo.host.plugins import describe_error
from zoo.host.registry import Found, find, is_own_law

if TYPE_CHECKING:
    from zoo.interfaces import (
        FieldKernel,
        Format,
        Network,
        PosteriorMethod,
        PriorSampler,
        Solver,
    )

MAX_DIM = 2**31
_SECTION = re.compile(r"^(?:Args|Options):\n(?:[ ].*\n?|\n(?=[ ]))+", re.MULTILINE)


class Options(NamedTuple):
    """Options by name, and whether any other is taken too."""

    named: dict[str, inspect.Parameter]
    others: bool


def options_of(found: Found, target: Callable[..., object]) -> Options | None:
    """Return the options of `target`; None if it has no signature, as some written in C.

    Raises:
        PluginError: it does not take what every component of its kind is given.
    """
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return None
    kind = KINDS[found.kind]
    try:
        bound = signature.bind_partial(*kind.given, **dict.fromkeys(kind.named)).arguments
    except TypeError as error:
        raise PluginError(
            f"{found.label}: {found.component.target} does not take what every {found.kind[:-1]} "
            f"is given: {error}"
        ) from error
    free = {n: p for n, p in signature.parameters.items() if n not in bound}
    named = {n: p for n, p in free.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return Options(named, any(p.kind is p.VAR_KEYWORD for p in free.values()))


def documentation(target: Any) -> str:
    """Return the docstring of `target`, with the options of the class that it has them from."""
    own = inspect.getdoc(target) or ""
    if _SECTION.search(own + "\n"):
        return own
    for base in getattr(target, "__mro__", ())[1:]:
        if section := _SECTION.search(inspect.cleandoc(base.__doc__ or "") + "\n"):
            return f"{own}\n\n{section[0].rstrip()}"
    return own


def kernel(name: str, *, dim: int, **options: Any) -> FieldKernel:
    """Return the field kernel `name` for data of `dim` coordinates.

    Raises:
        ZooError: an unknown name, an unknown or missing option, a value that it refuses.
        PluginError: its plugin is broken.
    """
    find("kernels", name)  # an unknown name is told without torch
    from zoo.interfaces.checks import check_integer

    dim = check_integer("dim", dim, 1, MAX_DIM)
    built: FieldKernel = _build("kernels", name, (), {"dim": dim}, options)
    return built


def prior(name: str, kernel: FieldKernel, **options: Any) -> PriorSampler:
    """Return the prior sampler `name` of x_T, for one kernel.

    Where no plugin brings a prior of the kernel's own name, that name is the kernel's law at
    x_0 = 0, t = t_max: a kernel alone is enough for a model.

    Raises:
        ZooError: an unknown name, an unknown or missing option, a value that it refuses.
        PluginError: its plugin is broken.
    """
    _check_kernel(kernel)
    if isinstance(name, str) and kernel.part is not None and is_own_law(name, kernel.part.use):
        return _own_law(name, kernel, options)
    built: PriorSampler = _build("priors", name, (kernel,), {}, options)
    return built


def _own_law(name: str, kernel: FieldKernel, options: dict[str, Any]) -> PriorSampler:
    from zoo.interfaces import KernelPrior

    if options:
        raise ZooError(f"prior {name!r} has no option {min(options)!r}; it takes none")
    law = KernelPrior(kernel)
    law.part = Part(name)
    return law


def network(name: str, *, shape: Sequence[int], kernel: FieldKernel, **options: Any) -> Network:
    """Return the network `name`, freshly initialised, for data of one shape under one kernel.

    Args:
        name: short or qualified.
        shape: of one sample, (C, H, W) or (d,); its product is kernel.dim.
        kernel: whose noise the network sees.
        options: the component's own.

    Raises:
        ZooError: an unknown name, an unknown or missing option, a shape that is not the kernel's.
        PluginError: its plugin is broken.
    """
    _check_kernel(kernel)
    given = (check_shape(shape, kernel.dim), kernel)
    built: Network = _build("networks", name, given, {}, options)
    return built


def solver(name: str, **options: Any) -> Solver:
    """Return the solver `name`.

    Raises:
        ZooError: an unknown name, an unknown or missing option, a value that it refuses.
        PluginError: its plugin is broken.
    """
    built: Solver = _build("solvers", name, (), {}, options)
    return built


def format(name: str, **options: Any) -> Format:
    """Return the checkpoint format `name`.

    Raises:
        ZooError: an unknown name, an unknown option, a value that it refuses.
        PluginError: its plugin is broken.
    """
    built: Format = _build("formats", name, (), {}, options)
    return built


def posterior(name: str, **options: Any) -> PosteriorMethod:
    """Return the method of posterior sampling `name`.

    Raises:
        ZooError: an unknown name, an unknown or missing option, a value that it refuses.
        PluginError: its plugin is broken.
    """
    built: PosteriorMethod = _build("posteriors", name, (), {}, options)
    return built


def _check_kernel(kernel: object) -> None:
    from zoo.interfaces import FieldKernel

    if not isinstance(kernel, FieldKernel):
        raise ZooError(
            f"kernel is a {type(kernel).__name__}; expected a FieldKernel, as zoo.kernel returns"
        )


def check_shape(shape: Sequence[int], dim: int) -> tuple[int, ...]:
    """Return the shape of a sample of `dim` coordinates as a tuple.

    Raises:
        ZooError: it is none, or of another number of coordinates.
    """
    if not isinstance(shape, Sequence) or not all(_is_size(n) for n in shape):
        raise ZooError(f"shape = {brief(shape)}; expected whole numbers such as (1, 28, 28)")
    if not shape or math.prod(shape) != dim:
        raise ZooError(
            f"shape = {brief(tuple(shape))} has {brief(math.prod(shape))} coordinates, the "
            f"kernel's dim is {dim}"
        )
    return tuple(shape)


def _is_size(n: object) -> bool:
    return isinstance(n, int) and not isinstance(n, bool) and n > 0


def _build(
    kind: str,
    name: str,
    given: tuple[object, ...],
    named: dict[str, object],
    options: dict[str, Any],
) -> Any:
    """Return target(*given, **named, **options), checked before and after the call."""
    found = find(kind, name)
    target = target_of(found)
    if kind == "solvers":
        options = _with_grid_as_part(found, target, options)
    _check_options(found, target, options)
    try:
        with only_ctrl_c():
            built = target(*given, **named, **options)
    except (ZooError, KeyboardInterrupt):
        raise
    except BaseException as error:
        called = ", ".join(f"{key}={brief(value)}" for key, value in options.items())
        on = f" on ({called})" if called else ""
        raise PluginError(
            f"{found.label} failed{on}: {describe_error(error)}{place_in(error)}"
        ) from error
    interface = getattr(import_module("zoo.interfaces"), KINDS[kind].interface)
    if not isinstance(built, interface):
        raise PluginError(
            f"{found.label}: {found.component.target} gave a {type(built).__name__}; "
            f"expected a zoo.interfaces.{interface.__name__}"
        )
    # How to write it into a config.json; past a frozen dataclass' guard, since any class may come.
    object.__setattr__(built, "part", Part(name, options))
    return built


def target_of(found: Found) -> Callable[..., object]:
    """Return what the component is, imported.

    Raises:
        PluginError: it cannot be.
    """
    import torch

    module, _, attribute = found.component.target.partition(":")
    try:
        # A module's own tensors are real, and can be trained by, wherever it is first imported.
        with only_ctrl_c(), torch.device("cpu"), torch.inference_mode(False):
            target = getattr(import_module(module), attribute)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(
            f"{found.label}: cannot import {found.component.target}: {describe_error(error)}"
            f"{place_in(error)}"
        ) from error
    if not callable(target):
        raise PluginError(f"{found.label}: {found.component.target} cannot be called")
    return target  # type: ignore[no-any-return]


def _with_grid_as_part(
    found: Found, target: Callable[..., object], options: dict[str, Any]
) -> dict[str, Any]:
    """Return options in which the grid has its own, as old config.json files do not."""
    from zoo.interfaces.grids import OLD_OPTIONS, from_old_options

    known = options_of(found, target)
    if known is None or known.others or "grid" not in known.named:
        return options
    if not (options.keys() - known.named.keys()) & OLD_OPTIONS:
        return options
    return from_old_options(options, known.named["grid"].default)


def _check_options(found: Found, target: Callable[..., object], options: dict[str, Any]) -> None:
    """Compare options with the target's signature, to refuse a wrong one before the call."""
    known = options_of(found, target)
    if known is None:
        return
    what = f"{found.kind[:-1]} {found.component.name!r}"
    if not known.others:
        for option in sorted(options.keys() - known.named):
            hint = did_you_mean(option, known.named) if known.named else "it takes none"
            raise ZooError(f"{what} has no option {option!r}; {hint}")
    for option in sorted(known.named.keys() - options.keys()):
        if known.named[option].default is inspect.Parameter.empty:
            raise ZooError(f"{what} needs the option {option!r}")


def _options(part: Part, *taken: str) -> dict[str, Any]:
    """Return a part's options for its builder, which fills in `taken` and its name itself."""
    if clash := sorted({"name", *taken} & part.options.keys()):
        raise ZooError(f"{part.use!r} has no option {clash[0]!r}; zoo fills that in itself")
    return part.options


def kernel_of(part: Part, dim: int) -> FieldKernel:
    """Return the kernel, as `zoo.kernel` builds it; raises what that raises."""
    return kernel(part.use, dim=dim, **_options(part, "dim"))


def prior_of(part: Part, kernel: FieldKernel) -> PriorSampler:
    """Return the prior sampler, as `zoo.prior` builds it; raises what that raises."""
    return prior(part.use, kernel, **_options(part, "kernel"))


def network_of(part: Part, shape: Sequence[int], kernel: FieldKernel) -> Network:
    """Return the network, as `zoo.network` builds it; raises what that raises."""
    return network(part.use, shape=shape, kernel=kernel, **_options(part, "shape", "kernel"))


def solver_of(part: Part) -> Solver:
    """Return the solver, as `zoo.solver` builds it; raises what that raises."""
    return solver(part.use, **_options(part))


def solver_on(part: Part, steps: int, kernel: FieldKernel) -> Solver:
    """Return the solver of so many steps under a kernel, as `solver_of` does.

    Raises:
        ZooError: it has numbers for other steps, or that do not fit the kernel's levels.
    """
    built = solver_of(part)
    if built.own_steps is not None:
        if built.own_steps != steps:
            raise ZooError(
                f"solver.steps = {steps}; {part.use} has numbers for {built.own_steps} steps"
            )
        # What does not fit the kernel's levels is told before the first sample.
        built.times(kernel, kernel.t_max, kernel.t_min, built.own_steps)
    return built
