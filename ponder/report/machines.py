"""Whether the seed of a training or the machine that it runs on moves more (decision 0062).

An arm whose name ends with AGAIN is one of the others, trained and evaluated once more by another
kind of processor, each seed with the same rows and recipe.
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ponder import statistics
from ponder.errors import UserError
from ponder.report import sources
from ponder.report.printed import difference_text
from ponder.report.released import run_folders
from ponder.report.sources import PlannedAnswer, PlannedAnswers
from ponder.stages import evaluate_label, seeded

AGAIN = "-again"
BUDGET = "free"  # what is compared is the model's own thinking
Flags = Mapping[tuple[str, str, int], bool]  # by question, whether its answer is right


def machines(
    plan: Mapping[str, Any], answers: PlannedAnswers, logs: Path, drawn: dict
) -> list[dict[str, Any]]:
    """Return `beside` of each arm of a plan over several seeds that was made again, with its name,
    without forcing and over the plan's families.

    `drawn` is the manifest of the questions. Raises UserError for a training that differs from the
    first one in more than its machine, or that the same kind of processor made. Where no two seeds
    were made by one kind, nothing is returned of the arm.
    """
    found = []
    for arm in (arm for arm in plan["budgets"] if arm not in plan.get("read_before", ())):
        first = {
            seed: answers[arm, BUDGET, seed]
            for seed in plan["seeds"]
            if (arm, BUDGET, seed) in answers
        }
        again = {seed: run for seed in first if (run := _again(arm, seed, logs, drawn))}
        if not again:
            continue
        for seed, run in again.items():
            if run.processor == first[seed].processor:
                raise UserError(
                    f"{run.folder.name} was trained by {run.processor}, which made seed {seed} of "
                    f"{arm} too; what is made again is to be made by another kind of processor"
                )
        pairs = [
            (one, other)
            for one, other in itertools.combinations(first, 2)
            if first[one].processor == first[other].processor
        ]
        if not pairs:  # what a seed moves cannot be told from what a machine moves
            continue
        flags, others = (
            {seed: _right(run, plan["families"]) for seed, run in runs.items()}
            for runs in (first, again)
        )
        seeds = [
            {
                "name": f"seed {seed}",
                "first": _made(first[seed], flags[seed]),
                "again": _made(again[seed], others[seed]),
                "differing_share": float(np.mean(_differing(flags[seed], others[seed]))),
            }
            for seed in again
        ]
        found.append(
            {
                "name": f"{arm}{AGAIN}",
                "arm": arm,
                "families": list(plan["families"]),
                "trainings": len(again),
                "seeds": seeds,
            }
            | beside(flags, others, pairs)
        )
    return found


def beside(
    first: Mapping[int, Flags], again: Mapping[int, Flags], pairs: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    """Return how many answers another machine turns, beside how many another seed turns. Pure.

    `again` are some of the seeds of `first` on another machine, `pairs` those of `first` that one
    kind of machine made. {"n": questions, "pairs": in words, "machine" and "seed": {the mean
    share of questions that one of two trainings alone has right}, "all": machine minus seed, with
    its 95% interval over questions, "found": in words}.
    """
    by_machine = np.mean([_differing(first[seed], again[seed]) for seed in again], axis=0)
    by_seed = np.mean([_differing(first[one], first[other]) for one, other in pairs], axis=0)
    moved = statistics.interval(by_machine - by_seed, "paper/machines")
    both = {"difference": moved["value"], "low": moved["low"], "high": moved["high"]}
    return {
        "n": len(by_machine),
        "pairs": ", ".join(f"{one} and {other}" for one, other in pairs),
        "machine": {"differing_share": float(by_machine.mean())},
        "seed": {"differing_share": float(by_seed.mean())},
        "all": both | {"text": difference_text(both)},
        "found": in_words(moved["low"], moved["high"]),
    }


def in_words(low: float, high: float) -> str:
    """Return which moves more, by the interval of machine minus seed."""
    if high < 0:
        return "the seed moves more"
    return "the machine moves more" if low > 0 else "not distinguishable"


def _differing(flags: Flags, others: Flags) -> list[int]:
    """Return for each question, in order, whether one of two trainings alone has it right."""
    assert flags.keys() == others.keys(), "two trainings answered other questions"
    return [flags[key] != others[key] for key in sorted(flags)]


def _again(arm: str, seed: int, logs: Path, drawn: dict) -> PlannedAnswer | None:
    """Return the released evaluation of a training that was made again, or None."""
    name = seeded(f"{arm}{AGAIN}", seed)
    label = evaluate_label(name, "trained", "none", BUDGET, "greedy", "test")
    if not run_folders("evaluate", label, logs):
        return None
    folder, samples = sources.evaluation(label, logs, drawn, "test")
    train = sources.run_folder("train", name, logs)
    sources.check_weights(folder, train)
    sources.check_seed(train, sources.seed_training(arm, seed, logs), seed)
    trained_by, answered_by = (
        sources.read(run / "environment.json")["cpu"] for run in (train, folder)
    )
    if trained_by != answered_by:
        raise UserError(
            f"{folder.name} was answered by {answered_by}, but its weights were trained by "
            f"{trained_by}; evaluate it on the kind of processor that trained it"
        )
    return PlannedAnswer(folder, samples, trained_by)


def _right(run: PlannedAnswer, families: Sequence[str]) -> Flags:
    return {key: s["correct"] for key, s in run.samples.items() if key[0] in families}


def _made(run: PlannedAnswer, flags: Flags) -> dict[str, Any]:
    right = statistics.accuracy(list(flags.values()))
    return {"run": run.folder.name, "processor": run.processor, "accuracy": right["accuracy"]}
