"""Release one run: records to logs/, data and weights to data/.

    make release RUN=outputs/train/cpu-1234abcd

A failed run, and an abandoned one (whose status is still "running"), is released like any other:
all it wrote goes to logs/, under a manifest that is written here. Refuses what nobody could trust
later: a run that is being written, one made from uncommitted code, a file that is too large, a
record that names a machine or a person, and a target that exists: released folders never change.
Weights that are too large stay where they are; the manifest keeps their hash, and released.json
says so. Refuses what may not be passed on: rows of a teacher whose terms do not allow it, unless a
decision record says why they are released all the same.
"""

import getpass
import gzip
import json
import re
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

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
def main(run: str, override: str | None = None) -> None:
    """Copy the run and print where it went. `override` is the decision record that lets a data set
    past the teacher's terms.
    """
    folder = Path(run)
    manifest, status = checked(folder)
    terms_entry = may_be_passed_on(folder, status, override)
    target = ROOT / "logs" / status["stage"] / status["name"]
    if target.exists():
        raise UserError(
            f"{target.relative_to(ROOT)} exists, and released folders never change; release "
            "another run"
        )
    data = ROOT / "data" / "cpu" / status["name"].rsplit("-", 1)[0]
    left_out = too_heavy(manifest)
    places = planned_places(manifest, status, left_out, target, data)
    moved = copy_files(folder, manifest, places, data)
    if moved or left_out:
        record = {"schema": 1, "moved": moved, "left_out": left_out}
        (target / "released.json").write_text(dump(record, indent=1))
    if moved:
        write_data_manifest(data, status["name"], moved, terms_entry)
    if status["stage"] == "evaluate":
        copy_readings(folder.parent.parent / "test-readings.jsonl")
    also = f" and {data.relative_to(ROOT)}" if moved else ""
    print(f"released {status['name']} ({status['status']}) -> {target.relative_to(ROOT)}{also}")
    for name, why in left_out.items():
        print(f"left out {name}: {why}")


def too_heavy(manifest: dict[str, Any]) -> dict[str, str]:
    """Return {name: why} of the weights of a manifest that a release leaves out for their size."""
    return {
        name: f"{entry['bytes'] / 2**20:.0f} MB of weights, a release has at most "
        f"{WEIGHT_MEGABYTES}"
        for name, entry in manifest["files"].items()
        if name.endswith(".safetensors") and entry["bytes"] > WEIGHT_MEGABYTES * 2**20
    }


def planned_places(
    manifest: dict[str, Any],
    status: dict[str, Any],
    left_out: dict[str, str],
    target: Path,
    data: Path,
) -> dict[str, Path]:
    """Return {name of a file of a run: where its release goes}: records to the target, the rest to
    the data folder; of an evaluation and of a run that came to no end all to the target.

    Raises UserError where one exists.
    """
    names = [name for name in (*manifest["files"], "manifest.json") if name not in left_out]
    all_are_records = status["status"] != "completed" or status["stage"] == "evaluate"
    places = {
        name: target / name if all_are_records or name in RECORDS else data / name for name in names
    }
    for path in places.values():
        if path.exists():
            raise UserError(
                f"{path.relative_to(ROOT)} exists, and released files never change; release under "
                "another name"
            )
    return places


def copy_files(
    folder: Path, manifest: dict[str, Any], places: dict[str, Path], data: Path
) -> dict[str, str]:
    """Copy the files of a run; return {name: place} of those that went to the data folder."""
    moved = {}
    for name, path in places.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if (folder / name).exists():
            shutil.copyfile(folder / name, path)
        else:  # the manifest of a run that did not come to write one
            assert name == "manifest.json"
            path.write_text(dump(manifest, indent=1))
        if path.is_relative_to(data):
            moved[name] = path.relative_to(ROOT).as_posix()
    return moved


def checked(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (manifest, status) of a run that may be released; raises UserError for one that may
    not.
    """
    if not (folder / "status.json").exists():
        raise UserError(
            f"{folder} has no status.json, so it is no run; name a folder that a script wrote "
            "under outputs/"
        )
    if runs.being_written(folder):
        raise UserError(f"{folder} is being written by its script; let that finish, or stop it")
    status = json.loads((folder / "status.json").read_text())
    if (folder / "manifest.json").exists():
        manifest = json.loads((folder / "manifest.json").read_text())
    elif status["status"] == "completed":
        raise UserError(
            f"{folder} was killed while its manifest was written; run its script again, which goes "
            "on from there"
        )
    else:
        manifest = runs.manifest(folder, status["name"], status["inputs"])
    if any(entry["dirty"] is not False for entry in status["commits"]):
        raise UserError(
            f"{status['name']} was made from uncommitted code; commit, delete {folder} and run it "
            "again"
        )
    for name, entry in manifest["files"].items():
        check_file(folder / name, name, entry)
    return manifest, status


def check_file(path: Path, name: str, entry: dict[str, Any]) -> None:
    """Raise UserError for a file that is not as its manifest says, too large, or private."""
    if file_sha256(path) != entry["sha256"]:
        raise UserError(f"{path} is not what its manifest says; delete the folder and run it again")
    if name.endswith(".safetensors"):
        return
    if entry["bytes"] > MEGABYTES * 2**20:
        raise UserError(
            f"{name} has {entry['bytes'] / 2**20:.1f} MB, but a released file has at most "
            f"{MEGABYTES}"
        )
    if private := private_text(plain_text(path)):
        raise UserError(
            f"{name} holds {private!r}, which names a machine, a person or a key; remove its "
            "source and run again"
        )


def private_text(text: str) -> str | None:
    """Return what in a text names a machine, a person or a key, or None."""
    if match := PRIVATE.search(text):
        return match.group()
    names = {socket.gethostname(), getpass.getuser()} - {"root", "user", "localhost"}
    return next((name for name in names if name in text), None)


def plain_text(path: Path) -> str:
    """Return the text of a record, unpacked where it is packed."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.name.endswith(".gz") else data).decode()


def may_be_passed_on(folder: Path, status: dict[str, Any], override: str | None) -> dict[str, Any]:
    """Return what the data's manifest says of the right to release, {} where nothing is passed on.

    Raises UserError for rows whose teacher's terms are restricted or unclear and no decision record
    overrides that, for sources whose revision nobody has read, and for weights whose rows are not
    released (what they were distilled from would be hidden).
    """
    config = yaml.safe_load((folder / "config.yaml").read_text())
    if status["stage"] == "train":
        check_rows_are_released(status)
    if status["stage"] != "collect":
        return {}
    if config["questions"].get("kind") == "hub":
        pools.check_resolved(build(pools.HubPool, config["questions"]))
    teacher = config["teacher"]
    entry = {"teacher": teacher["name"], "terms": teacher["terms"]}
    why = terms.refusal(teacher["terms"])
    if why and not override:
        raise UserError(
            f"{status['name']} is not released: {why}; write a decision record that says why it "
            "may be, and give it: make release RUN=... OVERRIDE=logs/decisions/NNNN-....md"
        )
    if why and override:
        entry["override"] = overriding(override, why)
    return entry


def check_rows_are_released(status: dict[str, Any]) -> None:
    """Raise UserError unless the rows that a training read lie in data/."""
    digest = status["inputs"]["train.jsonl"]
    paths = (ROOT / "data").glob("*/*/train.jsonl")
    if not any(file_sha256(path) == digest for path in paths):
        raise UserError(
            f"{status['name']} was trained on rows that are not released; release its collect run "
            "first"
        )


def overriding(override: str, refusal: str) -> dict[str, str]:
    """Return what a data manifest says of the decision record that overrides a refusal; raises
    UserError for another file.
    """
    record = (ROOT / override).resolve()
    if record.parent != ROOT / "logs" / "decisions" or not record.is_file():
        raise UserError(f"{override} is no decision record; give one of logs/decisions/")
    return {
        "decision": record.relative_to(ROOT).as_posix(),
        "sha256": file_sha256(record),
        "refused": refusal,
    }


def write_data_manifest(
    data: Path, run: str, moved: dict[str, str], terms_entry: dict[str, Any]
) -> None:
    """Add the files of a run to the manifest of its data folder, and under what terms they are
    passed on.
    """
    path = data / "manifest.json"
    manifest: dict[str, Any] = {"schema": 1, "files": {}}
    if path.exists():
        manifest = json.loads(path.read_text())
    manifest |= terms_entry
    for name, place in moved.items():
        manifest["files"][name] = {
            "run": run,
            "sha256": file_sha256(ROOT / place),
            "bytes": (ROOT / place).stat().st_size,
        }
    path.write_text(dump(manifest, indent=1))


def copy_readings(path: Path) -> None:
    """Add every reading of the test split that is not there yet to logs/test-readings.jsonl,
    released or not.
    """
    record = ROOT / "logs" / "test-readings.jsonl"
    known = read_jsonl(record) if record.exists() else []
    readings = read_jsonl(path) if path.exists() else []
    new = [row for row in readings if row not in known]
    record.write_text("".join(dump(row) for row in known + new))


if __name__ == "__main__":
    main(*sys.argv[1:])
