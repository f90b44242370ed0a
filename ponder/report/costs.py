"""What runs took: tokens, hours, energy where it was counted, and dollars at an assumed price."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ponder.report import sources
from ponder.runs import ROOT, read_jsonl

PRICES = ROOT / "paper" / "prices.yaml"
JOULES = 3.6e6  # of a kilowatt-hour
FAMILIES = ("cpu", "reference")  # how the names of all runs on generated families begin
STAGES = ("collect", "train", "evaluate")


def on_families(logs: Path) -> dict[str, list[Path]]:
    """Return every released run on generated families by stage, those too that came to nothing."""
    return {
        stage: [path for path in sorted((logs / stage).glob("*")) if path.name.startswith(FAMILIES)]
        for stage in STAGES
    }


def total(stages: Mapping[str, Sequence[Path]]) -> dict[str, Any]:
    """Return what the runs of some stages took, by stage and in all.

    {"stages": [{"name", "runs", "tokens", "hours"}], "hours", "core_hours", "kwh": None unless
    every training counted its energy, "price": dollars an hour of a core, which paper/prices.yaml
    states, "dollars"}. Tokens are those that were written, of a training those that were read.
    """
    entries = [_stage(name, folders) for name, folders in stages.items() if folders]
    folders = [folder for of_stage in stages.values() for folder in of_stage]
    core_hours = sum(
        seconds(folder) / 3600 * sources.read(folder / "environment.json")["threads"]
        for folder in folders
    )
    price = sources.read_yaml(PRICES)["dollars_per_core_hour"]
    return {
        "stages": entries,
        "hours": sum(entry["hours"] for entry in entries),
        "core_hours": core_hours,
        "kwh": _energy(stages.get("train", ())),
        "price": price,
        "dollars": core_hours * price,
    }


def published() -> dict[str, Any]:
    """Return what s1 says its training took, with the dollars of an assumed price.

    {"gpu_hours", "gpu_hours_all": on its whole pool, "price": dollars an hour of a GPU, "dollars"}.
    """
    said = sources.published()["cost"]
    price = sources.read_yaml(PRICES)["dollars_per_gpu_hour"]
    hours = {key: said[key] for key in ("gpu_hours", "gpu_hours_all")}
    return hours | {"price": price, "dollars": hours["gpu_hours"] * price}


def _stage(name: str, folders: Sequence[Path]) -> dict[str, Any]:
    """Return the tokens and hours of the runs of a stage."""
    tokens = 0
    for folder in folders:
        tokens += sum(row.get("tokens", 0) for row in _timing(folder))
        if (folder / "metrics.jsonl").exists():  # a training, and it made a step
            tokens += sum(step["tokens"] for step in read_jsonl(folder / "metrics.jsonl"))
    hours = sum(map(seconds, folders)) / 3600
    return {"name": name, "runs": len(folders), "tokens": tokens, "hours": hours}


def seconds(folder: Path) -> float:
    """Return how long a run worked; the time of a sweep is shared by its runs."""
    return sum(row["seconds"] / row.get("budgets", 1) for row in _timing(folder))


def _timing(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a run's timing.jsonl that tell what was done, without starts and ends."""
    return [row for row in read_jsonl(folder / "timing.jsonl") if "event" not in row]


def _energy(trainings: Sequence[Path]) -> float | None:
    """Return the kilowatt-hours of some trainings; None where one of them counted none."""
    paths = [folder / "cost.json" for folder in trainings]
    joules = [sources.read(path)["joules"] if path.exists() else None for path in paths]
    counted = [value for value in joules if value is not None]
    return sum(counted) / JOULES if counted and len(counted) == len(joules) else None
