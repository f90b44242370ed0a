"""The page: every record of the checkout in one HTML file that loads nothing; its policy names its own script and style by hash.

What models and teachers wrote is hostile here: it goes into the file as JSON without a `<`, and onto the page by textContent.
"""

import base64
import hashlib
import json
import random
import re
from collections import defaultdict
from pathlib import Path

from ponder import lineage
from ponder.audit import checks, tokens
from ponder.audit.checks import ROOT, contents, place
from ponder.audit.claims import ESTIMATORS

TEMPLATE = Path(__file__).with_name("page.html")
PER_FAMILY, POINTS, PROBLEMS = 3, 250, 200
NEEDED = {
    "task",
    "id",
    "question",
    "gold",
    "thinking",
    "reply",
    "ids",
    "forced",
    "num_thinking",
    "correct",
    "finish",
}


def page(verdicts, outcomes):
    """Return the HTML of the page. verdicts: of the checks; outcomes: of the pre-registrations, each with name, question, expected,
    outcome, difference and runs."""
    text = TEMPLATE.read_text()
    for tag in ("script", "style"):
        code = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1]
        text = text.replace(
            f"@{tag}@",
            f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'",
        )
    head, tail = text.split("@records@")
    shown = json.loads(
        json.dumps(records(verdicts, outcomes), default=str), parse_constant=str
    )  # NaN: a text, no point
    return head + json.dumps(shown, sort_keys=True).replace("<", "\\u003c") + tail


def records(verdicts, outcomes):
    """Return everything that the page shows."""
    logs, folders = ROOT / "logs", checks.runs()
    gone = {entry["supersedes"]: entry for entry in read(logs / "corrections.jsonl", [])}
    return {
        "verdicts": [
            {**vars(v), "problems": v.problems[:PROBLEMS], "more": len(v.problems[PROBLEMS:])}
            for v in verdicts
        ],
        "claims": [
            {**claim, "verdict": judged(claim["id"], verdicts)}
            for claim in read(logs / "claims.jsonl", [])
        ],
        "estimators": ESTIMATORS,
        "outcomes": outcomes,
        "corrections": list(gone.values()),
        "runs": [
            guarded(run, folder) | {"id": name_of(folder), "superseded": gone.get(name_of(folder))}
            for folder in folders
        ],
        "samples": samples([folder for folder in folders if folder.parent.name == "evaluate"]),
        "decisions": [
            {"name": path.stem, "text": contents(path).decode(errors="replace")}
            for path in sorted((logs / "decisions").glob("*.md"))
        ],
        "preregistrations": {
            path.stem: read(path, {}) for path in sorted((logs / "preregistrations").glob("*.yaml"))
        },
    }


def name_of(folder):
    """Return how claims and corrections name a run."""
    return f"{folder.parent.name}/{folder.name}"


def read(path, without):
    """Return what a file holds, or `without` where it is not there or damaged: the page is drawn, and the checks tell why."""
    try:
        return checks.read(path) if path.exists() else without
    except checks.Damaged:
        return without


def guarded(make, *words):
    """Return what `make` gives; records that are damaged are shown as such and stop no page."""
    try:
        return make(*words)
    except Exception as error:  # as checks.answered
        return {"status": "damaged", "reason": f"{type(error).__name__}: {error}"}


def judged(name, verdicts):
    """Return the verdict on a claim: FAIL where a problem of the check `numbers` names it, NOT_RUN where that came to no end."""
    found = next((v for v in verdicts if v.check == "numbers"), None)
    if found is None or found.result not in ("PASS", "FAIL") or found.proves == "nothing":
        return "NOT_RUN"
    return (
        "FAIL"
        if any(
            re.match(rf"claim {re.escape(name)}(:| is | follows )", problem)
            for problem in found.problems
        )
        else "PASS"
    )


def run(folder):
    """Return what the page shows of a run."""
    status, clocks = checks.read(folder / "status.json"), read(folder / "timing.jsonl", [])
    machine, config = read(folder / "environment.json", {}), read(folder / "config.yaml", {})
    results, curve = read(folder / "results.json", {}), read(place(folder, "metrics.jsonl"), [])
    return {
        **{key: status.get(key) for key in ("status", "reason", "commits", "parent")},
        "starts": [row["utc"] for row in clocks if row.get("event") == "start"],
        "seconds": sum(row["seconds"] for row in clocks if row.get("event") == "end"),
        "machine": {key: value for key, value in machine.items() if key != "packages"},
        "config": lineage.flat({**config, "model": config.get("model", {}).get("name")}),
        "cost": read(folder / "cost.json", {}),
        "base": read(folder / "base.json", {}),
        "results": {"all": results["all"], **results["tasks"]} if results else {},
        "steps": len(curve),
        "curve": [[row["step"], row["loss"], row["lr"]] for row in thinned(curve)],
    }


def thinned(rows, most=POINTS):
    """Return at most `most` of the rows, evenly taken, the first and the last with them."""
    count = min(most, len(rows))
    return [rows[number * (len(rows) - 1) // max(1, count - 1)] for number in range(count)]


def samples(folders):
    """Return {split: questions with their answers}: of each family the same few questions, and what every run answered."""
    splits = defaultdict(lambda: defaultdict(list))  # {split: {(family, id): [(run, row)]}}
    for folder in folders:
        asked = read(folder / "config.yaml", {}).get("benchmark", {})
        for row in read(folder / "samples.jsonl", []):
            if isinstance(row, dict) and row.keys() >= NEEDED:
                of = splits[f"{asked.get('name')}, {asked.get('split')}"]
                of[str(row["task"]), str(row["id"])].append((name_of(folder), row))
    return {
        split: [
            {
                "task": task,
                "id": name,
                "question": of[task, name][0][1]["question"],
                "gold": of[task, name][0][1]["gold"],
                "answers": [guarded(answer, *one) for one in of[task, name]],
            }
            for family in sorted({family for family, _ in of})
            for task, name in draw(split, family, of)
        ]
        for split, of in splits.items()
    }


def draw(split, family, of):
    """Return (family, id) of the few questions of a family that the page shows, of those that the most runs were asked."""
    runs = {
        key: len({who for who, _ in answers}) for key, answers in of.items() if key[0] == family
    }
    common = sorted(key for key, times in runs.items() if times == max(runs.values()))
    return random.Random(f"audit page, {split}, {family}").sample(
        common, min(PER_FAMILY, len(common))
    )


def answer(who, row):
    """Return what the page shows of an answer, thinking and reply as [(text, forced)]; unmarked where no token is known."""
    split, marked = row["num_thinking"], tokens.readable(row)
    thinking, reply = [(row["thinking"], False)], [(row["reply"], False)]
    if marked:
        thinking, reply = tokens.pieces(row, 0, split), tokens.pieces(row, split)
    return {
        "run": who,
        "sample": row.get("sample") or 0,
        "correct": row["correct"],
        "finish": row["finish"],
        "tokens": split,
        "marked": marked,
        "thinking": thinking,
        "reply": reply,
    }
