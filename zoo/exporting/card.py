"""The README.md of an export: what it is, and how to run it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_HEAD = """# {name}, {what}

The {what} of the model `{name}`, kernel `{kernel}`, as a graph that runs without fieldzoo.
`manifest.json` says what it takes and gives, and has the hashes of the files.

| | name | dtype | shape | |
|---|---|---|---|---|
{rows}
"""

_PIPE = r"\|"  # in a cell of a table

_ONNX = """
Run it with `pip install onnxruntime numpy`:

```python
import json
from pathlib import Path

import numpy as np
import onnxruntime

manifest = json.loads(Path("manifest.json").read_text())
session = onnxruntime.InferenceSession("model.onnx")
{feed}
result, = session.run(None, feed)
print(result.shape)
```
"""

_TORCH = """
Run it with torch {torch} or newer:

```python
import json
from pathlib import Path

import numpy as np
import torch

manifest = json.loads(Path("manifest.json").read_text())
graph = torch.export.load("model.pt2").module()
{feed}
result = graph(*(torch.as_tensor(value) for value in feed.values()))
print(result.shape)
```
"""

_ROWS = 4
_DENOISER = """n, shape, t = {n}, {shape}, {t}
rng = np.random.default_rng(0)
{units}feed = {{
    "x": ({scaled}t * rng.standard_normal((n, *shape))).astype("{x_dtype}"),
    "t": np.full(n, t, dtype="{t_dtype}"),{conditions}
}}"""

# t and noise are of z = (x - mean) / scale where data are standardised.
_UNITS = """known = manifest["data"]["standardise"]
mean, scale = (np.reshape(known[name], {along}) for name in ("mean", "scale"))
"""

_NOISE = {
    "radial": """direction = rng.standard_normal((n, {dim}))
direction /= np.linalg.norm(direction, axis=1, keepdims=True)
q = rng.uniform(size=n)
law = manifest["noise"]
at = np.linspace(*law["logit"], len(law["log_radius"]))
radius = np.exp(np.interp(np.log(q / (1 - q)), at, law["log_radius"]))
noise = (radius[:, None] * direction).reshape(n, *{shape})""",
    "normal": """noise = manifest["noise"]["scale"] * rng.standard_normal((n, *{shape}))""",
    "other": """# Starting points x_T of the model's prior, which fieldzoo draws:
# np.save("noise.npy", model.prior.sample({n}, model.state_shape).numpy())
noise = np.load("noise.npy")""",
}

_SAMPLER = """n, rng = {n}, np.random.default_rng(0)
{noise}
feed = {{"noise": noise.astype("{noise_dtype}"),{conditions}}}"""

# What stands for no class and no condition.
_GIVEN = {
    "labels": """
    "labels": np.full(n, -1),""",
    "condition": """
    "condition": np.full((n, *{shape}), np.nan, dtype="{dtype}"),""",
    "guidance": """
    "guidance": np.float32(1),""",
}


def write_readme(folder: Path, manifest: dict[str, Any]) -> Path:
    """Write README.md into the folder of an export."""
    path = folder / "README.md"
    path.write_text(readme(manifest), encoding="utf-8")
    return path


def readme(manifest: dict[str, Any]) -> str:
    """Return the text of an export's README.md."""
    rows = [
        f"| {kind} | `{name}` | {one['dtype']} | ({', '.join(map(str, one['shape']))}) "
        f"| {one['is'].replace('|', _PIPE)} |"
        for kind in ("inputs", "outputs")
        for name, one in manifest[kind].items()
    ]
    head = _HEAD.format(
        name=manifest["model"] or "model",
        what=manifest["what"],
        kernel=manifest["kernel"]["use"] or "of your own",
        rows="\n".join(rows),
    )
    how = _ONNX if "model.onnx" in manifest["files"] else _TORCH
    version = manifest["written_by"]["torch"].partition("+")[0]
    return head + how.format(feed=_feed(manifest), torch=version)


def _feed(manifest: dict[str, Any]) -> str:
    output = next(iter(manifest["outputs"].values()))
    shape, kernel = tuple(output["shape"][1:]), manifest["kernel"]
    inputs = manifest["inputs"]
    conditions = "".join(
        _GIVEN[name].format(shape=tuple(one["shape"][1:]), dtype=one["dtype"])
        for name, one in inputs.items()
        if name in _GIVEN
    )
    known = {"shape": shape, "conditions": conditions, "n": _ROWS}
    known |= {f"{name}_dtype": one["dtype"] for name, one in inputs.items()}
    if manifest["what"] == "denoiser":
        t = (kernel["t_min"] * kernel["t_max"]) ** 0.5
        units, scaled = "", ""
        if manifest["data"].get("standardise"):
            units = _UNITS.format(along=(-1, *[1] * (len(shape) - 1)))
            scaled = "mean + scale * "
        return _DENOISER.format(t=f"{t:.4g}", units=units, scaled=scaled, **known)
    law = manifest["noise"].get("law")
    noise = _NOISE.get(law, _NOISE["other"]).format(shape=shape, dim=kernel["dim"], n=_ROWS)
    return _SAMPLER.format(noise=noise, **known)
