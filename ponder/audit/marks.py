"""Marks: what stands in place of each printed string when a document is made a second time, so that
a number which is still there was typed or computed, and each place is known by the claim's path.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from os.path import commonprefix
from typing import Any, NamedTuple

from ponder.report import markdown

MARK = re.compile("QX[A-P]{4}XQ")
AROUND = 40  # characters of a text that are shown before and after a place
# What makes another number of one when it stands beside it without a space.
GLUED = re.compile(
    rf"(?:[\w.+<>~-]|[^\x00-\x7f])({MARK.pattern})"
    rf"|({MARK.pattern})(?:[\w%]|[.,/]\w|[^\x00-\x7f])"
)
PERCENT = re.compile("^cited/|/s1/")  # what s1 published in percent, without the sign


class Marked(NamedTuple):
    """What a mark stands for."""

    text: str
    path: str = ""  # of a printed string


class Mark(str):
    """The name of a mark; as a key, and where it is compared whole, it is the text that it stands
    for. Other methods of text see the name.
    """

    text: str

    def __new__(cls, name: str, text: str) -> "Mark":
        """Return the name of the mark that stands for this text."""
        mark = super().__new__(cls, name)
        mark.text = text
        return mark

    def __eq__(self, other: object) -> bool:
        return self.text == (other.text if isinstance(other, Mark) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self

    def partition(self, separator: str, /) -> tuple[str, str, str]:
        """Return the parts of the text: a number in them is no mark's any more."""
        return self.text.partition(separator)


class Marks(dict[str, Marked]):
    """Marks by their names, in the order of their making."""

    def new(self, text: str, path: str = "") -> Mark:
        """Return the name of a new mark: capital letters alone, which are part of no word."""
        number = f"{len(self):04x}".translate(str.maketrans("0123456789", "GHIJKLMNOP"))
        name = f"QX{number.upper()}XQ"
        self[name] = Marked(text, path)
        return Mark(name, text)

    def without(self, text: str) -> str:
        """Return a text with what its marks stand for in their places."""
        return MARK.sub(lambda mark: self[mark[0]].text, text)

    def printed(self, text: str) -> list[Marked]:
        """Return what the marks of printed strings in a text stand for, in order."""
        return [self[name] for name in MARK.findall(text) if self[name].path]


def with_marks(
    value: Any, marks: Marks, is_kept: Callable[[str], bool] = lambda text: False, path: str = ""
) -> Any:
    """Return printed strings with marks in place of those that hold a digit, but for those that are
    kept; `marks` gains them.
    """
    if isinstance(value, str):
        return marks.new(value, path) if re.search(r"\d", value) and not is_kept(value) else value
    if isinstance(value, list):
        return [
            with_marks(item, marks, is_kept, f"{path}/{markdown.name_of(item)}") for item in value
        ]
    if isinstance(value, dict):
        return {
            key: with_marks(item, marks, is_kept, f"{path}/{key}" if path else key)
            for key, item in value.items()
        }
    return value


def bare(text: str) -> str:
    """Return a text without spaces, line breaks, what else is not seen, the underscores that a
    template may make spaces, and the hyphens inside of words.
    """
    kept = [sign for sign in text if sign != "_" and unicodedata.category(sign) != "Cf"]
    return re.sub(r"(?<=[^\W\d])-\s*(?=[^\W\d])|\s+", "", "".join(kept))


def difference(text: str, wanted: str) -> tuple[int, str] | None:
    """Return where a bare text first differs from the wanted one, and what both read there in
    words; None where they are equal.
    """
    if text == wanted:
        return None
    at = len(commonprefix([text, wanted]))
    one, other = (part[max(0, at - AROUND) : at + AROUND] for part in (text, wanted))
    return at, f"reads {one!r}, its template and the claims give {other!r}"


def unclaimed(
    name: str, printed: Sequence[Marked], listed: Sequence[dict[str, Any]]
) -> Iterator[str]:
    """Yield a sentence for each string that a document prints and that is of no claim."""
    texts = {claim["id"]: claim["printed"] for claim in listed}
    for path, text in sorted({(marked.path, marked.text) for marked in printed}):
        parts = path.split("/")
        holders = ("/".join(parts[:count]) for count in range(len(parts), 0, -1))
        if not any(text in texts.get(holder, ()) for holder in holders):
            yield f"{name} prints {text!r} at {path}, which is no claim"


def glued(name: str, skeleton: str, marks: Marks) -> Iterator[str]:
    """Yield a sentence for each mark of a text that a sign, a letter or a digit beside it makes
    another number.
    """
    for match in GLUED.finditer(skeleton):
        if match[0].endswith("%") and PERCENT.search(marks[match[1] or match[2]].path):
            continue
        words = MARK.sub("...", skeleton[max(0, match.start() - AROUND) : match.end() + AROUND])
        yield f"{name} has {MARK.sub('...', match[0])!r} in {words!r}: a claim's number changed"
