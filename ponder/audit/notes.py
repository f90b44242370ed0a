"""What people wrote: decision records, pre-registrations and corrections, linked with runs and
claims; and the readings of test.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, TypedDict

from ponder import statistics
from ponder.audit.checks import (
    DATA,
    ROOT,
    STAGES,
    Findings,
    completed,
    digests,
    read,
    runs,
    samples,
    shown,
    status,
)
from ponder.audit.decisions import HEADINGS, Decision, evidence, links
from ponder.audit.decisions import decisions as decision_records
from ponder.audit.git import git, git_text, need_history
from ponder.audit.history import only_remarks
from ponder.audit.indexes import stale_decisions
from ponder.report import contrasts, plans, released, sources

NOT_FINISHED = re.compile(r"^\*\*Not finished\.\*\*.*?(?=\n\n|\Z)", re.DOTALL | re.MULTILINE)
COMMIT = re.compile("[0-9a-f]{40}")


# --- decisions -------------------------------------------------------------------------


def decisions() -> Findings:
    """Whether decision records have their form, name evidence that exists, are named by number
    where others cite them, and are all in the index.
    """
    problems, records = [], decision_records()
    claims = {claim["id"] for claim in read(ROOT / "logs" / "claims.jsonl")}
    known = claims | {shown(path) for path in preregistered()}
    known |= {f"{folder.parent.name}/{folder.name}" for folder in runs()}
    for position, record in enumerate(records.values(), 1):
        name = shown(record.path)
        problems += [f"{name}: {rule}" for rule in form_problems(record, f"{position:04}")]
        superseded = re.match(r"superseded by (\d{4})", record.status)
        if not record.status or superseded and superseded[1] not in records:
            problems.append(
                f"{name}: its third line is no 'YYYY-MM-DD, accepted' or '..., superseded by NNNN'"
            )
        problems += [
            f"{name}: its evidence {what!r} is no released run, claim or pre-registration"
            for what in evidence(record.text)
            if what not in known
        ]
    problems += [
        f"{where} cites decision {number}, which is not there"
        for number, where in citations().items()
        if number not in records
    ]
    problems += stale_decisions()
    count = sum(len(numbers) for numbers in links().values())
    return Findings(f"{len(records)} records, {count} links to evidence", problems)


def form_problems(record: Decision, expected_number: str) -> Iterator[str]:
    """Yield a sentence for each part of a decision record that is missing or malformed."""
    first_line = record.text.partition("\n")[0]
    if record.number != expected_number or not first_line.startswith(f"# {record.number} "):
        yield (
            f"number {record.number} in its name, {first_line[:8]!r} in its title, "
            f"{expected_number} by its place"
        )
    for heading in HEADINGS:
        if f"**{heading}" not in record.text:
            yield f"no **{heading}**"
    if not re.search(r"\*\*(Options|What was)", record.text):
        yield "neither **Options** nor **What was measured**"
    if len(record.answers) != record.text.count("**Answered "):
        yield "a line on what answered it is no '**Answered YYYY-MM-DD:** ...'"
    for day, _ in record.answers:
        try:
            date.fromisoformat(day)
        except ValueError:
            yield f"it was answered on {day}, which is no day"


def citations() -> dict[str, str]:
    """Return {number of a decision that is cited: a file that cites it}."""
    paths = [
        *ROOT.glob("ponder/**/*.py"),
        *ROOT.glob("conf/**/*.yaml"),
        *ROOT.glob("logs/*.md"),
    ]
    return {
        number: shown(path)
        for path in paths
        for number in re.findall(r"\bdecision (\d{4})\b", path.read_text())
    }


# --- pre-registrations -----------------------------------------------------------------


class Outcome(TypedDict):
    """What came of a pre-registration.

    `outcome` is met, not met, void (the runs do not answer the questions that were announced, or
    it breaks the form of a plan) or not run; of several contrasts it says this of each, or which
    runs are missing. `runs` are those that it names: labels by side while it is not run, folders
    after.
    """

    name: str
    question: str
    expected: str
    outcome: str
    difference: dict[str, Any] | None
    runs: Any


def preregistered() -> list[Path]:
    """Return the paths of the pre-registrations."""
    return sorted((ROOT / "logs" / "preregistrations").glob("*.yaml"))


def outcome(path: Path) -> Outcome:
    """Return the Outcome of a pre-registration, from the released runs; void where it is none."""
    plan = read(path)
    broken = plans.problem(plan)
    answer = Outcome(
        name=path.stem,
        question=broken or plan["question"],
        expected="?",
        outcome="void" if broken else "not run",
        difference=None,
        runs={},
    )
    if broken:
        return answer
    if plans.is_several(plan):
        return of_contrasts(answer, plan)
    answer["expected"], answer["runs"] = plan["expected"], plan["runs"]
    labels = {folder.name[:-9] for folder in completed("evaluate")}
    return measured(answer, plan) if labels >= {*plan["runs"].values()} else answer


def of_contrasts(answer: Outcome, plan: dict[str, Any]) -> Outcome:
    """Return the outcome of a plan of contrasts: of each, or which runs are missing."""
    drawn = read(DATA / "questions" / "manifest.json")
    answers = sources.planned_answers(plan, ROOT / "logs", drawn)
    expected = [f"{each['name']} {each['expected']}" for each in plan["contrasts"]]
    answer["expected"] = ", ".join(expected)
    answer["runs"] = [f"evaluate/{run.folder.name}" for run in answers.values()]
    answer["outcome"] = contrasts.outcome(answer["name"], plan, answers)["outcome"]
    return answer


def measured(answer: Outcome, plan: dict[str, Any]) -> Outcome:
    """Return the outcome of a pre-registration whose runs are there, by the paired difference."""
    folders = [released.run_folder("evaluate", plan["runs"][side]) for side in ("ours", "theirs")]
    answer["runs"] = [f"evaluate/{folder.name}" for folder in folders]
    ours, theirs = (grades(folder, plan["families"]) for folder in folders)
    if ours.keys() != theirs.keys() or len(ours) != plan["n"]:
        answer["outcome"] = "void"
        return answer
    keys = sorted(ours)
    difference: dict[str, Any] = statistics.difference(
        [ours[key] for key in keys], [theirs[key] for key in keys]
    )
    direction = "no difference"
    if difference["low"] > 0:
        direction = "higher"
    elif difference["high"] < 0:
        direction = "lower"
    answer["outcome"] = "met" if direction == plan["expected"] else "not met"
    answer["difference"] = difference
    return answer


def grades(folder: Path, families: list[str]) -> dict[tuple[str, str], bool]:
    """Return {(task, id): whether right} of an evaluation's answers in some families."""
    return {(s.task, s.id): s.correct for s in samples(folder) if s.task in families}


def preregistrations() -> Findings:
    """Whether each pre-registration was committed before the commit that its runs started from,
    and gained dated remarks alone since, each before the work that it speaks of.
    """
    need_history()
    problems, outcomes, excused = [], [], not_finished()
    found = {path: read(path) for path in preregistered()}
    broken = {path: rule for path, plan in found.items() if (rule := plans.problem(plan))}
    problems += [f"{shown(path)}: {rule}" for path, rule in broken.items()]
    formed = {path: plan for path, plan in found.items() if path not in broken}
    several = {path.stem: plan for path, plan in formed.items() if plans.is_several(plan)}
    for path, plan in formed.items():
        name = shown(path)
        if plan["decision"] not in [*decision_records()]:
            problems.append(f"{name}: decision {plan['decision']!r} is none of logs/decisions")
            continue
        commits = git_text("log", "--format=%H", "--", name).split()
        if not (commits and is_unchanged(commits[0], path) and gained_remarks(name, commits)):
            problems.append(
                f"{name} was committed {len(commits)} times or is changed here; a "
                "pre-registration is committed once, and gains but dated remarks"
            )
            continue
        if plans.is_several(plan):
            problems += [f"{name}: {rule}" for rule in unplanned(path.stem, several, commits)]
        result = outcome(path)
        outcomes.append(f"{path.stem}: {result['outcome']}")
        for folder in to_follow(plan, result):
            problems += [f"{name}: {rule}" for rule in run_problems(folder, commits, excused)]
    words = "; ".join(outcomes) or "none"
    if excused:
        words += f"; {len(excused)} readings of test are told as begun and not finished"
    return Findings(words, problems)


def unplanned(name: str, several: Mapping[str, plans.Plan], commits: list[str]) -> Iterator[str]:
    """Yield a sentence for each arm that a plan says was read before, unless an earlier plan asks
    for the same evaluations; `several` are all plans of contrasts by name, `commits` those of this
    one, newest first.
    """
    plan = several[name]
    elsewhere: set[str] = set()
    for stem, other in several.items():
        path = f"logs/preregistrations/{stem}.yaml"
        other_commits = git_text("log", "--format=%H", "--", path).split()
        if stem != name and other_commits and commits:
            first = ("merge-base", "--is-ancestor", other_commits[-1], commits[-1])
            if other_commits[-1] != commits[-1] and git(*first) is not None:
                said_before = other.get("read_before", ())
                elsewhere |= {
                    label
                    for (arm, *_), label in plans.labels(other).items()
                    if arm not in said_before
                }
    for arm in plan.get("read_before", ()):
        labels = {label for (of_arm, *_), label in plans.labels(plan).items() if of_arm == arm}
        if labels - elsewhere:
            yield f"{arm} is said to be read before, but no earlier plan asks for all that is read"


def to_follow(plan: dict[str, Any], result: Outcome) -> list[Path]:
    """Return the evaluations that must have started after their pre-registration: that which an
    outcome rests on, all of a plan of contrasts but for the arms that it says were read before, and
    of its several seeds all but seed 0, which was there before.
    """
    names: list[str] = []
    if plans.is_several(plan):
        later = {
            f"evaluate/{label}"
            for (arm, _, seed), label in plans.labels(plan).items()
            if (seed or len(plan["seeds"]) == 1) and arm not in plan.get("read_before", ())
        }
        names = [name for name in result["runs"] if name.rpartition("-")[0] in later]
    elif result["outcome"] in ("met", "not met"):
        names = result["runs"][:1]
    return [ROOT / "logs" / name for name in names]


def gained_remarks(name: str, commits: list[str]) -> bool:
    """Whether each version of a file is the one before it with dated remarks; newest first."""
    versions = [git_text("show", f"{commit}:{name}").splitlines() for commit in commits]
    return all(only_remarks(old, new) for new, old in itertools.pairwise(versions))


def is_unchanged(commit: str, path: Path) -> bool:
    """Whether a file is what it was in a commit."""
    return git_text("rev-parse", f"{commit}:{shown(path)}").strip() == digests(path).blob


def run_problems(folder: Path, commits: list[str], excused: set[str]) -> Iterator[str]:
    """Yield a sentence where an evaluation, or the training behind it, started from a commit that
    does not follow that of its pre-registration, or came to work from one that does not follow that
    of its last remark (`commits`, newest first), and what `other_readings` yields.
    """
    for run in (folder, *trained(status(folder)["inputs"])):
        begun = [entry["commit"] for entry in status(run)["commits"]]
        pairs = [(commits[-1], commit) for commit in begun]
        pairs += [(commits[0], commit) for commit in worked(run, begun)]
        for since, commit in pairs:
            if git("merge-base", "--is-ancestor", since, commit) is None:
                yield f"{shown(run)} started from {commit[:12]}, which does not follow {since[:12]}"
    yield from other_readings(folder, commits[-1], excused)


def worked(run: Path, begun: list[str]) -> list[str]:
    """Return the commits among those of a run's starts from which anything was made, as its clock
    tells: a block of answers, a step.
    """
    at, made = -1, set()
    for row in read(run / "timing.jsonl"):
        at += row.get("event") == "start"
        if "event" not in row:
            made.add(at)
    return [commit for place, commit in enumerate(begun) if place in made]


def trained(inputs: dict[str, str]) -> list[Path]:
    """Return the trainings that made the weights among the inputs of an evaluation, one, or
    none.
    """
    weights = {digest for name, digest in inputs.items() if name.endswith(".safetensors")}
    folders = []
    for folder in runs("train"):
        files = read(folder / "manifest.json")["files"].values()
        if weights & {entry["sha256"] for entry in files}:
            folders.append(folder)
    return folders


def other_readings(folder: Path, since: str, excused: set[str]) -> Iterator[str]:
    """Yield a sentence for each run that read test beside a released one, under its name or with
    its hash, and is not excused; where an excused one began before the commit `since`; and where
    the released one has no reading.
    """
    name, rows = folder.name, read(ROOT / "logs" / "test-readings.jsonl")
    if name not in {row["run"] for row in rows}:
        yield f"logs/test-readings.jsonl has no reading of test for {name}"
    for row in rows:
        other = row["run"]
        if other == name or (other[:-9] != name[:-9] and other[-8:] != name[-8:]):
            continue
        if other not in excused:
            yield (
                f"test was read for {other} beside {name}; a reading that was begun and not "
                "finished is told by its name in a decision record, under **Not finished.**"
            )
        elif git("merge-base", "--is-ancestor", since, row["commit"]) is None:
            yield f"{other} read test before {since[:12]}, which says what was expected"


def not_finished() -> set[str]:
    """Return the names of runs whose reading of test a decision record tells as begun and not
    finished (decision 0056); what is released is none of them.
    """
    texts = [part for it in decision_records().values() for part in NOT_FINISHED.findall(it.text)]
    told = {name for text in texts for name in re.findall(r"`([^`]+)`", text)}
    return told - {folder.name for folder in runs("evaluate")}


# --- readings and corrections ----------------------------------------------------------


def readings() -> Findings:
    """Whether every released run on test is among the readings of test, and every correction says
    what it corrects and why.
    """
    rows = read(ROOT / "logs" / "test-readings.jsonl")
    commits_of: dict[str, set[str]] = {}
    for row in rows:
        commits_of.setdefault(row["run"], set()).add(row["commit"])
    tests = [
        folder
        for folder in completed("evaluate")
        if read(folder / "config.yaml")["benchmark"].get("split") == "test"
    ]
    problems = []
    for folder in tests:
        commits = {entry["commit"] for entry in status(folder)["commits"]}
        if not commits & commits_of.get(folder.name, set()):
            problems.append(
                f"{shown(folder)} answered test questions, but logs/test-readings.jsonl has no "
                "reading of it then"
            )
    corrections = released.superseded()
    for what, entry in corrections.items():
        rules = correction_problems(what, entry)
        problems += [f"logs/corrections.jsonl: {rule}" for rule in rules]
    unreleased = len(set(commits_of) - {folder.name for folder in tests})
    return Findings(
        f"{len(rows)} readings of test, {unreleased} by runs that are not released, "
        f"{len(corrections)} corrections",
        problems,
    )


def correction_problems(what: str, entry: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each rule that an entry of logs/corrections.jsonl breaks."""
    target = ROOT / (f"logs/{what}" if what.split("/")[0] in STAGES else what)
    record = decision_records().get(entry.get("decision", ""))
    names = {*evidence(record.text)} if record else set()
    if entry.get("status") == "invalidated" and not {what, entry.get("by")} - {None} <= names:
        yield f"decision {entry['decision']} names not {what} and what replaces it"
    if not target.exists() or len(entry.get("why", "")) < 20 or record is None:
        yield f"{what} is not there, or its entry gives no reason or decision"
    has_commit = bool(COMMIT.fullmatch(entry.get("commit") or ""))
    if (entry.get("status"), has_commit) not in (("invalidated", False), ("replaced", True)):
        yield f"{what} is neither invalidated nor replaced in a commit that is named"
