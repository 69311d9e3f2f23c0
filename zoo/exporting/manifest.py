"""The manifest of an export: what its graph takes and gives, and what else one has to know."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import msgspec
import torch

from zoo.__about__ import __version__
from zoo.exporting.graphs import Exported
from zoo.exporting.record import Input
from zoo.interfaces import SIGMA_DATA, FieldKernel, IsotropicKernel, KernelPrior
from zoo.interfaces.path import GaussianPathKernel
from zoo.models.model import FieldModel
from zoo.sampling.predict import unwrapped

FILE = "manifest.json"
FORMAT = 1
# Of the radius of starting points: logits of its probability.
_LOGITS = (-18.0, 18.0, 361)

_SAYS = {
    "x": "states x_t, in data units",
    "t": "times, within kernel.t_min and kernel.t_max",
    "noise": "starting points x_T, as `noise` says",
    "labels": "class numbers, -1 for no class",
    "condition": "what to draw samples given, in data units; a row of NaN for nothing",
    "guidance": "1 is none; larger follows class and condition more closely",
    "denoised": "E[x_0 | x_t], in data units",
    "field": "dx/dt: the kernel's velocity is not affine in x_0, so there is no denoiser",
    "samples": "data, in data units",
}
_GUIDANCE = "how the model guides its own samples; no part of this graph"
# Of times and noise of a model that knows its data in other units.
_STANDARDISED = "; in the units of z = (x - mean) / scale, mean and scale in data.standardise"


def manifest(model: FieldModel, exported: Exported, what: str, files: list[Path]) -> dict[str, Any]:
    """Return what stands in manifest.json.

    Args:
        model: that was exported.
        exported: its graph.
        what: "denoiser" or "sampler".
        files: that were written.
    """
    config, inputs, output = model.config, exported.graph.inputs, exported.output
    found: dict[str, Any] = {
        "format": FORMAT,
        "what": what,
        "model": model.name or None,
        "files": {file.name: _facts(file) for file in files},
        "inputs": {one.name: _describe(one, model) for one in inputs},
        "outputs": {output.name: _describe(output, model)},
        "kernel": describe_kernel(model.kernel),
        "data": msgspec.to_builtins(model.data) | {"range": model.range},
        "noise": _part(model.prior) | describe_noise(model),
        "solver": _solver(model, exported),
        "written_by": {"fieldzoo": __version__, "torch": torch.__version__},
    }
    if model.guidance is not None:
        found["guidance"] = msgspec.to_builtins(model.guidance) | {"is": _GUIDANCE}
    if config is not None:
        found["weights"] = {n: file.sha256 for n, file in config.weights.files.items()}
    return found


def write_manifest(folder: Path, content: dict[str, Any]) -> Path:
    """Write manifest.json into a folder."""
    path = folder / FILE
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def _describe(one: Input, model: FieldModel) -> dict[str, Any]:
    shape = [] if one.shape is None else ["batch", *one.shape]
    scaled = one.name in ("t", "noise") and model.standardise is not None
    says = _SAYS[one.name] + (_STANDARDISED if scaled else "")
    return {"dtype": _dtype(one.dtype), "shape": shape, "is": says}


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _part(part: Any) -> dict[str, Any]:
    named = part.part
    return {"use": None} if named is None else {"use": named.use, **named.options}


def _facts(file: Path) -> dict[str, Any]:
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return {"size": file.stat().st_size, "sha256": digest}


def describe_kernel(kernel: FieldKernel) -> dict[str, Any]:
    """Return the kernel's name and options, times, and noise level as a function of t."""
    return _part(kernel) | {
        "dim": kernel.dim,
        "t_min": kernel.t_min,
        "t_max": kernel.t_max,
        "random_level": kernel.random_level,
        "level": _level(kernel),
    }


def _level(kernel: FieldKernel) -> dict[str, Any]:
    """Return which function of t the typical level is: factor t, t / (1 - t), or another."""
    t = torch.linspace(math.log(kernel.t_min), math.log(kernel.t_max), 9).double().exp()[:-1]
    level = kernel.level(t)
    factor = float(level[0] / t[0])
    if torch.allclose(level, factor * t, rtol=1e-9, atol=0.0):
        return {"kind": "proportional", "factor": factor}
    flow = torch.allclose(level, t / (1 - t), rtol=1e-9, atol=0.0)
    return {"kind": "flow" if flow else "other"}


def _solver(model: FieldModel, exported: Exported) -> dict[str, Any]:
    """Return the model's solver: as it samples, or of a sampler as it is in the graph."""
    part = _part(model.solver)
    part["scale"] = part.get("scale") or unwrapped(model.network).sigma_data or SIGMA_DATA
    if not exported.times:
        return part | {"steps": model.steps}
    times = [*exported.times, 0.0]
    return part | {"steps": len(times) - 1, "evaluations": exported.evaluations, "times": times}


def describe_noise(model: FieldModel) -> dict[str, Any]:
    """Return the law of starting points, where it is that of a radius in every direction alike.

    x_T = radius times a direction, uniform on the sphere; log radius is linear in logit(q) between
    those of the table, q uniform in (0, 1). Any other prior than the kernel's own law has no table.
    """
    prior, other = model.prior, {"law": "as the prior draws it"}
    if not isinstance(prior, KernelPrior) or type(prior).sample is not KernelPrior.sample:
        return other
    kernel, bound = prior.kernel, prior.largest_level
    if isinstance(kernel, GaussianPathKernel) and kernel.gaussian and bound is None:
        return {"law": "normal", "scale": float(kernel.marginal(kernel.t_max)[1])}
    if not isinstance(kernel, IsotropicKernel):
        return other
    logits = torch.linspace(*_LOGITS[:2], int(_LOGITS[2]), dtype=torch.float64)
    radius = kernel.radial_icdf(logits.sigmoid(), kernel.t_max)
    radius = radius.clamp(max=(bound or math.inf) * kernel.dim**0.5)
    return {
        "law": "radial",
        "logit": [_LOGITS[0], _LOGITS[1]],
        "log_radius": [round(value, 6) for value in radius.log().tolist()],
    }
