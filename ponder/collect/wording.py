"""The words of a text as comparisons see them, whatever its layout and the letters it is set in.

Pure functions, linear in the text: what people and web pages write is hostile input.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

# What TeX or a web page lays out with, and what means nothing more than the same without it.
MARKUP = re.compile(
    r"</?(?:c?math|br|p|sub|sup)>"
    r"|\\(?:begin|end)\{[a-z]{0,20}\*?\}|(?<=\\)[dt](?=frac)|\\[,;:!>\\ ]"
    r"|\\(?:left|right|bigg?[lrm]?|displaystyle|limits|text(?:bf|it|rm)?|math(?:bf|it|rm)|q?quad)"
    r"(?![a-z])"
)
TOKEN = re.compile(r"""[^\W\d_]+|\d+|[^\w\s\\{}()\[\],.;:'"`$&~?#@%|\u2018\u2019\u201c\u201d]""")
# Letters that look like Latin ones, beside those that Unicode lists (confusable_homoglyphs). It
# calls capital I and small l alike, and leaves out small letters that are set like capitals.
TWINS = {
    **dict(zip("\u0406\u0399\u04c0\u04cf", "IIll", strict=True)),
    **dict(zip("\u0432\u043a\u043c\u043d\u0442\u043f\u0433", "bkmhtnr", strict=True)),
}
# Without a shape, though Unicode calls them letters or signs.
BLANKS = "\u115f\u1160\u3164\uffa0\u2800"
# Words at an end of a text in which an instruction is looked for.
END = 40


def tokens(text: str) -> list[str]:
    """Return the words of a text in lower case: runs of letters, runs of digits and single signs.

    A sign is such as + or <. Brackets, punctuation, white space and commands of layout are left
    out, so that one formula set in two ways is one. Signs are kept, since a sum is not a
    difference. Letters are those of `lower`.
    """
    return _split(lower(text))


def _split(text: str) -> list[str]:
    return TOKEN.findall(MARKUP.sub(" ", text))


class Words(NamedTuple):
    """The words of a text in the forms that are compared."""

    words: list[str]  # s1's: lower case, split at white space, punctuation kept
    tokens: list[str]  # as of `tokens`
    plain: list[str]  # the tokens without signs: runs of letters and runs of digits
    question: list[str]  # the tokens without the instructions around them


def lower(text: str) -> str:
    """Return a text in lower case, in the letters that a reader takes it to be set in.

    Invisible characters and combining marks are gone, and letters of other alphabets and styles
    that look like Latin ones are those (Unicode's NFKD and confusables).
    """
    if text.isascii():
        return text.lower()
    unseen, twins = _tables()
    text = unicodedata.normalize("NFKD", text.translate(unseen))
    return text.translate(unseen).translate(twins).lower()


@functools.cache
def _tables() -> tuple[dict[int, str | None], dict[int, str]]:
    """Return what str.translate drops as unseen, and the Latin twin of each letter.

    Unseen are formats such as zero-width spaces, variation selectors, and combining marks: those
    before NFKD too, which sorts runs of them in quadratic time.
    """
    from confusable_homoglyphs import confusables

    unseen: dict[int, str | None] = {}
    for code in (*range(128, 0x20000), *range(0xE0000, 0xE0080)):  # beyond are ideographs, and tags
        character = chr(code)
        if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Me"):
            unseen[code] = None
    unseen |= dict.fromkeys((0x034F, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
    unseen |= dict.fromkeys(map(ord, BLANKS), " ")
    twins = {}
    for character, alike in confusables.confusables_data.items():
        letters = [one["c"] for one in alike if len(one["c"]) == 1 and one["c"].isascii()]
        is_letter = len(character) == 1 and character.isalpha() and not character.isascii()
        if is_letter and letters and letters[0].isalpha():
            twins[ord(character)] = letters[0]
    return unseen, twins | {ord(letter): twin for letter, twin in TWINS.items()}


class Instructions:
    """What is usually written around a question, to be left out of it (conf/decontamination).

    Each is a regular expression over tokens, one space between two. Raises re.error for one that is
    none.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        either = "|".join(f"(?:{pattern})" for pattern in patterns)
        self.first = re.compile(rf"(?:{either})(?: |$)") if either else None
        self.last = re.compile(rf"(?:^| )(?:{either})$") if either else None

    def left_out(self, words: list[str]) -> list[str]:
        """Return tokens without the instructions at both ends; all of them where nothing else is
        there.
        """
        if self.first is None or self.last is None:
            return words
        rest = words
        while rest:
            count = _count(self.first.match(" ".join(rest[:END])))
            if not count:
                break
            rest = rest[count:]
        while rest:
            count = _count(self.last.search(" ".join(rest[-END:])))
            if not count:
                break
            rest = rest[: len(rest) - count]
        return rest or words

    def words_of(self, text: str) -> Words:
        """Return the Words of a text."""
        text = lower(text)
        split = _split(text)
        plain = [token for token in split if token.isalnum()]
        return Words(text.split(), split, plain, self.left_out(split))


def _count(match: re.Match | None) -> int:
    """Return how many words a match holds."""
    return len(match.group().split()) if match else 0
