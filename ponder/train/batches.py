"""Which rows each step sees, and which process sees them.

Plain Python, so that the order can be checked where torch is missing:

    python -m ponder.train.batches logs/train/*

rebuilds each run's order from its seed and its rows and compares it with the run's batches.jsonl.
Exits with 0 when all are equal, with 1 at a difference.
"""

import contextlib
import json
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ponder import rows
from ponder.errors import UserError, user_errors
from ponder.hashing import file_sha256
from ponder.rows import Trace
from ponder.runs import ROOT, read_jsonl


def order(num_rows: int, epochs: int, batch_rows: int, seed: int) -> list[list[int]]:
    """Return, for each optimizer step, the indices of its rows.

    Each epoch is a fresh shuffle; its last batch may be short.
    """
    steps = []
    for epoch in range(epochs):
        indices = list(range(num_rows))
        random.Random(f"train order/{epoch}/{seed}").shuffle(indices)
        steps += [indices[i : i + batch_rows] for i in range(0, num_rows, batch_rows)]
    return steps


def split_step(lengths: Sequence[int], world: int, block: int) -> list[list[int]]:
    """Return a step's packs: lists of indices into `lengths`, ascending.

    A pack has at most `block` tokens. Pack p is for process p % world, so their number is a
    multiple of `world` (the smallest for which this rule fits): longest row first into the pack
    with the fewest tokens. With fewer rows than processes some packs are empty. Raises UserError
    for a row longer than `block`.
    """
    for index, length in enumerate(lengths):
        if length > block:
            raise UserError(
                f"row {index} of the step has {length} tokens, but train.max_tokens is {block}; "
                "raise it or drop the row in selection"
            )
    longest_first = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    count = world * max(1, -(-sum(lengths) // (block * world)))
    while True:
        packs: list[list[int]] = [[] for _ in range(count)]
        loads = [0] * count
        for index in longest_first:
            lightest = loads.index(min(loads))
            packs[lightest].append(index)
            loads[lightest] += lengths[index]
        if max(loads) <= block:
            return [sorted(pack) for pack in packs]
        count += world


def expected_batches(folder: Path) -> tuple[list[dict], str]:
    """Return what a train run's batches.jsonl must hold, and one sentence about it.

    The rows follow from the run's config.yaml and from the train.jsonl that its status.json names.
    Raises UserError for a folder that is no train run, and when its rows are nowhere to be found.
    """
    recipe, sha256 = _recipe(folder)
    ids = [trace.id for trace in rows.read(Trace, _rows_file(sha256, folder))]
    steps = order(len(ids), recipe["epochs"], recipe["batch_rows"], recipe["seed"])
    batches = [
        {"step": number, "ids": [ids[index] for index in step]}
        for number, step in enumerate(steps, 1)
    ]
    sentence = (
        f"{len(steps):,} steps, {len(ids):,} rows: the order that seed {recipe['seed']} gives"
    )
    return batches, sentence


def _recipe(folder: Path) -> tuple[dict[str, Any], str]:
    """Return the numbers that the order follows from, and the sha256 of the rows."""
    for name in ("status.json", "config.yaml", "batches.jsonl"):
        if not (folder / name).is_file():
            raise UserError(
                f"{folder} has no {name}; name the folder of a train run, e.g. logs/train/<run>"
            )
    try:
        config: Any = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
        recipe = {
            "epochs": config["train"]["epochs"],
            "batch_rows": config["train"]["batch_rows"],
            "seed": config["seed"],
        }
        sha256 = json.loads((folder / "status.json").read_text())["inputs"]["train.jsonl"]
    except Exception as error:  # whatever a damaged YAML or JSON file brings up
        raise UserError(
            f"{folder} is no train run or is damaged ({type(error).__name__} in config.yaml or "
            "status.json); name another, or restore it from git"
        ) from error
    for name, least in (("epochs", 1), ("batch_rows", 1), ("seed", None)):
        value = recipe[name]
        if type(value) is not int or least is not None and value < least:
            raise UserError(
                f"{folder / 'config.yaml'} has {name}={value!r}, which no run can have; "
                "restore it from git"
            )
    return recipe, sha256


def _rows_file(sha256: str, folder: Path) -> Path:
    """Return the train.jsonl with this hash: beside the run, in outputs/, or released in data/."""
    made = (folder.parent.parent / "collect", ROOT / "outputs" / "collect")
    places = (*made, *sorted((ROOT / "data").glob("*/")))
    for place in places:
        for path in sorted(place.glob("*/train.jsonl")):
            if file_sha256(path) == sha256:
                return path
    raise UserError(
        f"the rows of {folder.name} (train.jsonl with sha256 {str(sha256)[:12]}...) are not in "
        "outputs/collect or data/; run collect.py with the same overrides, or restore data/ "
        "from git"
    )


def first_difference(batches: Sequence[dict], expected: Sequence[dict]) -> str | None:
    """Return one sentence about the first step in which two lists of {"step", "ids"} differ."""
    for number, (batch, planned) in enumerate(zip(batches, expected, strict=False), 1):
        if batch != planned:
            return (
                f"step {number} is not as planned: it says {json.dumps(batch)}, "
                f"planned was {json.dumps(planned)}"
            )
    if len(batches) != len(expected):
        return (
            f"step {min(len(batches), len(expected)) + 1} is not as planned: {len(batches)} steps "
            f"are there, planned were {len(expected)}"
        )
    return None


def failed_early(folder: Path) -> bool:
    """Return whether a train run failed before it wrote its order.

    A damaged status is not reported here: expected_batches does that.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        status = json.loads((folder / "status.json").read_text())
        return status.get("status") == "failed" and not (folder / "batches.jsonl").exists()
    return False


@user_errors
def main(*folders: str) -> int:
    """Print one line per train run and return 0, or 1 when the order of one differs."""
    if not folders:
        raise UserError(
            "no run is named; name the folders of train runs: "
            "python -m ponder.train.batches logs/train/*"
        )
    num_different = 0
    for folder in map(Path, folders):
        if failed_early(folder):
            print(f"{folder.name}: it failed before it came to a step")
            continue
        expected, sentence = expected_batches(folder)
        difference = first_difference(read_jsonl(folder / "batches.jsonl"), expected)
        num_different += difference is not None
        print(f"{folder.name}: {difference or sentence}")
    return int(num_different > 0)


if __name__ == "__main__":
    sys.exit(main(*map(os.path.abspath, sys.argv[1:])))
