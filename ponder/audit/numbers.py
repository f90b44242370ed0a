"""The check `numbers`: every number of the documents still follows from the released runs.

It makes results.json and the claims again, counts the accuracies a second time with code of its
own, and puts the numbers into the documents anew. Whatever number a document holds besides must be
a literal of logs/literals.yaml (ponder/audit/literals.py).
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ponder.audit import claims, indexes, rules
from ponder.audit.checks import ROOT, Findings, read, samples, shown
from ponder.report import figures, markdown, pdf
from ponder.report.numbers import numbers as made_numbers
from ponder.rows import SampleRow

GENERATED = ROOT / "paper" / "generated"


def numbers() -> Findings:
    """Whether every number of the documents follows from the released runs, counted twice."""
    results = made_numbers(ROOT / "logs")
    stale, ids = claim_problems(results)
    miscounted = count_problems(results)
    problems = [
        *stale,
        *miscounted.values(),
        *document_problems(results),
        *figure_problems(results),
        *indexes.stale_runs(),
    ]
    if pdf.compiled(ROOT / "paper") != (ROOT / "paper" / "paper.pdf").read_bytes():
        problems.append("paper/paper.pdf is not what paper.typ and results.json give")
    count = len(claims.claims(results))
    words = f"{count} claims, {len(markdown.DOCUMENTS)} documents, the paper"
    return Findings(words, problems, (*ids, *miscounted))


def claim_problems(results: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return a sentence for each claim that is not what the runs give, and the ids of these."""
    text = claims.lines(results)
    wanted = {row["id"]: row for row in map(json.loads, text.splitlines())}
    listed = {row["id"]: row for row in read(ROOT / "logs" / "claims.jsonl")}
    different = [ident for ident, row in wanted.items() if listed.get(ident) != row]
    unknown = sorted(listed.keys() - wanted.keys())
    problems = [
        f"claim {ident} is {short(listed.get(ident))} in logs/claims.jsonl, but the runs give "
        f"{short(wanted[ident])}"
        for ident in different
    ]
    problems += [f"claim {ident} follows from no run" for ident in unknown]
    if not problems and (ROOT / "logs" / "claims.jsonl").read_text() != text:
        problems.append("logs/claims.jsonl has other lines, or the same in another order")
    if not problems and read(GENERATED / "results.json") != results:
        problems.append("paper/generated/results.json is not what the runs give")
    return problems, [*different, *unknown]


def short(claim: dict[str, Any] | None) -> str:
    """Return the value of a claim in a few words."""
    if claim is None:
        return "missing"
    text = json.dumps(claim["value"], sort_keys=True)
    return text if len(text) <= 160 else text[:160] + "..."


def count_problems(results: dict[str, Any]) -> dict[str, str]:
    """Return {id of a claim on an accuracy: a sentence} where a second count does not give it."""
    problems = {}
    for row in results["rows"]:
        for path, counted in recount(row, results["groups"]).items():
            entry, claim = markdown.at(row, path), f"rows/{row['label']}/{path}"
            differing = [
                f"{key} is {entry[key]}, counted here {value:.6f}"
                for key, value in counted.items()
                if abs(entry[key] - value) > 1e-6
            ]
            if differing:
                problems[claim] = f"claim {claim}: {'; '.join(differing)}"
    return problems


def recount(row: dict[str, Any], groups: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return the accuracies of a row of the table as {path: {key: value}}.

    They are counted from its samples by this function alone.
    """
    answers = samples(ROOT / "logs" / "evaluate" / row["run"])
    scopes: dict[str, list[str] | None] = {"all": None}
    scopes |= {f"groups/{name}": group["families"] for name, group in groups.items()}
    scopes |= {f"families/{family}": [family] for family in row["families"]}
    return {
        path: counted([s for s in answers if families is None or s.task in families])
        for path, families in scopes.items()
    }


def counted(answers: list[SampleRow]) -> dict[str, float]:
    """Return the accuracy of some answers with its interval, and their mean thinking tokens."""
    n, right = len(answers), sum(1 for answer in answers if answer.correct)
    low, high = rules.wilson(right, n)
    return {
        "n": n,
        "correct": right,
        "accuracy": right / n,
        "low": low,
        "high": high,
        "thinking_tokens": sum(answer.num_thinking for answer in answers) / n,
    }


def document_problems(results: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each line of a document that is not what the numbers give."""
    for name, document in markdown.DOCUMENTS.items():
        text = (ROOT / name).read_text()
        yield from differing(name, text, markdown.filled(text, results, document.root))
        if markdown.blocks(text) != document.blocks:
            wanted = ", ".join(document.blocks) or "none"
            yield (
                f"{name} has the blocks {', '.join(markdown.blocks(text)) or 'none'}, not "
                f"{wanted}; put the two comments around each back"
            )


def differing(name: str, text: str, wanted: str) -> list[str]:
    """Return a sentence for each line of a document that is not as wanted."""
    pairs = zip(text.splitlines(), wanted.splitlines(), strict=False)
    problems = [
        f"{name} line {number} prints {line.strip()[:100]!r}, the runs give {other.strip()[:100]!r}"
        for number, (line, other) in enumerate(pairs, 1)
        if line != other
    ]
    if not problems and text != wanted:
        problems = [f"{name} has other lines than the runs give"]
    return problems


def drawn_again(results: dict[str, Any]) -> dict[str, bytes]:
    """Return {name: its bytes} of the figures that the numbers give, with the matplotlib here."""
    with tempfile.TemporaryDirectory() as folder:
        return {path.name: path.read_bytes() for path in figures.draw(results, Path(folder))}


def figure_problems(results: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each figure that is not drawn from the numbers."""
    drawn = drawn_again(results)
    there = {path.name: path.read_bytes() for path in GENERATED.glob("*.svg")}
    for name in sorted(drawn.keys() | there.keys()):
        path = shown(GENERATED / name)
        if name not in drawn:
            yield f"{path} is drawn from no number; remove it"
        elif there.get(name) != drawn[name]:
            yield f"{path} is not what the numbers give when it is drawn again"
