"""Rules that the log of any honest run obeys, in code of their own: none of it is shared with what
wrote the logs.
"""

import math
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from ponder.audit.answers import questions_of
from ponder.audit.checks import (
    Findings,
    answers_file,
    completed,
    read,
    runs,
    samples,
    shown,
    status,
)
from ponder.rows import ABSENT, SampleRow

Z = 1.959963984540054  # the 97.5% quantile of the standard normal distribution
Rows = list[dict[str, Any]]


def schedule(step: int, steps: int, recipe: dict[str, Any]) -> float:
    """Return the learning rate of a step: linear to lr over the warm-up's share of all steps, then
    half a cosine down to 0.
    """
    warm = math.ceil(recipe["warmup"] * steps)
    if step <= warm:
        return recipe["lr"] * step / warm
    progress = (step - warm) / max(1, steps - warm)
    return recipe["lr"] * ((1 + math.cos(math.pi * progress)) / 2)


# --- trainings -------------------------------------------------------------------------


def train_log() -> Findings:
    """Whether metrics.jsonl of each training is what its plan, its rows and arithmetic allow."""
    problems, count = [], 0
    for folder in runs("train"):
        metrics = read(folder / "metrics.jsonl") if (folder / "metrics.jsonl").exists() else []
        batches = read(folder / "batches.jsonl") if metrics else []
        recipe = read(folder / "config.yaml")["train"]
        count += len(metrics)
        broken = list(step_problems(metrics, len(batches), recipe))
        if status(folder)["status"] == "completed":
            broken += sum_problems(folder, metrics, len(batches), recipe["epochs"])
        problems += [f"{shown(folder)}/metrics.jsonl: {rule}" for rule in broken]
    return Findings(f"{len(runs('train'))} trainings, {count:,} steps", problems)


def step_problems(metrics: Rows, steps: int, recipe: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each rule that a row of metrics.jsonl breaks; `steps` are planned."""
    for number, row in enumerate(metrics, 1):
        if row["step"] != number:
            yield f"row {number} is step {row['step']}"
        planned = schedule(number, steps, recipe)
        if not math.isclose(row["lr"], planned, rel_tol=1e-12, abs_tol=1e-18):
            yield f"step {number} has lr {row['lr']}, its schedule {planned}"
        measured = row["loss"], row["grad_norm"]
        if not all(math.isfinite(value) and value >= 0 for value in measured):
            yield f"step {number} has loss {row['loss']} and grad_norm {row['grad_norm']}"
        if not 0 < row["loss_tokens"] <= row["tokens"]:
            yield f"step {number} has {row['loss_tokens']} loss tokens of {row['tokens']}"


def sum_problems(folder: Path, metrics: Rows, steps: int, epochs: int) -> Iterator[str]:
    """Yield a sentence for each sum over a completed training that is not as it must be: every
    epoch sees every row once, and cost.json adds up.
    """
    if len(metrics) != steps:
        yield f"the last step is {len(metrics)}, planned were {steps}"
    cost = read(folder / "cost.json") if (folder / "cost.json").exists() else None
    for key in ("tokens", "loss_tokens"):
        values, epoch = [row[key] for row in metrics], steps // epochs
        starts = range(0, len(values), epoch)
        sums = {sum(values[start : start + epoch]) for start in starts}
        if len(sums) != 1:
            yield f"{key} add up to {sorted(sums)} in passes over the same rows"
        if cost and cost[key] != sum(values):
            yield f"{key} add up to {sum(values):,}, cost.json says {cost[key]:,}"


# --- clocks ----------------------------------------------------------------------------


def clocks() -> Findings:
    """Whether time moves forward in each run: starts in order, steps in order after each start,
    nothing negative.
    """
    problems = []
    for folder in runs():
        rows, state = read(folder / "timing.jsonl"), status(folder)
        broken = [*order_problems(rows), *start_problems(rows, len(state["commits"]))]
        if state["status"] == "completed":
            broken += end_problems(rows)
        problems += [f"{shown(folder)}/timing.jsonl{rule}" for rule in broken]
    return Findings(f"{len(runs())} runs", problems)


def order_problems(rows: Rows) -> Iterator[str]:
    """Yield a sentence for each row of timing.jsonl that is out of order or took negative time."""
    last = 0
    for number, row in enumerate(rows, 1):
        if row.get("event") == "start":
            last = 0
        if "step" in row and last and row["step"] != last + 1:
            yield f" row {number}: step {row['step']} follows step {last}"
        last = row.get("step", last)
        if row.get("seconds", 0) < 0:
            yield f" row {number} took {row['seconds']} s"


def start_problems(rows: Rows, commits: int) -> Iterator[str]:
    """Yield a sentence where starts are missing, out of order, or not as many as commits."""
    starts = [datetime.fromisoformat(row["utc"]) for row in rows if row.get("event") == "start"]
    if not starts or starts != sorted(starts):
        yield f": its starts are {[str(start) for start in starts]}"
    if len(starts) != commits:
        yield f": {len(starts)} starts, but {commits} commits"


def end_problems(rows: Rows) -> Iterator[str]:
    """Yield a sentence where the steps since the last start took longer than the run."""
    events = [row.get("event") for row in rows]
    last_start = len(rows) - 1 - events[::-1].index("start")
    ends = [row["seconds"] for row in rows if row.get("event") == "end"]
    spent = sum(row["seconds"] for row in rows[last_start:] if "step" in row)
    if not ends or spent > ends[-1] + 1:
        yield f": its steps took {spent:.0f} s, the run {ends[-1:]} s"


# --- evaluations -----------------------------------------------------------------------


def evaluate_log() -> Findings:
    """Whether the samples of each evaluation are complete, within the budget, and what
    results.json counts.
    """
    problems, count = [], 0
    for folder in completed("evaluate"):
        config, answers = read(folder / "config.yaml"), samples(folder)
        budget, times = config["budget"], config.get("decoding", {}).get("samples", 1)
        count += len(answers)
        for number, sample in enumerate(answers, 1):
            where = f"{answers_file(folder)} row {number}"
            problems += [f"{where}: {rule}" for rule in broken_rules(sample, budget)]
        broken = [
            *missing_answers(folder, answers, times),
            *result_problems(folder, answers, times),
            *token_problems(folder, answers),
        ]
        problems += [f"{shown(folder)}{rule}" for rule in broken]
    return Findings(f"{len(completed('evaluate'))} evaluations, {count:,} answers", problems)


def missing_answers(folder: Path, answers: list[SampleRow], times: int) -> Iterator[str]:
    """Yield a sentence where not every question was answered so many times.

    Of a public benchmark it can only be seen that none is answered in part.
    """
    counts = Counter((sample.task, sample.id, sample.sample or 0) for sample in answers)
    questions = questions_of(folder)
    keys = {key[:2] for key in counts} if questions is None else set(questions)
    wanted = {(task, name, number) for task, name in keys for number in range(times)}
    if counts != Counter(wanted):
        yield f": its {len(answers)} answers are not {times} for each of its questions"


def result_problems(folder: Path, answers: list[SampleRow], times: int) -> Iterator[str]:
    """Yield a sentence for each value of results.json that is not what the samples count."""
    results = read(folder / "results.json")
    for name, entry in {**results["tasks"], "all": results["all"]}.items():
        counted = tally([s for s in answers if name in ("all", s.task)])
        if times > 1:  # a bootstrap interval over questions
            del counted["low"], counted["high"]
        for key, value in counted.items():
            if not math.isclose(entry[key], value, rel_tol=1e-9, abs_tol=1e-12):
                yield f"/results.json: {name} has {key} {entry[key]}, its samples {value}"


def tally(answers: list[SampleRow]) -> dict[str, float]:
    """Return what results.json says of some answers, counted here."""
    n, correct = len(answers), sum(s.correct for s in answers)
    low, high = wilson(correct, n)
    return {
        "n": n,
        "correct": correct,
        "capped": sum(s.capped for s in answers),
        "ignored_ends": sum(s.num_ignored for s in answers),
        "thinking_tokens": sum(s.num_thinking for s in answers) / n,
        "accuracy": correct / n,
        "low": low,
        "high": high,
    }


def token_problems(folder: Path, answers: list[SampleRow]) -> Iterator[str]:
    """Yield a sentence where the tokens of the samples are not the sum in timing.jsonl, in a run
    that was started once and counts its tokens there.
    """
    timing = read(folder / "timing.jsonl")
    blocks = [row["tokens"] for row in timing if "tokens" in row]
    starts = sum(row.get("event") == "start" for row in timing)
    tokens = sum(len(sample.ids) + (sample.thrown or 0) for sample in answers)
    if blocks and starts == 1 and sum(blocks) != tokens:
        yield f": its samples have {tokens:,} tokens, timing.jsonl has another sum"


def wilson(right: int, n: int) -> tuple[float, float]:
    """Return the ends of Wilson's 95% interval of a share, by its closed form; (0, 1) for none."""
    if not n:
        return 0.0, 1.0
    middle = right + Z**2 / 2
    half = Z * math.sqrt(right * (n - right) / n + Z * Z / 4)
    return (middle - half) / (n + Z * Z), (middle + half) / (n + Z * Z)


def broken_rules(sample: SampleRow, budget: dict[str, Any]) -> list[str]:
    """Return a sentence for each rule of budget forcing that a sample breaks."""
    return [
        *budget_problems(sample, budget),
        *forced_problems(sample, budget),
        *count_problems(sample),
    ]


def thinking_limit(budget: dict[str, Any]) -> int:
    """Return how many thinking tokens a budget allows; with scope per_segment in all its rounds."""
    rounds = budget["num_ignore"] + 1 if budget.get("scope") == "per_segment" else 1
    return budget["max_thinking"] * rounds


def budget_problems(sample: SampleRow, budget: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each count of a sample that its budget does not allow."""
    limit, tries = thinking_limit(budget), budget.get("tries", 1)
    if sample.num_thinking > limit:
        yield f"{sample.num_thinking} thinking tokens, its budget allows {limit}"
    if sample.num_ignored > budget["num_ignore"]:
        yield f"{sample.num_ignored} ends ignored, its budget allows {budget['num_ignore']}"
    if sample.num_answer > budget["max_answer"] and budget["force_answer"] != "never":
        yield f"{sample.num_answer} answer tokens, its budget allows {budget['max_answer']}"
    if sample.tries and sample.tries > tries:
        yield f"{sample.tries} tries, its budget allows {tries}"


def forced_problems(sample: SampleRow, budget: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for positions of forced tokens that cannot be."""
    forced, length = sample.forced, len(sample.ids)
    if forced != sorted(set(forced)) or (forced and not 0 <= forced[0] <= forced[-1] < length):
        yield f"forced positions {forced} of {length} tokens"
    if forced and budget["force_answer"] == "never":
        yield "forced tokens, but its budget forces none"


def count_problems(sample: SampleRow) -> Iterator[str]:
    """Yield a sentence for each count of a sample that contradicts another."""
    length, parts = len(sample.ids), sample.num_thinking + sample.num_answer
    if parts > length:
        yield (
            f"{sample.num_thinking} thinking and {sample.num_answer} answer tokens, "
            f"but {length} in all"
        )
    rounds = [tokens for tokens, _ in sample.rounds or ()]
    if sample.rounds is not ABSENT and sum(rounds) != sample.num_thinking:
        yield f"rounds of {rounds} tokens, {sample.num_thinking} thinking tokens"
    rejected_with_answer = sample.finish == "rejected" and (sample.correct or length > 0)
    if sample.finish not in ("stop", "length", "rejected", "") or rejected_with_answer:
        yield f"finish {sample.finish!r} with {length} tokens, marked {sample.correct}"
