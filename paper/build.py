"""Every number, table and figure of the documents, from the released runs: `make paper`.

Reads logs/ (the runs that rows.yaml and methods.yaml name), what was drawn and trained on in
data/cpu, what s1 published (published.yaml), the facts of openness.yaml, and nothing else; runs no
model. Stops with one sentence at a run that is missing, unreleased or not what its manifest says,
and at a document that is empty or lacks what is filled in. The work is done in ponder/report/.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ponder.audit import claims, indexes
from ponder.errors import UserError, user_errors
from ponder.release import staging
from ponder.report import figures, markdown, openness, pdf
from ponder.report.numbers import numbers
from ponder.report.sources import read_yaml
from ponder.runs import ROOT, dump

RESULTS = "paper/generated/results.json"
TYPST = "paper/paper.typ"
Texts = dict[str, str]  # by their path from the root
More = Callable[[dict[str, Any]], Texts]


def build(
    logs: Path, root: Path, data: Path = ROOT / "data" / "cpu", more: More = lambda results: {}
) -> dict[str, Any]:
    """Write what follows from logs and data into the tree `root`, and return the numbers.

    `root` holds paper/paper.typ and the documents of ponder/report/markdown.py; `more` gives what
    else is written. Nothing has its name before all is written.
    """
    documents = {name: markdown.checked(read(root, name), name) for name in markdown.DOCUMENTS}
    paper = checked_paper(read(root, TYPST))
    results = numbers(logs, data)
    with staging.aside(root) as staged:
        staging.write(staged, TYPST, paper)
        staging.write(staged, RESULTS, dump(results, indent=1))
        drawn = figures.draw(results, (staged / RESULTS).parent)
        staging.write(staged, "paper/paper.pdf", pdf.compiled(staged / "paper"))
        texts = {
            name: markdown.filled(text, results, markdown.DOCUMENTS[name].root)
            for name, text in documents.items()
        } | more(results)
        for name, text in texts.items():
            staging.write(staged, name, text)
        names = [path.relative_to(staged).as_posix() for path in drawn]
        for name in (*names, RESULTS, "paper/paper.pdf", *texts):
            staging.put(staged, root, name)
    return results


def read(root: Path, name: str) -> str:
    """Return the text of a file; raises UserError for one that is missing or no text."""
    try:
        return (root / name).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise UserError(f"{name} cannot be read ({error}); restore it from git") from error


def checked_paper(text: str) -> str:
    """Return the text of the paper; raises UserError for one that shows no results and figures."""
    wanted = ["generated/results.json"]
    wanted += [f"generated/{name}.svg" for name in figures.NAMES]
    if missing := [name for name in wanted if f'"{name}"' not in text]:
        raise UserError(f"{TYPST} does not show {missing[0]}; restore it from git")
    return text


def records(results: dict[str, Any]) -> Texts:
    """Return what is written beside the documents: claims, index of runs and openness table."""
    index = indexes.with_run_index(read(ROOT, "logs/README.md"), results)
    return {
        "logs/claims.jsonl": claims.lines(results),
        "logs/README.md": index,
        openness.TABLE: openness.text(read_yaml(ROOT / openness.SOURCE)),
    }


@user_errors
def main() -> None:
    """Build from logs/ of this repository and say what was written."""
    build(ROOT / "logs", ROOT, more=records)
    print(
        "wrote paper/generated/, paper/paper.pdf, paper/openness.md, logs/claims.jsonl and the "
        "numbers of " + ", ".join((*markdown.DOCUMENTS, "logs/README.md"))
    )


if __name__ == "__main__":
    main()
