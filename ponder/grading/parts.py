"""Answers with parts, and when two are the same: lists, sets, tuples, intervals, unions, matrices.

Pure; what a single value says is left to the caller. The order of a tuple counts, that of a list or
a set does not; in a list a value counts as often as it is given, in a set once. Units and names
conflict where both answers have one: 5 cm is no 5 m and y = 2 no x = 2.
"""

import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from ponder.grading.forms import (
    RELATION,
    THOUSANDS,
    is_relation,
    named,
    normal,
    number,
    value_and_unit,
)
from ponder.grading.plain import plain
from ponder.grading.units import conflict, unit_of

DEEPEST = 8  # brackets in brackets; what is deeper is one value
MOST = 30  # items that are compared in any order

# Whether two single values are the same; both are plain LaTeX without name and unit.
Same = Callable[[str, str], bool]


class Part(NamedTuple):
    """An answer or a part of one.

    `text` is plain LaTeX without name and unit, `brackets` those of a tuple or interval.
    """

    kind: Literal["value", "list", "set", "row", "union", "matrix"]
    text: str
    items: tuple["Part", ...] = ()
    brackets: str = ""
    name: str | None = None
    unit: str | None = None


# --- reading -----------------------------------------------------------------------------

AND_OR = re.compile(
    r"\s*,?\s*(?:\\text\s*\{\s*,?\s*(?:and|or)\s*,?\s*\}|(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z]))\s*"
)
MATRIX = re.compile(
    r"[(\[]?\s*\\begin\s*\{(?:[pb]|small)?(?:matrix|array)\}(?:\s*\{[clr| ]*\})?(.*)"
    r"\\end\s*\{(?:[pb]|small)?(?:matrix|array)\}\s*[)\]]?",
    re.DOTALL,
)
COMPARED = re.compile(r"(<|>|\\(?:le|ge|ne)(?![a-zA-Z]))")
VARIABLE = re.compile(r"[a-zA-Z]|\\(?:theta|alpha|beta|lambda)")
LETTERS = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]")


def read(answer: str) -> Part:
    """Return the Part that an answer is."""
    return _read(plain(answer), 0)


def _read(text: str, depth: int) -> Part:
    name, body = named(text)
    if depth > DEEPEST:
        return Part("value", body, name=name)
    if not THOUSANDS.fullmatch(unit_of(body)[0].strip()):
        pieces = _pieces(text)
        if len(pieces) > 1:
            return _list([_read(piece, depth + 1) for piece in pieces], text)
    if (bounded := _bounded(body, depth)) is not None:
        return bounded
    unions = _split(body, "\\cup")
    if len(unions) > 1:
        return Part("union", body, tuple(_read(part, depth + 1) for part in unions), name=name)
    if matrix := MATRIX.fullmatch(body.strip()):
        return Part("matrix", body, _rows(matrix[1], depth), name=name)
    value, unit = value_and_unit(body)
    if value == r"\mathbb{R}" or value.casefold() == "all real numbers":
        ends = (Part("value", r"-\infty"), Part("value", r"\infty"))
        return Part("row", value, ends, "()", name)
    if (bracketed := _bracketed(value, depth)) is not None:
        return bracketed._replace(name=name, unit=unit)
    if value.count(r"\pm") + value.count(r"\mp") == 1:
        values = [re.sub(r"\\[pm]{2}(?![a-zA-Z])\s*", sign, value) for sign in "+-"]
        return Part(
            "list",
            value,
            tuple(Part("value", each.lstrip("+ "), unit=unit) for each in values),
            name=name,
        )
    return Part("value", value, name=name, unit=unit)


def _pieces(text: str) -> list[str]:
    """Return the items of a list, one for what is none."""
    pieces = []
    for piece in _split(AND_OR.sub("\n", text.replace("\n", " ")), "\n"):
        whole = THOUSANDS.fullmatch(unit_of(piece)[0].strip())
        pieces += (
            [piece]
            if whole
            else [item for part in _split(piece, ",") for item in _split(part, ";")]
        )
    return [piece.strip() for piece in pieces if piece.strip()] or [text]


def _list(items: list[Part], text: str) -> Part:
    """Return a list; a name before its first item alone is the name of all: x = 2, 3."""
    first, *others = items
    if all(item.kind == "row" and COMPARED.search(item.text) for item in items):
        return Part("union", text, tuple(items), name=first.name)
    if first.name is not None and all(item.name is None for item in others):
        return Part("list", text, (first._replace(name=None), *others), name=first.name)
    return Part("list", text, tuple(items))


TURNED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "\\ne": "\\ne"}


def _bounded(text: str, depth: int) -> Part | None:
    """Return the interval that an inequality of one variable says, None for another text."""
    sides = [side.strip() for side in COMPARED.split(text)]
    if len(sides) == 3:
        if not VARIABLE.fullmatch(sides[0]):
            sides = [sides[2], TURNED[sides[1]], sides[0]]
        name, sign, bound = sides
        if VARIABLE.fullmatch(name) and "=" not in bound and not LETTERS.search(bound):
            return _one_sided(name, sign, bound, text, depth)
    if len(sides) == 5 and VARIABLE.fullmatch(sides[2]):
        low, first, name, second, high = sides
        if {first, second} <= {">", "\\ge"}:
            low, first, second, high = high, TURNED[second], TURNED[first], low
        if {first, second} <= {"<", "\\le"}:
            brackets = ("(" if first == "<" else "[") + (")" if second == "<" else "]")
            return _row(brackets, (low, high), depth, text, name)
    return None


def _one_sided(name: str, sign: str, bound: str, text: str, depth: int) -> Part:
    below, above = ("-\\infty", bound), (bound, "\\infty")
    if sign == "\\ne":
        rows = (_row("()", below, depth, text), _row("()", above, depth, text))
        return Part("union", text, rows, name=name)
    ends = below if sign in ("<", "\\le") else above
    brackets = {"<": "()", ">": "()", "\\le": "(]", "\\ge": "[)"}[sign]
    return _row(brackets, ends, depth, text, name)


def _row(
    brackets: str, ends: tuple[str, str], depth: int, text: str, name: str | None = None
) -> Part:
    return Part("row", text, tuple(_read(end, depth + 1) for end in ends), brackets, name)


def _bracketed(text: str, depth: int) -> Part | None:
    """Return the set, tuple or interval that a text is, or what stands in brackets around it."""
    if text.startswith("\\{") and text.endswith("\\}") and _closes(text, 1) == len(text) - 1:
        items = [item.strip() for item in _split(text[2:-2], ",")]
        if any(RELATION.search(item) or "|" in item or ":" in item for item in items):
            return None  # described, not listed
        return Part("set", text, tuple(_read(item, depth + 1) for item in items if item))
    if (
        text[:1] not in ("(", "[")
        or text[-1:] not in (")", "]")
        or _closes(text, 0) != len(text) - 1
    ):
        return None
    items = _split(text[1:-1], ",")
    if len(items) == 1:
        inner = _read(items[0], depth + 1)
        return inner if text[0] + text[-1] in ("()", "[]") else None
    return Part("row", text, tuple(_read(item, depth + 1) for item in items), text[0] + text[-1])


def _rows(inside: str, depth: int) -> tuple[Part, ...]:
    rows = []
    for row in re.split(r"\\\\", inside):
        if row.strip():
            cells = tuple(_read(cell, depth + 1) for cell in _split(row, "&"))
            rows.append(Part("row", row, cells, "()"))
    return tuple(rows)


def _split(text: str, sign: str) -> list[str]:
    """Return the parts of a text between a sign that stands outside all brackets."""
    parts, begin, depth, at = [], 0, 0, 0
    while at < len(text):
        depth += (text[at] in "([{") - (text[at] in ")]}")
        if depth == 0 and text.startswith(sign, at):
            parts.append(text[begin:at])
            at = begin = at + len(sign)
        else:
            at += 1
    return [*parts, text[begin:]]


def _closes(text: str, start: int) -> int:
    """Return where the bracket at `start` closes, -1 where it does not."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] in "([{") - (text[at] in ")]}")
        if depth == 0:
            return at
    return -1


# --- comparing ---------------------------------------------------------------------------


def same(gold: Part, answer: Part, value: Same) -> bool:
    """Return whether an answer is the gold one; `value` decides over single values."""
    if conflict(gold.unit, answer.unit):
        return False
    if gold.name and answer.name and gold.name != answer.name:
        lettered = all(re.search("[a-zA-Z]", part.text) for part in (gold, answer))
        values = gold.kind == answer.kind == "value"
        return lettered and values and value(_equation(gold), _equation(answer))
    if gold.kind == answer.kind == "value":
        return _same_values(gold, answer, value)
    kinds = {gold.kind, answer.kind}
    if kinds <= {"list", "set", "union"}:
        return _same_items(gold, answer, value) or (
            kinds == {"union"} and _same_sets(gold, answer, value)
        )
    if kinds == {"row"}:
        return gold.brackets == answer.brackets and _same_rows(gold, answer, value)
    if kinds == {"matrix"}:
        return _same_rows(gold, answer, value)
    if kinds in ({"row", "matrix"}, {"row", "list"}):
        return _same_vectors(gold, answer, value)
    return _same_sets(gold, answer, value)


def _equation(part: Part) -> str:
    return f"{part.name} = {part.text}" if part.name else part.text


def _same_values(gold: Part, answer: Part, value: Same) -> bool:
    relations = [is_relation(part.text) for part in (gold, answer)]
    if any(relations):
        both = all(
            relation or part.name for relation, part in zip(relations, (gold, answer), strict=True)
        )
        return both and value(_equation(gold), _equation(answer))
    if {gold.unit, answer.unit} == {"%", None} and _percent(gold, answer):
        return True
    return value(gold.text, answer.text)


def _percent(gold: Part, answer: Part) -> bool:
    """Return whether 0.2 stands beside 20%."""
    first, second = (number(normal(part.text)) for part in (gold, answer))
    if first is None or second is None:
        return False
    return first == 100 * second if gold.unit == "%" else second == 100 * first


def _same_rows(gold: Part, answer: Part, value: Same) -> bool:
    if len(gold.items) != len(answer.items):
        return False
    return all(same(*pair, value) for pair in zip(gold.items, answer.items, strict=True))


def _same_vectors(gold: Part, answer: Part, value: Same) -> bool:
    """Return whether a tuple says what a list without brackets or a vector says."""
    row, other = (gold, answer) if gold.kind == "row" else (answer, gold)
    if row.brackets != "()" and not (other.kind == "matrix" and row.brackets == "[]"):
        return False
    vector = _vector(other) if other.kind == "matrix" else other
    return vector is not None and _same_rows(
        *((row, vector) if row is gold else (vector, row)), value
    )


def _vector(matrix: Part) -> Part | None:
    if all(len(row.items) == 1 for row in matrix.items):
        return matrix._replace(items=tuple(row.items[0] for row in matrix.items))
    return matrix.items[0] if len(matrix.items) == 1 else None


def _same_items(gold: Part, answer: Part, value: Same) -> bool:
    """Return whether each item of one is one of the other: first as texts, then as values."""
    golds, answers = list(gold.items), list(answer.items)
    if "set" in (gold.kind, answer.kind):
        golds, answers = _without_repeats(golds, gold), _without_repeats(answers, answer)
    if len(golds) != len(answers) or len(golds) > MOST:
        return False
    for compare in (_same_text, value):
        for item in list(golds):
            match = next((other for other in answers if same(item, other, compare)), None)
            if match is not None:
                golds.remove(item)
                answers.remove(match)
    return not golds


def _without_repeats(items: list[Part], of: Part) -> list[Part]:
    """Return the items of a set once each, those of a list as they are."""
    if of.kind != "set":
        return items
    return [
        item
        for at, item in enumerate(items)
        if not any(same(item, other, _same_text) for other in items[:at])
    ]


def _same_text(gold: str, answer: str) -> bool:
    return normal(gold) == normal(answer)


SETS = re.compile(r"\\(?:cup|cap|setminus|mathbb|emptyset)(?![a-zA-Z])|\\backslash")


def _same_sets(gold: Part, answer: Part, value: Same) -> bool:
    """Return whether two texts of which one speaks of sets say the same."""
    texts = gold.text, answer.text
    return bool(any(map(SETS.search, texts)) and value(*texts))
