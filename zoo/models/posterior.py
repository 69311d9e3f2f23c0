"""The model of p(x | y): what it does otherwise than the model that was asked."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from zoo.config.condition import Condition
from zoo.config.model import Config, Data, DefaultGuidance
from zoo.errors import ZooError, brief
from zoo.host.build import posterior as build_method
from zoo.interfaces import Flow, Operator, PosteriorMethod
from zoo.interfaces.checks import check_integer
from zoo.interfaces.flow import StepNoise
from zoo.interfaces.posterior import Conditioned
from zoo.models.sampling import SamplingModel
from zoo.models.trajectory import Trajectory, arguments_of
from zoo.posterior import observe
from zoo.sampling.arguments import Numbers
from zoo.sampling.given import Given
from zoo.sampling.guidance import Guidance
from zoo.sampling.predict import shown_dtype


class PosteriorParts(SamplingModel):
    """What `PosteriorModel`, whose docstring holds, has before FieldModel among its bases."""

    def __init__(self, source: SamplingModel, observed: Conditioned) -> None:
        own = copy.copy(source)
        own._around = observed
        super().__init__(
            source.kernel,
            source.prior,
            source.network,
            source.solver,
            source.state_shape,
            config=source.config,
            card=source.card,
            name=source.name,
        )
        self._of_latents = source._of_latents
        self.observed = self._around = observed
        self.load_guide = source.load_guide
        self._conditioned = (own,)  # in a tuple: its network is this model's, registered once

    @property
    def conditioned(self) -> SamplingModel:
        """A copy of the model that was asked, conditioned: its labels are `_codes`."""
        return self._conditioned[0]

    def _known_data(self) -> Data:
        return self.conditioned._known_data()

    @property
    def condition(self) -> Condition | None:
        """What samples are drawn given, that of the model that was asked."""
        return self.conditioned.condition

    @property
    def guidance(self) -> DefaultGuidance | None:
        """How samples are guided by default, as those of the model that was asked."""
        return self.conditioned.guidance

    @property
    def steps(self) -> int:
        """Default number of solver steps, that of the model that was asked."""
        return self.conditioned.steps

    def _codes(self, labels: Tensor | None, first: int, count: int) -> Tensor:
        """Return (class number, row of y) of samples first, first + 1, ...: (count, 2)."""
        # Solvers that take whole groups of samples draw some beyond the last row, and drop them.
        index = torch.arange(first, first + count).clamp(max=len(self.observed.seen.y) - 1)
        classes = torch.full((count,), -1) if labels is None else labels.cpu().expand(count)
        return torch.stack([classes, index], dim=1).to(self.device)

    def _check_count(self, last: int) -> None:
        rows = len(self.observed.seen.y)
        if 1 < rows < last:
            raise ZooError(
                f"y has {rows} rows, one for each sample; sample {rows} has none: ask for at most "
                f"{rows}, or repeat rows, y.repeat_interleave(k, 0)"
            )

    @arguments_of(SamplingModel.trajectory, without="")
    def trajectory(self, *args: Any, **options: Any) -> Trajectory:
        """Draw n samples of p(x | y) and keep their states; see FieldModel.

        Raises:
            ZooError: y has several rows, and less than samples are asked for; or as there.
        """
        given = inspect.signature(SamplingModel.trajectory).bind(self, *args, **options)
        given.apply_defaults()
        n, first = (check_integer(name, given.arguments[name], 0) for name in ("n", "first"))
        self._check_count(first + n)
        return super().trajectory(*args, **options)

    def flow(
        self,
        labels: Tensor | None = None,
        guidance: float | Guidance = 1.0,
        noise: StepNoise | None = None,
        condition: Tensor | None = None,
    ) -> Flow:
        """Return the ODE of one sample for each label, or for each row of y; see FieldModel.

        With one y and no labels: of any number of samples.

        Raises:
            ZooError: y has several rows, and less than there are labels; or as there.
        """
        rows = len(self.observed.seen.y) if labels is None else len(labels)
        self._check_count(rows)
        codes = None if labels is None and rows == 1 else self._codes(labels, 0, rows)
        return self.conditioned.flow(codes, guidance, noise, condition)

    def _flow_of(
        self,
        n: int,
        labels: Numbers | None,
        condition: Numbers | None,
        guidance: float | Guidance = 1.0,
    ) -> Flow:
        rows = len(self.observed.seen.y)
        if rows not in (1, n):
            raise ZooError(
                f"y has {rows} rows, one for each of as many points, and there are {n}: ask a "
                "posterior of the rows that they belong to"
            )
        given = self._given(labels, condition, guidance, n).of(n).part(0, n, self.device)
        codes = self._codes(given.labels, 0, n)
        return self.conditioned.flow(codes, guidance, condition=given.condition)

    def _start(
        self, x: Tensor, given: Given, guidance: float | Guidance, noise: StepNoise, first: int
    ) -> tuple[Flow, Tensor]:
        codes = self._codes(given.labels, first, len(x))
        return self.conditioned._start(x, replace(given, labels=codes), guidance, noise, first)

    def _samples_in(self, state: Tensor) -> Tensor:
        return self.conditioned._samples_in(state)

    def describe(self) -> Config:
        """Refuse: a posterior is no model folder.

        Raises:
            ZooError: always.
        """
        self._refuse("is not saved: save the model that was asked, and ask it again")

    def write(self, folder: Path, **options: Any) -> Path:
        """Refuse: a posterior is no model folder.

        Raises:
            ZooError: always.
        """
        del folder, options
        return self.describe()  # type: ignore[return-value]

    def log_likelihood(self, *args: Any, **options: Any) -> NoReturn:
        """Refuse: methods approximate the denoiser of p(x | y), not its density.

        Raises:
            ZooError: always.
        """
        del args, options
        self._refuse(
            "has no likelihood: log p(x | y) is log p(x) + log p(y | x) up to a constant, and "
            "log_prob of the model that was asked gives the first"
        )

    def push_to_hub(self, *args: Any, **options: Any) -> NoReturn:
        """Refuse: a posterior is no model folder.

        Raises:
            ZooError: always.
        """
        del args, options
        self._refuse("is not published: publish the model that was asked")

    def posterior(self, *args: Any, **options: Any) -> NoReturn:
        """Refuse: one observation holds all that was observed.

        Raises:
            ZooError: always.
        """
        del args, options
        self._refuse("is not asked again: put all that was observed into one operator")

    def _refuse(self, why: str) -> NoReturn:
        raise ZooError(f"a posterior {why}")


def observed_by(
    model: SamplingModel,
    y: Numbers,
    operator: Operator | Callable[[Tensor], Tensor],
    *,
    noise: Numbers,
    method: PosteriorMethod | str,
    options: dict[str, Any],
) -> Conditioned:
    """Return what conditions the denoiser of a model on y.

    Arguments and errors are those of `FieldModel.posterior`.
    """
    if isinstance(method, str):
        method = build_method(method, **options)
    elif not isinstance(method, PosteriorMethod):
        raise ZooError(f"method is {brief(method)}; expected a name, or a PosteriorMethod")
    elif options:
        raise ZooError(f"option {min(options)!r} goes with the name of a method, not with a method")
    seen = observe(
        y,
        operator,
        noise,
        shape=model.shape,
        standardise=model.standardise,
        span=model.range,
        like=torch.empty((), dtype=shown_dtype(model.dtype), device=model.device),
        columns=model.data.columns,
    )
    with torch.inference_mode(False), torch.no_grad():
        prepared = method.prepare(model._asked_by_samples, model.kernel, seen)
    return Conditioned(prepared, seen, model.kernel)
