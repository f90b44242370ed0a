"""Sums of products, for the second grader: what a value says, read and worked out exactly.

A sum has exact rational coefficients (fractions.Fraction) over square roots, letters and functions.
No algebra system is used, no text evaluated, and what is long, deep or large is given up.
"""

import math
import re
from fractions import Fraction
from typing import Any

LONGEST, DEEPEST, TERMS, BITS = 256, 30, 100, 2000
FUNCTIONS = {
    "sin",
    "cos",
    "tan",
    "cot",
    "sec",
    "csc",
    "log",
    "ln",
    "exp",
    "arcsin",
    "arccos",
    "arctan",
}
CONSTANTS = ("\\pi", "\\infty", "\\theta", "\\alpha", "\\beta", "\\gamma", "\\lambda")
OPEN, CLOSE = ("(", "[", "\\{"), (")", "]", "\\}")

Tokens = list[str]
# What an answer is read as: nested tuples that begin with their kind, equal for equal values.
Value = tuple[Any, ...]
# A sum of products: {(number under the root, ((atom, exponent), ...)): coefficient}.
Polynomial = dict[tuple[int, tuple[Any, ...]], Fraction]


class Unreadable(ValueError):
    """The text is no answer that is understood here."""


def closes(tokens: Tokens) -> int:
    """Return where the bracket closes that the tokens begin with; raises Unreadable."""
    depth = 0
    for at, token in enumerate(tokens):
        depth += (token in (*OPEN, "{")) - (token in (*CLOSE, "}"))
        if depth == 0:
            return at
    raise Unreadable("open bracket")


def frozen(poly: Polynomial) -> Value:
    """Return a sum as a value that equal sums share."""
    return "sum", tuple(sorted(poly.items(), key=repr))


def _constant(number: int | Fraction) -> Polynomial:
    return {(1, ()): Fraction(number)} if number else {}


def _atom(name: Any) -> Polynomial:
    return {(1, ((name, 1),)): Fraction(1)}


def add(one: Polynomial, other: Polynomial, scale: int = 1) -> Polynomial:
    """Return one sum plus `scale` times another."""
    added = dict(one)
    for key, number in other.items():
        added[key] = added.get(key, Fraction(0)) + scale * number
    return {key: number for key, number in added.items() if number}


def _times(one: Polynomial, other: Polynomial) -> Polynomial:
    if len(one) * len(other) > TERMS:
        raise Unreadable("large")
    total: Polynomial = {}
    for (root_a, atoms_a), number_a in one.items():
        for (root_b, atoms_b), number_b in other.items():
            common = math.gcd(root_a, root_b)
            root = root_a * root_b // common**2
            number = number_a * number_b * common
            for part in (number.numerator, number.denominator, root):
                if part.bit_length() > BITS:
                    raise Unreadable("large")
            total = add(total, {(root, _joined(atoms_a, atoms_b)): number})
    return total


def _joined(atoms_a: tuple[Any, ...], atoms_b: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the atoms of a product of two terms, with their exponents."""
    exponents = dict(atoms_a)
    for name, exponent in atoms_b:
        exponents[name] = exponents.get(name, 0) + exponent
    return tuple(sorted((item for item in exponents.items() if item[1]), key=repr))


def _inverse(poly: Polynomial) -> Polynomial:
    if not poly:
        raise Unreadable("division by zero")
    if len(poly) > 1:
        first = poly[min(poly, key=repr)]
        unit = _atom(("inverse", frozen({key: number / first for key, number in poly.items()})))
        return _times(unit, _constant(1 / first))
    (((root, atoms), number),) = poly.items()
    return {(root, tuple((name, -exponent) for name, exponent in atoms)): 1 / (number * root)}


def _power(base: Polynomial, exponent: Polynomial) -> Polynomial:
    count = _number(exponent)
    if count == Fraction(1, 2):
        return _root(base)
    if count is None or count.denominator != 1:
        return _atom(("power", frozen(base), frozen(exponent)))
    if abs(count) > 50:
        raise Unreadable("large")
    product = _constant(1)
    for _ in range(abs(int(count))):
        product = _times(product, base)
    return _inverse(product) if count < 0 else product


def _number(poly: Polynomial) -> Fraction | None:
    """Return the rational number that a sum is, or None."""
    if not poly:
        return Fraction(0)
    return poly.get((1, ())) if len(poly) == 1 else None


def _root(poly: Polynomial) -> Polynomial:
    number = _number(poly) if poly else None
    if number is None or number < 0:
        return _atom(("root", frozen(poly)))
    inside, outside = number.numerator * number.denominator, Fraction(1, number.denominator)
    if inside > 10**10:
        raise Unreadable("large")
    prime = 2
    while prime * prime <= inside:
        while inside % (prime * prime) == 0:
            inside, outside = inside // (prime * prime), outside * prime
        prime += 1
    return {(inside, ()): outside}


# --- parsing a sum -----------------------------------------------------------------------


def read_sum(tokens: Tokens, depth: int) -> Polynomial:
    """Return the sum that all of the tokens are; raises Unreadable."""
    if depth > DEEPEST:
        raise Unreadable("deep")
    total: Polynomial = {}
    at = 0
    while at < len(tokens):
        scale = 1
        while at < len(tokens) and tokens[at] in "+-":
            scale, at = (-scale if tokens[at] == "-" else scale), at + 1
        product, at = _product(tokens, at, depth)
        total = add(total, product, scale)
    if not tokens:
        raise Unreadable("nothing")
    return total


def _product(tokens: Tokens, at: int, depth: int) -> tuple[Polynomial, int]:
    """Return (product, where it ends) of the factors from `at` on."""
    product, at = _factor(tokens, at, depth)
    whole = tokens[at - 1].isdigit()
    while at < len(tokens) and tokens[at] not in "+-":
        if tokens[at] == "/":
            other, at = _factor(tokens, at + 1, depth)
            product = _times(product, _inverse(other))
        elif whole and tokens[at] == "\\frac":  # a mixed number, if the fraction is one of numbers
            other, at = _factor(tokens, at, depth)
            mixed = len(other) == 1 and (1, ()) in other
            product = add(product, other) if mixed else _times(product, other)
        else:
            other, at = _factor(tokens, at + (tokens[at] == "*"), depth)
            product = _times(product, other)
        whole = False
    return product, at


def _factor(tokens: Tokens, at: int, depth: int) -> tuple[Polynomial, int]:
    """Return (value, where it ends) of a base and its exponent."""
    base, at = _base(tokens, at, depth)
    if at < len(tokens) and tokens[at] == "^":
        exponent, at = _group(tokens, at + 1, depth)
        return _power(base, exponent), at
    return base, at


def _group(tokens: Tokens, at: int, depth: int) -> tuple[Polynomial, int]:
    """Return (sum, where it ends) of one argument: braces, or a single token."""
    if at >= len(tokens):
        raise Unreadable("no argument")
    if tokens[at] == "{":
        end = at + closes(tokens[at:])
        return read_sum(tokens[at + 1 : end], depth + 1), end + 1
    if tokens[at - 1] == "\\frac":
        _cut_digits(tokens, at)
    return _base(tokens, at, depth)


def _cut_digits(tokens: Tokens, at: int) -> None:
    """Cut a number of several digits into digits: \\frac43 is 4/3."""
    if at < len(tokens) and tokens[at].isdigit() and len(tokens[at]) > 1:
        tokens[at : at + 1] = list(tokens[at])


def _base(tokens: Tokens, at: int, depth: int) -> tuple[Polynomial, int]:
    """Return (value, where it ends) of a number, bracket, fraction, root, function or letter."""
    token = tokens[at] if at < len(tokens) else ""
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+", token):
        return _constant(Fraction(token)), at + 1
    if token in ("(", "[", "{", "\\{"):
        end = at + closes(tokens[at:])
        return read_sum(tokens[at + 1 : end], depth + 1), end + 1
    if token == "\\frac":
        top, at = _group(tokens, at + 1, depth)
        _cut_digits(tokens, at)
        bottom, at = _group(tokens, at, depth)
        return _times(top, _inverse(bottom)), at
    if token == "\\sqrt":
        return _sqrt(tokens, at, depth)
    if token.removeprefix("\\") in FUNCTIONS:
        inner, at = _factor(tokens, at + 1, depth)
        return _atom((token.removeprefix("\\"), frozen(inner))), at
    if token in CONSTANTS or len(token) == 1 and token.isalpha():
        return _atom(token), at + 1
    raise Unreadable(f"the token {token!r}")


def _sqrt(tokens: Tokens, at: int, depth: int) -> tuple[Polynomial, int]:
    """Return (value, where it ends) of a root, which may have a degree in brackets."""
    if tokens[at + 1 : at + 2] != ["["]:
        inner, at = _group(tokens, at + 1, depth)
        return _root(inner), at
    end = at + 1 + closes(tokens[at + 1 :])
    degree = read_sum(tokens[at + 2 : end], depth + 1)
    inner, at = _group(tokens, end + 1, depth)
    return _power(inner, _inverse(degree)), at
