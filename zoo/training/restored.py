"""Whether what a checkpoint holds is what its run makes: figures, weights, optimiser."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError, brief
from zoo.training.checkpoint import DAMAGED

# Of a group of parameters: set anew at every step.
_RATE = "lr"


def check_counts(path: Path, state: Mapping[str, Any], steps: int = 10**12) -> None:
    """Check a checkpoint's recipe and figures against the number of steps of its run, if known.

    Raises:
        ZooError: one is not of a run of so many steps.
    """
    if not isinstance(state["recipe"], dict):
        raise ZooError(f"{path}: its recipe is a {type(state['recipe']).__name__}; {DAMAGED}")
    most = {"step": steps, "skipped": state["step"], "skipped_in_a_row": state.get("skipped")}
    for name, top in {**most, "best_step": state["step"]}.items():
        value = state.get(name)
        if type(value) is not int or type(top) is not int or not 0 <= value <= top:
            raise ZooError(f"{path}: {name} = {brief(value)} of {brief(top)}; {DAMAGED}")
    for name in ("validation_loss", "best_loss"):
        value = state.get(name, "missing")
        if value is not None and not (isinstance(value, float) and math.isfinite(value)):
            raise ZooError(f"{path}: {name} = {brief(value)}; {DAMAGED}")


def check_tensors(where: str, found: Any, own: Mapping[str, Any]) -> None:
    """Check that tensors are finite, and have the names, shapes and dtypes of `own`.

    Raises:
        TypeError, ValueError: they do not; the error says which, in `where`.
    """
    if not isinstance(found, Mapping):
        raise TypeError(f"{where} is a {type(found).__name__}")
    if odd := found.keys() ^ own.keys():
        name = min(odd, key=str)
        which = "is unknown" if name in found else "is missing"
        raise ValueError(f"{where}.{name} {which}")
    for name, like in own.items():
        if isinstance(like, Tensor):
            _check(f"{where}.{name}", found[name], like, like.shape)


def check_optimizer(saved: Any, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Check that the state of an optimiser after some step is one of `optimizer`.

    Raises:
        LookupError, TypeError, ValueError: it is not, or something is not there.
    """
    first = 0
    for old, own in zip(saved["param_groups"], optimizer.param_groups, strict=True):
        if odd := old.keys() ^ own.keys():
            raise ValueError(f"the optimizer's options differ in {brief(min(odd, key=str))}")
        for key in own.keys() - {_RATE, "params"}:
            if type(old[key]) is not type(own[key]) or old[key] != own[key]:
                raise ValueError(f"the optimizer's {key} is {brief(old[key])}")
        if old["params"] != [*range(first, first := first + len(own["params"]))]:
            raise ValueError("the optimizer's parameters are in another order")
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    examples = _examples(optimizer)
    for index, moments in saved["state"].items():
        if type(index) is not int or not 0 <= index < len(parameters):
            raise ValueError(f"the optimizer has no parameter number {brief(index)}")
        where, example = f"optimizer.{index}", examples[index]
        check_tensors(where, moments, dict.fromkeys(example))
        for name, like in example.items():
            of_step = name == "step"
            shape = like.shape if of_step else parameters[index].shape
            _check(f"{where}.{name}", moments[name], like, shape, parameters[index].stride())
            if of_step and not 0 <= float(moments[name]) <= step:
                raise ValueError(f"{where}.step is {float(moments[name]):g}")


def _check(
    name: str, value: Any, like: Tensor, shape: torch.Size, stride: tuple[int, ...] = ()
) -> None:
    """Raise TypeError or ValueError unless a tensor of this shape and dtype has finite numbers."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} is a {type(value).__name__}")
    if value.shape != shape:
        raise ValueError(f"{name} has shape {brief(tuple(value.shape))}, not {tuple(shape)}")
    if value.dtype != like.dtype:
        raise ValueError(f"{name} is of {value.dtype}, not {like.dtype}")
    if not value.is_contiguous() and value.stride() != stride:  # numbers that stand for several
        raise ValueError(f"{name} is not laid out as its parameter is")
    if value.is_floating_point() and not value.isfinite().all():
        raise ValueError(f"{name} is not finite")


def _examples(optimizer: torch.optim.Optimizer) -> list[dict[str, Tensor]]:
    """Return what an optimiser keeps of each parameter, as tensors of one number."""
    kind: Any = type(getattr(optimizer, "optim", optimizer))  # of the processes that share one
    groups = [{**group} for group in optimizer.param_groups]
    for group in groups:
        group["params"] = [_one_like(p) for p in group["params"]]
    example = kind(groups)
    example.step()
    return [{**example.state[p]} for group in groups for p in group["params"]]


def _one_like(parameter: Tensor) -> Tensor:
    found = torch.ones((1,) * parameter.ndim, dtype=parameter.dtype, device=parameter.device)
    found.grad = torch.ones_like(found)
    return found
