"""What a reply to a benchmark question answers, and the form in which answers are compared as text.

Pure, deterministic, and blind to the gold answer: every function here sees one text. Nothing of it
is evaluated. The families of drawn questions are graded by ponder/grading/families.py, whose rules
are stricter and stay as they were released.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

MAX_CHARACTERS = 256  # a longer final answer is no answer
LETTERS = "ABCD"

BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
COLON = re.compile(r"(?i)\banswer[*_ ]*(?:is[*_ ]*)?:[*_\s]*")
IS = re.compile(r"(?i)\banswer[*_ ]+is[*_\s]+")
CHOICE = re.compile(r"(?:[Oo]ption|[Cc]hoice)?\s*(?:\(([A-D])\)|([A-D]))(?:$|[).:,]|\s*$)")

SIGNS = str.maketrans(
    {
        "\u2212": "-",
        "\u2013": "-",
        "\u00d7": r"\times ",
        "\u00b7": r"\cdot ",
        "\u03c0": r"\pi ",
        "\u221e": r"\infty ",
        "\u221a": r"\sqrt",
        "\u00b0": r"^\circ",
        "\u222a": r"\cup ",
        "\u00b1": r"\pm ",
        "\u2208": r"\in ",
        "\u2264": r"\le ",
        "\u2265": r"\ge ",
        "\u00b2": "^2",
        "\u00b3": "^3",
        "\u00a0": " ",
        "\u2009": " ",
    }
)
SIZES = re.compile(r"\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits)(?![a-zA-Z])")
SPACES = re.compile(r"(?<!\\)\\[,;: ]|\\q?quad(?![a-zA-Z])|~")
FONTS = re.compile(
    r"\\(?:mbox|textrm|textbf|textit|textnormal|mathrm|mathbf|mathit|operatorname|rm)(?=\s*\{)"
)
DEGREES = re.compile(r"\\?%|\^\s*\{?\s*\\circ\s*\}?|\\degree(?![a-zA-Z])|\\circ\s*$")
UNIT = re.compile(r"(.*[\w})\]\\])\s*\\text\s*\{([^{}]*)\}(?:\s*\^\s*\{?\s*-?\d\s*\}?)?", re.DOTALL)
WORDS = (
    "units?|degrees?|dollars?|cents?|percent|inch(?:es)?|feet|foot|ft|yards?|miles?|mph|[ckm]m|"
    "(?:centi|kilo|milli)?met(?:er|re)s?|[km]g|(?:kilo|milli)?grams?|lit(?:er|re)s?|m[lL]|"
    "seconds?|minutes?|hours?|days?|weeks?|months?|years?|radians?|"
    "people|students?|ways|points?|pounds?|ounces?|square|sq|cubic|per|[\u20ac\u00a3]"
)
PLAIN_UNIT = re.compile(
    rf"(.*[\d}})])\s*(?:\s(?:{WORDS})|(?:[ckm]m|[km]g|ft|m[lL]))"
    rf"(?:\s(?:{WORDS}))*(?:\s*\^\s*\{{?\d\}}?)?",
    re.DOTALL,
)
NAMED = re.compile(r"\s*[a-zA-Z](?:\([a-zA-Z]\))?\s*(?:=|\\in(?![a-zA-Z]))\s*([^=]+)", re.DOTALL)
THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
DECIMAL = r"\d+(?:\.\d+)?"
NUMBER = re.compile(
    rf"([+-]?)(?:({DECIMAL})|({DECIMAL})/({DECIMAL})"
    rf"|(\d*)\\frac\{{(-?{DECIMAL})\}}\{{(-?{DECIMAL})\}})"
)


class Answer(NamedTuple):
    """A final answer: its text, and where it stood: "box", "line" or "text" (the whole reply)."""

    text: str
    how: str


# --- extraction ------------------------------------------------------------------------


def extract(reply: str) -> Answer | None:
    """Return the final Answer of a reply, or None for none, or one of more than 256 characters.

    It is the last box that closes and is not empty; else what follows the last "answer:" (or,
    without one, "answer is"), up to the end of its line or sentence; else a reply of a single line
    that has no box, open or empty.
    """
    if (boxed := _last_box(reply)) is not None:
        return _bounded(boxed, "box")
    for mark in (COLON, IS):
        if (rest := _after_last(mark, reply)) is not None:
            inner = _after_last(IS, rest)
            return _bounded((rest if inner is None else inner).partition(". ")[0], "line")
    text = reply.strip()
    return _bounded("" if "\n" in text or BOX.search(text) else text, "text")


def _bounded(text: str, how: str) -> Answer | None:
    text = text.strip()
    return Answer(text, how) if 0 < len(text) <= MAX_CHARACTERS else None


def _last_box(text: str) -> str | None:
    """Return what stands in the last box that closes and is not empty, or None.

    It is found in one pass over the braces.
    """
    ends: dict[int, int | None] = {match.end() - 1: None for match in BOX.finditer(text)}
    if not ends:
        return None
    opened: list[int] = []
    for match in BRACE.finditer(text):
        if match[0] == "{":
            opened.append(match.start())
        elif match[0] == "}" and opened and (begin := opened.pop()) in ends:
            ends[begin] = match.start()
    for begin, end in reversed(ends.items()):
        if end is not None and text[begin + 1 : end].strip():
            return text[begin + 1 : end]
    return None


def _after_last(mark: re.Pattern[str], text: str) -> str | None:
    """Return the rest of the line after the last match of `mark`, or None."""
    ends = [match.end() for match in mark.finditer(text)]
    return text[ends[-1] :].partition("\n")[0] if ends else None


def choice(answer: str, options: Sequence[str]) -> str | None:
    """Return the letter that an answer names, or None.

    It does so by the letter itself, or by the words of exactly one of the options.
    """
    if match := CHOICE.match(tidy(answer)):
        return match[1] or match[2]
    letters = [
        letter
        for letter, option in zip(LETTERS, options, strict=True)
        if normal(option) == normal(answer)
    ]
    return letters[0] if len(letters) == 1 else None


# --- comparison as text ----------------------------------------------------------------


def tidy(text: str) -> str:
    """Return an answer as plain LaTeX: no dollar signs, sizes, thin spaces, fonts, or units."""
    text = text.translate(SIGNS).replace("\\$", "").replace("$", "")
    text = re.sub(r"\\!\s*", "", re.sub(r"(?<!\\)\\[()\[\]]", "", text))
    text = FONTS.sub(r"\\text", SPACES.sub(" ", SIZES.sub("", text)))
    text = re.sub(r"\\[dtc]frac(?![a-zA-Z])", r"\\frac", text)
    text = DEGREES.sub("", text).strip(" \n\t*`").rstrip(" .;,")
    while unit := UNIT.fullmatch(text) or PLAIN_UNIT.fullmatch(text):
        text = unit[1].rstrip()
    text = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text).strip()
    if named := NAMED.fullmatch(text):
        text = named[1].strip()
    if re.fullmatch(r"\(\s*[A-Za-z]\s*\)", text):
        text = text[1:-1].strip()
    text = re.sub(r"(?<![\\a-zA-Z])sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}", text)
    text = re.sub(r"(?<![\\a-zA-Z])(pi|sqrt)(?![a-zA-Z])", r"\\\1", text)
    return text.replace(",", "") if THOUSANDS.fullmatch(text) else text


def normal(text: str) -> str:
    """Return the form in which two answers are compared as text.

    A plain number becomes its exact fraction.
    """
    text = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", tidy(text))
    text = re.sub(r"\s+", "", text)
    text = re.sub(r"(\\frac\{[^{}]*\})(\d)", r"\1{\2}", text)
    text = re.sub(r"\\frac(\d)(?=\{)", r"\\frac{\1}", text)
    text = re.sub(r"\\sqrt([a-zA-Z0-9])", r"\\sqrt{\1}", text)
    text = re.sub(r"([\^_])\{(-?\w+)\}", r"\1\2", text)
    text = re.sub(r"(?<![\d.])\.(?=\d)", "0.", text)
    text = re.sub(r"(\.\d*?)0+(?!\d)", r"\1", text)
    text = re.sub(r"\.(?!\d)", "", text)
    if (value := number(text)) is not None:
        return str(value)
    return text.casefold() if is_word(text) else text


def is_word(text: str) -> bool:
    """Return whether a normal form is a word, which only the same word equals, no mathematics."""
    return len(text) > 1 and text.replace("-", "").isalpha()


def number(text: str) -> Fraction | None:
    """Return the Fraction that a normal form is, or None.

    It is one if it is a whole or decimal number, a fraction of them, or a mixed number.
    """
    match = NUMBER.fullmatch(text)
    if not match:
        return None
    sign, plain, over, under, whole, top, bottom = match.groups()
    try:
        if plain:
            value = Fraction(plain)
        elif over:
            value = Fraction(over) / Fraction(under)
        else:
            value = Fraction(whole or 0) + Fraction(top) / Fraction(bottom)
    except ZeroDivisionError:
        return None
    return -value if sign == "-" else value
