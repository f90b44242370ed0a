"""What the pages on runs, curves, claims and decisions show, from the released records alone."""

from pathlib import Path
from typing import Any

from ponder import lineage
from ponder.audit import checks, heading, notes, page
from ponder.audit.checks import Verdict, place
from ponder.audit.claims import ESTIMATORS
from ponder.audit.decisions import decisions
from ponder.audit.page import guarded, name_of, read
from ponder.report import printed
from ponder.site.answers import split_of, thinks_in_steps

POINTS = 1_000  # steps of a training that are drawn


def runs(parts: dict[str, int], groups: dict[str, list[str]]) -> dict[str, Any]:
    """Return {"runs", "trainings", "groups"}: every released evaluation and training, and the
    groups of families. `parts` says how many files hold the answers of an evaluation.
    """
    return {
        "runs": [
            {"name": folder.name, "parts": parts.get(folder.name, 0), **guarded(evaluation, folder)}
            for folder in checks.runs("evaluate")
        ],
        "trainings": {folder.name: config(folder) for folder in checks.runs("train")},
        "groups": groups,
    }


def evaluation(folder: Path) -> dict[str, Any]:
    """Return what the pages say of an evaluation."""
    status, results = checks.status(folder), read(folder / "results.json", {})
    over_all = results.get("all")
    return {
        "split": split_of(folder),
        "status": status["status"],
        "accuracy": printed.string(over_all["accuracy"], "share") if over_all else None,
        "in_steps": thinks_in_steps(folder),
        "config": config(folder),
        "training": [found.name for found in notes.trained(status["inputs"])],
    }


def config(folder: Path) -> dict[str, Any]:
    """Return {dotted key: value} of a run's config and, in their first 16 digits, of the hashes of
    what it read.
    """
    inputs = read(folder / "status.json", {}).get("inputs", {})
    hashes = {f"inputs: {name}": str(digest)[:16] for name, digest in inputs.items()}
    return lineage.flat(read(folder / "config.yaml", {})) | hashes


def curves() -> list[dict[str, Any]]:
    """Return the curve of every training: [step, loss, learning rate, norm of the gradient]."""
    return [
        {"name": folder.name, **guarded(curve, folder)}
        for folder in checks.runs("train")
        if place(folder, "metrics.jsonl").exists()
    ]


def curve(folder: Path) -> dict[str, Any]:
    """Return the curve of a training, thinned where it is long."""
    rows = checks.read(place(folder, "metrics.jsonl"))
    keys = ("step", "loss", "lr", "grad_norm")
    return {
        "status": checks.status(folder)["status"],
        "steps": len(rows),
        "points": [[row.get(key) for key in keys] for row in page.thinned(rows, POINTS)],
    }


def claims(known: dict[str, Any], verdicts: list[Verdict]) -> dict[str, Any]:
    """Return {"claims", "estimators", "checks", "findings"}: every number that a document prints
    with the verdict on it, the `verdicts` of the audit's checks that were made for these pages, and
    what s1 says beside what `known`, the value of results.json, says of it.
    """
    found = (known.get("printed") or {}).get("findings") or []
    listed = read(checks.ROOT / "logs" / "claims.jsonl", [])
    return {
        "claims": [row | {"verdict": page.claim_verdict(row["id"], verdicts)} for row in listed],
        "estimators": ESTIMATORS,
        "checks": [page.verdict_record(verdict) for verdict in verdicts],
        "findings": found,
    }


def tree() -> dict[str, str]:
    """Return {"tree", "date"}: the commit that the pages were made from, and whether its files
    differ from it.
    """
    facts = heading.facts()
    return {"tree": facts["tree"], "date": facts["date"]}


def choices() -> dict[str, Any]:
    """Return {"decisions", "outcomes", "corrections", "runs"}: the decision records, what came of
    the pre-registrations, and the corrections.
    """
    return {
        "decisions": [
            {
                "number": record.number,
                "title": record.title,
                "status": record.status,
                "text": record.text,
            }
            for record in decisions().values()
        ],
        "outcomes": [
            {"name": path.stem, "plan": read(path, {}), **guarded(came_of, path)}
            for path in notes.preregistered()
        ],
        "corrections": read(checks.ROOT / "logs" / "corrections.jsonl", []),
        "runs": [name_of(folder) for folder in checks.runs()],
    }


def came_of(path: Path) -> dict[str, Any]:
    """Return what came of a pre-registration, with its difference as documents print it."""
    found = notes.outcome(path)
    difference = found["difference"]
    return {**found, "points": printed.difference_text(difference) if difference else None}
