"""What an answer says, for the second grader: sums inside lists, tuples, unions and equations."""

import re
from collections.abc import Iterable

from ponder.grading.cleaning import cleaned, spaces
from ponder.grading.sums import (
    CLOSE,
    DEEPEST,
    LONGEST,
    OPEN,
    Polynomial,
    Tokens,
    Unreadable,
    Value,
    add,
    closes,
    frozen,
    read_sum,
)

TOKEN = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+|\\[a-zA-Z]+|\\.|[a-zA-Z]|\S")
SILENT = "left right ! , ; : quad qquad displaystyle $ % big Big ( ) [ ] bigl bigr".split()
IGNORED = {"$", "~", "%", "\\ ", *("\\" + name for name in SILENT)}
RENAMED = {
    "\\dfrac": "\\frac",
    "\\tfrac": "\\frac",
    "\\cfrac": "\\frac",
    "\\times": "*",
    "\\cdot": "*",
    "\\lbrace": "\\{",
    "\\rbrace": "\\}",
    "\\langle": "(",
    "\\rangle": ")",
    "\\lvert": "|",
    "\\rvert": "|",
    "\\leq": "\\le",
    "\\leqslant": "\\le",
    "\\geq": "\\ge",
    "\\geqslant": "\\ge",
    "\\neq": "\\ne",
    "\\lt": "<",
    "\\gt": ">",
    "\\div": "/",
    "\\varnothing": "\\emptyset",
}


COUNTED = "zero one two three four five six seven eight nine ten eleven twelve".split()
SAID = {"doesnotexist": "dne", **{word: str(number) for number, word in enumerate(COUNTED)}}


def same(one: str, other: str) -> bool:
    """Return whether two answers are read as the same value, in units that do not conflict.

    Where either cannot be read, whether they are the same text but for white space.
    """
    (one, unit), (other, other_unit) = cleaned(one), cleaned(other)
    percent = {unit, other_unit} == {"%", ""}
    if unit and other_unit and unit != other_unit:
        return False
    try:
        equations = all("=" in text for text in (one, other))
        values = value(one, equations), value(other, equations)
        if values[0] == values[1] or _listed(one, values[1]) or _listed(other, values[0]):
            return True
        if "=" in one + other and value(one, True) == value(other, True):
            return True
        if percent:
            share, plain = (one, values[1]) if unit else (other, values[0])
            return value(f"({share})/100", False) == plain
        return False
    except Unreadable:
        return re.sub(r"\s+", " ", one.strip()) == re.sub(r"\s+", " ", other.strip()) or (
            not re.search(r"\d\s+\d", one + "x" + other)
            and re.sub(r"\s", "", one) == re.sub(r"\s", "", other)
        )


def _listed(text: str, pair: Value) -> bool:
    """Return whether a list without brackets has the values of a tuple, in order."""
    if pair[0] != "tuple" or pair[1] != "(" or "," not in text or re.match(r"\s*[(\[{\\]", text):
        return False
    return value(f"({text})", False) == pair


def value(text: str, equations: bool = False) -> Value:
    """Return what an answer says in a form that equal answers share; raises Unreadable.

    With `equations` x = 5 is an equation, else it says 5.
    """
    if len(text) > LONGEST:
        raise Unreadable("long")
    bare = re.sub(r"[\s()]|\\[()]", "", text).replace("-", "")
    if bare.isalpha():
        word = SAID.get(bare.casefold(), bare)
        if word.isdigit():
            return value(word)
        if len(word) > 1:
            return "word", word.casefold() if len(word) > 2 else word
    if match := re.fullmatch(r"(\d+)_\{?(\d+)\}?", re.sub(r"\s", "", text)):
        return "base", match[1].lstrip("0"), match[2]
    if re.search(r"(?<![_^])(?<!\d)\d+\s+\d|\\[lcd]?dots|\d:\d|\\overline", spaces(text)):
        raise Unreadable("digits that stand apart, dots, or a time")
    text = re.sub(r",?\s*(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z])\s*", " , ", text)
    text = re.sub(r"(?<=[)\]])\s*U\s*(?=[(\[])", r"\\cup ", text)
    text = re.sub(r"\\sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}", text)
    text = re.sub(r"(?<![\\a-zA-Z])(pi|sqrt)(?![a-zA-Z])", r"\\\1", text)
    if re.fullmatch(r"\s*(?:[a-z]\s*\\in\s*)?\\mathbb\s*\{?\s*R\s*\}?\s*", text):
        text = r"(-\infty,\infty)"
    tokens = [RENAMED.get(token, token) for token in TOKEN.findall(text) if token not in IGNORED]
    return _statement(tokens, 0, equations)


def _statement(tokens: Tokens, depth: int, equations: bool = False) -> Value:
    """Return the value of tokens: a union, a list, an equation, an inequality, or one item."""
    if depth > DEEPEST:
        raise Unreadable("deep")
    parts = _split(tokens, "\\cup")
    if len(parts) > 1:
        return _union(_statement(part, depth + 1) for part in parts)
    items = [item for item in _split(tokens, ",") if item]
    if len(items) > 1:
        return _list(items, depth, equations)
    for sign in ("\\in", "="):
        parts = _split(items[0] if items else tokens, sign)
        if len(parts) > 1:
            return _relation(parts, depth, equations and sign == "=")
    tokens = items[0] if items else tokens
    if any(sign in tokens for sign in ("<", ">", "\\le", "\\ge", "\\ne")):
        return _inequality(tokens, depth)
    if (bracketed := _bracketed(tokens, depth)) is not None:
        return bracketed
    if "\\begin" in tokens[:2]:
        return _matrix(tokens, depth)
    if tokens == ["\\emptyset"] or tokens == ["\\{", "\\}"]:
        return "list", ()
    values = _signs(tokens, depth)
    return values[0] if len(values) == 1 else _sorted(values)


def _union(parts: Iterable[Value]) -> Value:
    return "union", tuple(sorted(parts, key=repr))


def _relation(parts: list[Tokens], depth: int, equations: bool) -> Value:
    """Return the value of the sides of an equation, or what a name before it is given."""
    left, right = parts[0], parts[-1]
    if equations and len(parts) == 2:
        try:
            return _equation(read_sum(left, depth + 1), read_sum(right, depth + 1))
        except Unreadable:
            return "named", "".join(left), _statement(right, depth + 1)
    if _is_name(left) or not any(token.isalpha() for token in left + right):
        return _statement(right, depth + 1)  # x = 5 says 5, and so does x = 2 + 3 = 5
    if len(parts) == 2 and _is_name(right):
        return _statement(left, depth + 1)
    if len(parts) != 2:
        raise Unreadable("chain")
    return _equation(read_sum(left, depth + 1), read_sum(right, depth + 1))


def _is_name(tokens: Tokens) -> bool:
    """Return whether tokens are a name: x, x_1, f'(x), AB, \\alpha, \\angle ABC, E[X], Area."""
    text = "".join(tokens)
    letter = r"(?:[a-zA-Z]|\\(?:alpha|beta|gamma|theta|lambda))"
    indexed = rf"{letter}(?:_\{{?\w+\}}?)?'*(?:[(\[]{letter}[)\]])?"
    return bool(
        re.fullmatch(rf"{indexed}|(?:\\angle)?[A-Z]{{2,3}}|[A-Z][a-z]{{2,}}|[a-z]{{4,}}", text)
    )


def _inequality(tokens: Tokens, depth: int) -> Value:
    """Return the interval, or the union of two, that bounds one letter; raises Unreadable."""
    text = " ".join(tokens)
    sides = re.split(r"(<|>|\\le|\\ge|\\ne)(?![a-zA-Z])", text)
    if len(sides) == 5:
        if sides[1] in (">", "\\ge"):
            sides = [side.translate(str.maketrans("<>", "><")) for side in reversed(sides)]
            sides = [{"\\le": "\\ge", "\\ge": "\\le"}.get(side, side) for side in sides]
        low, first, letter, second, high = sides
        ends = ("(" if first == "<" else "[", ")" if second == "<" else "]")
        return _interval(ends[0], low, high, ends[1], depth) if _letters(letter) else _unread()
    if len(sides) != 3:
        raise Unreadable("chain")
    left, sign, right = sides
    if not _letters(left) and _letters(right):
        turned = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}
        left, sign, right = right, turned.get(sign, sign), left
    if not _letters(left):
        raise Unreadable("inequality")
    if sign == "\\ne":
        low = _interval("(", "- \\infty", right, ")", depth)
        return _union([low, _interval("(", right, "\\infty", ")", depth)])
    if sign in ("<", "\\le"):
        return _interval("(", "- \\infty", right, ")" if sign == "<" else "]", depth)
    return _interval("(" if sign == ">" else "[", right, "\\infty", ")", depth)


def _unread() -> Value:
    raise Unreadable("inequality")


def _letters(text: str) -> bool:
    return re.fullmatch(r"\s*(?:[a-zA-Z]|\\theta)\s*", text) is not None


def _interval(opening: str, low: str, high: str, closing: str, depth: int) -> Value:
    ends = tuple(_statement(end.split(), depth + 1) for end in (low, high))
    return "tuple", opening, ends, closing


def _bracketed(tokens: Tokens, depth: int) -> Value | None:
    """Return the value of a set, a tuple or an interval; None for what is none of them."""
    if len(tokens) < 2 or tokens[0] not in OPEN or tokens[-1] not in CLOSE:
        return None
    if closes(tokens) != len(tokens) - 1 or "\\begin" in tokens[:2]:
        return None
    items = [item for item in _split(tokens[1:-1], ",") if item]
    if tokens[0] == "\\{":
        return _sorted(set(_values(items, depth)))
    if len(items) < 2:
        return None
    return "tuple", tokens[0], tuple(_statement(item, depth + 1) for item in items), tokens[-1]


def _list(items: list[Tokens], depth: int, equations: bool) -> Value:
    values = _values(items, depth, equations)
    intervals = all(value[0] == "tuple" for value in values)
    bounds = all(re.search(r"<|>|\\[lg]e", " ".join(item)) for item in items)
    return _union(values) if intervals and bounds else _sorted(values)


def _values(items: Iterable[Tokens], depth: int, equations: bool = False) -> list[Value]:
    values = []
    for item in items:
        if any(sign in item for sign in ("=", "<", ">", "\\le", "\\ge")):
            values.append(_statement(item, depth + 1, equations))
        else:
            values += _signs(item, depth)
    return values


def _sorted(values: Iterable[Value]) -> Value:
    return "list", tuple(sorted(values, key=repr))


def _signs(tokens: Tokens, depth: int) -> list[Value]:
    """Return the values of an item: two for one with a plus-minus sign."""
    if "\\pm" in tokens:
        at = tokens.index("\\pm")
        variants = [[*tokens[:at], sign, *tokens[at + 1 :]] for sign in "+-"]
        return [frozen(read_sum(variant, depth + 1)) for variant in variants]
    if tokens[:1] in (["("], ["["]) and "," in tokens:
        return [_statement(tokens, depth + 1)]
    return [frozen(read_sum(tokens, depth + 1))]


def _matrix(tokens: Tokens, depth: int) -> Value:
    """Return the rows of a matrix; one of a single row or column is a tuple."""
    if tokens[0] in OPEN:
        tokens = tokens[1:-1]
    if "}" not in tokens:
        raise Unreadable("matrix")
    name = tokens[2 : tokens.index("}")]
    inside = tokens[3 + len(name) : -(3 + len(name))]
    if tokens[-len(name) - 3 : -len(name) - 2] != ["\\end"] or "".join(name) == "vmatrix":
        raise Unreadable("matrix")
    if "".join(name) == "array" and inside[:1] == ["{"]:
        inside = inside[closes(inside) + 1 :]
    rows = []
    for row in _split(inside, "\\\\"):
        if row:
            rows.append(tuple(_statement(cell, depth + 1) for cell in _split(row, "&")))
    if all(len(row) == 1 for row in rows):
        return "tuple", "(", tuple(row[0] for row in rows), ")"
    return ("tuple", "(", rows[0], ")") if len(rows) == 1 else ("matrix", tuple(rows))


def _equation(left: Polynomial, right: Polynomial) -> Value:
    """Return what two sides say, whatever their order and scale."""
    whole = add(left, right, -1)
    if not whole:
        return "equation", ()
    first = whole[min(whole, key=repr)]
    return "equation", frozen({key: number / first for key, number in whole.items()})


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
