"""A model as four parts: put together, described as a config.json, written as a folder."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
import torch
from torch import Tensor, nn

from zoo.config.condition import Condition
from zoo.config.distilled import Distilled
from zoo.config.latent import Latent
from zoo.config.model import DEFAULT_STEPS, Config, Data, DefaultGuidance
from zoo.config.part import Part, SolverPart
from zoo.config.standardise import Standardise
from zoo.config.training import TrainingRecord
from zoo.errors import ZooError, brief
from zoo.files import as_path
from zoo.folder.weights import check_state
from zoo.folder.write import write_folder
from zoo.host.build import check_shape
from zoo.host.requirements import requirements
from zoo.interfaces import Decoder, FieldKernel, Network, PriorSampler, Solver
from zoo.interfaces.posterior import Around
from zoo.networks.lifted import LevelDenoiser
from zoo.sampling.arguments import parse_dtype
from zoo.sampling.predict import unwrapped

PARTS = {"kernel": FieldKernel, "prior": PriorSampler, "network": Network, "solver": Solver}
P = TypeVar("P")
# Data whose mean is so many times their deviation lose digits in float32 that count.
_COARSE = 1e4


def check_part(kind: str, part: P) -> P:
    """Return a part of a model as it is.

    Raises:
        ZooError: it is none, such as a name; a network may be in torch.compile or DataParallel.
    """
    found = unwrapped(part) if isinstance(part, nn.Module) and kind == "network" else part
    if not isinstance(found, PARTS[kind]):
        raise ZooError(
            f"{kind} is {brief(part)}; expected a {PARTS[kind].__name__}, as zoo.{kind}(name, ...) "
            "returns"
        )
    return part


def _check_decoder(network: nn.Module, shape: tuple[int, ...], data: Data | None) -> None:
    """Raise ZooError unless a network decodes what shape and config.json of its model say."""
    decoder, latent = unwrapped(network).latent_decoder, None if data is None else data.latent
    if decoder is None:
        if latent is not None:
            raise ZooError(f"data.latent is {latent}; the network has no decoder")
        return
    makes = f"the network's decoder makes images {decoder.shape} of latents {decoder.latent_shape}"
    if tuple(decoder.latent_shape) != shape:
        raise ZooError(f"shape = {shape}; {makes}: give the shape of its latents")
    if data is not None and latent is None:
        raise ZooError(f"data.shape is {data.shape} and data.latent is missing; {makes}")
    if data is not None and data.shape != tuple(decoder.shape):
        raise ZooError(f"data.shape is {data.shape}; {makes}")


def refuse_images(model: ModelParts, what: str, instead: str) -> None:
    """Raise ZooError where a decoder makes the samples, so that `what` is known of latents alone.

    `instead` is what to do.
    """
    if (decoder := model.decoder) is not None:
        image, latent = ("x".join(map(str, s)) for s in (decoder.shape, decoder.latent_shape))
        raise ZooError(
            f"{what} is not known of images {image}, which {decoder.name} makes of latents "
            f"{latent}: {instead}"
        )


def check_model(model: object) -> None:
    """Raise ZooError unless `model` is a model with four parts."""
    if not isinstance(model, ModelParts):
        raise ZooError(f"model is {brief(model)}; expected a FieldModel, as zoo.load returns")


class ModelParts(nn.Module):
    """Kernel, prior, network and solver of a model; arguments as for `FieldModel`."""

    # Of a reference to a guide: zoo.load, which builds on this class and sets it; of a model that
    # it has loaded, with the same token, cache and offline flag.
    load_guide: Callable[..., ModelParts] | None = None
    # The Hub repository that it was loaded from by its id, owner/name.
    repository = ""
    # What conditions the network's predictions on an observation; see `FieldModel.posterior`.
    _around: Around | None = None
    # Whether this is a latent model without its decoder; see `latents`.
    _of_latents = False
    # Whether it is such a one that `latents` has just made.
    _is_view = False

    def __init__(
        self,
        kernel: FieldKernel,
        prior: PriorSampler,
        network: Network,
        solver: Solver,
        shape: tuple[int, ...],
        *,
        config: Config | None = None,
        card: str = "",
        name: str = "",
    ) -> None:
        super().__init__()
        self.kernel, self.prior, self.solver = kernel, prior, solver
        self._shape = check_shape(shape, kernel.dim)
        self.config, self.card, self.name = config, card, name
        self.network = network
        self.eval()

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a ZooError refuses a part that is of another kind or does not fit."""
        if name in PARTS:
            if self._is_view:
                raise ZooError(
                    f"model.latents is made anew at every call: set the {name} of the model itself"
                )
            check_part(name, value)
        if name == "network":
            _check_decoder(value, self._shape, None if self.config is None else self.config.data)
        super().__setattr__(name, value)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample, (C, H, W) or (d,); of a latent model that of its images."""
        return self._shape if self.decoder is None else self.decoder.shape

    @property
    def state_shape(self) -> tuple[int, ...]:
        """Of what kernel, prior, network and solver see: that of latents, else `shape`."""
        return self._shape

    @property
    def decoder(self) -> Decoder | None:
        """What makes samples of latents, a part of the network; None for a model of data."""
        return None if self._of_latents else unwrapped(self.network).latent_decoder

    @property
    def latents(self) -> Self:
        """The model of the latents of a latent model; any other is its own.

        Its samples are latents, and it has `field`, `log_prob`, `posterior` and all the rest. It
        shares the network, and is made anew whenever it is asked for.
        """
        if self.decoder is None:
            return self
        found = copy.copy(self)
        found._modules = dict(self._modules)
        found._of_latents, found._is_view, found.load_guide = True, True, self.load_guide
        vars(found)["_named_guides"] = self._guides
        return found

    @property
    def _guides(self) -> dict[Any, Any]:
        """Guides that were asked for by name, loaded once."""
        found: dict[Any, Any] = vars(self).setdefault("_named_guides", {})
        return found

    def _refuse_images(self, what: str, instead: str = "") -> None:
        """Raise ZooError where samples are decoded, so that `what` is of latents."""
        of_latents = f"of latents z = model.encode_images(x) it is model.latents.{what}(z, ...)"
        refuse_images(self, what, instead or of_latents)

    @property
    def _asked_by_samples(self) -> Network:
        """The network that is asked along the ODE of samples."""
        return unwrapped(self.network)

    def _level_denoiser(self) -> LevelDenoiser:
        """Return E[x_0 | x] as a function of x and its noise level.

        Raises:
            ZooError: the kernel is neither isotropic nor Gaussian, or the model is a student.
        """
        self.needs_field("be lifted")
        asked = self._asked_by_samples
        return asked if isinstance(asked, LevelDenoiser) else LevelDenoiser(asked, self.kernel)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next((p.device for p in self.network.parameters()), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """The network's own dtype."""
        return next((p.dtype for p in self.network.parameters()), torch.float64)

    @property
    def range(self) -> tuple[float, float] | None:
        """Range of the data, to which samples are clamped; [-1, 1] for images, None for none."""
        return self.data.range

    @property
    def standardise(self) -> Standardise | None:
        """The map x = mean + scale z between data x and the z of the parts; None for x = z.

        Kernel, prior, network and solver, `flow`, and x_T of `encode` and `decode`, know z alone.
        """
        return self.data.standardise

    def _to_parts(self, x: Tensor) -> Tensor:
        """Return z of data or states x, (B, *shape)."""
        return x if self.standardise is None else self.standardise.apply(x)

    def in_range(self, z: Tensor) -> Tensor:
        """Return data as the parts know them, (B, *shape), clamped to the range of samples."""
        return z if self.range is None else self._to_parts(self._to_data(z).clamp(*self.range))

    def _to_data(self, z: Tensor) -> Tensor:
        """Return data or states x of z, (B, *shape)."""
        return z if self.standardise is None else self.standardise.undo(z)

    @property
    def _rounding(self) -> torch.dtype:
        """What samples are rounded to: float32, unless that takes digits that data have."""
        known = self.standardise
        far = () if known is None else zip(known.mean, known.scale, strict=True)
        fine = self.data.columns or any(abs(mean) > _COARSE * scale for mean, scale in far)
        return torch.float64 if fine else torch.float32

    @property
    def guidance(self) -> DefaultGuidance | None:
        """How samples are guided where the caller does not say."""
        return None if self.config is None else self.config.guidance

    @property
    def distilled(self) -> Distilled | None:
        """Whose few-step student the model is, None where it is none."""
        return None if self.config is None else self.config.distilled

    def needs_field(self, what: str) -> None:
        """Raise ZooError where the model is a student; `what` it cannot, such as "be lifted"."""
        known = self.distilled
        if known is not None:
            raise ZooError(
                f"the model cannot {what}: it is {known} and has no field; use {known.whose}"
            )

    @property
    def steps(self) -> int:
        """Default number of solver steps."""
        return DEFAULT_STEPS if self.config is None else self.config.steps

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes by their numbers; () where they have none."""
        return self.data.classes

    @property
    def condition(self) -> Condition | None:
        """What samples are drawn given besides classes, None for nothing."""
        shape = unwrapped(self.network).condition
        if shape is None:
            return None
        known = None if self.config is None else self.config.data.condition
        return Condition(shape) if known is None else known

    def save_pretrained(
        self, folder: str | Path, *, dtype: torch.dtype | str | None = None
    ) -> Path:
        """Write the model folder: card, config.json, model.safetensors; whole or not at all.

        `save` is another name of it.

        Args:
            folder: where to; replaced if there.
            dtype: of the weights on disk, torch.float16 or "float16"; None as they are.

        Raises:
            ZooError: a part was not built by zoo.kernel, zoo.prior, zoo.network or zoo.solver, so
                that its name is not known; its options cannot be written as JSON; the network's
                tensors are not those of its options; a disk that refuses.
        """
        return self.write(as_path(folder, "folder"), dtype=parse_dtype(dtype))

    save = save_pretrained

    def write(self, folder: Path, **options: Any) -> Path:
        """Write the model folder; options and errors as for `zoo.folder.write.write_folder`."""
        if self._of_latents:
            raise ZooError("model.latents is a part of a latent model: save the model itself")
        network, kernel = self._trained()
        config = self.describe()
        check_state(network, config.network, config.data.state_shape, kernel)
        return write_folder(folder, config, network, self.card, **options)

    def _trained(self) -> tuple[Network, FieldKernel]:
        """Return the network whose weights are saved, and the kernel that it was built for."""
        return unwrapped(self.network), self.kernel

    def describe(self) -> Config:
        """Return config.json of the model with the parts that it has now; no weights are listed.

        Raises:
            ZooError: it is a model of zoo.exact; a part was not built by zoo.kernel, zoo.prior,
                zoo.network or zoo.solver, so that its name and options are not known; or its
                options cannot be written as JSON.
        """
        why = self._trained()[0].why_unnamed
        if why:
            raise ZooError(why)
        if self.config is None:
            known = Config(
                format=1,
                data=self.data,
                kernel=self._part("kernel"),
                prior=self._part("prior"),
                network=self._part("network"),
                solver=SolverPart.of(self._part("solver")),
            )
            return msgspec.structs.replace(known, requires=requirements(known))
        known = self.config
        self.check_parts()
        changed = {kind: self._part(kind) for kind in self._changed(known)}
        if not changed:
            return known
        if "solver" in changed:
            changed["solver"] = SolverPart.of(changed["solver"], known.solver.steps)
        if "network" in changed:  # what is known of its training is not true of another one
            known = msgspec.structs.replace(known, training=TrainingRecord())
        known = msgspec.structs.replace(known, **changed)
        return msgspec.structs.replace(known, requires=requirements(known))

    def _changed(self, known: Config) -> list[str]:
        """Return which parts are not those of a config.json, by name and options."""
        written = {kind: getattr(known, kind) for kind in PARTS}
        written["solver"] = Part(known.solver.use, known.solver.options)
        return [kind for kind in PARTS if self._named(kind) != written[kind]]

    def check_parts(self) -> None:
        """Raise ZooError where the model is a student with another part than it was trained with.

        Parts are compared by name and options; other weights of the same network are not seen.
        """
        known = self.config
        if known is None or known.distilled is None:
            return
        if changed := self._changed(known):
            raise ZooError(
                f"the {min(changed)} is not the one that {known.distilled} was trained with; a "
                "student keeps its own parts"
            )

    @property
    def data(self) -> Data:
        """What the model generates: shape, range, classes, columns."""
        known = self._known_data()
        return known.of_latents() if self._of_latents else known

    def _known_data(self) -> Data:
        """Return what the model generates with its decoder."""
        if self.config is not None:
            return self.config.data
        network = unwrapped(self.network)
        decoder = network.latent_decoder
        shape = decoder.shape if decoder else self._shape
        return Data(
            shape,
            range=(-1.0, 1.0) if len(shape) == 3 else None,
            labels=network.labels,
            condition=self.condition,
            latent=Latent(decoder.latent_shape, decoder.name) if decoder else None,
        )

    def _named(self, kind: str) -> Part | None:
        """Return name and options of the model's part of one kind, None where it has no name."""
        part = self._trained()[0] if kind == "network" else getattr(self, kind)
        named: Part | None = part.part
        return named

    def _part(self, kind: str) -> Part:
        """Return name and options of the model's kernel, prior, network or solver."""
        part = self._named(kind)
        if part is None:
            raise ZooError(f"the {kind} has no name to save; build it with zoo.{kind}(name, ...)")
        try:
            json.dumps(part.options, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ZooError(f"the {kind}'s options are not JSON: {error}") from error
        return part

    def compile(self, *args: Any, **kwargs: Any) -> Self:  # type: ignore[override]
        """Let torch.compile make the network's code at its first call; return the model.

        Arguments are those of torch.compile: mode="reduce-overhead" records CUDA graphs too. On the
        CPU, where batches are cut into tiles of one size, one compilation serves all of them.
        """
        self._trained()[0].compile(*args, **kwargs)
        return self

    def __repr__(self) -> str:
        called = f" {self.name!r}" if self.name else ""
        span = f" in [{self.range[0]:g}, {self.range[1]:g}]" if self.range else ""
        labels = unwrapped(self.network).labels
        known = f", {labels} classes" if labels else ""
        lines = [f"{kind}: {getattr(self, kind)!r}" for kind in PARTS]
        known += f", given {self.condition}" if self.condition else ""
        known += f", decoded from {self.data.latent}" if self.data.latent else ""
        head = f"{type(self).__name__}{called}: samples of shape {self.shape}{span}{known}"
        return "\n  ".join([f"{head}, {self.steps} steps, {self.dtype} on {self.device}", *lines])
