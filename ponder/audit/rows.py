"""Data replayed: the choice of the training rows, the order in which training saw them, that splits
are disjoint, and the numbers of the data cards.
"""

import functools
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ponder import config, rows
from ponder.audit.checks import ROOT, Findings, completed, digests, groups, place, read, shown
from ponder.card import card, readme
from ponder.chat import Delimiters
from ponder.collect import attempts, contamination, selection, terms
from ponder.grading import kinds
from ponder.grading.kinds import DRAWN
from ponder.questions import drawn, own, pools
from ponder.questions.families import FAMILIES
from ponder.questions.marking import kind_of
from ponder.rows import Trace
from ponder.train import batches

NUMBER = re.compile(r"(?<![\w./-])\d[\d,]*(?:\.\d+)*")
RELEASED_ON = re.compile(r"released on (\d{4}-\d\d-\d\d)")
POOLS = {
    "drawn": drawn.Questions,
    "jsonl": pools.FilePool,
    "hub": pools.HubPool,
    "traces": own.TraceSource,
}
is_right = functools.cache(kinds.is_right)  # data sets share traces


# --- the choice of rows ----------------------------------------------------------------


def funnel() -> Findings:
    """Whether the filters and the draw, run again over the released traces, choose the released
    rows in their order.
    """
    problems, count = [], 0
    for folder in completed("collect"):
        traces, released = traces_in(folder, "traces.jsonl"), traces_in(folder, "train.jsonl")
        chosen, funnel_again = choose_again(folder, traces)
        count += len(chosen)
        broken = []
        if [row.id for row in chosen] != [row.id for row in released]:
            broken.append("the draw gives other rows than train.jsonl has")
        elif chosen != released:
            broken.append("rows of train.jsonl are not those of traces.jsonl")
        after = counts_after(read(place(folder, "funnel.json")))
        if not after.items() <= funnel_again["after"].items():
            broken.append(f"funnel.json counts {after}, the filters {funnel_again['after']}")
        broken += trace_problems(folder, traces)
        problems += [f"{shown(folder)}: {rule}" for rule in broken]
    return Findings(f"{len(completed('collect'))} data sets, {count:,} rows drawn again", problems)


def traces_in(folder: Path, name: str) -> list[Trace]:
    """Return the rows of a file of traces of a collect run; raises RecordError."""
    path = place(folder, name)
    called = shown(path)
    return [
        rows.row_of(Trace, values, f"{called} row {number}")
        for number, values in enumerate(read(path), 1)
    ]


def choose_again(folder: Path, traces: list[Trace]) -> tuple[list[Trace], dict[str, Any]]:
    """Return (chosen rows, funnel) that a collect run's config gives from its traces."""
    settings = read(folder / "config.yaml")
    rule = settings["selection"]
    if "method" not in rule:  # before the filters had their present form: the rest as conf/ has it
        rule = {**read(ROOT / "conf" / "selection" / f"{rule['name']}.yaml"), **rule}
    limit = settings.get("questions", {}).get("limit")
    rule = selection.of_pool(config.build(selection.Selection, rule), limit, len(traces))
    path = place(folder, "contamination.jsonl")
    contaminated = contamination.strongest(read(path)) if path.exists() else {}
    attempts = selection.read_attempts(rule)
    path = place(folder, "dropped.jsonl")
    long_rows = selection.long_rows_of(read(path)) if path.exists() else {}
    chosen, counts, _ = selection.select(
        traces, rule, settings["data_seed"], attempts, contaminated, long_rows
    )
    return chosen, counts


def counts_after(funnel: dict[str, Any]) -> dict[str, int]:
    """Return {step: rows left after it} of a funnel.json; its last step once was "diversity"."""
    return {
        "draw" if step == "diversity" else step: count for step, count in funnel["after"].items()
    }


def trace_problems(folder: Path, traces: list[Trace]) -> Iterator[str]:
    """Yield a sentence for each trace whose question its pool has not, or whose mark is wrong."""
    settings = read(folder / "config.yaml")
    questions = settings["questions"]
    is_judged = bool(settings["teacher"].get("fields", {}).get("right"))
    directory, kind = questions.get("dir"), questions.get("kind", DRAWN)
    pool = {}
    if directory:
        pool = {row["id"]: row for row in read(ROOT / directory / "pool.jsonl")}
    if settings["teacher"].get("kind") == "attempts" and traces != joined_again(settings, traces):
        yield "its traces are not the two attempts of its two files, joined"
    for trace in traces:
        asked = pool.get(trace.id, {})
        same = (asked.get("question"), asked.get("answer")) == (trace.question, trace.gold)
        if pool and not same:
            yield f"trace {trace.id} has a question or gold answer that its pool has not"
        if trace.graded is not rows.ABSENT and (is_judged or not trace.gold):
            continue  # graded by its source, or by nobody
        marked = kind_of(trace.family, kind)
        graded = is_right(f"Final Answer: {trace.answer}", trace.gold, marked)
        if not trace.rejected and trace.correct != graded:
            yield f"trace {trace.id} is marked {trace.correct}, but its answer is not"


def joined_again(settings: dict[str, Any], traces: list[Trace]) -> list[Trace]:
    """Return the traces of a config that joins two files of attempts, of the same questions."""
    teacher = settings["teacher"]
    first, again = (
        {trace.id: trace for trace in rows.read(Trace, ROOT / teacher[name])}
        for name in ("first", "again")
    )
    asked = {trace.id: first[trace.id] for trace in traces if trace.id in first}
    delimiters = config.build(Delimiters, settings["model"]["delimiters"])
    return attempts.joined(asked, again, teacher["link"], delimiters)


# --- order and splits ------------------------------------------------------------------


def order() -> Findings:
    """Whether each training saw its rows in the order that its seed gives."""
    problems = []
    for folder in completed("train"):
        expected, _ = batches.expected_batches(folder)
        if difference := batches.first_difference(read(folder / "batches.jsonl"), expected):
            problems.append(f"{shown(folder)}: {difference}")
    return Findings(f"{len(completed('train'))} trainings", problems)


def splits() -> Findings:
    """Whether every question has the id of its text and the key of its facts, no question of one
    split, by either, is in another, and no training row is a question of dev or test.

    Folders that were drawn with the same seed share questions of the same split, unless one was
    drawn without the other's.
    """
    problems: list[str] = []
    count, number = 0, 0
    for group in groups():
        questions = questions_by_split(group)
        problems += [*shared(group, questions), *trained_on(group, questions)]
        problems += changed_questions(group)
        count += len(questions)
        number += sum(map(len, questions.values()))
    return Findings(f"{count} splits, {number:,} questions", problems)


def shared(group: Path, by_split: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Yield a sentence for each question of a group that has another id or key than it says, and
    for each that is in two splits.
    """
    without = _drawn_without(group)
    split_of: dict[tuple[str, str, str], str] = {}
    for split, questions in by_split.items():
        for row in questions:
            known = {"id": drawn.question_id(row["question"]), "key": key_of(row)}
            for name, value in known.items():
                if row[name] != value:
                    yield f"question {row['id']} of {split} has not the {name} {value} of its text"
                other = split_of.setdefault((row["family"], name, value), split)
                if other != split and not _may_share(split, other, without):
                    yield f"question {row['id']} of {split} has the {name} of one of {other}"


def key_of(row: dict[str, Any]) -> str:
    """Return the key that a question's facts give; what it says itself of a family not known
    here.
    """
    family = FAMILIES.get(row["family"])
    return family.key(row["facts"]) if family else row["key"]


def _drawn_without(group: Path) -> dict[str, str | None]:
    """Return {folder of released questions: the folder whose questions it was drawn without}."""
    return {
        path.parent.name: Path(read(path).get("without") or "").name or None
        for path in group.glob("questions*/manifest.json")
    }


def _may_share(split: str, other: str, without: dict[str, str | None]) -> bool:
    """Return whether two splits are the same one of two folders that may share questions."""
    (folder, name), (other_folder, other_name) = split.split("/"), other.split("/")
    apart = without[folder] == other_folder or without[other_folder] == folder
    return name == other_name and not apart


def questions_by_split(group: Path) -> dict[str, list[dict[str, Any]]]:
    """Return {split: its question rows} of all released drawn questions of a group."""
    by_split: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(group.glob("questions*/**/*.jsonl")):
        name = path.relative_to(group).with_suffix("").as_posix()
        by_split.setdefault(re.sub(r"/(dev|test)/.*", r"/\1", name), []).extend(read(path))
    return by_split


def trained_on(group: Path, by_split: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Yield a sentence for each training row of a group that is a question of dev or test, or has
    another id than its text.
    """
    held_out = set()
    for split, questions in by_split.items():
        if split.endswith(("/dev", "/test")):
            held_out |= {drawn.question_id(row["question"]) for row in questions}
    for path in sorted(group.glob("*/train.jsonl")):
        for row in read(path):
            ident = drawn.question_id(row["question"])
            if ident in held_out:
                yield f"{shown(path)} holds {row['id']}, a question of dev or test"
            elif ident != row["id"]:
                yield f"{shown(path)} calls a question {row['id']}, its text hashes to {ident}"


def changed_questions(group: Path) -> Iterator[str]:
    """Yield a sentence for each file of questions that is not what its manifest says."""
    for folder in sorted(group.glob("questions*")):
        for name, entry in read(folder / "manifest.json")["files"].items():
            if digests(folder / name).sha256 != entry["sha256"]:
                yield f"{shown(folder)}/{name} is not what its manifest says"


# --- data cards ------------------------------------------------------------------------


def cards() -> Findings:
    """Whether the numbers of each data card are those that its files and the run's records give
    when it is made again.
    """
    problems: list[str] = []
    count = 0
    for folder in completed("collect"):
        path = place(folder, "README.md")
        if not path.exists():  # the first sets got theirs afterwards
            path = place(folder, "train.jsonl").parent / "README.md"
        problems += card_problems(path, card_again(folder, path))
        count += 1
    return Findings(f"{count} data cards", problems)


def card_again(folder: Path, path: Path) -> str:
    """Return the text of a data card, made again from its files and the records of its run."""
    tallies, funnel = card.counted(path.parent)
    facts = recorded(folder, path)
    sizes, licences = card.file_sizes(path.parent), card.licences(facts, tallies)
    return readme.text(facts, tallies, funnel, sizes, licences)


def card_problems(path: Path, again: str) -> Iterator[str]:
    """Yield a sentence for each number of a card that the card made again has not."""
    text = path.read_text()
    pairs = itertools.zip_longest(table_numbers(text), table_numbers(again))
    differing = [(one, other) for one, other in pairs if one != other]
    for one, other in differing[:3]:
        yield f"{shown(path)} says {one} in a table where its files give {other}"
    for number in sorted(set(NUMBER.findall(text)) - set(NUMBER.findall(again))):
        yield f"{shown(path)} says {number}, which its files do not give"


def table_numbers(text: str) -> list[str]:
    """Return the numbers in the tables of a Markdown text, in their order."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [number for line in lines for number in NUMBER.findall(line)]


def recorded(folder: Path, path: Path) -> card.Facts:
    """Return the Facts of a collect run from its records; the day of release is what its card at
    `path` says.
    """
    day = RELEASED_ON.search(path.read_text())
    published = day[1] if day else None
    settings = read(folder / "config.yaml")
    teacher_settings = settings["teacher"]
    if "terms" not in teacher_settings:
        return card.released(path.parent, published)
    teacher: dict[str, Any] = {"model": None}
    if (folder / "teacher.json").exists():
        teacher = read(folder / "teacher.json")
    revision = teacher.get("revision")
    if not revision and teacher.get("adapter_sha256"):
        revision = f"adapter {teacher['adapter_sha256']}"
    pool: Any = config.build(POOLS[settings["questions"]["kind"]], settings["questions"])
    families = {trace.family for trace in traces_in(folder, "traces.jsonl")}
    decontamination = config.build(contamination.Decontamination, settings["decontamination"])
    return card.Facts(
        name=folder.name.rsplit("-", 1)[0],
        version="1.0.0",
        published=published,
        language="en" if pool.kind == "drawn" else None,
        run=folder.name,
        command="python collect.py",
        kind=teacher_settings["kind"],
        teacher=teacher_settings["name"],
        model=teacher["model"],
        revision=revision,
        terms=config.build(terms.Terms, teacher_settings["terms"]),
        sources=pools.sources(pool, families),
        benchmarks=contamination.compared(decontamination, pool.kind == "drawn"),
        override=None,
    )
