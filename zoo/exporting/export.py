"""zoo.export: a model's denoiser or sampler in a folder, to be run without the zoo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.errors import ZooError, brief
from zoo.exporting import onnx_file
from zoo.exporting.card import write_readme
from zoo.exporting.graphs import Exported, denoiser, sampler
from zoo.exporting.manifest import manifest, write_manifest
from zoo.exporting.onnx_file import write_onnx
from zoo.exporting.torch_file import write_torch
from zoo.files import as_path
from zoo.folder.atomic import NewFolder
from zoo.interfaces.checks import check_choice
from zoo.models.load import load
from zoo.models.model import FieldModel
from zoo.models.parts import check_model
from zoo.sampling.arguments import step_count

# format -> name of the file, and what writes it.
FORMATS: dict[str, tuple[str, Callable[[Path, Exported], None]]] = {
    "onnx": ("model.onnx", write_onnx),
    "torch": ("model.pt2", write_torch),
}
WHATS = ("denoiser", "sampler")


def export(
    model_or_ref: FieldModel | str | Path,
    out: str | Path,
    *,
    format: str = "onnx",
    what: str = "denoiser",
    steps: int | None = None,
) -> Path:
    """Write a model as a graph that runs without the zoo; return the folder that was written.

    The folder holds the graph, `model.onnx` or `model.pt2`, weights included; `manifest.json`,
    which says what it takes and gives, with hashes; and a README.md that says how to run it. No
    file holds a pickle.

    The denoiser takes (x, t): states x_t (B, *shape) and times (B,), and returns E[x_0 | x_t],
    (B, *shape), all in data units; dx/dt, named "field", where the kernel's velocity is not affine
    in x_0. The sampler takes noise (B, *shape), as `model.prior` draws it, and returns data, as
    `model.sample` does. Of a model with classes both also take labels (B,), -1 for no class; of one
    that takes a condition, condition (B, *condition) in data units, rows of NaN for nothing; and
    of either guidance (), and they evaluate the network twice for each sample; a student's sampler
    takes no guidance.

    Args:
        model_or_ref: a model, or what `zoo.load` takes.
        out: a folder, which must not be there yet.
        format: "onnx", or "torch" for a .pt2 file of torch.export.
        what: "denoiser", or "sampler" for every step of the model's solver in one graph.
        steps: of the sampler; None for the model's default.

    Raises:
        ZooError: `out` is there; onnx or onnxscript is not installed; a latent model, other than
            its `latents`; the solver chooses its own steps or draws noise; config.json has samples
            guided by another model; the exact field of too many sources; a kernel or network does
            what no graph can; a student's denoiser, or its sampler in other steps.
    """
    file, write = FORMATS[check_choice("format", format, FORMATS)]
    check_choice("what", what, WHATS)
    if what == "denoiser" and steps is not None:
        raise ZooError(f"steps = {steps!r}; a denoiser takes none: use what='sampler'")
    folder = as_path(out, "out")
    check_absent(folder)
    if format == "onnx":
        onnx_file.check_packages()
    model = load(model_or_ref) if isinstance(model_or_ref, (str, Path)) else model_or_ref
    check_model(model)
    if model.decoder is not None:
        raise ZooError(
            "a graph holds no decoder, and this is a latent model: write that of its latents, in "
            "Python: zoo.export(zoo.load(REF).latents, OUT)"
        )
    if what == "denoiser":
        model.needs_field("be exported as a denoiser (what='sampler' exports its samples)")
        exported = denoiser(model)
    else:
        if model.guidance is not None:
            raise ZooError(
                f"its samples are guided by {brief(model.guidance.guide)}, which no graph "
                "holds: export the denoiser, or a copy of the model without guidance in config.json"
            )
        exported = sampler(model, step_count(steps, model.solver.own_steps or model.steps))
    with writing(folder) as temporary:
        write(temporary / file, exported)
        content = manifest(model, exported, what, [temporary / file])
        write_manifest(temporary, content)
        write_readme(temporary, content)
    return folder


@contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """Give a folder to write into, which becomes `folder`, whole or not at all.

    Raises:
        ZooError: the disk refuses.
    """
    try:
        with NewFolder(folder) as temporary:
            yield temporary
    except OSError as error:
        raise ZooError(f"cannot write {folder}: {error.strerror or error}") from error


def check_absent(folder: Path) -> None:
    """Raise ZooError unless a folder can be made there."""
    if folder.exists():
        raise ZooError(f"{folder} is there already; name a folder that is not")
    if not folder.absolute().parent.is_dir():
        raise ZooError(f"{folder}: there is no folder {folder.parent}")
