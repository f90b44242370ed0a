"""Every number in the documents that is no claim is a literal of logs/literals.yaml."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ponder.audit.checks import ROOT, Findings, read, shown
from ponder.report.markdown import BLOCKS, DOCUMENTS

GUIDES = ("CONTRIBUTING.md", "paper/README.md")  # documents that hold no claims
MOST = 30  # literals
# A number: digits that are no part of a name (H100, s1-59k, Q4_1) or a version's tail.
NUMBER = re.compile(r"(?<![A-Za-z0-9])(?<![A-Za-z0-9][._-])[-+]?\.?\d+(?:[.,/]\d+)*\w*%?")
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
# A file that a guide tells to write: its values are those of a configuration or a program.
FILE = re.compile(r"^cat > \S+ <<'END'\n.*?^END$", re.DOTALL | re.MULTILINE)
# In code: standing alone, a percentage, or a decimal fraction after a sign; else it is an option,
# an index or a part of a name.
IN_CODE = re.compile(
    r"""(?<![^\s`|(}{"'>~])[-+]?\.?\d+(?:[.,/]\d+)*(?![^\s`|)}"',;:])"""
    r"""|[-+]?\d[\d.,]*%|(?<=[^=][=:])\d*\.\d+(?![\w.])"""
)
TABLES = re.compile(rf"<!-- ({'|'.join(BLOCKS)}) -->\n.*?<!-- /\1 -->", re.DOTALL)
MARKDOWN = re.compile(r"<!--=.+?-->.*?<!--/-->|https?://[^\s)>|\]]+|^ *\d\. ", re.MULTILINE)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
# Of typst: comments, lengths, arguments and arithmetic of its code, references into s1's paper,
# and names that a look-up must find.
TYPST = re.compile(
    r"""(?:^|(?<=\s))//[^\n]*|,\) \* \d\b"""
    r"""|(?:\w: |\(|, )\d[\d.]*(?:pt|cm|em|fr)(?=[,)])|\bnumbering: "1(?:\.1)?\""""
    r"""|\b(?:columns(?:: |\()|(?:colspan|digits): )\d(?![\d.,%]\d|%)|len\(\) [->] \d\b"""
    r"""|== [01](?![\w.,%]\d|%)|\#sec\[\d(?:\.\d)?\]|\b(?:at|comparison|method|run|tokens|slope"""
    r"""|obeys|thinks|versus|against|cited|json|image|announced)\((?:"[^"\n]*"(?:,\s)?)+"""
)
MARKS = re.compile(r"<!--=.+?-->.*?<!--/-->")  # what a template puts in
# In code, in names and in addresses too.
ANYWHERE = re.compile(r"\d+(?:[.,]\d+)*\s?(?:%|percent\b)")
# In the paper's template: what makes another number of one, or another text of a text, but for
# underscores that become spaces, and spaces at which no line breaks.
COMPUTES = re.compile(
    r"(?<!-)\b(?:(?:float|int|decimal|eval|str|regex|bytes|state|counter|hide|place|move)\(|calc\.)"
    r"|\.(?:rev|slice|codepoints|clusters|to-unicode|sum|product|repeat)\("
    r"|\.replace\((?!\"_\", \" \"\)|\" \", sym\.space\.nobreak\))|#show\s*(?:\"|regex)"
)
# A look-up by a name that holds a digit.
NAMED = re.compile(
    r"\b(?:at|comparison|method|run|tokens|slope|obeys|thinks|versus|against|cited|announced)"
    r"\(\s*((?:\"[^\"\n]*\"(?:,\s)?)+)"
)
READS = re.compile(
    r"\b(?:include|import|read|json|yaml|toml|csv|xml|cbor|plugin|eval|image)\b[ (]*\"([^\"]*)\""
)


def stray(text: str, suffix: str, allowed: Sequence[str] = ()) -> list[tuple[int, str]]:
    """Return (line, number) of each number in a document that no template puts there.

    Numbers in a phrase of `allowed` are no stray ones. `suffix` is that of the document's name.
    """
    if suffix == ".typ":
        prose = without_phrases(blank(TYPST, text), allowed)
        places = {*numbers_in(prose), *shares_in(prose)}
    else:
        text = without_phrases(blank(FILE, blank(TABLES, text)), allowed)
        prose = blank(COMMENT, blank(MARKDOWN, blank(CODE, text)))
        places = {*numbers_in(prose), *shares_in(blank(MARKS, text))}
        for span in CODE.finditer(text):
            places |= {(span.start() + at, number) for at, number in numbers_in_code(span[0])}
    places |= {(at, sign) for at, sign in enumerate(text) if is_foreign_digit(sign)}
    return sorted({(text.count("\n", 0, at) + 1, number) for at, number in places})


def numbers_in(prose: str) -> Iterator[tuple[int, str]]:
    """Yield (place, number) of each number of a text that is no code."""
    yield from ((match.start(), match[0]) for match in NUMBER.finditer(prose))
    yield from ((at, sign) for at, sign in enumerate(prose) if is_foreign_digit(sign))


def shares_in(text: str) -> Iterator[tuple[int, str]]:
    """Yield (place, number) of each percentage of a text, in code and names too."""
    yield from ((match.start(), match[0]) for match in ANYWHERE.finditer(text))


def numbers_in_code(code: str) -> Iterator[tuple[int, str]]:
    """Yield (place, number) of each number of a piece of code that is no option or index."""
    yield from ((match.start(), match[0]) for match in IN_CODE.finditer(code))
    yield from ((at, sign) for at, sign in enumerate(code) if is_foreign_digit(sign))


def is_foreign_digit(sign: str) -> bool:
    """Return whether a character counts as a number and is none of the ten plain digits."""
    return not sign.isascii() and unicodedata.category(sign) in ("Nd", "Nl", "No")


def without_phrases(text: str, phrases: Sequence[str]) -> str:
    """Return a text with underscores in place of phrases, its length kept."""
    for phrase in phrases:
        text = standing(phrase).sub(lambda match: re.sub(r"\S", "_", match[0]), text)
    return text


def standing(phrase: str) -> re.Pattern[str]:
    """Return the pattern of a phrase that is no part of a longer word or number."""
    return re.compile(rf"(?<![\w.]){re.escape(phrase)}(?!\w)")


def blank(pattern: re.Pattern[str], text: str) -> str:
    """Return a text whose matches are spaces, its lines kept."""
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def literals() -> Findings:
    """Whether every number that no template puts into the documents is a literal, with a reason."""
    entries = read(ROOT / "logs" / "literals.yaml") or []
    phrases = [entry["text"] for entry in entries]
    paper = ROOT / "paper" / "paper.typ"
    paths = [*(ROOT / name for name in (*DOCUMENTS, *GUIDES)), paper]
    texts = {path: path.read_text() for path in paths}
    problems = [
        f"{shown(path)} line {line} holds {number}, which no template put there; make it a claim, "
        "or say why not in logs/literals.yaml"
        for path, text in texts.items()
        for line, number in stray(text, path.suffix, phrases)
    ]
    problems += reading_problems(paper, texts[paper])
    results = read(ROOT / "paper" / "generated" / "results.json")
    problems += computing_problems(texts[paper], {*names_in(results)})
    problems += [
        f"logs/literals.yaml allows {phrase!r}, which stands nowhere; remove it"
        for phrase in phrases
        if not any(standing(phrase).search(text) for text in texts.values())
    ]
    problems += [
        f"logs/literals.yaml gives no reason for {entry['text']!r}"
        for entry in entries
        if len(entry.get("reason", "")) < 10
    ]
    if len(entries) > MOST:
        problems.append(
            f"logs/literals.yaml has {len(entries)} entries, at most {MOST} are allowed"
        )
    shown_each = "; ".join(f"{entry['text']!r} ({entry.get('reason', '')})" for entry in entries)
    return Findings(f"{len(entries)} of at most {MOST} literals: {shown_each}", problems)


def computing_problems(text: str, known: set[str]) -> list[str]:
    """Return a sentence for each place where the paper's template computes with what it prints, or
    looks up a name with a digit in it that results.json has not.
    """
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        code = line.partition("//")[0] if "://" not in line else line
        for match in COMPUTES.finditer(code):
            problems.append(
                f"paper/paper.typ line {number} computes with {match[0]!r}; a number is made and "
                "formatted in ponder/report alone"
            )
    for match in NAMED.finditer(text):
        for name in re.findall(r"\"([^\"]*)\"", match[1]):
            if any(sign.isdigit() for sign in name) and name not in known:
                place = text.count("\n", 0, match.start()) + 1
                problems.append(
                    f"paper/paper.typ line {place} looks up {name!r}, which results.json has not"
                )
    return problems


def names_in(value: Any) -> Iterator[str]:
    """Yield all keys and texts of a JSON value."""
    if isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from names_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from names_in(item)
    elif isinstance(value, str):
        yield value


def reading_problems(paper: Path, text: str) -> list[str]:
    """Return a sentence for each file that the paper reads and no check does, and each template."""
    problems = [
        f"paper/paper.typ reads {name}, which no check reads"
        for name in READS.findall(text)
        if not re.fullmatch(r"generated/(results\.json|\w+\.svg)", name)
    ]
    problems += [
        f"{shown(path)} is a template that no check reads"
        for path in sorted(paper.parent.rglob("*.typ"))
        if path != paper
    ]
    return problems
