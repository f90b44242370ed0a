"""The openness table: what each project lets others have, from paper/openness.yaml. Pure.

Facts are written by hand, with the place where each was read. The Markdown follows from them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ponder.errors import UserError

SOURCE, TABLE = "paper/openness.yaml", "paper/openness.md"
YES, PARTLY, NO, UNVERIFIED = ANSWERS = ("yes", "partly", "no", "unverified")
KINDS = ("path", "command", "page")  # of evidence


@dataclass(frozen=True)
class Evidence:
    """What an answer rests on."""

    kind: str  # one of KINDS
    text: str  # the path from the root of this repository, the command, or the address of the page


@dataclass(frozen=True)
class Cell:
    """What is known of one property of one project."""

    project: str
    answer: str  # one of ANSWERS
    evidence: Evidence | None  # None: unverified
    note: str


@dataclass(frozen=True)
class Row:
    """A property and its cells, one for each project in their order."""

    property: str
    cells: tuple[Cell, ...]


def rows(facts: Mapping[str, Any]) -> tuple[Row, ...]:
    """Return the table of the facts; a project that a row leaves out is unverified.

    Raises UserError for an answer, a project, a page or a kind of evidence that there is not.
    """
    pages = {name: address(page) for name, page in facts["pages"].items()}
    table = []
    for row in facts["rows"]:
        name, cells = row["property"], row["cells"]
        if foreign := sorted(cells.keys() - facts["projects"].keys()):
            raise _wrong(name, f"the project {foreign[0]!r}", facts["projects"])
        table.append(
            Row(
                name,
                tuple(
                    _cell(name, project, cells[project], pages, project == facts["ours"])
                    if project in cells
                    else Cell(project, UNVERIFIED, None, "")
                    for project in facts["projects"]
                ),
            )
        )
    return tuple(table)


def address(page: Mapping[str, str]) -> str:
    """Return the address of a file of a repository as it was at a commit."""
    return f"https://github.com/{page['repository']}/blob/{page['commit']}/{page['path']}"


def _cell(
    row: str, project: str, entry: Mapping[str, str], pages: Mapping[str, str], is_ours: bool
) -> Cell:
    if entry["answer"] not in (YES, PARTLY, NO):
        raise _wrong(row, f"the answer {entry['answer']!r} of {project}", (YES, PARTLY, NO))
    kinds = [kind for kind in KINDS if kind in entry]
    allowed = ("path", "command") if is_ours else ("page",)
    if len(kinds) != 1 or kinds[0] not in allowed:
        raise _wrong(row, f"the evidence {kinds} of {project}", allowed)
    keys = ("answer", kinds[0], "note")
    if entry.keys() != set(keys):  # a comma in a note without quotes makes a key of what follows
        raise _wrong(row, f"the keys {sorted(entry)} of {project}", keys)
    text = entry[kinds[0]]
    if kinds[0] == "page" and text not in pages:
        raise _wrong(row, f"the page {text!r} of {project}", pages)
    evidence = Evidence(kinds[0], pages.get(text, text) if kinds[0] == "page" else text)
    return Cell(project, entry["answer"], evidence, entry["note"])


def _wrong(row: str, what: str, known: Any) -> UserError:
    return UserError(f"{SOURCE}, row {row!r}, has {what}; take one of {', '.join(known)}")


# --- Markdown --------------------------------------------------------------------------


def text(facts: Mapping[str, Any]) -> str:
    """Return openness.md: the table, and below it each answer with its note."""
    table, projects = rows(facts), facts["projects"]
    lines = [
        "# Openness",
        "",
        "What this repository lets others have and check, beside projects that aim at the same. An "
        "answer rests on what it links to:",
        "for ours a path or a command of this repository, for the others a page at the commit at "
        "which it was read. There, _yes_",
        "means that the page says so; nobody here tried it. _unverified_ means that nobody here "
        "looked it up, or that it lies where",
        "nobody here could read, such as a model hub; it does not mean no. The properties are "
        "those that an audit of a fine-tuning",
        "needs, so the table is no ranking: some of these projects train models from nothing, "
        "which this one does not.",
        "",
        "| | " + " | ".join(projects.values()) + " |",
        "|---" * (1 + len(projects)) + "|",
    ]
    lines += [f"| {row.property} | {' | '.join(map(_mark, row.cells))} |" for row in table]
    lines += ["", "## What each answer rests on", ""]
    for row in table:
        lines += [f"- {row.property}", *_notes(row, projects)]
    lines += [
        "",
        "Written by `make paper` from [openness.yaml](openness.yaml). Neighbours: "
        "[README](../README.md), [the paper's folder](README.md).",
    ]
    return "\n".join(lines) + "\n"


def _mark(cell: Cell) -> str:
    if cell.evidence is None:
        return f"_{cell.answer}_"
    if cell.evidence.kind == "command":
        return f"{cell.answer}: `{cell.evidence.text}`"
    return f"[{cell.answer}]({_target(cell.evidence)})"


def _target(evidence: Evidence) -> str:
    return evidence.text if evidence.kind == "page" else f"../{evidence.text}"


def _notes(row: Row, projects: Mapping[str, str]) -> Iterator[str]:
    for cell in row.cells:
        if cell.evidence is not None:
            yield f"  - {projects[cell.project]}, {cell.answer}: {cell.note}"
