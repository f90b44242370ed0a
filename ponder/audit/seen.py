"""What a reader sees: the numbers in the text of paper.pdf, and in the Markdown documents as they
are rendered, each tied to the claim that prints it at that place.

The template is set a second time with a mark in place of every printed string that holds a digit,
of every figure, and of every place in s1's paper. A number that is still there was typed, or the
template computed it. With what they stand for back in the places of the marks, that text must be
the text of paper.pdf, so each of its numbers stands where a claim puts it. A Markdown document is
filled in a second time in the same way, and both are rendered.
"""

import io
import itertools
import re
import tempfile
from collections.abc import Iterator, Sequence
from html import unescape
from pathlib import Path
from typing import Any

from ponder.audit import claims, literals
from ponder.audit.checks import ROOT, Findings, read
from ponder.audit.marks import (
    AROUND,
    MARK,
    Marks,
    bare,
    difference,
    glued,
    unclaimed,
    with_marks,
)
from ponder.audit.rendered import Rendered, rendered
from ponder.errors import RecordError
from ponder.report import markdown, pdf
from ponder.runs import dump

PAPER = ROOT / "paper"
FIGURE = """<svg xmlns="http://www.w3.org/2000/svg" width="90" height="20">
<text x="0" y="15" style="font-size: 9px; font-family: 'DejaVu Sans'">{}</text></svg>"""
S1 = re.compile(r"(?<=#sec\[)[\d.]+(?=\])")  # a section, table or figure of s1's paper
UNNUMBERED = "#set heading(numbering: none)"
STRAIGHT = {0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0xAD: None}


def seen() -> Findings:
    """Whether every number that a reader sees in the PDF and in the rendered Markdown documents is
    printed there by a claim, or is a literal.
    """
    found = [paper(), documents()]
    problems = [problem for findings in found for problem in findings.problems]
    return Findings(", ".join(findings.looked_at for findings in found), problems)


def paper() -> Findings:
    """Whether that is so of the PDF."""
    template, marks = (PAPER / "paper.typ").read_text(), Marks()
    results = read(PAPER / "generated" / "results.json")
    there = pages((PAPER / "paper.pdf").read_bytes())
    skeleton = "\n".join(pages(set_with_marks(template, results, marks)))
    printed = marks.printed(skeleton)
    problems = [
        *other_pages(there, bare(marks.without(skeleton))),
        *typed(skeleton, headings(template), [*phrases(), *names(results, template)]),
        *unclaimed("paper/paper.pdf", printed, read(ROOT / "logs" / "claims.jsonl")),
    ]
    return Findings(f"{len(there)} pages with {len(printed)} places where a claim prints", problems)


def documents() -> Findings:
    """Whether that is so of the Markdown documents."""
    results, marks = read(PAPER / "generated" / "results.json"), Marks()
    marked = results | {"printed": with_marks(results["printed"], marks)}
    listed, problems, count = read(ROOT / "logs" / "claims.jsonl"), [], 0
    names = [*markdown.DOCUMENTS, *literals.GUIDES]
    for name in names:
        source = (ROOT / name).read_text()
        there, again = rendered(name, source), source
        if name in markdown.DOCUMENTS:
            again = markdown.filled(source, marked, markdown.DOCUMENTS[name].root)
        skeleton = there if again == source else rendered(name, again)
        printed = marks.printed(skeleton.text)
        problems += [
            *there.problems,
            *other_text(name, there, bare(marks.without(skeleton.text))),
            *typed_in(name, skeleton, phrases()),
            *glued(name, skeleton.text, marks),
            *unclaimed(name, printed, listed),
        ]
        count += len(printed)
    return Findings(f"{len(names)} documents with {count}", problems)


def phrases() -> list[str]:
    """Return the literals."""
    return [entry["text"] for entry in read(ROOT / "logs" / "literals.yaml") or []]


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
        marked = results | {
            "printed": with_marks(results["printed"], marks, lambda text: looks_up(template, text))
        }
        (folder / "results.json").write_text(dump(marked))
        source = S1.sub(lambda place: marks.new(place[0]), template)
        (folder.parent / "paper.typ").write_text(f"#set text(hyphenate: false)\n{source}")
        return pdf.compiled(folder.parent)


def looks_up(template: str, text: str) -> bool:
    """Whether a text, which is no number, stands in quotes in a template."""
    return f'"{text}"' in template and bool(re.search("[a-z]", text, re.IGNORECASE))


def names(results: dict[str, Any], template: str) -> set[str]:
    """Return the printed strings that a template looks up."""
    return {text for text in claims.strings(results["printed"]) if looks_up(template, text)}


# --- what is compared ------------------------------------------------------------------


def other_pages(there: Sequence[str], wanted: str) -> Iterator[str]:
    """Yield a sentence where the text of the pages first differs from the wanted one, which is
    bare: spaces and line breaks do not count.
    """
    if found := difference(bare("".join(there)), wanted):
        ends = itertools.accumulate(len(bare(page)) for page in there)
        page = next((number for number, end in enumerate(ends, 1) if found[0] < end), len(there))
        yield f"paper/paper.pdf page {page} {found[1]}"


def other_text(name: str, there: Rendered, wanted: str) -> Iterator[str]:
    """Yield a sentence where the text of a document first differs from the wanted one, as above."""
    if found := difference(bare(there.text), wanted):
        starts = [(len(bare(there.text[:at])), line) for at, line in there.lines]
        line = max((start, line) for start, line in starts if start <= found[0])[1]
        yield f"{name} line {line} {found[1]}"


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
    text = literals.without_phrases(text, sorted(allowed, key=len, reverse=True))
    for at, number in sorted({*literals.numbers_in(text), *literals.shares_in(text)}):
        words = text[max(0, at - AROUND) : at + AROUND]
        yield f"paper/paper.pdf prints {number} in {words!r}, which no claim puts there"


def typed_in(name: str, skeleton: Rendered, allowed: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each number of a rendered document with marks that stands in no allowed
    phrase.
    """
    text = MARK.sub(" " * len(Marks().new("")), skeleton.text)
    text = literals.without_phrases(text, sorted(allowed, key=len, reverse=True))
    prose = list(text)
    for start, end in skeleton.code:
        prose[start:end] = " " * (end - start)
    places = {*literals.numbers_in("".join(prose)), *literals.shares_in(text)}
    for start, end in skeleton.code:
        code = literals.blank(literals.FILE, text[start:end])
        places |= {(start + at, number) for at, number in literals.numbers_in_code(code)}
    for at, number in sorted(places):
        line = max(place for place in skeleton.lines if place[0] <= at)[1]
        words = " ".join(text[max(0, at - AROUND) : at + AROUND].split())
        yield f"{name} line {line} shows {number} in {words!r}, which no claim puts there"
