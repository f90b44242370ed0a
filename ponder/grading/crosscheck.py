"""A second opinion on the answers to benchmarks, to be compared with the grader's: shares no line of code with it. Issue 5.

It reads an answer as sums of products with exact rational coefficients (fractions.Fraction) over square roots, letters and
functions, inside lists, tuples, intervals, unions, matrices and equations, and compares what it read. It uses no algebra system,
evaluates no text, and gives up on what is long, deep or large; then only equal texts are equal.
"""

import math
import re
from fractions import Fraction

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
OPEN, CLOSE = ("(", "[", "\\{"), (")", "]", "\\}")


class Unreadable(ValueError):
    """The text is no answer that is understood here."""


def is_correct(reply, gold, options=()):
    """Return whether the last answer of a reply has the value of the gold answer; with options, whether it is that letter."""
    found = last_answer(reply)
    if found is None:
        return False
    if options:
        return _letter(found, options) == gold
    return same(found, gold)


def same(one, other):
    """Return whether two answers are read as the same value, or as the same text where either cannot be read."""
    try:
        return value(one) == value(other)
    except Unreadable:
        return re.sub(r"\s", "", one) == re.sub(r"\s", "", other)


def last_answer(reply):
    """Return the text in the last closed box, else behind the last line that says "answer:", else a one-line reply; or None."""
    text, closers, found = reply.replace("\\fbox{", "\\boxed{"), 0, None
    pieces = text.split("\\boxed{")
    for piece in reversed(pieces[1:]):  # what follows a box may close it, and the boxes around it
        depth = 1
        for at, sign in enumerate(piece):  # noqa: B007
            depth += (sign == "{") - (sign == "}")
            if depth == 0:
                break
        if depth == 0 and piece[:at].strip():
            found = piece[:at]
            break
        if "{" in piece and closers == 0:
            closers = 1
    if found is None:
        lines = [line for line in reply.splitlines() if line.strip()]
        for at in range(len(lines) - 1, -1, -1):
            said = re.split(r"(?i)answer\W{0,4}(?:is)?\W{0,3}:", lines[at])
            if len(said) > 1:
                found = said[-1].strip(" *_") or (lines[at + 1] if at + 1 < len(lines) else "")
                break
        else:
            tails = re.split(r"(?i)answer is\b", reply)
            found = (
                tails[-1].split("\n")[0] if len(tails) > 1 else reply if len(lines) == 1 else None
            )
        if found is not None:
            found = re.split(r"\.\s|(?i:answer is)", found.strip(" *_") + " ")[
                0 if "answer is" not in found.lower() else 1
            ]
    return found.strip() if found and 0 < len(found.strip()) <= LONGEST else None


def _letter(text, options):
    bare = re.sub(r"\\text|\\mathrm|[{}$*\s]|[Oo]ption|[Cc]hoice", "", text)
    if re.fullmatch(r"\(?[A-D]\)?\W*", bare) or re.match(r"\(?[A-D][).:]", bare):
        return re.search("[A-D]", bare)[0]
    squeezed = ["".join(option.split()).strip(".$").lower() for option in options]
    mine = "".join(text.split()).strip(".$").lower()
    return "ABCD"[squeezed.index(mine)] if squeezed.count(mine) == 1 else None


# --- from text to value ----------------------------------------------------------------


def value(text):
    """Return what an answer says in a form that equal answers share; raises Unreadable."""
    if len(text) > LONGEST:
        raise Unreadable("long")
    text = re.sub(r"\\!\s*", "", text).strip(" $*`").rstrip(" .")
    if not re.search(r"[()\[\]]", text):
        text = re.sub(
            r"(?<![\d.,])(\d{1,3}(?:,\d{3})+)(?![\d,])", lambda m: m[1].replace(",", ""), text
        )
    text = re.sub(
        r"\\(?:text|mbox|textbf|mathrm|mathbf|textrm)\s*\{([^{}]*)\}", r"\\text{\1}", text
    )
    text = re.sub(
        r"(?<=[\w})])\s*\\text\{(?!\s*(?:and|or)\b)[^{}]*\}\s*(\^\{?\d\}?)?\s*\.?\s*$", "", text
    )
    text = re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text)
    text = re.sub(r"\^\s*\{?\s*\\circ\s*\}?|\u00b0|\\degree", "", text).strip(" $*`").rstrip(" .$")
    text = re.sub(
        r"(?<=[\d})])\s+(?!and\b|or\b|pi\b|sqrt\b)[a-z]{2,}(\s[a-z]+)*(\^\{?\d\}?)?$", "", text
    )
    bare = re.sub(r"[\s()]|\\[()]", "", text)
    if bare.isalpha():
        return "word", bare.casefold() if len(bare) > 1 else bare
    if found := re.fullmatch(r"(\d+)_\{?(\d+)\}?", bare):
        return "base", found[1].lstrip("0"), found[2]
    text = re.sub(r"(?<![\\a-zA-Z])(pi|sqrt)(?![a-zA-Z])", r"\\\1", text)
    tokens = [RENAMED.get(token, token) for token in TOKEN.findall(text) if token not in IGNORED]
    return _statement(tokens, 0)


def _statement(tokens, depth):
    """Return the value of tokens: a union, an equation, a list, or one item."""
    if depth > DEEPEST:
        raise Unreadable("deep")
    for sign in ("\\cup", "\\in", "="):
        if len(parts := _split(tokens, sign)) > 1:
            if sign == "\\cup":
                return "union", tuple(
                    sorted((_statement(part, depth + 1) for part in parts), key=repr)
                )
            if len(parts) != 2:
                raise Unreadable("chain")
            if len(parts[0]) == 1 and parts[0][0].isalpha():
                return _statement(parts[1], depth + 1)  # x = 5 says 5
            return _equation(*(_sum(part, depth + 1) for part in parts))
    items = _split(tokens, ",")
    if len(items) > 1:
        return "set", tuple(sorted({v for item in items for v in _signs(item, depth)}, key=repr))
    if (
        len(tokens) > 1
        and tokens[0] in OPEN
        and tokens[-1] in CLOSE
        and _closes(tokens) == len(tokens) - 1
    ):
        inner = _split(tokens[1:-1], ",")
        if tokens[0] == "\\{":
            return "set", tuple(
                sorted({v for item in inner for v in _signs(item, depth)}, key=repr)
            )
        if len(inner) > 1:
            return (
                "tuple",
                tokens[0],
                tuple(_statement(item, depth + 1) for item in inner),
                tokens[-1],
            )
    if tokens[:1] == ["\\begin"]:
        return _matrix(tokens, depth)
    found = _signs(tokens, depth)
    return found[0] if len(found) == 1 else ("set", tuple(sorted(set(found), key=repr)))


def _signs(tokens, depth):
    """Return the values of an item: two for one with a plus-minus sign."""
    if "\\pm" not in tokens:
        return [
            _frozen(_sum(tokens, depth + 1))
            if tokens[:1] not in (["("], ["["]) or "," not in tokens
            else _statement(tokens, depth + 1)
        ]
    at = tokens.index("\\pm")
    return [_frozen(_sum([*tokens[:at], sign, *tokens[at + 1 :]], depth + 1)) for sign in "+-"]


def _matrix(tokens, depth):
    name = tokens[2 : tokens.index("}")]
    inside = tokens[3 + len(name) : -(3 + len(name))]
    if tokens[-len(name) - 3 : -len(name) - 2] != ["\\end"]:
        raise Unreadable("matrix")
    rows = [row for row in _split(inside, "\\\\") if row]
    return "matrix", tuple(
        tuple(_statement(cell, depth + 1) for cell in _split(row, "&")) for row in rows
    )


def _equation(left, right):
    """Return what two sides say, whatever their order and scale."""
    whole = _add(left, right, -1)
    if not whole:
        return "equation", ()
    first = whole[min(whole, key=repr)]
    return "equation", _frozen({key: number / first for key, number in whole.items()})


def _split(tokens, sign):
    """Return the parts of tokens between a sign that stands outside all brackets."""
    parts, depth = [[]], 0
    for token in tokens:
        depth += (token in (*OPEN, "{", "\\begin")) - (token in (*CLOSE, "}", "\\end"))
        if token == sign and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _closes(tokens):
    """Return where the bracket closes that the tokens begin with."""
    depth = 0
    for at, token in enumerate(tokens):
        depth += (token in (*OPEN, "{")) - (token in (*CLOSE, "}"))
        if depth == 0:
            return at
    raise Unreadable("open bracket")


# --- sums of products: {(radicand, ((atom, exponent), ...)): Fraction} --------------------


def _frozen(poly):
    return "sum", tuple(sorted(poly.items(), key=repr))


def _constant(number):
    return {(1, ()): Fraction(number)} if number else {}


def _atom(name):
    return {(1, ((name, 1),)): Fraction(1)}


def _add(one, other, scale=1):
    total = dict(one)
    for key, number in other.items():
        total[key] = total.get(key, 0) + scale * number
    return {key: number for key, number in total.items() if number}


def _times(one, other):
    if len(one) * len(other) > TERMS:
        raise Unreadable("large")
    total = {}
    for (root_a, atoms_a), number_a in one.items():
        for (root_b, atoms_b), number_b in other.items():
            common = math.gcd(root_a, root_b)
            powers = dict(atoms_a)
            for name, exponent in atoms_b:
                powers[name] = powers.get(name, 0) + exponent
            key = (
                root_a * root_b // common**2,
                tuple(sorted(((n, e) for n, e in powers.items() if e), key=repr)),
            )
            number = number_a * number_b * common
            if (
                max(
                    number.numerator.bit_length(),
                    number.denominator.bit_length(),
                    key[0].bit_length(),
                )
                > BITS
            ):
                raise Unreadable("large")
            total = _add(total, {key: number})
    return total


def _inverse(poly):
    if not poly:
        raise Unreadable("division by zero")
    if len(poly) > 1:
        first = poly[min(poly, key=repr)]
        unit = _atom(("inverse", _frozen({key: number / first for key, number in poly.items()})))
        return _times(unit, _constant(1 / first))
    (((root, atoms), number),) = poly.items()
    return {(root, tuple((name, -exponent) for name, exponent in atoms)): 1 / (number * root)}


def _power(base, exponent):
    count = exponent.get((1, ())) if len(exponent) == 1 else (Fraction(0) if not exponent else None)
    if count == Fraction(1, 2):
        return _root(base)
    if count is None or count.denominator != 1:
        return _atom(("power", _frozen(base), _frozen(exponent)))
    if abs(count) > 50:
        raise Unreadable("large")
    made = _constant(1)
    for _ in range(abs(int(count))):
        made = _times(made, base)
    return _inverse(made) if count < 0 else made


def _root(poly):
    number = poly.get((1, ())) if len(poly) == 1 else None
    if number is None or number < 0:
        return _atom(("root", _frozen(poly)))
    inside, outside, prime = (
        number.numerator * number.denominator,
        Fraction(1, number.denominator),
        2,
    )
    if inside > 10**10:
        raise Unreadable("large")
    while prime * prime <= inside:
        while inside % (prime * prime) == 0:
            inside, outside = inside // (prime * prime), outside * prime
        prime += 1
    return {(inside, ()): outside}


# --- parsing a sum -----------------------------------------------------------------------


def _sum(tokens, depth):
    """Return the sum that all of the tokens are; raises Unreadable."""
    if depth > DEEPEST:
        raise Unreadable("deep")
    total, at = {}, 0
    while at < len(tokens):
        scale = 1
        while at < len(tokens) and tokens[at] in "+-":
            scale, at = (-scale if tokens[at] == "-" else scale), at + 1
        product, at = _product(tokens, at, depth)
        total = _add(total, product, scale)
    if not tokens:
        raise Unreadable("nothing")
    return total


def _product(tokens, at, depth):
    made, at = _factor(tokens, at, depth)
    whole = tokens[at - 1].isdigit()
    while at < len(tokens) and tokens[at] not in "+-":
        if tokens[at] == "/":
            other, at = _factor(tokens, at + 1, depth)
            made = _times(made, _inverse(other))
        elif whole and tokens[at] == "\\frac":  # a mixed number
            other, at = _factor(tokens, at, depth)
            made = (
                _add(made, other) if len(other) == 1 and (1, ()) in other else _times(made, other)
            )
        else:
            other, at = _factor(tokens, at + (tokens[at] == "*"), depth)
            made = _times(made, other)
        whole = False
    return made, at


def _factor(tokens, at, depth):
    made, at = _base(tokens, at, depth)
    if at < len(tokens) and tokens[at] == "^":
        exponent, at = _group(tokens, at + 1, depth)
        made = _power(made, exponent)
    return made, at


def _group(tokens, at, depth):
    """Return (sum, where it ends) of one argument: braces, or a single token."""
    if at >= len(tokens):
        raise Unreadable("no argument")
    if tokens[at] == "{":
        end = at + _closes(tokens[at:])
        return _sum(tokens[at + 1 : end], depth + 1), end + 1
    if (
        tokens[at].isdigit() and len(tokens[at]) > 1 and tokens[at - 1] == "\\frac"
    ):  # \frac43 is 4/3
        tokens[at : at + 1] = list(tokens[at])
    return _base(tokens, at, depth)


def _base(tokens, at, depth):
    token = tokens[at] if at < len(tokens) else ""
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+", token):
        return _constant(Fraction(token)), at + 1
    if token in ("(", "[", "{", "\\{"):
        end = at + _closes(tokens[at:])
        return _sum(tokens[at + 1 : end], depth + 1), end + 1
    if token == "\\frac":
        top, at = _group(tokens, at + 1, depth)
        if at < len(tokens) and tokens[at].isdigit() and len(tokens[at]) > 1:
            tokens[at : at + 1] = list(tokens[at])
        bottom, at = _group(tokens, at, depth)
        return _times(top, _inverse(bottom)), at
    if token == "\\sqrt":
        if tokens[at + 1 : at + 2] == ["["]:
            end = at + 1 + _closes(tokens[at + 1 :])
            degree, (inner, at) = (
                _sum(tokens[at + 2 : end], depth + 1),
                _group(tokens, end + 1, depth),
            )
            return _power(inner, _inverse(degree)), at
        inner, at = _group(tokens, at + 1, depth)
        return _root(inner), at
    if token.removeprefix("\\") in FUNCTIONS:
        inner, at = _factor(tokens, at + 1, depth)
        return _atom((token.removeprefix("\\"), _frozen(inner))), at
    if (
        token in ("\\pi", "\\infty", "\\theta", "\\alpha", "\\beta")
        or len(token) == 1
        and token.isalpha()
    ):
        return _atom(token), at + 1
    raise Unreadable(f"the token {token!r}")
