"""Recording: what a function of tensors computes, as a list of calls that runs without it.

The function is run once, on tensors that have a shape and no values. Calls that depend on its
inputs are written down; everything else, such as the weights of a multistep method, is computed and
becomes a constant. Python branches, checks and caches of the function are gone from the result. The
size of the batch is a prime: numbers that are multiples of it stand for multiples of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode, handle_torch_function

from zoo.errors import ZooError, one_line, shown
from zoo.exporting.equals import EQUALS
from zoo.interfaces.checks import unchecked, values_unknown

# No size of a layer or a data set is a multiple of it, or `check` finds out.
BATCH = 997
# Functions of sizes, whose results may have a batch though no argument does.
_SIZED = {torch.zeros, torch.ones, torch.full, torch.empty, torch.arange}
_SIZED |= {Tensor.expand, Tensor.repeat, Tensor.broadcast_to, Tensor.new_zeros, Tensor.new_ones}
_SIZED |= {Tensor.new_full, Tensor.new_empty, torch.broadcast_to}
# Functions of two numbers, by their names without underscores.
_ARITHMETIC = {"add", "sub", "mul", "div", "truediv", "pow", "radd", "rsub", "rmul", "rtruediv"}
# Factors as close to 1 as this are left out by torch's exporter.
_CLOSE = 1e-3
_ARITHMETIC |= {"multiply", "subtract", "divide", "true_divide"}


class Input(NamedTuple):
    """An input of a graph: (batch, *shape), or a number where `shape` is None."""

    name: str
    shape: tuple[int, ...] | None
    dtype: torch.dtype

    def like(self, batch: int) -> Tensor:
        """Return zeros of this shape."""
        return torch.zeros(() if self.shape is None else (batch, *self.shape), dtype=self.dtype)


class Slot(NamedTuple):
    """The value of a run with this number."""

    number: int


class Constant(NamedTuple):
    """A tensor that does not depend on the inputs."""

    name: str


class Rows(NamedTuple):
    """`times` the size of the batch."""

    times: int


class Call(NamedTuple):
    """One call; `out` has the slots of the tensors in its result, in order."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: list[int]


class Graph(nn.Module):
    """The calls of a recorded function, on any inputs; constants are its buffers.

    Args:
        inputs: of the function; the first has a batch.
        calls: in order.
        constants: tensors by name.
        result: the slot of what it returns.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        calls: Sequence[Call],
        constants: dict[str, Tensor],
        result: Slot,
    ) -> None:
        super().__init__()
        self.inputs, self.calls, self.result = tuple(inputs), tuple(calls), result
        for name, value in constants.items():
            self.register_buffer(name, value)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the function's value at the inputs."""
        values: dict[int, Tensor] = dict(enumerate(inputs))
        rows = inputs[0].shape[0]

        def given(leaf: Any) -> Any:
            if isinstance(leaf, Slot):
                return values[leaf.number]
            if isinstance(leaf, Constant):
                return self.get_buffer(leaf.name)
            return rows * leaf.times if isinstance(leaf, Rows) else leaf

        for call in self.calls:
            args, kwargs = _mapped(given, call.args), _mapped(given, call.kwargs)
            found = _tensors(call.function(*args, **kwargs))
            values.update(zip(call.out, found, strict=True))
        # An input that is handed on, or a constant, is no result that a graph may have.
        return values[self.result.number].clone()


class Opaque:
    """A graph as a function (x, ...) -> like x, which stays one call where it is recorded.

    Attributes:
        graph: what it computes.
        inside: what is called in its place; at first the graph itself.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.inside: Callable[..., Any] = graph

    def __call__(self, x: Tensor, *rest: Tensor) -> Tensor:
        """Return the graph's value."""
        if values_unknown():  # while it is recorded, not while torch traces the record
            found: Tensor = handle_torch_function(self, (x, *rest), x, *rest)
            return found
        result: Tensor = self.inside(x, *rest)
        return result


def has_no_values(x: Tensor) -> bool:
    """Return whether a tensor is one that a function is recorded on."""
    return isinstance(x, FakeTensor)


def record(function: Callable[..., Tensor], inputs: Sequence[Input]) -> Graph:
    """Return the graph of a function of tensors.

    Args:
        function: of as many tensors as there are inputs.
        inputs: what they are.

    Raises:
        ZooError: what it does depends on the values of its inputs, in a way that a graph cannot.
    """
    recorder = _Recorder(inputs)
    with torch.no_grad(), unchecked(), recorder:
        try:
            result = function(*recorder.given)
        except ZooError:
            raise
        except Exception as error:
            cause = shown(one_line(error), 160)
            raise ZooError(f"it does what no graph can, depending on values: {cause}") from error
        slot = recorder.slot(result)
    return Graph(inputs, recorder.calls, recorder.constants, slot)


class _Recorder(TorchFunctionMode):
    def __init__(self, inputs: Sequence[Input]) -> None:
        super().__init__()
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._slots: dict[int, int] = {}
        self._names: dict[int, str] = {}
        self._kept: list[Any] = []  # so that no id is given twice
        self._count = 0
        self.calls: list[Call] = []
        self.constants: dict[str, Tensor] = {}
        with self._fake:
            self.given = [one.like(BATCH) for one in inputs]
        for x in self.given:
            self._new_slot(x)

    def _new_slot(self, x: Tensor) -> int:
        """Return the slot of a value that a call returned: a new one, or that of its argument."""
        if id(x) not in self._slots:
            self._slots[id(x)] = self._count
            self._kept.append(x)
            self._count += 1
        return self._slots[id(x)]

    def slot(self, x: Tensor) -> Slot:
        """Return where a value is found."""
        if id(x) not in self._slots:
            raise ZooError("the result does not depend on the inputs")
        return Slot(self._slots[id(x)])

    def _recorded(self, leaf: Any) -> Any:
        """Return what stands for an argument in a call."""
        if isinstance(leaf, Tensor):
            if id(leaf) in self._slots:
                return Slot(self._slots[id(leaf)])
            return self._constant(leaf)
        if _is_rows(leaf):
            return Rows(leaf // BATCH)
        return leaf

    def _constant(self, x: Tensor) -> Constant:
        if isinstance(x, FakeTensor):
            raise ZooError("a tensor without values came from outside")
        if id(x) not in self._names:
            name = f"constant_{len(self._names)}"
            self._names[id(x)] = name
            self._kept.append(x)
            self.constants[name] = x.detach()
        return Constant(self._names[id(x)])

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for kind in types:
            if not issubclass(kind, Tensor):  # a class of numbers: its rules are recorded
                with self:
                    return kind.__torch_function__(func, types, args, kwargs)
        if func is Tensor.__iter__:
            return iter(self._call(torch.unbind, args, kwargs))
        if self._depends((args, kwargs)):
            if getattr(func, "__self__", None) is Tensor.data and func.__name__ == "__set__":
                raise ZooError("it sets the data of a tensor, which no graph does: use copy_")
            func = _barely_scaling(func, args) or EQUALS.get(func, func)
        if func is torch.equal:  # values are equal where they are the same
            return args[0] is args[1] if self._depends(args) else func(*args, **kwargs)
        return self._call(func, args, kwargs)

    def _depends(self, tree: Any) -> bool:
        """Return whether there is a tensor without values among arguments."""
        return any(isinstance(leaf, FakeTensor) for leaf in _leaves(tree))

    def _call(self, func: Any, args: Any, kwargs: Any) -> Any:
        if isinstance(func, Opaque):
            with self._fake:
                result = torch.empty_like(args[0])
        elif self._depends((args, kwargs)):
            result = func(*args, **kwargs)
        elif func in _SIZED and any(map(_is_rows, _leaves((args, kwargs)))):
            with self._fake:  # zeros(len(x)) and its like
                result = func(*args, **kwargs)
        else:
            return func(*args, **kwargs)
        found = _tensors(result)
        if found or func is Tensor.__setitem__:
            args = _exact(func, args)
            args, kwargs = _mapped(self._recorded, args), _mapped(self._recorded, kwargs)
            self.calls.append(Call(func, args, kwargs, [self._new_slot(x) for x in found]))
        return result


def _exact(func: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return arguments with numbers that meet float64 tensors as such: ONNX has them in float32."""
    doubles = any(isinstance(x, Tensor) and x.dtype == torch.float64 for x in args)
    if not doubles or getattr(func, "__name__", "").strip("_") not in _ARITHMETIC:
        return args
    return tuple(_double(x) if type(x) is float else x for x in args)


def _barely_scaling(func: Callable[..., Any], args: Any) -> Callable[..., Tensor] | None:
    """Return what scales in the place of `func`, where that is by a factor close to 1."""
    close = bool(args) and type(args[-1]) is float and 0 < abs(args[-1] - 1) < _CLOSE
    return _NEAR_ONE.get(getattr(func, "__name__", "")) if close else None


def _near_one(x: Tensor, factor: float) -> Tensor:
    """Return factor x, which torch's exporter takes for x where the factor is close to 1."""
    return x + x * torch.tensor(factor - 1, dtype=x.dtype)


def _near_one_(x: Tensor, factor: float) -> Tensor:
    """Make x factor x, and return it."""
    return x.add_(x * torch.tensor(factor - 1, dtype=x.dtype))


_NEAR_ONE = dict.fromkeys(("mul", "__mul__", "__rmul__", "multiply"), _near_one)
_NEAR_ONE |= dict.fromkeys(("mul_", "__imul__", "multiply_"), _near_one_)


def _double(value: float) -> Tensor | float:
    precise = torch.tensor(value, dtype=torch.float64)
    return value if float(precise.float()) == value else precise


def _is_rows(leaf: Any) -> bool:
    return type(leaf) is int and leaf != 0 and leaf % BATCH == 0


def _mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return nested arguments with a function applied to everything in them."""
    if isinstance(tree, slice):
        return slice(*(_mapped(function, end) for end in (tree.start, tree.stop, tree.step)))
    if isinstance(tree, (Slot, Constant, Rows)):
        return function(tree)
    if isinstance(tree, tuple):
        return tuple(_mapped(function, leaf) for leaf in tree)
    if isinstance(tree, list):
        return [_mapped(function, leaf) for leaf in tree]
    if isinstance(tree, dict):
        return {key: _mapped(function, leaf) for key, leaf in tree.items()}
    return function(tree)


def _leaves(tree: Any) -> list[Any]:
    found: list[Any] = []
    _mapped(found.append, tree)
    return found


def _tensors(result: Any) -> list[Tensor]:
    """Return the tensors in what a call returned."""
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, (tuple, list)):
        return [x for one in result for x in _tensors(one)]
    return []
