"""Release one run: records to logs/, data and weights to data/. `make release RUN=outputs/train/cpu-1234abcd`

A failed run, and an abandoned one (whose status is still "running"), is released like any other: all it wrote goes to logs/,
under a manifest that is written here. Refuses what nobody could trust later: a run that is being written, one made from
uncommitted code, a file that is too large, a record that names a machine or a person, and a target that exists: released
folders never change. Weights that are too large stay where they are; the manifest keeps their hash, and released.json says
so. Refuses what may not be passed on: rows of a teacher whose terms do not allow it, unless a decision record says why they are
released all the same.
"""

import getpass
import gzip
import json
import re
import shutil
import socket
import sys
from pathlib import Path

import yaml

from ponder import runs
from ponder.collect import terms
from ponder.config import build
from ponder.errors import UserError, user_errors
from ponder.hashing import file_sha256
from ponder.questions import pools
from ponder.runs import ROOT, dump, read_jsonl

MEGABYTES, WEIGHT_MEGABYTES = 5, 20
# What goes to logs/; everything else of a collect or train run is data.
RECORDS = (
    "base.json",
    "batches.jsonl",
    "classifier.json",
    "config.yaml",
    "cost.json",
    "environment.json",
    "manifest.json",
    "metrics.jsonl",
    "status.json",
    "stdout.log",
    "teacher.json",
    "timing.jsonl",
)
PRIVATE = re.compile(
    r"/(home|root|Users|tmp|work)/|hf_[A-Za-z0-9]{20}|sk-[A-Za-z0-9]{20}|BEGIN [A-Z ]*PRIVATE KEY"
)


@user_errors
def main(run, override=None):
    """Copy the run; print where it went. `override` is the decision record that lets a data set past the teacher's terms."""
    folder = Path(run)
    manifest, status = checked(folder)
    completed = status["status"] == "completed"
    gate = may_be_passed_on(folder, status, override)
    experiment = status["name"].rsplit("-", 1)[0]
    target = ROOT / "logs" / status["stage"] / status["name"]
    if target.exists():
        raise UserError(
            f"{target.relative_to(ROOT)} exists, and released folders never change; release another run"
        )
    data = ROOT / "data" / "cpu" / experiment
    left_out = {
        name: f"{entry['bytes'] / 2**20:.0f} MB of weights, a release has at most {WEIGHT_MEGABYTES}"
        for name, entry in manifest["files"].items()
        if too_heavy(name, entry)
    }
    names = [name for name in (*manifest["files"], "manifest.json") if name not in left_out]
    records = RECORDS if completed and status["stage"] != "evaluate" else names
    places = {name: target / name if name in records else data / name for name in names}
    if there := next((to for to in places.values() if to.exists()), None):
        raise UserError(
            f"{there.relative_to(ROOT)} exists, and released files never change; release under another name"
        )
    moved = {}
    for name, to in places.items():
        to.parent.mkdir(parents=True, exist_ok=True)
        if name == "manifest.json" and not completed:  # it did not come to write one
            to.write_text(dump(manifest, indent=1))
        else:
            shutil.copyfile(folder / name, to)
        if to.is_relative_to(data):
            moved[name] = to.relative_to(ROOT).as_posix()
    if moved or left_out:
        (target / "released.json").write_text(
            dump({"schema": 1, "moved": moved, "left_out": left_out}, indent=1)
        )
    if moved:
        write_data_manifest(data, status["name"], moved, gate)
    if status["stage"] == "evaluate":
        copy_readings(folder.parent.parent / "test-readings.jsonl")
    also = f" and {data.relative_to(ROOT)}" if moved else ""
    print(f"released {status['name']} ({status['status']}) -> {target.relative_to(ROOT)}{also}")
    for name, why in left_out.items():
        print(f"left out {name}: {why}")


def too_heavy(name, entry):
    """Whether a file of a manifest is weights of a size that a release leaves out."""
    return name.endswith(".safetensors") and entry["bytes"] > WEIGHT_MEGABYTES * 2**20


def checked(folder):
    """Return (manifest, status) of a run that may be released; raises UserError for one that may not."""
    if not (folder / "status.json").exists():
        raise UserError(
            f"{folder} has no status.json, so it is no run; name a folder that a script wrote under outputs/"
        )
    if runs.being_written(folder):
        raise UserError(f"{folder} is being written by its script; let that finish, or stop it")
    status = json.loads((folder / "status.json").read_text())
    if (folder / "manifest.json").exists():
        manifest = json.loads((folder / "manifest.json").read_text())
    elif status["status"] == "completed":
        raise UserError(
            f"{folder} was killed while its manifest was written; run its script again, which goes on from there"
        )
    else:
        manifest = runs.manifest(folder, status["name"], status["inputs"])
    if any(entry["dirty"] is not False for entry in status["commits"]):
        raise UserError(
            f"{status['name']} was made from uncommitted code; commit, delete {folder} and run it again"
        )
    names = {socket.gethostname(), getpass.getuser()} - {"root", "user", "localhost"}
    for name, entry in manifest["files"].items():
        if file_sha256(folder / name) != entry["sha256"]:
            raise UserError(
                f"{folder / name} is not what its manifest says; delete the folder and run it again"
            )
        if entry["bytes"] > MEGABYTES * 2**20 and not name.endswith(".safetensors"):
            raise UserError(
                f"{name} has {entry['bytes'] / 2**20:.1f} MB, but a released file has at most {MEGABYTES}"
            )
        text = "" if name.endswith(".safetensors") else plain_text(folder / name)
        if found := PRIVATE.search(text) or next((n for n in names if n in text), None):
            raise UserError(
                f"{name} holds {found if isinstance(found, str) else found.group()!r}, which names a machine, "
                "a person or a key; remove its source and run again"
            )
    return manifest, status


def plain_text(path):
    """Return the text of a record, unpacked where it is packed."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.name.endswith(".gz") else data).decode()


def may_be_passed_on(folder, status, override):
    """Return what the data's manifest says of the right to release, {} where nothing is passed on.

    Raises UserError for rows whose teacher's terms are restricted or unclear and no decision record overrides that,
    for sources whose revision nobody has read, and for weights whose rows are not released (what they were distilled
    from would be hidden).
    """
    config = yaml.safe_load((folder / "config.yaml").read_text())
    if status["stage"] == "train":
        rows = status["inputs"]["train.jsonl"]
        known = [
            path
            for path in sorted((ROOT / "data").glob("*/*/train.jsonl"))
            if file_sha256(path) == rows
        ]
        if not known:
            raise UserError(
                f"{status['name']} was trained on rows that are not released; release its collect run first"
            )
    if status["stage"] != "collect":
        return {}
    if config["questions"].get("kind") == "hub":
        pools.check_resolved(build(pools.HubPool, config["questions"]))
    teacher = config["teacher"]
    gate, why = (
        {"teacher": teacher["name"], "terms": teacher["terms"]},
        terms.refusal(teacher["terms"]),
    )
    if why and not override:
        raise UserError(
            f"{status['name']} is not released: {why}; write a decision record that says why it may be, and give it: "
            "make release RUN=... OVERRIDE=logs/decisions/NNNN-....md"
        )
    if why:
        record = (ROOT / override).resolve()
        if record.parent != ROOT / "logs" / "decisions" or not record.is_file():
            raise UserError(f"{override} is no decision record; give one of logs/decisions/")
        gate["override"] = {
            "decision": record.relative_to(ROOT).as_posix(),
            "sha256": file_sha256(record),
            "refused": why,
        }
    return gate


def write_data_manifest(data, run, moved, gate):
    """Add the files of a run to the manifest of its data folder, and under what terms they are passed on."""
    path = data / "manifest.json"
    manifest = (
        json.loads(path.read_text()) if path.exists() else {"schema": 1, "files": {}}
    ) | gate
    for name, place in moved.items():
        manifest["files"][name] = {
            "run": run,
            "sha256": file_sha256(ROOT / place),
            "bytes": (ROOT / place).stat().st_size,
        }
    path.write_text(dump(manifest, indent=1))


def copy_readings(path):
    """Add every reading of the test split that is not there yet to logs/test-readings.jsonl, released or not."""
    kept = ROOT / "logs" / "test-readings.jsonl"
    known = read_jsonl(kept) if kept.exists() else []
    new = [row for row in (read_jsonl(path) if path.exists() else []) if row not in known]
    kept.write_text("".join(dump(row) for row in known + new))


if __name__ == "__main__":
    main(*sys.argv[1:])
