"""What people wrote: decision records, pre-registrations and corrections, linked with runs and claims; and the readings of test."""

import re

from ponder import statistics
from ponder.audit.checks import (
    ROOT,
    STAGES,
    completed,
    git,
    need_history,
    read,
    runs,
    shown,
    status,
)
from ponder.audit.records import blob
from ponder.report import released

HEADINGS = ("Question.", "Choice.", "Revisit when")
PREREGISTERED = {
    "question",
    "written",
    "decision",
    "runs",
    "metric",
    "families",
    "n",
    "expected",
    "stop",
}
# A pre-registration of several contrasts between trainings of several seeds.
SEVERAL = {
    "question",
    "written",
    "decision",
    "seeds",
    "budgets",
    "contrasts",
    "families",
    "n",
    "estimator",
    "correction",
    "stop",
}
EXPECTED = ("higher", "lower", "no difference")
EVIDENCE = re.compile(r"^\*\*Evidence\.\*\*.*?(?=\n\n|\Z)", re.DOTALL | re.MULTILINE)


def records():
    """Return {number: (path, text)} of the decision records."""
    return {
        path.name[:4]: (path, path.read_text())
        for path in sorted((ROOT / "logs" / "decisions").glob("*.md"))
    }


def evidence(text):
    """Return what a decision record names as its evidence: runs ("stage/name"), claims and pre-registrations."""
    return [
        name
        for part in EVIDENCE.findall(text)
        for name in re.findall(r"`([^`]+)`", " ".join(part.split()))
    ]


def links():
    """Return {run or claim: [numbers of the decision records that rest on it]}."""
    found = {}
    for number, (_, text) in records().items():
        for name in evidence(text):
            found.setdefault(name, []).append(number)
    return found


def decisions():
    """Whether decision records have their form, name evidence that exists, and are named by number where others cite them."""
    problems, every = [], records()
    known = {claim["id"] for claim in read(ROOT / "logs" / "claims.jsonl")} | {
        shown(path) for path in preregistered()
    }
    known |= {f"{folder.parent.name}/{folder.name}" for folder in runs()}
    for at, (number, (path, text)) in enumerate(every.items(), 1):
        name, lines = shown(path), text.splitlines()
        if number != f"{at:04}" or not lines[0].startswith(f"# {number} "):
            problems.append(
                f"{name}: number {number} in its name, {lines[0][:8]!r} in its title, {at:04} by its place"
            )
        status = re.match(
            r"\d{4}-\d\d-\d\d, (accepted|superseded by (\d{4}))\b",
            lines[2] if len(lines) > 2 else "",
        )
        if not status or status[2] and status[2] not in every:
            problems.append(
                f"{name}: its third line is no 'YYYY-MM-DD, accepted' or '..., superseded by NNNN'"
            )
        problems += [
            f"{name}: no **{heading}**" for heading in HEADINGS if f"**{heading}" not in text
        ]
        if not re.search(r"\*\*(Options|What was)", text):
            problems.append(f"{name}: neither **Options** nor **What was measured**")
        problems += [
            f"{name}: its evidence {found!r} is no released run, claim or pre-registration"
            for found in evidence(text)
            if found not in known
        ]
    cited = {
        number: shown(path)
        for path in [
            *ROOT.glob("ponder/**/*.py"),
            *ROOT.glob("conf/**/*.yaml"),
            *ROOT.glob("logs/*.md"),
        ]
        for number in re.findall(r"\bdecision (\d{4})\b", path.read_text())
    }
    problems += [
        f"{where} cites decision {number}, which is not there"
        for number, where in cited.items()
        if number not in every
    ]
    return f"{len(every)} records, {sum(map(len, links().values()))} links to evidence", problems


def preregistered():
    """Return the paths of the pre-registrations."""
    return sorted((ROOT / "logs" / "preregistrations").glob("*.yaml"))


def outcome(path):
    """Return {"name", "question", "expected", "outcome", "difference", "runs"} of a pre-registration, from the released runs.

    "outcome" is met, not met, void (the runs do not answer the questions that were announced) or not run.
    """
    plan = read(path)
    if set(plan) == SEVERAL:
        expected = ", ".join(
            f"{contrast['name']} {contrast['expected']}" for contrast in plan["contrasts"]
        )
        return {
            "name": path.stem,
            "question": plan["question"],
            "expected": expected,
            "outcome": "not run",
            "difference": None,
            "runs": {},
        }
    if set(plan) != PREREGISTERED:
        return {
            "name": path.stem,
            "question": "its fields are not those of a pre-registration",
            "expected": "?",
            "outcome": "void",
            "difference": None,
            "runs": {},
        }
    said = {
        "name": path.stem,
        "question": plan["question"],
        "expected": plan["expected"],
        "difference": None,
        "runs": plan["runs"],
    }
    there = {
        label: [folder for folder in completed("evaluate") if folder.name[:-9] == label]
        for label in plan["runs"].values()
    }
    if not all(there.values()):
        return said | {"outcome": "not run"}
    folders = [released.run_folder("evaluate", plan["runs"][side]) for side in ("ours", "theirs")]
    flags = [
        {
            (s["task"], s["id"]): s["correct"]
            for s in read(folder / "samples.jsonl")
            if s["task"] in plan["families"]
        }
        for folder in folders
    ]
    said["runs"] = [f"evaluate/{folder.name}" for folder in folders]
    if flags[0].keys() != flags[1].keys() or len(flags[0]) != plan["n"]:
        return said | {"outcome": "void"}
    keys = sorted(flags[0])
    found = statistics.difference(
        *([flag[key] for key in keys] for flag in flags), f"preregistration/{path.stem}"
    )
    higher, lower = found["low"] > 0, found["high"] < 0
    met = {"higher": higher, "lower": lower, "no difference": not higher and not lower}[
        plan["expected"]
    ]
    return said | {"outcome": "met" if met else "not met", "difference": found}


def preregistrations():
    """Whether each pre-registration was committed before the commit that its runs started from, and never changed since."""
    problems, told = [], []
    need_history()
    for path in preregistered():
        plan, name = read(path), shown(path)
        expected = (
            [contrast["expected"] for contrast in plan["contrasts"]]
            if set(plan) == SEVERAL
            else [plan.get("expected")]
        )
        known = set(plan) in (PREREGISTERED, SEVERAL) and plan["decision"] in records()
        if not known or not set(expected) <= set(EXPECTED):
            problems.append(f"{name}: its fields are {sorted(plan)}, expected {expected}")
            continue
        commits = git("log", "--format=%H", "--", name).split()
        if len(commits) != 1 or git("rev-parse", f"{commits[0]}:{name}").strip() != blob(
            path.read_bytes()
        ):
            problems.append(
                f"{name} was committed {len(commits)} times or is changed here; a pre-registration is committed once"
            )
            continue
        found = outcome(path)
        told.append(f"{path.stem}: {found['outcome']}")
        for folder in (
            [ROOT / "logs" / found["runs"][0]] if found["outcome"] in ("met", "not met") else ()
        ):
            for run in (folder, *trained(status(folder)["inputs"])):
                problems += [
                    f"{name}: {shown(run)} started from {entry['commit'][:12]}, which does not follow {commits[0][:12]}"
                    for entry in status(run)["commits"]
                    if git("merge-base", "--is-ancestor", commits[0], entry["commit"]) is None
                ]
            readings = [
                row
                for row in read(ROOT / "logs" / "test-readings.jsonl")
                if row["run"][:-9] == folder.name[:-9]
            ]
            if len(readings) != 1:
                problems.append(
                    f"{name}: test was read {len(readings)} times for {folder.name[:-9]}"
                )
    return "; ".join(told) or "none", problems


def trained(inputs):
    """Return the trainings that made the weights among the inputs of an evaluation, one, or none."""
    weights = {digest for name, digest in inputs.items() if name.endswith(".safetensors")}
    return [
        run
        for run in runs("train")
        if weights & {entry["sha256"] for entry in read(run / "manifest.json")["files"].values()}
    ]


def readings():
    """Whether every released run on test is among the readings of test, and every correction says what it corrects and why."""
    rows, problems = read(ROOT / "logs" / "test-readings.jsonl"), []
    read_by = {}
    for row in rows:
        read_by.setdefault(row["run"], set()).add(row["commit"])
    tests = [
        folder
        for folder in completed("evaluate")
        if read(folder / "config.yaml")["benchmark"].get("split") == "test"
    ]
    for folder in tests:
        commits = {entry["commit"] for entry in status(folder)["commits"]}
        if not commits & read_by.get(folder.name, set()):
            problems.append(
                f"{shown(folder)} answered test questions, but logs/test-readings.jsonl has no reading of it then"
            )
    for what, entry in released.superseded().items():
        target = ROOT / (f"logs/{what}" if what.split("/")[0] in STAGES else what)
        replaced = re.fullmatch("[0-9a-f]{40}", entry.get("commit") or "")
        named = {*evidence(records().get(entry.get("decision"), (None, ""))[1])}
        if entry.get("status") == "invalidated" and not {what, entry.get("by")} - {None} <= named:
            problems.append(
                f"logs/corrections.jsonl: decision {entry['decision']} names not {what} and what replaces it"
            )
        if (
            not target.exists()
            or len(entry.get("why", "")) < 20
            or entry.get("decision") not in records()
        ):
            problems.append(
                f"logs/corrections.jsonl: {what} is not there, or its entry gives no reason or decision"
            )
        if (entry.get("status"), bool(replaced)) not in (
            ("invalidated", False),
            ("replaced", True),
        ):
            problems.append(
                f"logs/corrections.jsonl: {what} is neither invalidated nor replaced in a commit that is named"
            )
    unreleased = len(set(read_by) - {folder.name for folder in tests})
    return (
        f"{len(rows)} readings of test, {unreleased} by runs that are not released, {len(released.superseded())} corrections",
        problems,
    )
