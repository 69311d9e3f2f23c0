"""Formulas written as text in a config: parsed by a whitelist, never evaluated as Python.

    psi = Expression("tanh((r/t)**beta)", {"r", "t", "beta"}, argument="psi")
    psi(r=r, t=t, beta=1.5)

Numbers, the given names, pi, + - * / **, parentheses and calls of the functions listed in
`FUNCTIONS` are allowed; anything else is refused with one line.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError, did_you_mean
from zoo.numerics.special import betainc, gammainc

MAX_LENGTH = 1000
MAX_DEPTH = 40
MAX_NUMBER = 1e12

_UNARY = (
    *("atan", "cos", "cosh", "erf", "erfc", "exp", "expm1", "log", "log1p"),
    *("sigmoid", "sin", "sinh", "sqrt", "square", "tanh"),
)
# Name in a formula -> (function, number of arguments).
FUNCTIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "betainc": (betainc, 3),
    "gammainc": (gammainc, 2),
    **{name: (getattr(torch, name), 1) for name in _UNARY},
}
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


_Compiled = Callable[[Mapping[str, Any]], Any]


class Expression:
    """A formula of named values, callable with tensors by keyword.

    Attributes:
        text: the formula as written.
        argument: name of the option that holds the formula; errors name it.
        names: the names that occur in it.
        tree: its checked syntax tree.

    Raises:
        ZooError: it is no formula, too long, or uses what formulas do not have.
    """

    def __init__(self, text: str, allowed: Iterable[str], *, argument: str) -> None:
        self.text = text
        self.argument = argument
        if len(text) > MAX_LENGTH:
            raise ZooError(f"{argument}: a formula of {len(text)} characters; at most {MAX_LENGTH}")
        try:
            self.tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self._error("it cannot be read as a formula") from None
        self._allowed = frozenset(allowed)
        self._compiled = self._compile(self.tree, 0)
        nodes = (node for node in ast.walk(self.tree) if isinstance(node, ast.Name))
        self.names = frozenset(node.id for node in nodes) & self._allowed

    def _error(self, what: str) -> ZooError:
        short = self.text if len(self.text) <= 80 else self.text[:77] + "..."
        return ZooError(f"{self.argument} = {short!r}: {what}")

    def _compile(self, node: ast.expr, depth: int) -> _Compiled:
        """Return the node as a function of the named values; refuse what is not allowed."""
        if depth > MAX_DEPTH:
            raise self._error(f"nested more than {MAX_DEPTH} deep")
        match node:
            case ast.Constant(value=bool()):
                raise self._error("True and False are not numbers")
            case ast.Constant(value=int() | float() as value):
                # Compared before the conversion: a huge integer would overflow a float.
                if not value <= MAX_NUMBER:
                    raise self._error(f"a number above {MAX_NUMBER:g}")
                return _constant(float(value))
            case ast.Name(id=name):
                return self._compile_name(name)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as op, operand=operand):
                inner = self._compile(operand, depth + 1)
                return (lambda values: -inner(values)) if isinstance(op, ast.USub) else inner
            case ast.BinOp(op=op, left=left, right=right):
                if type(op) not in _OPERATORS:
                    hint = "write powers as **" if isinstance(op, ast.BitXor) else "use + - * / **"
                    raise self._error(f"an operator that formulas do not have; {hint}")
                function = _OPERATORS[type(op)]
                a = self._compile(left, depth + 1)
                b = self._compile(right, depth + 1)
                return lambda values: function(a(values), b(values))
            case ast.Call():
                return self._compile_call(node, depth)
            case ast.Attribute(attr=attribute):
                raise self._error(f"the attribute .{attribute}; formulas have none")
        kind = type(node).__name__
        raise self._error(f"{kind} is not allowed; use numbers, names, + - * / ** and functions")

    def _compile_name(self, name: str) -> _Compiled:
        if name in self._allowed:
            return lambda values: values[name]
        if name == "pi":
            return _constant(math.pi)
        if name in FUNCTIONS:
            raise self._error(f"{name} is a function; write {name}(...)")
        raise self._error(f"unknown name {name!r}; {did_you_mean(name, {*self._allowed, 'pi'})}")

    def _compile_call(self, node: ast.Call, depth: int) -> _Compiled:
        if isinstance(node.func, ast.Attribute):
            raise self._error(f"the attribute .{node.func.attr}; formulas have none")
        if not isinstance(node.func, ast.Name):
            raise self._error("a call of something that is not a function name")
        name = node.func.id
        if name not in FUNCTIONS:
            raise self._error(f"the call {name}(...); {did_you_mean(name, FUNCTIONS)}")
        function, count = FUNCTIONS[name]
        if node.keywords or len(node.args) != count:
            raise self._error(f"{name} takes {count} argument{'s' if count > 1 else ''}")
        arguments = [self._compile(argument, depth + 1) for argument in node.args]
        return lambda values: function(*[argument(values) for argument in arguments])

    def __call__(self, **values: Any) -> Any:
        """Return the formula's value; `values` has one tensor or number per name that occurs."""
        if missing := self.names - values.keys():
            raise self._error(f"no value for {', '.join(sorted(missing))}")
        numbers = {k: _number(v) if isinstance(v, (int, float)) else v for k, v in values.items()}
        return self._compiled(numbers)

    def __reduce__(self) -> tuple[Callable[..., Expression], tuple[str, frozenset[str]]]:
        return partial(Expression, argument=self.argument), (self.text, self._allowed)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def _number(value: float) -> Tensor:
    # A 0-d tensor: no overflow error of Python, no complex powers, no type promotion.
    return torch.tensor(float(value), dtype=torch.float64)


def _constant(value: float) -> _Compiled:
    number = _number(value)
    return lambda _: number


@dataclass(frozen=True, eq=False)
class Formula:
    """An expression as a function of `names`, called in that order; the others are `fixed`."""

    expression: Expression
    names: tuple[str, ...]
    fixed: Mapping[str, Tensor]

    def __call__(self, *args: Any) -> Any:
        """Return the value of the expression."""
        return self.expression(**dict(zip(self.names, args, strict=True)), **self.fixed)


# What options take as a formula: text, a constant, or a function of tensors.
FormulaLike = str | float | Callable[..., Any] | Expression


def formula(
    given: FormulaLike,
    names: tuple[str, ...],
    *,
    argument: str,
    parameters: Mapping[str, float] | None = None,
    constants: Mapping[str, float] | None = None,
) -> Callable[..., Any]:
    """Return `given` as a function of `names`, called with them in that order.

    Args:
        given: text; a number; or a callable, which gets `parameters` by keyword too.
        names: the variables, such as ("r", "t").
        argument: the option's name, for errors.
        parameters: more names with values from the user; a formula must use all of them.
        constants: more names with values that a formula may use.

    Raises:
        ZooError: the text is not a formula, a parameter is not a finite number or is not used,
            or `given` is neither text, number nor callable.
    """
    parameters = dict(parameters or {})
    constants = dict(constants or {})
    reserved = {*names, *constants, *FUNCTIONS, "pi"}
    for name, value in parameters.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ZooError(f"{name} = {value!r}; expected a number, a parameter of {argument}")
        if not math.isfinite(value):
            raise ZooError(f"{name} = {value}; expected a finite number")
        if name in reserved:
            raise ZooError(f"{name} is taken: it cannot be the name of a parameter of {argument}")
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        given = repr(float(given))
    if isinstance(given, str):
        given = Expression(given, {*names, *constants, *parameters}, argument=argument)
    if isinstance(given, Expression):
        expression = given
        if unused := sorted(parameters.keys() - expression.names):
            asked = f"{argument} = {expression.text!r}"
            raise ZooError(f"unknown option {unused[0]!r}: it does not occur in {asked}")
        fixed = {name: _number(value) for name, value in {**constants, **parameters}.items()}
        return Formula(expression, names, fixed)
    if not callable(given):
        raise ZooError(f"{argument} = {given!r}; expected a formula as text or a callable")
    return partial(given, **parameters)


def occurring(
    given: FormulaLike, names: Iterable[str], parameters: Mapping[str, Any], *, argument: str
) -> dict[str, Any]:
    """Return the parameters that the formula `given` uses; all of them for a callable."""
    if not isinstance(given, str):
        return {} if isinstance(given, (int, float)) else dict(parameters)
    used = Expression(given, {*names, *parameters}, argument=argument).names
    return {name: value for name, value in parameters.items() if name in used}
