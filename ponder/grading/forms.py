"""The name, unit and value of an answer, and the form in which values are compared as text.

Pure and deterministic; nothing is evaluated. How answers with parts are compared stands in
ponder/grading/parts.py.
"""

import re
from fractions import Fraction
from typing import NamedTuple

from ponder.grading.plain import plain
from ponder.grading.units import unit_of

# --- name, unit, value -------------------------------------------------------------------

GREEK = r"\\(?:alpha|beta|gamma|delta|theta|lambda|mu|phi|omega|sigma|rho|tau|ell)(?![a-zA-Z])"
LETTER = rf"(?:[a-zA-Z]|{GREEK})"
INDEX = r"(?:\s*_\s*(?:\{[^{}]*\}|\w))?"
NAME = re.compile(
    rf"{LETTER}{INDEX}'*(?:\^\{{-1\}})?(?:\s*[(\[]\s*{LETTER}(?:\s*,\s*{LETTER})*\s*[)\]])?"
    rf"|(?:\\angle\s*|m\\angle\s*|\|)?[A-Z]{{2,3}}\|?"
    rf"|\(\s*{LETTER}{INDEX}(?:\s*,\s*{LETTER}{INDEX})+\s*\)"
    r"|\\frac\{d[a-z]?\}\{d[a-z]\}|\\frac\{dy\}\{dx\}"
)
WORDS = re.compile(r"(?:\\text\s*\{[^{}]*\}|[a-zA-Z][a-z]+(?:\s+[a-z]+)*)")
RELATION = re.compile(r"=|\\in(?![a-zA-Z])|<|>|\\(?:le|ge|ne|approx|equiv)(?![a-zA-Z])")


def is_relation(text: str) -> bool:
    """Return whether plain LaTeX relates two sides, outside of indices."""
    return RELATION.search(re.sub(r"_\s*\{[^{}]*\}", "", text)) is not None


class Named(NamedTuple):
    """An answer "x = 5": the name, "" for one in words, None for none, and what is named."""

    name: str | None
    text: str


def named(text: str) -> Named:
    """Return the Named of plain LaTeX; of a chain x = 2 + 3 = 5 the last part is named."""
    sides = [side.strip() for side in re.split(r"=|\\in(?![a-zA-Z])|\\equiv(?![a-zA-Z])", text)]
    if len(sides) < 2 or not all(sides) or RELATION.search("".join(sides)):
        return Named(None, text)
    if (name := _name(sides[0])) is not None:
        return Named(name, sides[-1])
    if len(sides) == 2 and (name := _name(sides[1])) is not None and "=" in text:
        return Named(name, sides[0])
    letters = re.search(r"(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z])", text)
    return Named(None, text) if letters else Named(None, sides[-1])


def _name(side: str) -> str | None:
    if NAME.fullmatch(side):
        return re.sub(r"[\s{}]|m?\\angle|\|", "", side)
    return "" if WORDS.fullmatch(side) else None


def tidy(text: str) -> str:
    """Return the value of an answer as plain LaTeX, without its name and its unit."""
    return value_and_unit(named(plain(text)).text)[0]


def inlined(text: str) -> str:
    """Return plain LaTeX with what stands in \\text as plain words."""
    return re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", text)


def value_and_unit(text: str) -> tuple[str, str | None]:
    """Return (value, unit) of plain LaTeX; the unit is None where there is none."""
    whole = re.fullmatch(r"\\text\s*\{([^{}]*)\}", text.strip())
    value, unit = unit_of(whole[1] if whole else text)
    value = inlined(value)
    value = re.sub(r"\s+", " ", value).strip().strip("*").rstrip(" ;,")
    value = value if value.endswith("...") else value.rstrip(".")
    while wrapped := re.fullmatch(
        r"\(\s*([A-Za-z]|-?\d+)\s*\)|(?<!\\)\{([^{}]*)\}|\[([^][,]*)\]", value
    ):
        value = next(filter(None, wrapped.groups()), "").strip()
    return _grouped(value), unit


THOUSANDS = re.compile(r"-?\d{1,3}(?:(?:,\d{3})+|(?: \d{3})+|(?:'\d{3})+|(?:_\d{3})+)(?:\.\d+)?")
MIXED = re.compile(r"(-?\d+) (\d+)/(\d+)")


def _grouped(text: str) -> str:
    """Return a number without what separates its thousands, 3 1/2 as 3\\frac{1}{2}."""
    if mixed := MIXED.fullmatch(text):
        return rf"{mixed[1]}\frac{{{mixed[2]}}}{{{mixed[3]}}}"
    return re.sub(r"[, '_]", "", text) if THOUSANDS.fullmatch(text) else text


# --- comparison as text ------------------------------------------------------------------

COUNTING = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
).split()
PHRASES = {word: str(count) for count, word in enumerate(COUNTING)} | {
    "doesnotexist": "dne",
    "emptyset": r"\emptyset",
    "theemptyset": r"\emptyset",
}
REPEATING = re.compile(r"(-?)(\d*)\.(\d*)\\(?:overline|bar|dot)\{?(\d+)\}?")
DOTTED = re.compile(r"(-?\d*\.\d*?)(\d{1,6}?)\2{2,}(?:\.\.\.|\\[lc]?dots)")
DECIMAL = r"\d+(?:\.\d+)?"
NUMBER = re.compile(
    rf"([+-]?)(?:({DECIMAL})|({DECIMAL})/({DECIMAL})"
    rf"|(\d*)\\frac\{{(-?{DECIMAL})\}}\{{(-?{DECIMAL})\}}"
    rf"|({DECIMAL})(?:[eE]|(?:\\times|\\cdot)10\^)\{{?([+-]?\d{{1,3}})\}}?)"
)


def normal(text: str) -> str:
    """Return the form in which two answers are compared as text, without names and units.

    A plain number becomes its exact fraction. White space between two digits stays, as one sign.
    """
    text = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", tidy(text))
    text = re.sub(r"\s+", "", re.sub(r"(?<=\d)\s+(?=\d)", "~", text))
    text = re.sub(r"(\\frac\{[^{}]*\})(\d)", r"\1{\2}", text)
    text = re.sub(r"\\frac(\d)(?=\{)", r"\\frac{\1}", text)
    text = re.sub(r"\\sqrt([a-zA-Z0-9])", r"\\sqrt{\1}", text)
    text = re.sub(r"([\^_])\{(-?\w+)\}", r"\1\2", text)
    text = re.sub(r"(?<![\d.])\.(?=\d)", "0.", text)
    text = DOTTED.sub(r"\1\\overline{\2}", text)
    text = re.sub(r"(\.\d*?)0+(?![\d\\])", r"\1", text)
    text = re.sub(r"\.(?![\d\\])", "", text)
    if (value := number(text)) is not None:
        return str(value)
    return PHRASES.get(text.casefold(), text.casefold() if is_word(text) else text)


def is_word(text: str) -> bool:
    """Return whether a normal form is a word, which only the same word equals, no mathematics."""
    bare = text.replace("-", "")
    return bare.isalpha() and (len(bare) > 2 or bare.casefold() == "no")


def number(text: str) -> Fraction | None:
    """Return the Fraction that a normal form is, or None.

    It is one if it is a whole or decimal number, one times a power of ten of at most three digits,
    a fraction of them, or a mixed number.
    """
    if repeating := REPEATING.fullmatch(text):
        return _repeating(*repeating.groups())
    match = NUMBER.fullmatch(text)
    if not match:
        return None
    sign, whole_number, over, under, whole, top, bottom, factor, power = match.groups()
    try:
        if whole_number:
            value = Fraction(whole_number)
        elif over:
            value = Fraction(over) / Fraction(under)
        elif factor:
            value = Fraction(factor) * Fraction(10) ** int(power)
        else:
            value = Fraction(whole or 0) + Fraction(top) / Fraction(bottom)
    except ZeroDivisionError:
        return None
    return -value if sign == "-" else value


def _repeating(sign: str, whole: str, first: str, period: str) -> Fraction:
    """Return the value of whole.first(period)(period)..."""
    start = Fraction(int((whole or "0") + first), 10 ** len(first))
    value = start + Fraction(int(period), 10 ** len(first) * (10 ** len(period) - 1))
    return -value if sign else value


# What no algebra system should see: words, white space between digits, dots, times, residues, and
# numbers in another base.
NO_MATHEMATICS = re.compile(
    r"(?<![_^]\d)~|\\[lcv]?dots|\.\.\.|(?<![\\a-zA-Z{])[a-zA-Z]{4,}|\d:\d|mod"
    r"|^\d+_"
)
ANGLE = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*\^\s*\{?\s*\\circ\s*\}?")
DECIMALS = re.compile(r"(\d*)\.(\d+)")
POWER_OF_TEN = re.compile(r"(-?\d+(?:\.\d+)?)[eE]([+-]?\d+)")


def latex(text: str) -> str:
    """Return plain LaTeX with exact numbers: 0.5 as \\frac{5}{10}, degrees as radians."""
    text = POWER_OF_TEN.sub(r"\1 \\times 10^{\2}", text) if POWER_OF_TEN.fullmatch(text) else text
    text = ANGLE.sub(r"{\\frac{\1\\pi}{180}}", text)
    return DECIMALS.sub(_fraction, text)


def _fraction(match: re.Match[str]) -> str:
    digits = (match[1] + match[2]).lstrip("0") or "0"
    return rf"\frac{{{digits}}}{{1{'0' * len(match[2])}}}"


STATED = re.compile(r"(?:\\\$\s*|[\u20ac\u00a3]\s*|-)?\d[\d,]*(?:\.\d+)?")
HEDGED = re.compile(
    r"(?i)\b(?:not?|never|more|less|fewer|than|least|most|over|under|between|except|or|and|half)\b|n't"
)


def in_prose(text: str) -> str | None:
    """Return the one number that a sentence states, with what follows it, or None."""
    text = plain(text)
    stated = list(STATED.finditer(text))
    if len(stated) != 1 or HEDGED.search(text):
        return None
    before, after = text[: stated[0].start()], text[stated[0].end() :]
    words = re.fullmatch(r"[a-zA-Z ,.'-]*", before + after)
    return text[stated[0].start() :] if words and " " in before.strip() + after.strip() else None


def alike(one: str, other: str) -> bool:
    """Return whether two answers have equal normal forms, and one unit or none."""
    units = [value_and_unit(named(plain(text)).text)[1] for text in (one, other)]
    return normal(one) == normal(other) and units[0] == units[1]
