"""The machine of pickles, a stack and a memo, for files that nobody vouches for.

Python's own does what a file of some bytes asks for: it hashes a tuple that is nested in itself 45
times (2^45 steps), keeps a memo as long as the largest number in the file, and calls
`bytearray(3e8)`. This one takes text and whole numbers for keys, pays for what it makes from a
`Budget`, and leaves to its caller what a name stands for.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, cast

# An instruction makes at most some 100 bytes and takes a microsecond. A checkpoint has some 250 for
# each parameter, with optimiser and averages, whose numbers take more bytes.
MOST_STEPS, _BYTES_A_STEP = 1_000_000, 50
# Memory for what a file makes of itself: so many times its size, and this.
_TIMES, _SPARE = 4, 2**26
_SLOT = 8  # what an argument takes, in bytes
# Larger numbers are none that a float holds, or that an error can show.
_MOST_BITS = 256


class Refused(Exception):
    """The file asks for something that is no data."""


class TooMuch(Exception):
    """The file asks for more memory or time than its size allows."""


class Budget:
    """Memory and instructions that reading a file may take.

    Args:
        size: of the file, in bytes.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._memory = _TIMES * size + _SPARE
        self._steps = self._most = MOST_STEPS + size // _BYTES_A_STEP

    def take(self, count: int) -> None:
        """Pay for `count` bytes; raises TooMuch."""
        self._memory -= count
        if self._memory < 0:
            raise TooMuch("more memory than there is data in it")

    def step(self) -> None:
        """Pay for one instruction; raises TooMuch."""
        self._steps -= 1
        if self._steps < 0:
            raise TooMuch(f"more than the {self._most} instructions of a pickle that are read")


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function that the file names.

    Attributes:
        module, name: as the file has them.
        call: makes what a call of it stands for, of the budget and the arguments.
    """

    module: str
    name: str
    call: Callable[..., Any]


class Machine:
    """Runs the pickles of one file, one after the other.

    Args:
        file: the pickle.
        resolve: returns what (module, name) stands for.
        budget: of the whole file.
        persistent: returns what lies outside of the pickle, by the mark that it is given.
    """

    def __init__(
        self,
        file: IO[bytes],
        resolve: Callable[[str, str], Any],
        budget: Budget,
        persistent: Callable[[Any], Any] | None = None,
    ) -> None:
        self.budget, self.resolve, self.persistent = budget, resolve, persistent
        self._file = file
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def read(self, count: int) -> bytes:
        """Return the next bytes of the file, which has no more than its size."""
        if count > self.budget.size:
            raise TooMuch("more data than there is in it")
        return self._file.read(count)

    def readline(self) -> bytes:
        """Return the next line of the file."""
        return self._file.readline()

    def load(self) -> Any:
        """Return what the next pickle holds.

        Raises:
            Refused: it is no data.
            TooMuch: it takes more than the budget.
            Exception: it is no pickle.
        """
        self.stack, self.marks, self.memo = [], [], {}
        for opcode, argument, _ in pickletools.genops(cast(IO[bytes], self)):
            self.budget.step()
            if opcode.name == "STOP":
                return self.pop()
            act = _ACTIONS.get(opcode.name)
            if act is None:
                raise Refused(f"the instruction {opcode.name}")
            act(self, argument)
        raise ValueError("it ends before its end")

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Take the last value off the stack, none below the last mark."""
        self.top()
        return self.stack.pop()

    def top(self) -> Any:
        """Return the last value on the stack."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("its stack is empty")
        return self.stack[-1]

    def since_mark(self) -> list[Any]:
        """Take all values above the last mark off the stack, with the mark."""
        start = self.marks.pop()
        found = self.stack[start:]
        del self.stack[start:]
        return found

    def call(self, function: Any, args: Any) -> Any:
        """Return what a call stands for."""
        if not isinstance(function, Name) or not isinstance(args, tuple):
            raise Refused(f"a call of a {type(function).__name__}")
        self.budget.take(_SLOT * len(args))  # one tuple may be the arguments of many calls
        return function.call(self.budget, *args)


def check_key(key: Any) -> Any:
    """Return a key; raises Refused unless it is text or a whole number of 64 bits."""
    if not isinstance(key, str | int) or (isinstance(key, int) and key.bit_length() > 64):
        raise Refused(f"a key that is a {type(key).__name__}; keys are text or small numbers")
    return key


def pairs_of(flat: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield the items of a mapping from keys and values in turn."""
    for key, value in zip(flat[::2], flat[1::2], strict=True):
        yield check_key(key), value


def _number(machine: Machine, value: int) -> None:
    if value.bit_length() > _MOST_BITS:
        raise Refused(f"a number of {value.bit_length()} bits")
    machine.push(value)


def _append(machine: Machine, values: Iterable[Any]) -> None:
    target = machine.top()
    if isinstance(target, list):
        target.extend(values)
        return
    items = _items_of(target)
    for value in values:
        items[len(items)] = value


def _set(machine: Machine, flat: list[Any]) -> None:
    target = machine.top()
    items = target if isinstance(target, dict) else _items_of(target)
    for key, value in pairs_of(flat):
        items[key] = value


def _items_of(target: Any) -> dict[Any, Any]:
    items = getattr(target, "items", None)
    if not isinstance(items, dict):
        raise Refused(f"elements of a {type(target).__name__}")
    return items


def _add(machine: Machine, values: list[Any]) -> None:
    target = machine.top()
    if not isinstance(target, set):
        raise Refused(f"elements of a {type(target).__name__}")
    target.update(map(check_key, values))


def _build(machine: Machine, _: Any) -> None:
    """Keep an object's state; what torch and collections put on their own is not needed."""
    state, target = machine.pop(), machine.top()
    if isinstance(getattr(target, "items", None), dict):
        target.state = state


def _reduce(machine: Machine, _: Any) -> None:
    args = machine.pop()
    machine.push(machine.call(machine.pop(), args))


def _new_with_names(machine: Machine, _: Any) -> None:
    machine.pop()  # arguments by name: no record keeps them
    _reduce(machine, None)


def _old_object(machine: Machine, _: Any) -> None:
    cls, *args = machine.since_mark()
    machine.push(machine.call(cls, tuple(args)))


def _instance(machine: Machine, argument: str) -> None:
    args = tuple(machine.since_mark())
    machine.push(machine.call(machine.resolve(*_two(argument)), args))


def _global(machine: Machine, argument: str) -> None:
    machine.push(machine.resolve(*_two(argument)))


def _two(argument: str) -> tuple[str, str]:
    module, _, name = argument.partition(" ")
    return module, name


def _stack_global(machine: Machine, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise Refused("a name that is no text")
    machine.push(machine.resolve(module, name))


def _outside(machine: Machine, mark: Any) -> None:
    if machine.persistent is None:
        raise Refused("something outside of it")
    machine.push(machine.persistent(mark))


def _pop(machine: Machine, _: Any) -> None:
    if machine.marks and len(machine.stack) == machine.marks[-1]:
        machine.marks.pop()
    else:
        machine.pop()


def _keep(machine: Machine, number: Any) -> None:
    machine.memo[int(number)] = machine.top()


def _last(machine: Machine, count: int) -> tuple[Any, ...]:
    return tuple(machine.pop() for _ in range(count))[::-1]


Act = Callable[[Machine, Any], None]


def _tuple(count: int) -> Act:
    return lambda m, _: m.push(_last(m, count))


def _nothing(machine: Machine, argument: Any) -> None:
    del machine, argument


_ACTIONS: Mapping[str, Act] = {
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), Machine.push),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), Machine.push),
    **dict.fromkeys(("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), Machine.push),
    **dict.fromkeys(("FLOAT", "BINFLOAT"), Machine.push),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2"), _number),
    **dict.fromkeys(("LONG", "LONG1", "LONG4"), _number),
    **dict.fromkeys(("PROTO", "FRAME"), _nothing),
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "EMPTY_SET": lambda m, _: m.push(set()),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "TUPLE": lambda m, _: m.push(tuple(m.since_mark())),
    "LIST": lambda m, _: m.push(m.since_mark()),
    "DICT": lambda m, _: m.push(dict(pairs_of(m.since_mark()))),
    "FROZENSET": lambda m, _: m.push(frozenset(map(check_key, m.since_mark()))),
    "APPEND": lambda m, _: _append(m, [m.pop()]),
    "APPENDS": lambda m, _: _append(m, m.since_mark()),
    "SETITEM": lambda m, _: _set(m, [*_last(m, 2)]),
    "SETITEMS": lambda m, _: _set(m, m.since_mark()),
    "ADDITEMS": lambda m, _: _add(m, m.since_mark()),
    "MARK": lambda m, _: m.marks.append(len(m.stack)),
    "POP": _pop,
    "POP_MARK": lambda m, _: m.since_mark().clear(),
    "DUP": lambda m, _: m.push(m.top()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _keep),
    "MEMOIZE": lambda m, _: _keep(m, len(m.memo)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, n: m.push(m.memo[int(n)])),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": _new_with_names,
    "BUILD": _build,
    "INST": _instance,
    "OBJ": _old_object,
    "PERSID": _outside,
    "BINPERSID": lambda m, _: _outside(m, m.pop()),
}
