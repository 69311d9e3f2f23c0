"""Formulas as text: what they compute, and all that they refuse."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo import ZooError
from zoo.numerics import Expression, formula, occurring
from zoo.numerics.expressions import FUNCTIONS

DOUBLE = torch.float64


def value(text, **values):
    result = Expression(text, values, argument="f")(**values)
    return float(result)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2*3 - 4/8", 6.5),
        ("-2**2", -4),
        ("2**-1", 0.5),
        ("2**3**2", 512),
        ("+x - -x", 6),
        ("(x + 1)**0.5", 2),
        ("tanh(x/2) + exp(-x)", math.tanh(1.5) + math.exp(-3)),
        (
            "sqrt(square(x)) + log(x) + log1p(x) + expm1(x)",
            3 + math.log(3) + math.log1p(3) + math.expm1(3),
        ),
        (
            "sin(pi/x) + cos(pi) + atan(1) + sinh(1) + cosh(1)",
            math.sin(math.pi / 3) - 1 + math.pi / 4 + math.e,
        ),
        ("erf(1) + erfc(1) + sigmoid(0)", 1.5),
        ("gammainc(1, x)", 1 - math.exp(-3)),
        ("betainc(1, 1, 0.25)", 0.25),
        ("1e-3 + 1_000", 1000.001),
        ("  x\n", 3),
    ],
)
def test_values(text, expected):
    assert value(text, x=3.0) == pytest.approx(expected, rel=1e-12)


def test_every_function_is_listed_with_its_number_of_arguments():
    for name, (_, count) in FUNCTIONS.items():
        arguments = ", ".join(["0.5"] * count)
        assert math.isfinite(value(f"{name}({arguments})"))


def test_tensors_keep_shape_dtype_and_gradient():
    x = torch.tensor([[0.5, 2.0]], requires_grad=True)
    result = Expression("2 * x**2 / 3", {"x"}, argument="f")(x=x)
    assert (result.shape, result.dtype) == (x.shape, torch.float32)
    result.sum().backward()
    torch.testing.assert_close(x.grad, 4 * x.detach() / 3)


@given(st.floats(-5, 5), st.floats(-5, 5))
@settings(deadline=None, derandomize=True)
def test_agrees_with_python(a, b):
    expected = (a - b) * 2 + a * a / (1 + b * b) - math.exp(-abs(b)) * a
    found = value("(a - b)*2 + a*a/(1 + b**2) - exp(-sqrt(b*b))*a", a=a, b=b)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


REFUSED = {
    "__import__('os').system('true')": "attribute",
    "().__class__": "attribute .__class__",
    "x.real": "attribute .real",
    "x.exp()": "attribute .exp",
    "open('f')": "the call open",
    "eval('1')": "the call eval",
    "tanhh(x)": "did you mean 'tanh'",
    "(lambda: 1)()": "a call of something",
    "lambda: 1": "Lambda is not allowed",
    "[1, 2]": "List is not allowed",
    "[a for a in x]": "ListComp is not allowed",
    "x[0]": "Subscript is not allowed",
    "'a'": "Constant is not allowed",
    "1j": "Constant is not allowed",
    "True": "True and False",
    "x if x else 1": "IfExp is not allowed",
    "x < 1": "Compare is not allowed",
    "x and 1": "BoolOp is not allowed",
    "not x": "UnaryOp is not allowed",
    "~x": "UnaryOp is not allowed",
    "x ^ 2": "write powers as",
    "x % 2": "an operator",
    "x // 2": "an operator",
    "x @ x": "an operator",
    "(y := 1)": "NamedExpr is not allowed",
    "f'{x}'": "JoinedStr is not allowed",
    "y + 1": "unknown name 'y'",
    "tanh": "write tanh",
    "tanh(x, x)": "tanh takes 1 argument",
    "tanh(input=x)": "tanh takes 1 argument",
    "betainc(1, x)": "betainc takes 3 arguments",
    "tanh(*x)": "Starred is not allowed",
    "x +": "cannot be read",
    "x; x": "cannot be read",
    "import os": "cannot be read",
    "x\0": "cannot be read",
    "": "cannot be read",
    "9" * 30: "a number above",
    "1e400": "a number above",
    "+".join(["x"] * 60): "nested more than",
    "(" * 60 + "x" + ")" * 60 + " + -" + "-" * 50 + "x": "nested more than",
    "(" * 400 + "x" + ")" * 400: "cannot be read",
    "x" * 2000: "2000 characters",
}


@pytest.mark.parametrize("text", REFUSED)
@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
def test_everything_else_is_refused_in_one_line(text):
    with pytest.raises(ZooError) as error:
        Expression(text, {"x"}, argument="psi")
    message = str(error.value)
    assert message.startswith("psi")
    assert REFUSED[text] in message
    assert "\n" not in message


def test_huge_powers_take_no_time_and_no_memory():
    assert value("9**9**9**9") == math.inf
    assert math.isnan(value("(0-8)**0.5"))
    assert value("1/0") == math.inf


def test_a_missing_value_is_told():
    with pytest.raises(ZooError, match="no value for x"):
        Expression("x + 1", {"x"}, argument="f")()


def test_formula_binds_parameters_and_constants():
    f = formula("a*r + d", ("r", "t"), argument="f", parameters={"a": 2}, constants={"d": 10})
    assert float(f(torch.tensor(3.0), torch.tensor(1.0))) == 16
    assert float(formula(2, ("t",), argument="f")(torch.tensor(1.0))) == 2
    g = formula(lambda r, t, a: a * r + t, ("r", "t"), argument="f", parameters={"a": 2})
    assert g(3, 1) == 7


@pytest.mark.parametrize(
    ("given", "parameters", "message"),
    [
        ("r", {"beta": 2.0}, "unknown option 'beta': it does not occur in f = 'r'"),
        ("r + b", {"b": "2"}, "b = '2'; expected a number"),
        ("r + b", {"b": True}, "b = True; expected a number"),
        ("r + b", {"b": math.inf}, "b = inf; expected a finite number"),
        ("r + exp", {"exp": 1.0}, "exp is taken"),
        ("r + r", {"r": 1.0}, "r is taken"),
        ("r + d", {"d": 1.0}, "d is taken"),
        (None, {}, "f = None; expected a formula"),
        (True, {}, "f = True; expected a formula"),
        ([1], {}, r"f = \[1\]; expected a formula"),
    ],
)
def test_bad_options_are_told(given, parameters, message):
    with pytest.raises(ZooError, match=message):
        formula(given, ("r", "t"), argument="f", parameters=parameters, constants={"d": 2})


def test_occurring_picks_the_parameters_of_one_formula():
    parameters = {"a": 1.0, "b": 2.0}
    assert occurring("a*t", ("t",), parameters, argument="f") == {"a": 1.0}
    assert occurring(lambda t, a, b: t, ("t",), parameters, argument="f") == parameters
    assert occurring(1.0, ("t",), parameters, argument="f") == {}
