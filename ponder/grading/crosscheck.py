"""A second opinion on answers to benchmarks, which shares no line of code with the grader.

It reads an answer as sums of products with exact rational coefficients (fractions.Fraction) over
square roots, letters and functions, inside lists, tuples, intervals, unions, matrices and
equations, and compares what it read. It uses no algebra system, evaluates no text, and gives up on
what is long, deep or large; then only equal texts are equal.
"""

import math
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

LONGEST, DEEPEST, TERMS, BITS = 256, 30, 100, 2000
TOKEN = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+|\\[a-zA-Z]+|\\.|[a-zA-Z]|\S")
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
IGNORED = {
    "\\left",
    "\\right",
    "\\!",
    "\\,",
    "\\;",
    "\\:",
    "\\ ",
    "\\quad",
    "\\displaystyle",
    "\\$",
    "$",
    "~",
    "\\%",
    "%",
    "\\big",
    "\\Big",
    "\\(",
    "\\)",
    "\\[",
    "\\]",
    "*\\*",
}
RENAMED = {
    "\\dfrac": "\\frac",
    "\\tfrac": "\\frac",
    "\\cfrac": "\\frac",
    "\\times": "*",
    "\\cdot": "*",
    "\\lbrace": "\\{",
    "\\rbrace": "\\}",
    "\u2212": "-",
    "\u00d7": "*",
    "\u03c0": "\\pi",
    "\u221e": "\\infty",
    "\u221a": "\\sqrt",
    "\u222a": "\\cup",
    "\u00b1": "\\pm",
    "\\le": "\\leq",
    "\\ge": "\\geq",
    "\\div": "/",
}
CONSTANTS = ("\\pi", "\\infty", "\\theta", "\\alpha", "\\beta")
OPEN, CLOSE = ("(", "[", "\\{"), (")", "]", "\\}")

Tokens = list[str]
# What an answer is read as: nested tuples that begin with their kind, equal for equal values.
Value = tuple[Any, ...]
# A sum of products: {(number under the root, ((atom, exponent), ...)): coefficient}.
Polynomial = dict[tuple[int, tuple[Any, ...]], Fraction]


class Unreadable(ValueError):
    """The text is no answer that is understood here."""


def is_correct(reply: str, gold: str, options: Sequence[str] = ()) -> bool:
    """Return whether the last answer of a reply has the value of the gold answer.

    With `options`, the texts of a multiple choice, whether it is the letter `gold`.
    """
    answer = last_answer(reply)
    if answer is None:
        return False
    if options:
        return _letter(answer, options) == gold
    return same(answer, gold)


def same(one: str, other: str) -> bool:
    """Return whether two answers are read as the same value.

    Where either cannot be read, whether they are the same text but for white space.
    """
    try:
        return value(one) == value(other)
    except Unreadable:
        return re.sub(r"\s", "", one) == re.sub(r"\s", "", other)


def last_answer(reply: str) -> str | None:
    """Return the text of the last answer in a reply, or None.

    It stands in the last closed box, else behind the last line that says "answer:" or the last
    "answer is", else it is a reply of one line.
    """
    answer = _last_box(reply)
    if answer is None:
        answer = _last_line(reply)
    if answer is None or not 0 < len(answer.strip()) <= LONGEST:
        return None
    return answer.strip()


def _last_box(reply: str) -> str | None:
    pieces = reply.replace("\\fbox{", "\\boxed{").split("\\boxed{")
    for piece in reversed(pieces[1:]):
        inside = _until_closed(piece)
        if inside is not None and inside.strip():
            return inside
    return None


def _until_closed(text: str) -> str | None:
    """Return what stands before the brace that closes one open brace, None without such a brace."""
    depth = 1
    for at, sign in enumerate(text):
        depth += (sign == "{") - (sign == "}")
        if depth == 0:
            return text[:at]
    return None


def _last_line(reply: str) -> str | None:
    lines = [line for line in reply.splitlines() if line.strip()]
    answer = _behind_colon(lines)
    if answer is None:
        tails = re.split(r"(?i)answer is\b", reply)
        if len(tails) > 1:
            answer = tails[-1].split("\n")[0]
        elif len(lines) == 1:
            answer = reply
    if answer is None:
        return None
    sentences = re.split(r"\.\s|(?i:answer is)", answer.strip(" *_") + " ")
    return sentences[1 if "answer is" in answer.lower() else 0]


def _behind_colon(lines: Sequence[str]) -> str | None:
    """Return what follows the last "answer:", or the line after it where nothing does, or None."""
    for at in range(len(lines) - 1, -1, -1):
        pieces = re.split(r"(?i)answer\W{0,4}(?:is)?\W{0,3}:", lines[at])
        if len(pieces) > 1:
            return pieces[-1].strip(" *_") or "".join(lines[at + 1 : at + 2])
    return None


def _letter(text: str, options: Sequence[str]) -> str | None:
    bare = re.sub(r"\\text|\\mathrm|[{}$*\s]|[Oo]ption|[Cc]hoice", "", text)
    if re.fullmatch(r"\(?[A-D]\)?\W*", bare) or re.match(r"\(?[A-D][).:]", bare):
        return bare.lstrip("(")[0]
    squeezed = [_squeezed(option) for option in options]
    answer = _squeezed(text)
    return "ABCD"[squeezed.index(answer)] if squeezed.count(answer) == 1 else None


def _squeezed(text: str) -> str:
    return "".join(text.split()).strip(".$").lower()


# --- from text to value ----------------------------------------------------------------


def value(text: str) -> Value:
    """Return what an answer says in a form that equal answers share; raises Unreadable."""
    if len(text) > LONGEST:
        raise Unreadable("long")
    text = _without_units(text)
    bare = re.sub(r"[\s()]|\\[()]", "", text)
    if bare.isalpha():
        return "word", bare.casefold() if len(bare) > 1 else bare
    if match := re.fullmatch(r"(\d+)_\{?(\d+)\}?", bare):
        return "base", match[1].lstrip("0"), match[2]
    text = re.sub(r"(?<![\\a-zA-Z])(pi|sqrt)(?![a-zA-Z])", r"\\\1", text)
    tokens = [RENAMED.get(token, token) for token in TOKEN.findall(text) if token not in IGNORED]
    return _statement(tokens, 0)


def _without_units(text: str) -> str:
    """Return an answer without thousands separators, fonts, degrees, and units behind a value."""
    text = re.sub(r"\\!\s*", "", text).strip(" $*`").rstrip(" .")
    if not re.search(r"[()\[\]]", text):
        thousands = r"(?<![\d.,])(\d{1,3}(?:,\d{3})+)(?![\d,])"
        text = re.sub(thousands, lambda match: match[1].replace(",", ""), text)
    fonts = r"\\(?:text|mbox|textbf|mathrm|mathbf|textrm)\s*\{([^{}]*)\}"
    text = re.sub(fonts, r"\\text{\1}", text)
    text_unit = r"(?<=[\w})])\s*\\text\{(?!\s*(?:and|or)\b)[^{}]*\}\s*(\^\{?\d\}?)?\s*\.?\s*$"
    text = re.sub(text_unit, "", text)
    text = re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text)
    text = re.sub(r"\^\s*\{?\s*\\circ\s*\}?|\u00b0|\\degree", "", text).strip(" $*`").rstrip(" .$")
    plain_unit = r"(?<=[\d})])\s+(?!and\b|or\b|pi\b|sqrt\b)[a-z]{2,}(\s[a-z]+)*(\^\{?\d\}?)?$"
    return re.sub(plain_unit, "", text)


def _statement(tokens: Tokens, depth: int) -> Value:
    """Return the value of tokens: a union, an equation, a list, or one item."""
    if depth > DEEPEST:
        raise Unreadable("deep")
    for sign in ("\\cup", "\\in", "="):
        parts = _split(tokens, sign)
        if len(parts) > 1:
            return _relation(sign, parts, depth)
    items = _split(tokens, ",")
    if len(items) > 1:
        return _set(items, depth)
    if (bracketed := _bracketed(tokens, depth)) is not None:
        return bracketed
    if tokens[:1] == ["\\begin"]:
        return _matrix(tokens, depth)
    values = _signs(tokens, depth)
    return values[0] if len(values) == 1 else _sorted_set(values)


def _relation(sign: str, parts: list[Tokens], depth: int) -> Value:
    """Return the value of parts that one sign joins."""
    if sign == "\\cup":
        intervals = [_statement(part, depth + 1) for part in parts]
        return "union", tuple(sorted(intervals, key=repr))
    if len(parts) != 2:
        raise Unreadable("chain")
    left, right = parts
    if len(left) == 1 and left[0].isalpha():
        return _statement(right, depth + 1)  # x = 5 says 5
    return _equation(_sum(left, depth + 1), _sum(right, depth + 1))


def _bracketed(tokens: Tokens, depth: int) -> Value | None:
    """Return the value of a set, a tuple or an interval; None for what is none of them."""
    if len(tokens) < 2 or tokens[0] not in OPEN or tokens[-1] not in CLOSE:
        return None
    if _closes(tokens) != len(tokens) - 1:
        return None
    items = _split(tokens[1:-1], ",")
    if tokens[0] == "\\{":
        return _set(items, depth)
    if len(items) == 1:
        return None
    return "tuple", tokens[0], tuple(_statement(item, depth + 1) for item in items), tokens[-1]


def _set(items: Iterable[Tokens], depth: int) -> Value:
    return _sorted_set(value for item in items for value in _signs(item, depth))


def _sorted_set(values: Iterable[Value]) -> Value:
    return "set", tuple(sorted(set(values), key=repr))


def _signs(tokens: Tokens, depth: int) -> list[Value]:
    """Return the values of an item: two for one with a plus-minus sign."""
    if "\\pm" in tokens:
        at = tokens.index("\\pm")
        variants = [[*tokens[:at], sign, *tokens[at + 1 :]] for sign in "+-"]
        return [_frozen(_sum(variant, depth + 1)) for variant in variants]
    if tokens[:1] in (["("], ["["]) and "," in tokens:
        return [_statement(tokens, depth + 1)]
    return [_frozen(_sum(tokens, depth + 1))]


def _matrix(tokens: Tokens, depth: int) -> Value:
    if "}" not in tokens:
        raise Unreadable("matrix")
    name = tokens[2 : tokens.index("}")]
    inside = tokens[3 + len(name) : -(3 + len(name))]
    if tokens[-len(name) - 3 : -len(name) - 2] != ["\\end"]:
        raise Unreadable("matrix")
    rows = []
    for row in _split(inside, "\\\\"):
        if row:
            rows.append(tuple(_statement(cell, depth + 1) for cell in _split(row, "&")))
    return "matrix", tuple(rows)


def _equation(left: Polynomial, right: Polynomial) -> Value:
    """Return what two sides say, whatever their order and scale."""
    whole = _add(left, right, -1)
    if not whole:
        return "equation", ()
    first = whole[min(whole, key=repr)]
    return "equation", _frozen({key: number / first for key, number in whole.items()})


def _split(tokens: Tokens, sign: str) -> list[Tokens]:
    """Return the parts of tokens between a sign that stands outside all brackets."""
    parts: list[Tokens] = [[]]
    depth = 0
    for token in tokens:
        depth += (token in (*OPEN, "{", "\\begin")) - (token in (*CLOSE, "}", "\\end"))
        if token == sign and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _closes(tokens: Tokens) -> int:
    """Return where the bracket closes that the tokens begin with."""
    depth = 0
    for at, token in enumerate(tokens):
        depth += (token in (*OPEN, "{")) - (token in (*CLOSE, "}"))
        if depth == 0:
            return at
    raise Unreadable("open bracket")


# --- sums of products ------------------------------------------------------------------


def _frozen(poly: Polynomial) -> Value:
    return "sum", tuple(sorted(poly.items(), key=repr))


def _constant(number: int | Fraction) -> Polynomial:
    return {(1, ()): Fraction(number)} if number else {}


def _atom(name: Any) -> Polynomial:
    return {(1, ((name, 1),)): Fraction(1)}


def _add(one: Polynomial, other: Polynomial, scale: int = 1) -> Polynomial:
    total = dict(one)
    for key, number in other.items():
        total[key] = total.get(key, Fraction(0)) + scale * number
    return {key: number for key, number in total.items() if number}


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
            total = _add(total, {(root, _joined(atoms_a, atoms_b)): number})
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
        unit = _atom(("inverse", _frozen({key: number / first for key, number in poly.items()})))
        return _times(unit, _constant(1 / first))
    (((root, atoms), number),) = poly.items()
    return {(root, tuple((name, -exponent) for name, exponent in atoms)): 1 / (number * root)}


def _power(base: Polynomial, exponent: Polynomial) -> Polynomial:
    count = _number(exponent)
    if count == Fraction(1, 2):
        return _root(base)
    if count is None or count.denominator != 1:
        return _atom(("power", _frozen(base), _frozen(exponent)))
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
        return _atom(("root", _frozen(poly)))
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


def _sum(tokens: Tokens, depth: int) -> Polynomial:
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
        total = _add(total, product, scale)
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
            product = _add(product, other) if mixed else _times(product, other)
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
        end = at + _closes(tokens[at:])
        return _sum(tokens[at + 1 : end], depth + 1), end + 1
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
        end = at + _closes(tokens[at:])
        return _sum(tokens[at + 1 : end], depth + 1), end + 1
    if token == "\\frac":
        top, at = _group(tokens, at + 1, depth)
        _cut_digits(tokens, at)
        bottom, at = _group(tokens, at, depth)
        return _times(top, _inverse(bottom)), at
    if token == "\\sqrt":
        return _sqrt(tokens, at, depth)
    if token.removeprefix("\\") in FUNCTIONS:
        inner, at = _factor(tokens, at + 1, depth)
        return _atom((token.removeprefix("\\"), _frozen(inner))), at
    if token in CONSTANTS or len(token) == 1 and token.isalpha():
        return _atom(token), at + 1
    raise Unreadable(f"the token {token!r}")


def _sqrt(tokens: Tokens, at: int, depth: int) -> tuple[Polynomial, int]:
    """Return (value, where it ends) of a root, which may have a degree in brackets."""
    if tokens[at + 1 : at + 2] != ["["]:
        inner, at = _group(tokens, at + 1, depth)
        return _root(inner), at
    end = at + 1 + _closes(tokens[at + 1 :])
    degree = _sum(tokens[at + 2 : end], depth + 1)
    inner, at = _group(tokens, end + 1, depth)
    return _power(inner, _inverse(degree)), at
