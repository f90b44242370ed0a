"""What the numbers are made from: released runs, checked against their manifests, and the data."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder import lineage, statistics
from ponder.config import yaml_value
from ponder.errors import UserError
from ponder.hashing import file_sha256
from ponder.report import methods, plans, released
from ponder.runs import ROOT, read_jsonl
from ponder.stages import seeded
from ponder.statistics import Sample

Evaluation = tuple[Path, dict[tuple[str, str, int], Sample]]  # by (task, id, number of the sample)
SPLITS = ("pool", "probe", "dev", "test")


@dataclass(frozen=True)
class PlannedAnswer:
    """A released evaluation that a plan of contrasts asks for."""

    folder: Path
    samples: dict[tuple[str, str, int], Sample]
    processor: str  # that trained its weights; on a public benchmark, that answered


PlannedAnswers = dict[tuple[str, str, int], PlannedAnswer]  # by arm, budget and seed


def read(path: Path | str) -> Any:
    """Return the value of a JSON file."""
    return json.loads(Path(path).read_text())


def read_yaml(path: Path | str) -> Any:
    """Return the value of a YAML file."""
    return yaml_value(Path(path).read_text())


def published() -> dict:
    """Return what s1 published (paper/published.yaml)."""
    return read_yaml(ROOT / "paper" / "published.yaml")


def references() -> list[dict[str, str]]:
    """Return the works that the paper cites (paper/references.yaml), with number and text."""
    works = read_yaml(ROOT / "paper" / "references.yaml")
    return [
        {
            "name": work["name"],
            "number": f"{number}",
            "text": f"{work['authors']}. {work['title']}. {work['where']}"
            + (f", {work['year']}." if work["year"] else ", n.d."),
        }
        for number, work in enumerate(works, 1)
    ]


def listed(name: str) -> list[dict[str, str]]:
    """Return the entries of paper/coverage.yaml or paper/checklist.yaml, each with a name."""
    return read_yaml(ROOT / "paper" / f"{name}.yaml")


def last_release(logs: Path) -> dict[str, str]:
    """Return the name, root and commit of the last release, each "none" where there is none."""
    path = logs / "releases.jsonl"
    found = read_jsonl(path) if path.exists() else []
    last = found[-1] if found else {}
    kept = {"name": "release", "root": "root", "commit": "commit"}
    return {key: last.get(entry, "none") for key, entry in kept.items()}


def run_folder(stage: str, label: str, logs: Path) -> Path:
    """Return the folder of a released run whose files are what its manifest says, or UserError."""
    folder = released.run_folder(stage, label, logs)
    record = folder / "released.json"
    said = read(record) if record.exists() else {}
    elsewhere = {*said.get("moved", ()), *said.get("left_out", ())}
    for name, entry in read(folder / "manifest.json")["files"].items():
        path = folder / name
        if name in elsewhere:
            continue
        if not (path.exists() and file_sha256(path) == entry["sha256"]):
            raise UserError(
                f"{stage} run {folder.name}: {name} is not what its manifest says; restore it "
                "from git"
            )
    return folder


def evaluation(label: str, logs: Path, drawn: dict, split: str, times: int = 1) -> Evaluation:
    """Return the folder and the samples of an evaluate run that answered its split in full.

    `drawn` is the manifest of the questions, `times` the samples of each. Raises UserError for
    another number of answers, and for samples that results.json does not count.
    """
    folder = run_folder("evaluate", label, logs)
    # A run with one answer to each question may have no number of the sample.
    samples = {(s["task"], s["id"], s.get("sample", 0)): s for s in released.samples(folder)}
    answers = Counter(task for task, _, _ in samples)
    size = drawn["counts"][split] * times
    if answers != dict.fromkeys(drawn["families"], size):
        raise UserError(
            f"evaluate run {folder.name} has {len(samples)} answers, not {size} for each of the "
            f"{len(drawn['families'])} families; release one with benchmark.limit=null and all "
            "tasks"
        )
    recorded = read(folder / "results.json")["all"]
    counted = statistics.summary(list(samples.values()))
    if any(recorded[key] != counted[key] for key in ("n", "correct", "capped", "ignored_ends")):
        raise UserError(
            f"evaluate run {folder.name}: results.json does not follow from samples.jsonl; "
            "release it anew"
        )
    return folder, samples


def check_weights(evaluate: Path, train: Path) -> None:
    """Raise UserError unless an evaluate run that read weights read those of this train run."""
    used = read(evaluate / "manifest.json")["inputs"].get("adapter_model.safetensors")
    files = read(train / "manifest.json")["files"]
    if used not in (None, files["adapter/adapter_model.safetensors"]["sha256"]):
        raise UserError(
            f"evaluate run {evaluate.name} did not use the weights of the released train run; "
            "evaluate again"
        )


def base_of(folder: Path) -> dict[str, str] | None:
    """Return what an evaluate run says about the base model it loaded; None without a model."""
    model = read_yaml(folder / "config.yaml")["model"]
    if (folder / "base.json").exists():
        source = read(folder / "base.json")["source"]
    else:
        # The first released runs have no base.json, and say it in the first line of their log
        # alone: "evaluate <run>: <model> from <source>". A run without a model has no such line.
        line = re.search(
            rf"^evaluate \S+: {re.escape(model['name'])} from (.+)$",
            (folder / "stdout.log").read_text(),
            re.MULTILINE,
        )
        if line is None:
            return None
        source = line[1]
    facts = {key: model[key] for key in ("name", "source", "licence")}
    return facts | {"loaded_from": source}


def one_base(folders: list[Path]) -> dict[str, str]:
    """Return the base model that all of these evaluate runs loaded; UserError for several."""
    first, *others = [base for folder in folders if (base := base_of(folder))]
    if any(base != first for base in others):
        raise UserError(
            "the released evaluate runs do not all use one base model; evaluate again those that "
            "differ"
        )
    return first


def training(folder: Path) -> dict[str, Any]:
    """Return what a train run cost, on what machine, and its recipe."""
    steps = read_jsonl(folder / "metrics.jsonl")
    # A step that was undone and made again counts once.
    clock = {
        row["step"]: row["seconds"] for row in read_jsonl(folder / "timing.jsonl") if "step" in row
    }
    tokens, seconds = sum(step["tokens"] for step in steps), sum(clock.values())
    machine = read(folder / "environment.json")
    return {
        "run": folder.name,
        "steps": len(steps),
        "tokens": tokens,
        "minutes": round(seconds / 60, 1),
        "tokens_per_second": round(tokens / seconds),
        "last_loss": round(steps[-1]["loss"], 4),
        "rows": len(set(ids_seen(folder))),
        "machine": f"{machine['cpu']}, {machine['logical_cores']} logical cores, "
        f"{machine['threads']} threads, {machine['system']} {machine['machine']}",
        "recipe": read_yaml(folder / "config.yaml")["train"],
    }


def ids_seen(folder: Path) -> list[str]:
    """Return the ids of the rows that a training saw, in its order, once for each time."""
    return [ident for step in read_jsonl(folder / "batches.jsonl") for ident in step["ids"]]


def taught(experiment: str, data: Path) -> dict[str, int]:
    """Return what became of the calls of a model teacher.

    {"asked": questions, "rejected", "right": traces, "chosen": rows}.
    """
    traces = read_jsonl(data / experiment / "traces.jsonl")
    return {
        "asked": len(traces),
        "rejected": sum(bool(trace["rejected"]) for trace in traces),
        "right": sum(trace["correct"] for trace in traces),
        "chosen": len(read_jsonl(data / experiment / "train.jsonl")),
    }


def questions(drawn: dict) -> dict[str, Any]:
    """Return, from their manifest, the questions of each split over all families, and the draw.

    {"all": {split: questions}, "drawn": {family: parameters}, "seed", "library": name and
    version of the library that some families are adapted from}.
    """
    counts: Counter[str] = Counter()
    for file, entry in drawn["files"].items():
        counts[file.split("/")[0].split(".")[0]] += entry["rows"]
    sources = [entry["source"] for entry in drawn["families"].values()]
    (library,) = {source.split()[0] for source in sources if "==" in source}
    return {
        "all": {split: counts[split] for split in SPLITS},
        "drawn": {family: entry["params"] for family, entry in drawn["families"].items()},
        "seed": drawn["seed"],
        "library": library.replace("==", " "),
    }


def step_tokens(trained: dict[str, Path], data: Path) -> dict[str, float]:
    """Return methods.tokens_per_step of the released step-conditional training.

    `trained` are the folders of the train runs. Raises UserError unless it saw the rows of the
    main arm in the same order.
    """
    folders = [trained[name] for name in ("cpu-step-conditional", "cpu")]
    rows = data / "cpu" / "train.jsonl"
    seen, seen_plain = (ids_seen(folder) for folder in folders)
    used = {read(folder / "manifest.json")["inputs"]["train.jsonl"] for folder in folders}
    if seen != seen_plain or used != {file_sha256(rows)}:
        raise UserError(
            f"train runs {folders[0].name} and {folders[1].name} did not see the rows of "
            "data/cpu/cpu in the same order; train both on them with the same recipe and seed"
        )
    loss_tokens = [
        sum(step["loss_tokens"] for step in read_jsonl(folder / "metrics.jsonl"))
        for folder in folders
    ]
    return methods.tokens_per_step(read_jsonl(rows), seen, *loss_tokens)


def planned_answers(plan: dict, logs: Path, drawn: dict) -> PlannedAnswers:
    """Return the released evaluations of those that a plan of contrasts asks for.

    Raises UserError for one that is released twice, that measured other weights than those of the
    training with its name, or whose training differs from that of seed 0 in more than its seed.
    """
    answers = {}
    for (arm, budget, seed), label in plans.labels(plan).items():
        if not released.run_folders("evaluate", label, logs):
            continue
        if "benchmark" in plan:
            made = folder = run_folder("evaluate", label, logs)
            samples = {(s["task"], s["id"], 0): s for s in released.samples(folder)}
        else:
            folder, samples = evaluation(label, logs, drawn, "test")
            made = seed_training(arm, seed, logs)
            check_weights(folder, made)
        processor = read(made / "environment.json")["cpu"]
        answers[arm, budget, seed] = PlannedAnswer(folder, samples, processor)
    return answers


def seed_training(arm: str, seed: int, logs: Path) -> Path:
    """Return the training of an arm with a seed; UserError where more than the seed differs."""
    train = run_folder("train", seeded(arm, seed), logs)
    if seed:
        check_seed(train, run_folder("train", arm, logs), seed)
    return train


def check_seed(train: Path, first: Path, seed: int) -> None:
    """Raise UserError unless a train run is that of seed 0, `first`, but for its seed."""
    ours, theirs = lineage.training(train, ()), lineage.training(first, ())
    flat = [lineage.flat({"rows": said["rows"], **said["recipe"]}) for said in (ours, theirs)]
    # A key that only one of them records came to the configuration after the other was made.
    differing = sorted(
        key for key in flat[0].keys() & flat[1].keys() if flat[0][key] != flat[1][key]
    )
    if ours["seed"] != seed or differing:
        raise UserError(
            f"train run {train.name} has seed {ours['seed']}, and differs from {first.name} in "
            f"{', '.join(differing) or 'nothing else'}; a run of seed {seed} may differ in that "
            "alone, so train it again"
        )
