"""Indexes that are made from the records: of the decisions, and of the released evaluations.

    python -m ponder.audit.indexes

It writes logs/decisions/README.md, and in logs/README.md what stands between two comments: each
row of the tables with its run and its accuracy. The checks `decisions` and `numbers` say when
either is stale.
"""

import re
from pathlib import Path
from typing import Any

from ponder.audit.checks import ROOT, read, shown
from ponder.audit.decisions import decisions
from ponder.errors import UserError, user_errors

DECISIONS = ("logs", "decisions", "README.md")
LOGS = ("logs", "README.md")
BLOCK = re.compile(r"(<!-- runs -->\n).*?(<!-- /runs -->)", re.DOTALL)

HEAD = """\
# Decisions

Why things are as they are: one record per decision, with its question, its options or what was
measured, its choice, what it costs, and when to look at it again. A record is never rewritten.
What comes of it later is a dated line in it, and another choice is another record. Paths in them
are those of their day; [ponder/README.md](../../ponder/README.md) has a table from old paths to
new ones.

This index is written by `python -m ponder.audit.indexes`, and `python audit.py decisions` says
when it is stale. Beside it: [the logs](../README.md), [the front page](../../README.md).
"""


def decision_index() -> str:
    """Return logs/decisions/README.md, made from the records."""
    table = []
    for record in decisions().values():
        answered = "<br>".join(f"{day}: {words}" for day, words in record.answers) or "open"
        link = f"[{record.number}]({record.path.name})"
        cells = (link, record.title, record.status, record.revisit, answered)
        table.append(row_of_table(*cells))
    head = row_of_table("number", "decision", "status", "revisit when", "what came of that")
    return "\n".join([HEAD, head, "|---|---|---|---|---|", *table]) + "\n"


def run_index(results: dict[str, Any] | None = None) -> str:
    """Return the table of logs/README.md: each row of the paper's tables, the folder of its run,
    and its accuracy with the interval, as `results` or paper/generated/results.json has them.
    """
    results = results or read(ROOT / "paper" / "generated" / "results.json")
    entries = [(row["label"], row["run"], row["all"]["text"]) for row in results["rows"]]
    listed = {run for _, run, _ in entries}
    for method in results["methods"]["table"]:
        for point in method["points"]:
            if point["run"] not in listed:
                listed.add(point["run"])
                label = f"{method['name']}, {point['name']}"
                entries.append((label, point["run"], point["text"]))
    table = [
        row_of_table(label, f"[`{run}`](evaluate/{run})", accuracy)
        for label, run, accuracy in entries
    ]
    head = row_of_table("row", "folder", "accuracy on test")
    return "\n".join([head, "|---|---|---|", *table]) + "\n"


def row_of_table(*cells: str) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def with_run_index(text: str, results: dict[str, Any] | None = None) -> str:
    """Return logs/README.md with the table between its comments made anew.

    `results` is as of run_index. Raises UserError for a text without the comments.
    """
    if not BLOCK.search(text):
        raise UserError(
            "logs/README.md has no line <!-- runs --> with a line <!-- /runs --> after it; put "
            "them where the index of runs belongs"
        )
    index = run_index(results)
    return BLOCK.sub(lambda block: block[1] + index + block[2], text)


def stale(path: Path, wanted: str) -> list[str]:
    """Return a sentence, in a list, where a generated file is not there or not as wanted."""
    if path.is_file() and path.read_text() == wanted:
        return []
    return [f"{shown(path)} is stale; run python -m ponder.audit.indexes"]


def stale_decisions() -> list[str]:
    """Return a sentence, in a list, where the index of decisions is not what the records give."""
    return stale(ROOT.joinpath(*DECISIONS), decision_index())


def stale_runs() -> list[str]:
    """Return a sentence, in a list, where the index of runs is not what results.json gives."""
    path = ROOT.joinpath(*LOGS)
    try:
        return stale(path, with_run_index(path.read_text()))
    except UserError as error:
        return [str(error)]


@user_errors
def main() -> None:
    """Write both indexes."""
    files: dict[Path, Any] = {ROOT.joinpath(*DECISIONS): decision_index()}
    logs = ROOT.joinpath(*LOGS)
    files[logs] = with_run_index(logs.read_text())
    for path, text in files.items():
        path.write_text(text)
        print(f"wrote {shown(path)}")


if __name__ == "__main__":
    main()
