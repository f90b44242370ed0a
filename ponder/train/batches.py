"""Which rows each step sees and which process sees them. Plain Python: the order can be checked where torch is missing.

    python -m ponder.train.batches logs/train/*      # rebuild each run's order from its seed and its rows, and compare

Exits with 0 when every batches.jsonl is the order that its config and rows give, with 1 at a difference.
"""

import contextlib
import json
import os
import random
import sys
from pathlib import Path

from omegaconf import OmegaConf

from ponder.errors import UserError, user_errors
from ponder.hashing import file_sha256
from ponder.runs import ROOT, read_jsonl


def order(num_rows, epochs, batch_rows, seed):
    """Return, per optimizer step, the indices of its rows: each epoch a fresh shuffle, the last batch of it short."""
    steps = []
    for epoch in range(epochs):
        rows = list(range(num_rows))
        random.Random(f"train order/{epoch}/{seed}").shuffle(rows)
        steps += [rows[i : i + batch_rows] for i in range(0, num_rows, batch_rows)]
    return steps


def deal(lengths, world, block):
    """Return a step's packs: lists of indices into `lengths`, ascending, at most `block` tokens each.

    Pack p is for process p % world, so their number is a multiple of `world` (the smallest for which this rule fits):
    longest row first into the pack with the fewest tokens. With fewer rows than processes some packs are empty.
    Raises UserError for a row longer than `block`.
    """
    for at, length in enumerate(lengths):
        if length > block:
            raise UserError(
                f"row {at} of the step has {length} tokens, but train.max_tokens is {block}; raise it or drop "
                "the row in selection"
            )
    longest_first = sorted(range(len(lengths)), key=lambda at: (-lengths[at], at))
    count = world * max(1, -(-sum(lengths) // (block * world)))
    while True:
        packs, loads = [[] for _ in range(count)], [0] * count
        for at in longest_first:
            least = loads.index(min(loads))
            packs[least].append(at)
            loads[least] += lengths[at]
        if max(loads) <= block:
            return [sorted(pack) for pack in packs]
        count += world


def planned(folder):
    """Return what batches.jsonl of a train run must hold by its config.yaml and rows, and the sentence that says so.

    Raises UserError for a folder that is no train run, and when its rows are nowhere to be found.
    """
    config, wanted = _recipe(folder)
    ids = [row["id"] for row in read_jsonl(_rows_with(wanted, folder))]
    steps = order(len(ids), config["epochs"], config["batch_rows"], config["seed"])
    rows = [
        {"step": number, "ids": [ids[at] for at in step]} for number, step in enumerate(steps, 1)
    ]
    return (
        rows,
        f"{len(steps):,} steps, {len(ids):,} rows: the order that seed {config['seed']} gives",
    )


def _recipe(folder):
    """Return the numbers that the order follows from, and the sha256 of the rows."""
    for name in ("status.json", "config.yaml", "batches.jsonl"):
        if not (folder / name).is_file():
            raise UserError(
                f"{folder} has no {name}; name the folder of a train run, e.g. logs/train/<run>"
            )
    try:
        config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
        numbers = {
            "epochs": config["train"]["epochs"],
            "batch_rows": config["train"]["batch_rows"],
            "seed": config["seed"],
        }
        wanted = json.loads((folder / "status.json").read_text())["inputs"]["train.jsonl"]
    except Exception as error:  # whatever a damaged YAML or JSON file brings up
        raise UserError(
            f"{folder} is no train run or is damaged ({type(error).__name__} in config.yaml or status.json); "
            "name another, or restore it from git"
        ) from error
    for name, least in (("epochs", 1), ("batch_rows", 1), ("seed", None)):
        if type(numbers[name]) is not int or least and numbers[name] < least:
            raise UserError(
                f"{folder / 'config.yaml'} has {name}={numbers[name]!r}, which no run can have; restore it from git"
            )
    return numbers, wanted


def _rows_with(sha256, folder):
    """Return the file of chosen rows with this hash: beside the run, under outputs/, or among the released data."""
    places = (folder.parent.parent / "collect", ROOT / "outputs" / "collect", ROOT / "data" / "cpu")
    for path in (path for place in places for path in sorted(place.glob("*/train.jsonl"))):
        if file_sha256(path) == sha256:
            return path
    raise UserError(
        f"the rows of {folder.name} (train.jsonl with sha256 {str(sha256)[:12]}...) are not in "
        "outputs/collect or data/cpu; run collect.py with the same overrides, or restore data/ from git"
    )


def difference(seen, plan):
    """Return one sentence about the first step in which two lists of {"step", "ids"} differ, or None."""
    for number, (row, expected) in enumerate(zip(seen, plan, strict=False), 1):
        if row != expected:
            return f"step {number} is not as planned: it says {json.dumps(row)}, planned was {json.dumps(expected)}"
    if len(seen) != len(plan):
        return f"step {min(len(seen), len(plan)) + 1} is not as planned: {len(seen)} steps are there, planned were {len(plan)}"
    return None


def failed_early(folder):
    """Return whether a train run failed before it wrote an order; what is damaged is for `planned` to say."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        status = json.loads((folder / "status.json").read_text())
        return status.get("status") == "failed" and not (folder / "batches.jsonl").exists()
    return False


@user_errors
def main(*folders):
    """Print one line per train run and return 0, or 1 when the order of one differs."""
    if not folders:
        raise UserError(
            "no run is named; name the folders of train runs: python -m ponder.train.batches logs/train/*"
        )
    wrong = 0
    for folder in map(Path, folders):
        if failed_early(folder):
            print(f"{folder.name}: it failed before it came to a step")
            continue
        plan, sentence = planned(folder)
        differs = difference(read_jsonl(folder / "batches.jsonl"), plan)
        wrong += differs is not None
        print(f"{folder.name}: {differs or sentence}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(*map(os.path.abspath, sys.argv[1:])))
