"""Where a run comes from: the commit that it names, what it printed at its end, and the files that
its answers say they were made from.
"""

import ast
import math
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from ponder.audit.checks import (
    Findings,
    answers_file,
    completed,
    contents,
    place,
    read,
    runs,
    samples,
    shown,
    status,
)
from ponder.audit.git import commit_times, git_text, need_history
from ponder.rows import ABSENT

TASK = re.compile(
    r" +(\S+) +([\d.]+)% \((\d+)/(\d+)\)  think +([\d.]+) tok  capped (\d+)  ignored ends (\d+)"
)
ENDS = {
    "collect": re.compile(r"collect (\S+): (\{.*?\}) (\d+) trace tokens -> "),
    "train": re.compile(
        r"train (\S+): (\d+) rows, (\d+) steps, (\d+) tokens, last loss (\S+), ([\d.]+) min, "
    ),
    "evaluate": re.compile(r"evaluate (\S+): ([\d.]+)% \((\d+)/(\d+)\) -> "),
}


# --- commits ---------------------------------------------------------------------------


def origins() -> Findings:
    """Whether each run started from commits of this history that are older than its starts, and
    was released after it ended.
    """
    need_history()
    times, problems = commit_times(), []
    released = first_commits()
    for folder in runs():
        problems += [f"{shown(folder)} {rule}" for rule in origin_problems(folder, times)]
        ended = end_of(folder)
        first = released.get(shown(folder), math.inf)
        if ended > first + 1:
            problems.append(f"{shown(folder)} ended {ended - first:.0f} s after it was released")
    return Findings(f"{len(runs())} runs, {len(times):,} commits", problems)


def first_commits() -> dict[str, int]:
    """Return {run folder: when its manifest.json was first committed}."""
    log = git_text("log", "--diff-filter=A", "--format=%ct", "--name-only", "--", "logs/*/*/*.json")
    found: dict[str, int] = {}
    when = 0
    for line in log.splitlines():
        if line.isdigit():
            when = int(line)
        elif line.endswith("/manifest.json"):
            found[line.removesuffix("/manifest.json")] = when
    return found


def origin_problems(folder: Path, times: dict[str, int]) -> Iterator[str]:
    """Yield what is wrong with the commits that a run names, beside the starts that it tells."""
    for entry, start in zip(status(folder)["commits"], starts(folder), strict=False):
        commit = entry["commit"]
        if commit not in times:
            yield f"started from {commit[:12]}, which is not in this history"
        elif start < times[commit]:
            yield f"started {times[commit] - start:.0f} s before its commit {commit[:12]} was made"


def starts(folder: Path) -> list[float]:
    """Return when a run started, each time."""
    rows = read(folder / "timing.jsonl")
    return [
        datetime.fromisoformat(row["utc"]).timestamp()
        for row in rows
        if row.get("event") == "start"  # the calls of a server tell a time as well
    ]


def end_of(folder: Path) -> float:
    """Return when a run ended, or the last time that it tells."""
    rows = read(folder / "timing.jsonl")
    seconds = [row["seconds"] for row in rows if row.get("event") == "end"]
    return starts(folder)[-1] + (seconds[-1] if seconds else 0)


# --- what it printed -------------------------------------------------------------------


def stdout() -> Findings:
    """Whether stdout.log of each completed run says what its records say."""
    problems, count = [], 0
    for stage, check in PRINTED.items():
        for folder in completed(stage):
            count += 1
            lines = contents(folder / "stdout.log").decode(errors="replace").splitlines()
            last = [match for line in lines if (match := ENDS[stage].match(line))]
            begin = re.compile(rf"{stage} (\S+): ")
            named = {match[1] for line in lines if (match := begin.match(line))}
            if not last or named != {folder.name}:
                problems.append(f"{shown(folder)}/stdout.log does not end with its result")
                continue
            broken = check(folder, lines, last[-1])
            problems += [f"{shown(folder)}/stdout.log {rule}" for rule in broken]
    return Findings(f"{count} runs", problems)


def evaluation_printed(folder: Path, lines: list[str], last: re.Match) -> Iterator[str]:
    """Yield a sentence for each number of an evaluation's output that results.json has not."""
    results = read(folder / "results.json")
    printed = {match[1]: match for line in lines if (match := TASK.match(line))}
    if printed.keys() != results["tasks"].keys():
        yield f"has results of {sorted(printed)}, results.json of {sorted(results['tasks'])}"
        return
    for task, match in printed.items():
        entry = results["tasks"][task]
        wanted = (
            *scores(entry),
            f"{entry['thinking_tokens']:.1f}",
            str(entry["capped"]),
            str(entry["ignored_ends"]),
        )
        if match.groups()[1:] != wanted:
            yield f"says {match[0].split()} where results.json has {wanted}"
    if last.groups()[1:] != scores(results["all"]):
        yield f"ends with {last[2]}% ({last[3]}/{last[4]}), results.json with {results['all']}"


def scores(entry: dict[str, Any]) -> tuple[str, str, str]:
    """Return the accuracy in percent, the right answers and all of them, as they are printed."""
    return f"{100 * entry['accuracy']:.1f}", str(entry["correct"]), str(entry["n"])


def training_printed(folder: Path, lines: list[str], last: re.Match) -> Iterator[str]:
    """Yield a sentence for each number of a training's output that metrics.jsonl has not."""
    metrics = read(folder / "metrics.jsonl")
    wanted = (
        str(len(metrics)),
        str(sum(row["tokens"] for row in metrics)),
        f"{metrics[-1]['loss']:.4f}",
    )
    if last.groups()[2:5] != wanted:
        yield f"says steps, tokens and loss {last.groups()[2:5]}, metrics.jsonl {wanted}"
    rows = {row for batch in read(folder / "batches.jsonl") for row in batch["ids"]}
    if int(last[2]) != len(rows):
        yield f"says {last[2]} rows, batches.jsonl has {len(rows)}"


def collection_printed(folder: Path, lines: list[str], last: re.Match) -> Iterator[str]:
    """Yield a sentence for each number of a collection's output that its files have not."""
    counts, after = ast.literal_eval(last[2]), read(place(folder, "funnel.json"))["after"]
    if counts != after:
        yield f"says {counts}, funnel.json {after}"
    tokens = sum(row["tokens"] for row in read(place(folder, "train.jsonl")))
    if int(last[3]) != tokens:
        yield f"says {last[3]} trace tokens, train.jsonl has {tokens}"


PRINTED = {
    "collect": collection_printed,
    "train": training_printed,
    "evaluate": evaluation_printed,
}


# --- what its answers name -------------------------------------------------------------


def named_inputs() -> Iterator[str]:
    """Yield a sentence for each evaluation whose answers name other weights than the run read, or
    another base or tokenizer than other runs of the same model do.
    """
    first: dict[tuple[str, ...], set[str | None]] = {}
    for folder in completed("evaluate"):
        where = f"{answers_file(folder)} names"
        for key, wanted in recorded(folder).items():
            if named_by(folder, key) - {wanted}:
                yield f"{where} {key} {sorted(map(str, named_by(folder, key)))}, its run {wanted}"
        model = read(folder / "config.yaml")["model"]
        version = model["name"], str(model.get("wheel") or model.get("revision"))
        for key in ("base_sha256", "tokenizer_sha256"):
            named = named_by(folder, key) - {None}
            if named and first.setdefault((*version, key), named) != named:
                yield f"{where} another {key} than other runs of {model['name']}"


def recorded(folder: Path) -> dict[str, str | None]:
    """Return {field of a sample: what an evaluation's own records say it is}, where they do."""
    inputs, path = status(folder)["inputs"], folder / "base.json"
    base = read(path) if path.exists() else {}
    weights = [
        digest[:16]
        for name, digest in sorted(inputs.items())
        if name.endswith(".safetensors") and not name.startswith("base/")
    ]
    of_base = [
        digest[:16] for name, digest in sorted(base.items()) if name.endswith(".safetensors sha256")
    ]
    found: dict[str, str | None] = {"adapter_sha256": ",".join(weights) or None}
    if of_base:
        found["base_sha256"] = ",".join(of_base)
    if "tokenizer.json sha256" in base:
        found["tokenizer_sha256"] = base["tokenizer.json sha256"][:16]
    return found


def named_by(folder: Path, key: str) -> set[str | None]:
    """Return what the answers of an evaluation say in a field, without those that lack it."""
    return {getattr(sample, key) for sample in samples(folder)} - {ABSENT}
