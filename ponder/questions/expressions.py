"""The exact value of an arithmetic expression that a library wrote, to check the answer it gives.

The expression is parsed, never evaluated by Python.
"""

import ast
import operator
from fractions import Fraction

OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def value(expression: str) -> Fraction:
    """Return the value of sums, differences, products and quotients of numbers, without rounding.

    Raises ValueError for anything else, and ZeroDivisionError where something is divided by 0.
    """
    return _value(ast.parse(expression, mode="eval").body, expression)


def _value(node: ast.expr, text: str) -> Fraction:
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return OPERATORS[type(node.op)](_value(node.left, text), _value(node.right, text))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, text)
    # From the digits as they are written: 0.1 is a tenth.
    number = ast.get_source_segment(text, node) if isinstance(node, ast.Constant) else None
    if number is None:
        raise ValueError(f"{text!r} is no sum, difference, product or quotient of numbers")
    return Fraction(number)


def decimal(number: Fraction, places: int) -> str | None:
    """Return a number without rounding and without zeros at its end, None where it has more decimal
    places than `places`.
    """
    scaled = number * 10**places
    if scaled.denominator != 1:
        return None
    digits = f"{abs(scaled.numerator):0{places + 1}d}"
    whole, rest = digits[: len(digits) - places], digits[len(digits) - places :].rstrip("0")
    return ("-" if number < 0 else "") + whole + ("." + rest if rest else "")
