"""The live page as a folder: a static Hugging Face Space, with models that run in the browser."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from zoo.config.part import called
from zoo.errors import ZooError, brief, one_line, shown
from zoo.exporting.export import check_absent, export, writing
from zoo.exporting.manifest import FILE, describe_kernel, describe_noise
from zoo.exporting.onnx_file import check_packages
from zoo.files import as_path
from zoo.interfaces import FieldKernel
from zoo.models.load import load
from zoo.models.model import FieldModel

# ONNX Runtime for browsers, from npm: the version, and the hash of its package.
RUNTIME = "onnxruntime-web"
VERSION = "1.30.0"
INTEGRITY = "sha512-" + (
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
)
_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
# In an installed package, and in a checkout.
_HERE = Path(__file__).parents[1]
_PAGES = (_HERE / "live", _HERE.parent / "docs" / "live")
_PAGE_FILES = ("index.html", "style.css", "js")
_LICENSE = "onnxruntime-LICENSE"  # which the package names and lacks
# Of docs/live/js/grid.js; a model with another solver is drawn by the first.
_SOLVERS = ("exp-abm3", "exp-abm4", "exp-ab3", "exp-ab2", "ddim")

MODELS = (
    "gravity-fashion-mnist",
    "pfgmpp-fashion-mnist",
    "gaussian-fashion-mnist",
    "tanh-fashion-mnist",
    "exp-fashion-mnist",
    "flow-fashion-mnist",
)

_README = """---
title: From a field to data
emoji: 🧲
colorFrom: indigo
colorTo: pink
sdk: static
app_file: index.html
pinned: false
license: apache-2.0
custom_headers:
  cross-origin-embedder-policy: require-corp
  cross-origin-opener-policy: same-origin
short_description: Fields that turn noise into data, live in the browser
tags:
- field-diffusion
- poisson-flow
- diffusion
- flow-matching
---

# From a field to data

Field lines and walks of the exact field of points that you place, and {models} drawing images in
your browser. Nothing is computed on a server, and nothing is sent.

| model | kernel | |
|---|---|---|
{rows}

Try it on your own machine: `python -m http.server` in this folder, then open the address that it
prints. `runtime/` is {runtime} {version} (MIT, `runtime/LICENSE`).
"""


def space(out: str | Path, models: Sequence[str | Path | FieldModel] = MODELS) -> Path:
    """Write the live page with exported models into a new folder; return it.

    Args:
        out: the folder.
        models: of images, or what `zoo.load` takes for such.

    Raises:
        ZooError: `out` is there; npm is not installed or cannot fetch ONNX Runtime; a model that is
            not of images with 1 or 3 channels, is of standardised data or of float64, takes a
            condition, is guided by another, or whose kernel or prior the page does not know; two
            models of one name; or as `zoo.export`.
    """
    folder = as_path(out, "out")
    check_absent(folder)
    check_packages()
    loaded = _loaded(models)
    with writing(folder) as temporary:
        _copy_page(temporary)
        _fetch_runtime(temporary / "runtime")
        (temporary / "models").mkdir()
        listed = [_add_model(temporary / "models", *one) for one in loaded.items()]
        (temporary / "models" / "models.json").write_text(json.dumps(listed, indent=1))
        (temporary / "README.md").write_text(_readme(listed), encoding="utf-8")
    return folder


def _page() -> Path:
    page = next((page for page in _PAGES if (page / "index.html").is_file()), None)
    if page is None:
        raise ZooError("the live page is not part of this installation; install fieldzoo again")
    return page


def _copy_page(folder: Path) -> None:
    page = _page()
    for name in _PAGE_FILES:
        source = page / name
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        copy(source, folder / name)


def _fetch_runtime(folder: Path) -> None:
    """Fetch ONNX Runtime's files and license by npm, and check the hash of its package."""
    npm = shutil.which("npm")
    if npm is None:
        raise ZooError(f"{RUNTIME} is fetched by npm, which is not installed: install Node.js")
    with tempfile.TemporaryDirectory() as temporary:
        command = [npm, "pack", f"{RUNTIME}@{VERSION}", "--loglevel=error", "--ignore-scripts"]
        try:
            subprocess.run(
                command, cwd=temporary, check=True, capture_output=True, text=True, timeout=600
            )
        except (subprocess.SubprocessError, OSError) as error:
            said = getattr(error, "stderr", None) or one_line(error)
            raise ZooError(f"npm cannot fetch {RUNTIME} {VERSION}: {shown(said)}") from error
        package = next(Path(temporary).glob("*.tgz"), None)
        if package is None:
            raise ZooError(f"npm pack {RUNTIME}@{VERSION} wrote no package; try it by hand")
        digest = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
        if f"sha512-{digest}" != INTEGRITY:
            raise ZooError(
                f"what npm fetched is not {RUNTIME} {VERSION}: its hash is another; run `npm cache "
                "clean --force` and try again, and see `npm config get registry`"
            )
        folder.mkdir()
        with tarfile.open(package) as archive:
            for name in _FILES:
                file = archive.extractfile(f"package/dist/{name}")
                assert file is not None, "the hash is right"
                (folder / name).write_bytes(file.read())
    shutil.copyfile(_page() / _LICENSE, folder / "LICENSE")


def _loaded(models: Sequence[str | Path | FieldModel]) -> dict[str, FieldModel]:
    """Return models by the names of their folders, each one that the page can draw."""
    found: dict[str, FieldModel] = {}
    for one in models:
        model = one if isinstance(one, FieldModel) else load(one)
        name = (model.name or "model").rpartition("/")[2]
        if name in found:
            raise ZooError(f"two models are named {name}; the page has a folder for each name")
        if reason := _unfit(model):
            raise ZooError(f"the page cannot draw {name}: {reason}")
        found[name] = model
    return found


def _unfit(model: FieldModel) -> str:
    """Return why docs/live/js/sampler.js cannot draw a model, "" where it can."""
    if len(model.shape) != 3 or model.shape[0] not in (1, 3):
        return f"it makes samples of shape {model.shape}, and the page shows images"
    if model.decoder is not None:
        return "its samples are decoded from latents, and the page has no decoder"
    if model.standardise is not None:
        return "its data are standardised, and the page takes images of [-1, 1] as they are"
    if model.condition is not None:
        return f"it is given {model.condition}, and the page has nothing to give it"
    if model.distilled is not None:
        return f"it is {model.distilled}, and the page follows a field"
    if model.guidance is not None:
        return f"its samples are guided by {brief(model.guidance.guide)}, which the page lacks"
    if model.dtype == torch.float64:
        return "it is float64, and the page computes in float32"
    kernel = model.kernel
    use = called(kernel)
    if describe_noise(model)["law"] not in ("normal", "radial"):
        has = f"the kernel {use} has another, or a prior of its own"
        return f"it draws noise alike in every direction, and {has}"
    if not kernel.affine_path or not _alpha_is_known(kernel):
        return f"it does not know the kernel {use}, only alpha = 1 or 1 - t and sigma = factor t"
    return ""


def _alpha_is_known(kernel: FieldKernel) -> bool:
    kind = describe_kernel(kernel)["level"]["kind"]
    t = torch.linspace(kernel.t_min, kernel.t_max, 9, dtype=torch.float64)
    alpha = kernel.marginal(t)[0]
    return kind != "other" and torch.allclose(alpha, 1 - t if kind == "flow" else t * 0 + 1)


def _add_model(folder: Path, name: str, model: FieldModel) -> dict[str, Any]:
    """Export a model into its own folder; return its entry in models.json."""
    written = export(model, folder / name)
    manifest = json.loads((written / FILE).read_text(encoding="utf-8"))
    kernel, solver = manifest["kernel"]["use"], manifest["solver"]
    used = solver["use"] if solver["use"] in _SOLVERS else _SOLVERS[0]
    size = "x".join(map(str, model.shape))
    about = f"Kernel {kernel}, images of {size}, {solver['steps']} evaluations by {used}."
    return {"name": name, "title": name, "kernel": kernel, "about": about}


def _readme(listed: Sequence[dict[str, Any]]) -> str:
    rows = "\n".join(f"| {one['name']} | {one['kernel']} | {one['about']} |" for one in listed)
    count = f"{len(listed)} network{'s' if len(listed) != 1 else ''}"
    return _README.format(models=count, rows=rows, runtime=RUNTIME, version=VERSION)
