"""Decision records, read: a number, a title, a status, the parts that its headings name, the
evidence that it rests on, and what answered its "Revisit when".
"""

import re
from dataclasses import dataclass
from pathlib import Path

from ponder.audit.checks import ROOT

HEADINGS = ("Question.", "Choice.", "Revisit when")
NAME = re.compile(r"(\d{4})-[^/]+\.md")
TITLE = re.compile(r"# (\d{4}) (.+)")
STATUS = re.compile(r"\d{4}-\d\d-\d\d, (accepted|superseded by (\d{4}))\b")
EVIDENCE = re.compile(r"^\*\*Evidence\.\*\*.*?(?=\n\n|\Z)", re.DOTALL | re.MULTILINE)
REVISIT = re.compile(r"\*\*Revisit when\*\* (.*?)(?=\n\n|\n\*\*|\Z)", re.DOTALL)
ANSWERED = re.compile(r"^\*\*Answered (\d{4}-\d\d-\d\d):\*\* (.*?)(?=\n\n|\Z)", re.DOTALL | re.M)


@dataclass(frozen=True)
class Decision:
    """A decision record. Texts that the record lacks are empty."""

    path: Path
    number: str  # four digits, as its file name begins
    text: str  # all of it
    title: str  # without its number
    status: str  # accepted | superseded by NNNN
    revisit: str  # when to look at it again
    answers: tuple[tuple[str, str], ...]  # (day, what came of that) of each dated line


def decision(path: Path) -> Decision:
    """Return the decision record of a file."""
    text = path.read_text()
    lines = [*text.splitlines(), "", "", ""]
    title, status = TITLE.match(lines[0]), STATUS.match(lines[2])
    revisit = REVISIT.search(text)
    return Decision(
        path=path,
        number=path.name[:4],
        text=text,
        title=title[2] if title else "",
        status=status[1] if status else "",
        revisit=" ".join(revisit[1].split()) if revisit else "",
        answers=tuple((day, " ".join(words.split())) for day, words in ANSWERED.findall(text)),
    )


def decisions() -> dict[str, Decision]:
    """Return {number: Decision} of all records, in order."""
    paths = sorted((ROOT / "logs" / "decisions").glob("*.md"))
    return {path.name[:4]: decision(path) for path in paths if NAME.fullmatch(path.name)}


def evidence(text: str) -> list[str]:
    """Return what a record names as its evidence: runs ("stage/name"), claims and
    pre-registrations.
    """
    names = []
    for part in EVIDENCE.findall(text):
        names += re.findall(r"`([^`]+)`", " ".join(part.split()))
    return names


def links() -> dict[str, list[str]]:
    """Return {run or claim: numbers of the decision records that rest on it}."""
    numbers: dict[str, list[str]] = {}
    for number, record in decisions().items():
        for name in evidence(record.text):
            numbers.setdefault(name, []).append(number)
    return numbers
