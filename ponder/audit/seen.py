"""What a reader of the paper sees: the numbers in the text of paper.pdf, each tied to the claim
that prints it at that place.

The template is set a second time with a mark in place of every printed string that holds a digit,
of every figure, and of every place in s1's paper. A number that is still there was typed, or the
template computed it. With what they stand for back in the places of the marks, that text must be
the text of paper.pdf, so each of its numbers stands where a claim puts it.
"""

import io
import itertools
import re
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from html import unescape
from os.path import commonprefix
from pathlib import Path
from typing import Any, NamedTuple

from ponder.audit import claims
from ponder.audit.checks import ROOT, Findings, read
from ponder.audit.literals import ANYWHERE, NUMBER, is_foreign_digit, without_phrases
from ponder.errors import RecordError
from ponder.report import markdown, pdf
from ponder.runs import dump

PAPER = ROOT / "paper"
FIGURE = """<svg xmlns="http://www.w3.org/2000/svg" width="90" height="20">
<text x="0" y="15" style="font-size: 9px; font-family: 'DejaVu Sans'">{}</text></svg>"""
S1 = re.compile(r"(?<=#sec\[)[\d.]+(?=\])")  # a section, table or figure of s1's paper
UNNUMBERED = "#set heading(numbering: none)"
MARK = re.compile("QX[A-P]{4}XQ")
STRAIGHT = {0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0xAD: None}
AROUND = 40  # characters of a text that are shown before and after a place


class Marked(NamedTuple):
    """What a mark stands for."""

    text: str
    path: str = ""  # of a printed string


class Marks(dict[str, Marked]):
    """Marks by their names, in the order of their making."""

    def new(self, text: str, path: str = "") -> str:
        """Return the name of a new mark: capital letters alone, which are part of no word."""
        number = f"{len(self):04x}".translate(str.maketrans("0123456789", "GHIJKLMNOP"))
        name = f"QX{number.upper()}XQ"
        self[name] = Marked(text, path)
        return name


def seen() -> Findings:
    """Whether every number in the text of the PDF is printed there by a claim, or is a literal."""
    template, marks = (PAPER / "paper.typ").read_text(), Marks()
    results = read(PAPER / "generated" / "results.json")
    there = pages((PAPER / "paper.pdf").read_bytes())
    skeleton = "\n".join(pages(set_with_marks(template, results, marks)))
    printed = [marks[name] for name in MARK.findall(skeleton) if marks[name].path]
    literals = [entry["text"] for entry in read(ROOT / "logs" / "literals.yaml") or []]
    problems = [
        *difference(there, skeleton, marks),
        *typed(skeleton, headings(template), [*literals, *names(results, template)]),
        *unclaimed(printed, read(ROOT / "logs" / "claims.jsonl")),
    ]
    return Findings(f"{len(there)} pages, {len(printed)} places where a claim prints", problems)


def pages(data: bytes) -> list[str]:
    """Return the text of each page of a PDF without its number; raises RecordError for a page that
    does not end with that.
    """
    import pypdf

    texts = [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(data)).pages]
    for number, text in enumerate(texts, 1):
        if not text.endswith(f"\n{number}"):
            raise RecordError(f"page {number} of paper/paper.pdf does not end with its number")
    return [text.rpartition("\n")[0] for text in texts]


# --- a second setting, with marks ------------------------------------------------------


def set_with_marks(template: str, results: dict[str, Any], marks: Marks) -> bytes:
    """Return the PDF of a template with marks, which `marks` gains."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "generated"
        folder.mkdir()
        for path in sorted((PAPER / "generated").glob("*.svg")):
            words = re.findall(r"<text\b[^>]*>([^<]*)</text>", path.read_text())
            (folder / path.name).write_text(FIGURE.format(marks.new(unescape("\n".join(words)))))
        marked = results | {"printed": with_marks(results["printed"], template, marks)}
        (folder / "results.json").write_text(dump(marked))
        source = S1.sub(lambda place: marks.new(place[0]), template)
        (folder.parent / "paper.typ").write_text(f"#set text(hyphenate: false)\n{source}")
        return pdf.compiled(folder.parent)


def with_marks(value: Any, template: str, marks: Marks, path: str = "") -> Any:
    """Return printed strings with marks in place of those that hold a digit, but for those that the
    template looks up.
    """
    if isinstance(value, str):
        is_kept = looks_up(template, value) or not re.search(r"\d", value)
        return value if is_kept else marks.new(value, path)
    if isinstance(value, list):
        return [
            with_marks(item, template, marks, f"{path}/{markdown.name_of(item)}") for item in value
        ]
    if isinstance(value, dict):
        return {
            key: with_marks(item, template, marks, f"{path}/{key}" if path else key)
            for key, item in value.items()
        }
    return value


def looks_up(template: str, text: str) -> bool:
    """Whether a text, which is no number, stands in quotes in a template."""
    return f'"{text}"' in template and bool(re.search("[a-z]", text, re.IGNORECASE))


def names(results: dict[str, Any], template: str) -> set[str]:
    """Return the printed strings that a template looks up."""
    return {text for text in claims.strings(results["printed"]) if looks_up(template, text)}


# --- what is compared ------------------------------------------------------------------


def difference(there: Sequence[str], skeleton: str, marks: Marks) -> Iterator[str]:
    """Yield a sentence where the text of the pages first differs from that of the second setting
    with what its marks stand for; spaces and line breaks do not count.
    """
    wanted = bare(MARK.sub(lambda mark: marks[mark[0]].text, skeleton))
    text = bare("".join(there))
    if text == wanted:
        return
    at = len(commonprefix([text, wanted]))
    ends = itertools.accumulate(len(bare(page)) for page in there)
    page = next((number for number, end in enumerate(ends, 1) if at < end), len(there))
    one, other = (part[max(0, at - AROUND) : at + AROUND] for part in (text, wanted))
    yield f"paper/paper.pdf page {page} reads {one!r}, its template and the claims give {other!r}"


def bare(text: str) -> str:
    """Return a text without spaces, line breaks, what else is not seen, the underscores that a
    template may make spaces, and the hyphens inside of words.
    """
    kept = [sign for sign in text if sign != "_" and unicodedata.category(sign) != "Cf"]
    return re.sub(r"(?<=[^\W\d])-\s*(?=[^\W\d])|\s+", "", "".join(kept))


def headings(template: str) -> list[str]:
    """Return the numbers of a template's headings in their order, up to where it stops counting."""
    counts: list[int] = []
    numbers = []
    for signs in re.findall("^(=+) ", template.split(UNNUMBERED)[0], re.MULTILINE):
        counts = [*counts, *[0] * len(signs)][: len(signs)]
        counts[-1] += 1
        numbers.append(".".join(map(str, counts)))
    return numbers


def typed(skeleton: str, numbered: Sequence[str], allowed: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each number of a text with marks that counts no heading, figure or table
    and stands in no allowed phrase.
    """
    text = MARK.sub(" ... ", skeleton).translate(STRAIGHT)
    for number in numbered:
        heading = rf"^{re.escape(number)} (?=[A-Z])"
        text = re.sub(heading, "", text, count=1, flags=re.MULTILINE)
    text = " ".join(re.sub(r"(?<=\w)-\n", "-", text).split())
    for kind in ("Figure", "Table"):
        count = len(re.findall(rf"{kind} \d+:", text))
        text = re.sub(rf"{kind} (?:{'|'.join(map(str, range(count, 0, -1)))})\b", kind, text)
    text = without_phrases(text, sorted(allowed, key=len, reverse=True))
    places = {(match.start(), match[0]) for match in NUMBER.finditer(text)}
    places |= {(match.start(), match[0]) for match in ANYWHERE.finditer(text)}
    places |= {(at, sign) for at, sign in enumerate(text) if is_foreign_digit(sign)}
    for at, number in sorted(places):
        words = text[max(0, at - AROUND) : at + AROUND]
        yield f"paper/paper.pdf prints {number} in {words!r}, which no claim puts there"


def unclaimed(printed: Sequence[Marked], listed: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield a sentence for each printed string that is of no claim."""
    texts = {claim["id"]: claim["printed"] for claim in listed}
    for path, text in sorted({(marked.path, marked.text) for marked in printed}):
        parts = path.split("/")
        holders = ("/".join(parts[:count]) for count in range(len(parts), 0, -1))
        if not any(text in texts.get(holder, ()) for holder in holders):
            yield f"paper/paper.pdf prints {text!r} at {path}, which is no claim"
