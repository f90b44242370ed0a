"""The page: every record of the checkout in one HTML file that loads nothing; its policy names its
own script and style by hash.

What models and teachers wrote is hostile here: it goes into the file as JSON without a `<`, and
onto the page by textContent.
"""

import base64
import hashlib
import json
import random
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ponder import lineage, rows
from ponder.audit import checks, heading, tokens
from ponder.audit.checks import ROOT, Verdict, place
from ponder.audit.claims import ESTIMATORS
from ponder.audit.decisions import decisions
from ponder.audit.notes import Outcome
from ponder.errors import RecordError
from ponder.rows import SampleRow

TEMPLATE = Path(__file__).with_name("page.html")
PER_FAMILY, POINTS, PROBLEMS = 3, 250, 200
NOT_OURS = "of a public benchmark: not ours to publish"

# Of one split: {(family, id): the runs that answered this question, each with its answer}.
Answers = dict[tuple[str, str], list[tuple[str, SampleRow]]]


def page(verdicts: list[Verdict], outcomes: list[Outcome]) -> str:
    """Return the HTML of the page, from the verdicts of the checks and the outcomes of the
    pre-registrations.
    """
    html = TEMPLATE.read_text()
    for tag in ("script", "style"):
        (code,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        html = html.replace(f"@{tag}@", f"'sha256-{digest}'")
    head, tail = html.split("@records@")
    # A NaN becomes a text, so that it is no point of a curve.
    plain = json.loads(json.dumps(records(verdicts, outcomes), default=str), parse_constant=str)
    return head + json.dumps(plain, sort_keys=True).replace("<", "\\u003c") + tail


def records(verdicts: list[Verdict], outcomes: list[Outcome]) -> dict[str, Any]:
    """Return everything that the page shows."""
    logs, folders = ROOT / "logs", checks.runs()
    corrections = {entry["supersedes"]: entry for entry in read(logs / "corrections.jsonl", [])}
    claims = read(logs / "claims.jsonl", [])
    preregistrations = sorted((logs / "preregistrations").glob("*.yaml"))
    return {
        "heading": heading.heading(),
        "verdicts": [verdict_record(verdict) for verdict in verdicts],
        "claims": [claim | {"verdict": claim_verdict(claim["id"], verdicts)} for claim in claims],
        "estimators": ESTIMATORS,
        "outcomes": outcomes,
        "corrections": list(corrections.values()),
        "runs": [
            {
                **guarded(run, folder),
                "id": name_of(folder),
                "superseded": corrections.get(name_of(folder)),
            }
            for folder in folders
        ],
        "samples": samples([folder for folder in folders if folder.parent.name == "evaluate"]),
        "decisions": [
            {"name": record.path.stem, "text": record.text} for record in decisions().values()
        ],
        "preregistrations": {path.stem: read(path, {}) for path in preregistrations},
    }


def name_of(folder: Path) -> str:
    """Return how claims and corrections name a run."""
    return f"{folder.parent.name}/{folder.name}"


def read(path: Path, default: Any) -> Any:
    """Return what a file holds, or `default` where it is not there or damaged: the page is drawn,
    and the checks say why.
    """
    try:
        return checks.read(path) if path.exists() else default
    except RecordError:
        return default


def guarded(make: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Return what `make` gives; records that are damaged are shown as such and stop no page."""
    try:
        return make(*arguments)
    except Exception as error:  # as checks.verdict_of
        return {"status": "damaged", "reason": f"{type(error).__name__}: {error}"}


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """Return what the page shows of a verdict; of many problems the first."""
    shown, rest = verdict.problems[:PROBLEMS], verdict.problems[PROBLEMS:]
    return {**asdict(verdict), "problems": shown, "more": len(rest)}


def claim_verdict(claim: str, verdicts: list[Verdict]) -> str:
    """Return the verdict on a claim: FAIL where the check `numbers` names it among its problems,
    NOT_RUN where that check was not made or came to no end.
    """
    numbers = next((verdict for verdict in verdicts if verdict.check == "numbers"), None)
    if numbers is None or not numbers.complete:
        return "NOT_RUN"
    return "FAIL" if claim in numbers.claims else "PASS"


def run(folder: Path) -> dict[str, Any]:
    """Return what the page shows of a run."""
    status, clocks = checks.read(folder / "status.json"), read(folder / "timing.jsonl", [])
    machine, config = read(folder / "environment.json", {}), read(folder / "config.yaml", {})
    results, curve = read(folder / "results.json", {}), read(place(folder, "metrics.jsonl"), [])
    model = config.get("model", {}).get("name")
    return {
        **{key: status.get(key) for key in ("status", "reason", "commits", "parent")},
        "starts": [row["utc"] for row in clocks if row.get("event") == "start"],
        "seconds": sum(row["seconds"] for row in clocks if row.get("event") == "end"),
        "machine": {key: value for key, value in machine.items() if key != "packages"},
        "config": lineage.flat({**config, "model": model}),
        "cost": read(folder / "cost.json", {}),
        "base": read(folder / "base.json", {}),
        "results": {"all": results["all"], **results["tasks"]} if results else {},
        "steps": len(curve),
        "curve": [[row["step"], row["loss"], row["lr"]] for row in thinned(curve)],
    }


def thinned(points: list, most: int = POINTS) -> list:
    """Return at most `most` of the points, evenly taken, the first and the last with them."""
    count = min(most, len(points))
    last = len(points) - 1
    return [points[number * last // max(1, count - 1)] for number in range(count)]


def samples(folders: list[Path]) -> dict[str, list[dict[str, Any]]]:
    """Return {split: questions with their answers}: of each family the same few questions, and
    what every run answered.
    """
    splits: dict[str, Answers] = defaultdict(lambda: defaultdict(list))
    for folder in folders:
        benchmark = read(folder / "config.yaml", {}).get("benchmark", {})
        split = splits[f"{benchmark.get('name')}, {benchmark.get('split')}"]
        for sample in readable_answers(folder):
            split[sample.task, sample.id].append((name_of(folder), sample))
    return {name: questions(name, split) for name, split in splits.items() if split}


def readable_answers(folder: Path) -> list[SampleRow]:
    """Return the answers of an evaluation, damaged ones left out."""
    answers = []
    for values in read(rows.answers_path(folder), []):
        try:
            answers.append(rows.row_of(SampleRow, values))
        except RecordError:
            continue
    return answers


def questions(name: str, split: Answers) -> list[dict[str, Any]]:
    """Return the few questions of each family of a split that the page shows, with all answers."""
    shown = []
    for family in sorted({family for family, _ in split}):
        for key in drawn(name, family, split):
            first = split[key][0][1]
            shown.append(
                {
                    "task": key[0],
                    "id": key[1],
                    "question": first.question or NOT_OURS,
                    "gold": first.gold or NOT_OURS,
                    "answers": [guarded(answer, *answered) for answered in split[key]],
                }
            )
    return shown


def drawn(name: str, family: str, split: Answers) -> list[tuple[str, str]]:
    """Return (family, id) of the few questions of a family that the page shows, drawn from those
    that the most runs were asked.
    """
    times = {
        key: len({run for run, _ in answers}) for key, answers in split.items() if key[0] == family
    }
    most = max(times.values())
    common = sorted(key for key in times if times[key] == most)
    generator = random.Random(f"audit page, {name}, {family}")
    return generator.sample(common, min(PER_FAMILY, len(common)))


def answer(run_name: str, sample: SampleRow) -> dict[str, Any]:
    """Return what the page shows of an answer, thinking and reply as [(text, forced)]; unmarked
    where no token is known.
    """
    split = sample.num_thinking
    thinking, reply = tokens.pieces(sample, 0, split), tokens.pieces(sample, split)
    return {
        "run": run_name,
        "sample": sample.sample or 0,
        "correct": sample.correct,
        "finish": sample.finish,
        "tokens": split,
        "marked": thinking is not None,
        "thinking": [(sample.thinking, False)] if thinking is None else thinking,
        "reply": [(sample.reply, False)] if reply is None else reply,
    }
