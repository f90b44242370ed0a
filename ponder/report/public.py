"""What is measured on a public benchmark: the arms of its pre-registration, and their costs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.report import comparisons, contrasts, costs, released, sources
from ponder.report.comparisons import summary
from ponder.report.sources import PlannedAnswers
from ponder.runs import read_jsonl
from ponder.statistics import Sample

# How the documents name the arms of logs/preregistrations/qwen.yaml, and its budgets.
ARMS = {
    "qwen-base-boxed": "base",
    "qwen-trained": "SFT, s1's choice of traces",
    "qwen-random-trained": "SFT, random traces",
    "qwen-answers-trained": "SFT on answers only",
}
BUDGETS = {
    "math-unforced": "its own turn, nothing forced",
    "math": "no forcing",
    "cap0": "thinking cut at 0",
    "cap64": "thinking cut at 64",
    "cap128": "thinking cut at 128",
    "cap256": "thinking cut at 256",
    "math-wait1": "Wait x1",
    "math-wait2": "Wait x2",
    "math-wait4": "Wait x4",
}


@dataclass(frozen=True)
class Costs:
    """The collections and trainings that the arms of a plan were made by, in this order."""

    collections: tuple[str, ...]
    trainings: tuple[str, ...]


COSTS = {
    "qwen": Costs(
        ("qwen-traces-part1", "qwen-traces", "qwen-reference"),
        ("qwen", "qwen-answers", "qwen-random"),
    )
}


def measured(
    name: str, plan: Mapping[str, Any], answers: PlannedAnswers, originals: Collection[str]
) -> dict[str, Any]:
    """Return {"name", "benchmark", "n", "arms": what each arm that is there gets under a budget}.

    Each has its "run", "all" and "ends" as a row of the table has, "written": the mean tokens of a
    whole answer, and "fresh": "all" without the questions with an id of `originals`, which a
    template of the training questions was made from.
    """
    arms = []
    for (arm, budget, seed), answer in answers.items():
        if seed != plan["seeds"][0]:
            continue
        samples = [answer.samples[key] for key in sorted(answer.samples)]
        arms.append(
            {
                "name": contrasts.spelled((arm, budget)),
                "arm": ARMS.get(arm, arm),
                "budget": budget,
                "words": BUDGETS.get(budget, budget),
                "run": answer.folder.name,
                "all": summary(samples),
                "fresh": summary([s for s in samples if s["id"] not in originals]),
                "ends": ends(samples),
                "written": sum(len(sample["ids"]) for sample in samples) / len(samples),
            }
        )
    return {"name": name, "benchmark": plan["benchmark"], "n": plan["n"], "arms": arms}


def worded(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a plan came to (contrasts.outcome) with the words of each contrast's sides."""
    worded_contrasts = [
        contrast | {f"{side}_words": named(contrast[side]) for side in ("ours", "theirs")}
        for contrast in outcome["contrasts"]
    ]
    return dict(outcome) | {"contrasts": worded_contrasts}


def named(side: str) -> str:
    """Return an arm under a budget, as contrasts spell it, in the words of the documents."""
    arm, _, budget = side.partition(", ")
    return f"{ARMS.get(arm, arm)}, {BUDGETS.get(budget, budget)}"


def ends(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return how answers end, as comparisons.ends, by the grader of benchmarks."""
    unanswered = sum(sample["answer"] is None for sample in samples) / len(samples)
    return comparisons.ends(list(samples)) | {"unanswered_share": unanswered}


def originals(path: Path) -> set[str]:
    """Return the ids of a file of benchmark questions that templates were made from."""
    return {row["id"] for row in read_jsonl(path)}


# --- what it cost ----------------------------------------------------------------------


def cost(name: str, measured: Mapping[str, Any], logs: Path) -> dict[str, Any]:
    """Return what the runs behind a plan took (costs.total)."""
    return costs.total(
        {
            "collect": begun(COSTS[name].collections, logs),
            "train": trained(name, logs),
            "evaluate": [logs / "evaluate" / arm["run"] for arm in measured["arms"]],
        }
    )


def trained(name: str, logs: Path) -> list[Path]:
    """Return the released trainings of a plan."""
    return _there("train", COSTS[name].trainings, logs)


def models(name: str, logs: Path) -> dict[str, str]:
    """Return {"student", "teacher"}: the names of the models of a plan's traces, "-" for none."""
    for folder in _there("collect", COSTS[name].collections[1:2], logs):
        config = sources.read_yaml(folder / "config.yaml")
        return {"student": config["model"]["name"], "teacher": config["teacher"]["model"]["name"]}
    return dict.fromkeys(("student", "teacher"), "-")


def _there(stage: str, labels: Sequence[str], logs: Path) -> list[Path]:
    """Return the released runs of some labels that are there."""
    return [folder for label in labels for folder in released.run_folders(stage, label, logs)]


def begun(labels: Sequence[str], logs: Path) -> list[Path]:
    """Return the released collections of some labels, those too that came to no end."""
    return [
        folder
        for label in labels
        for folder in sorted(Path(logs, "collect").glob(f"{label}-{'[0-9a-f]' * 8}"))
    ]
