"""A model's denoiser, and its whole sampler, as recorded graphs."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from msgspec.structs import replace
from torch import Tensor

from zoo.config.part import called
from zoo.config.standardise import Standardise
from zoo.errors import ZooError, error_context, one_line, shown
from zoo.exporting.record import Graph, Input, Opaque, record
from zoo.exporting.tables import with_tables
from zoo.interfaces import Flow, IsotropicKernel, Network, Solver
from zoo.models.exact.network import SourceSum
from zoo.models.lift.flow import AugmentedFlow
from zoo.models.lift.model import LiftedModel
from zoo.models.model import FieldModel
from zoo.models.posterior import PosteriorParts
from zoo.models.trajectory import integrate_to_data
from zoo.sampling.given import hidden
from zoo.sampling.guidance import Guidance
from zoo.sampling.predict import HALVES, unwrapped

# Numbers of a data set that become part of a graph.
_MOST_NUMBERS = 2**24
# Steps of a sampler: the networks of ten times as many fill a file.
_MOST_STEPS = 1000
# Rows of the example that a graph is held to, and how far it may be from it.
_ROWS, _ROUNDING = 2, 1e-3


class Exported(NamedTuple):
    """A graph, and the network that it calls as the function `predict`.

    Attributes:
        graph: from its inputs to `output`.
        predict: what the graph calls; its `inside` is the network's own graph.
        output: the result, named "denoised", "field" or "samples".
        times: of the steps of a sampler, those of a typical sample; () of a denoiser.
        evaluations: of the network.
    """

    graph: Graph
    predict: Opaque
    output: Input
    times: tuple[float, ...] = ()
    evaluations: int = 1

    def joined(self) -> Graph:
        """Return the graph with the network inside, its weights among those of the graph."""
        self.graph.add_module("network", self.predict.graph)
        return self.graph


def plain(model: FieldModel) -> FieldModel:
    """Return a copy of a model that can be recorded: on the CPU, of float32 or float64.

    Raises:
        ZooError: its network is a data set that is too large; it is a posterior.
    """
    if isinstance(model, PosteriorParts):
        raise ZooError(
            "a posterior asks the network for its derivatives too, which no graph does: export the "
            "model that was conditioned"
        )
    network = unwrapped(model.network)
    if isinstance(network, SourceSum) and network.centred.numel() > _MOST_NUMBERS:
        raise ZooError(
            f"the exact field of {len(network):,} sources holds {network.centred.numel():,} "
            f"numbers; a graph holds at most {_MOST_NUMBERS:,}: export a trained network, or the "
            "exact field of fewer sources"
        )
    copied = copy.deepcopy(model).to("cpu").eval()
    copied.add_module("network", unwrapped(copied.network))
    return copied.float() if model.dtype in HALVES else copied


def _data_dtype(model: FieldModel) -> torch.dtype:
    """Return the dtype of what is in data units: float64 where `sample` returns that."""
    return torch.promote_types(model.dtype, model._rounding)


def _conditions(model: FieldModel, dtype: torch.dtype) -> tuple[Input, ...]:
    """Return the inputs that samples are drawn given: classes, conditions, the guidance of all."""
    found = [Input("labels", (), torch.int64)] if model.data.labels else []
    if model.condition is not None:
        found.append(Input("condition", model.condition.shape, dtype))
    guided = found and model.distilled is None  # a student learned one guidance
    return (*found, Input("guidance", None, torch.float32)) if guided else (*found,)


def _predictor(model: FieldModel, network: Network) -> Opaque:
    """Return the network as a function of (x, t), what is given in order, and guidance."""
    x, t = Input("x", model.shape, model.dtype), Input("t", (), model.dtype)

    def predict(x: Tensor, t: Tensor, *conditions: Tensor) -> Tensor:
        if not conditions or model.distilled is not None:
            return network(x.clone(), t, *conditions)  # x may be overwritten
        *given, guidance = conditions
        both: list[Tensor | None] = [] if model.data.labels else [None]
        both += [torch.cat([each, torch.full_like(each, hidden(each))]) for each in given]
        out = network(torch.cat([x, x]), torch.cat([t, t]), *both)
        following, without = out[: len(x)], out[len(x) :]
        return without + guidance.to(out) * (following - without)

    inputs = (x, t, *_conditions(model, model.dtype))
    with error_context("the network cannot be exported"):
        return Opaque(_recorded(predict, inputs, model, "network"))


def _example(inputs: Sequence[Input], model: FieldModel, in_data_units: bool) -> list[Tensor]:
    """Return values of inputs that differ from row to row: times, what is given, a guidance."""
    low, high = model.kernel.t_min, model.kernel.t_max
    size = float(model.kernel.marginal(high)[1]) if inputs[0].name == "noise" else 1.0
    values = {
        "t": torch.tensor([(low * high) ** 0.5, (low * high**3) ** 0.25]),
        "labels": torch.tensor([0, -1]),
        "guidance": torch.tensor(1.5),
    }
    if model.condition is not None:
        shape, known = model.condition.shape, model.condition.standardise
        given = torch.linspace(-1, 1, math.prod(shape)).reshape(1, *shape)
        given = known.undo(given.double()) if known and in_data_units else given
        values["condition"] = torch.cat([given, torch.full_like(given, math.nan)])
    x = size * torch.linspace(-1, 1, _ROWS * model.kernel.dim).reshape(_ROWS, *model.shape)
    if inputs[0].name == "x" and in_data_units and model.standardise is not None:
        x = model.standardise.undo(x.double())
    return [values.get(one.name, x).to(one.dtype) for one in inputs]


def _recorded(
    function: Callable[..., Tensor],
    inputs: Sequence[Input],
    model: FieldModel,
    what: str,
    units: Standardise | None = None,
) -> Graph:
    """Return the graph of a function, whose values may be in data units.

    Raises:
        ZooError: the function cannot be recorded, or its graph gives other numbers.
    """
    example = _example(inputs, model, what != "network")
    try:
        with torch.no_grad():  # first, since tables are made when they are first needed
            expected = function(*example)
    except ZooError:
        raise
    except Exception as error:
        raise ZooError(f"the {what} fails on {_ROWS} samples: {shown(one_line(error))}") from error
    graph = record(function, inputs)
    try:
        with torch.no_grad():
            found = graph(*example)
        if units is not None:
            found, expected = units.apply(found.double()), units.apply(expected.double())
        right = bool((found - expected).abs().max() <= _ROUNDING * (1 + expected.abs().max()))
    except Exception:  # of a size that is that of the batch, unseen: as many parts, places
        right = False
    if not right:
        raise ZooError(
            f"the recorded {what} gives other numbers than the {what}, or none: its code depends "
            "on values of x or t, or on the number of samples; write it with torch.where, and "
            "without a loop over samples"
        )
    return graph


def _seen_by(
    predict: Opaque, conditions: tuple[Tensor, ...], model: FieldModel
) -> Callable[..., Tensor]:
    """Return `predict` as a flow calls it, t one for all or one for each."""
    guidance = conditions[-1:] if model.distilled is None else ()

    def seen(x: Tensor, t: Tensor, *given: Tensor | None) -> Tensor:
        there = (each for each in given if each is not None)
        return predict(x, t.expand(x.shape[0]), *there, *guidance)

    return seen


def _options(model: FieldModel, conditions: tuple[Tensor, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {"dtype": model.dtype, "sigma_data": model.network.sigma_data}
    if model.data.labels:
        found["labels"] = conditions[0]
    if model.condition is not None:
        known, given = model.condition.standardise, conditions[-2]
        found["condition"] = (given if known is None else known.apply(given)).to(model.dtype)
    return found


def denoiser(model: FieldModel) -> Exported:
    """Return the graph of E[x_0 | x_t], or of dx/dt where the kernel has no such denoiser.

    Its inputs are x (B, *shape) in data units, t (B,); labels (B,) of a model with classes;
    condition (B, *condition) in data units of one that takes it; guidance () of either.

    Raises:
        ZooError: the network or the kernel does what no graph can.
    """
    model = with_tables(plain(model))
    network, affine = unwrapped(model.network), model.kernel.affine
    known = units = model.standardise
    if known is not None and not affine:  # a field is scaled alone
        units = replace(known, mean=(0.0,) * len(known.mean))
    predict, dtype = _predictor(model, network), _data_dtype(model)
    output = Input("denoised" if affine else "field", model.shape, dtype)
    t, given = Input("t", (), model.dtype), _conditions(model, dtype)

    def function(x: Tensor, t: Tensor, *conditions: Tensor) -> Tensor:
        seen = _seen_by(predict, conditions, model)
        flow = Flow(model.kernel, seen, network.predicts, **_options(model, conditions))
        z = x if known is None else known.apply(x)
        found = (flow.denoise if affine else flow.field)(z, t).to(x.dtype)
        return found if units is None else units.undo(found)

    with error_context(f"the kernel {called(model.kernel)} cannot be exported"):
        graph = _recorded(function, (output._replace(name="x"), t, *given), model, "kernel", units)
    return Exported(graph, predict, output)


class _Quiet(Flow):
    """A flow in whose graph no noise can be drawn."""

    def noise(self, step: int, like: Tensor) -> Tensor:
        """Refuse.

        Raises:
            ZooError: always.
        """
        del step, like
        raise ZooError("it adds noise on the way, which a graph does not draw; name another solver")


class _QuietAugmented(AugmentedFlow):
    """The same of a lifted model."""

    noise = _Quiet.noise


def sampler(model: FieldModel, steps: int) -> Exported:
    """Return the graph from starting points x_T to data, every step of the solver in it.

    Its inputs are noise (B, *shape), as the model's prior draws it, and what is given as for
    `denoiser`. Weights of multistep methods are constants; samples of kernels whose level is random
    look theirs up in a table, as in `sample`.

    Raises:
        ZooError: the solver chooses its own steps or draws noise; the network or the kernel does
            what no graph can; a student that is to take other steps.
    """
    model.check_student(model.solver, steps, Guidance())
    solver = copy.copy(model.solver)
    if steps > _MOST_STEPS:
        raise ZooError(f"steps = {steps:,}; every step is in the graph: at most {_MOST_STEPS:,}")
    times, evaluations = _plan(solver, model, steps)
    model = with_tables(plain(model))
    lifted = model if isinstance(model, LiftedModel) and model.kernel.random_level else None
    network = unwrapped(model.network) if lifted is None else lifted.network.denoiser
    predict = _predictor(model, network)
    output = Input("samples", model.shape, _data_dtype(model))

    def function(noise: Tensor, *conditions: Tensor) -> Tensor:
        seen, options = _seen_by(predict, conditions, model), _options(model, conditions)
        if lifted is not None:
            high = lifted.network.denoiser.high
            kernel = cast(IsotropicKernel, model.kernel)
            carrying = _QuietAugmented(kernel, seen, high, model.shape, **options)
            start = carrying.start(noise.double())
            end = carrying.unpack(integrate_to_data(solver, carrying, start, steps))[0]
        else:
            flow = _Quiet(model.kernel, seen, network.predicts, **options)
            end = integrate_to_data(solver, flow, noise, steps)
        end = end.double()
        end = end if model.standardise is None else model.standardise.undo(end)
        end = end.to(output.dtype)
        return end if model.range is None else end.clamp(*model.range)

    noise = Input("noise", model.shape, model.dtype)
    inputs = noise, *_conditions(model, output.dtype)
    with error_context(f"the solver {called(solver)} cannot be exported"):
        graph = _recorded(function, inputs, model, "solver", model.standardise)
    return Exported(graph, predict, output, times, evaluations)


def _plan(solver: Solver, model: FieldModel, steps: int) -> tuple[tuple[float, ...], int]:
    """Return the times of the steps, and the number of evaluations."""
    kernel = model.kernel
    if steps == 1 and solver.own_steps is None:
        return (kernel.t_max,), 1
    try:
        evaluations = solver.evaluations(steps - 1) + 1
        times = solver.times(kernel, kernel.t_max, kernel.t_min, steps - 1)
    except ZooError as error:
        if solver.own_steps is not None:  # it says for how many it is made
            raise
        raise ZooError(
            f"the solver {called(solver)} chooses its own steps, which no graph can: load the "
            "model with another, such as solver='exp-abm3'"
        ) from error
    return tuple(times.tolist()), evaluations
