"""Every number, table and figure of the documents, from the released runs: `make paper`.

Reads logs/ (the runs that rows.yaml and methods.yaml name), what was drawn and trained on in
data/cpu, what s1 published (published.yaml), and nothing else; runs no model. Stops with one
sentence at a run that is missing, unreleased or not what its manifest says. The work is done in
ponder/report/.
"""

from pathlib import Path
from typing import Any

from ponder.audit import claims, indexes
from ponder.errors import user_errors
from ponder.report import figures, markdown, pdf
from ponder.report.numbers import numbers
from ponder.runs import ROOT, dump


def build(logs: Path, root: Path, data: Path = ROOT / "data" / "cpu") -> dict[str, Any]:
    """Write what follows from logs and data into the tree `root`, and return the numbers.

    `root` holds paper/paper.typ and the documents of ponder/report/markdown.py.
    """
    paper = root / "paper"
    generated = paper / "generated"
    generated.mkdir(exist_ok=True)

    results = numbers(logs, data)
    (generated / "results.json").write_text(dump(results, indent=1))
    figures.draw(results, generated)
    (paper / "paper.pdf").write_bytes(pdf.compiled(paper))
    for name, document in markdown.DOCUMENTS.items():
        text = (root / name).read_text()
        (root / name).write_text(markdown.filled(text, results, document.root))
    return results


@user_errors
def main() -> None:
    """Build from logs/ of this repository and say what was written."""
    results = build(ROOT / "logs", ROOT)
    (ROOT / "logs" / "claims.jsonl").write_text(claims.lines(results))
    runs = ROOT / "logs" / "README.md"
    runs.write_text(indexes.with_run_index(runs.read_text()))
    print(
        "wrote paper/generated/, paper/paper.pdf, logs/claims.jsonl and the numbers of "
        + ", ".join((*markdown.DOCUMENTS, "logs/README.md"))
    )


if __name__ == "__main__":
    main()
