"""Formulas spelled in other ways: random rewritings that leave the function as it is."""

import ast

import torch

from zoo.numerics import formula

# A name in a rule stands for any part of a formula; upper case for a part that is positive.
RULES = [
    ("a / b", "a * b**-1"),
    ("A / B", "1 / (B / A)"),
    ("A / B", "1 - (B - A) / B"),
    ("A / B", "(A * (1 + r/t)) / (B * (1 + r/t))"),
    ("a * b", "b * a"),
    ("a + b", "b + a"),
    ("a - b", "a + (-b)"),
    ("a - b", "-(b - a)"),
    ("a**4", "square(square(a))"),
    ("a**2", "a * a"),
    ("r / t", "r * t**-1"),
    ("r / t", "(r**2 / t**2)**0.5"),
    ("r / t", "exp(log(r) - log(t))"),
    ("A", "sqrt(square(A))"),
    ("A", "exp(log(A))"),
    ("A", "2 * A / 2"),
    ("exp(a)", "1 / exp(-a)"),
    ("tanh(A)", "(exp(A) - exp(-A)) / (exp(A) + exp(-A))"),
    ("tanh(A)", "1 - 2 / (exp(2*A) + 1)"),
    ("tanh(A)", "2 * sigmoid(2*A) - 1"),
    ("tanh(A)", "sinh(A) / cosh(A)"),
    ("1 - exp(a)", "-expm1(a)"),
]
RULES = [tuple(ast.parse(side, mode="eval").body for side in rule) for rule in RULES]
# Where parts are tried for being positive.
RADII, TIMES = torch.tensor([1e-2, 0.7, 3.0, 40.0]), torch.tensor([0.3, 1.3, 0.9, 2.0])


def positive(node):
    try:
        law = formula(ast.unparse(node), ("r", "t"), argument="part")
    except Exception:
        return False
    value = law(RADII.double(), TIMES.double())
    return bool((value > 0).all() & value.isfinite().all())


def match(pattern, node, found):
    """Return whether the node has the form of the pattern; `found` gets its parts."""
    if isinstance(pattern, ast.Name) and pattern.id in "abAB":
        if pattern.id in found:
            return ast.dump(found[pattern.id]) == ast.dump(node)
        found[pattern.id] = node
        return True
    if type(pattern) is not type(node):
        return False
    if isinstance(pattern, ast.Name):
        return pattern.id == node.id
    if isinstance(pattern, ast.Constant):
        return pattern.value == node.value
    if isinstance(pattern, ast.Call):
        same = pattern.func.id == node.func.id
        return same and all(map(match, pattern.args, node.args, [found] * len(node.args)))
    if isinstance(pattern, ast.BinOp):
        same = type(pattern.op) is type(node.op)
        parts = (pattern.left, node.left), (pattern.right, node.right)
        return same and all(match(p, n, found) for p, n in parts)
    return type(pattern.op) is type(node.op) and match(pattern.operand, node.operand, found)


class Put(ast.NodeTransformer):
    """Replace one node of a tree, or the names of a pattern."""

    def __init__(self, where):
        self.where = where

    def visit(self, node):
        if isinstance(node, ast.Name) and node.id in self.where:
            return self.where[node.id]
        return self.where.get(id(node)) or self.generic_visit(node)


def rewritten(text, choose):
    """Return the formula after one rewriting; `choose` picks one of a list."""
    tree = ast.parse(text, mode="eval")
    nodes = [n for n in ast.walk(tree) if isinstance(n, (ast.BinOp, ast.Call, ast.Name))]
    called = {id(n.func) for n in nodes if isinstance(n, ast.Call)}
    moves = []
    for node in nodes:
        for pattern, other in RULES if id(node) not in called else ():
            found = {}
            if match(pattern, node, found):
                moves.append((node, other, found))
    node, other, found = choose(moves)
    if not all(positive(part) for name, part in found.items() if name in "AB"):
        return text
    fresh = ast.parse(ast.unparse(other), mode="eval").body
    fresh = Put(found).visit(fresh)
    return ast.unparse(ast.fix_missing_locations(Put({id(node): fresh}).visit(tree)))
