"""Release one run: records to logs/, data and weights to data/.

    make release RUN=outputs/train/cpu-1234abcd

A failed run, and an abandoned one (whose status is still "running"), is released like any other:
all it wrote goes to logs/, under a manifest that is written here. Refuses what nobody could trust
later: a run that is being written, one made from uncommitted code, a file that is too large, a
record that names a machine or a person, and a target that exists: released folders never change.
Answers of an evaluation that are too large are packed.
Weights that are too large stay where they are; the manifest keeps their hash, and released.json
says so. Refuses what may not be passed on: rows of a teacher whose terms do not allow it, unless a
decision record says why they are released all the same.
"""

import gzip
import hashlib
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from ponder import runs
from ponder.collect import terms
from ponder.config import build
from ponder.errors import RecordError, UserError, user_errors
from ponder.hashing import file_sha256
from ponder.questions import pools
from ponder.record import leaks
from ponder.release import staging
from ponder.rows import ANSWERS
from ponder.runs import ROOT, dump, read_jsonl

MEGABYTES, WEIGHT_MEGABYTES = 5, 20
QUESTIONS = "questions.jsonl"  # of an evaluation, see ponder/evaluate/results.py
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


@user_errors
def main(run: str, override: str | None = None) -> None:
    """Copy the run and print where it went. `override` is the decision record that lets a data set
    past the teacher's terms.

    The folder in logs/ comes last and at once: killed before, the same command releases the run.
    """
    folder = Path(run)
    manifest, status = checked(folder)
    listed = manifest["files"]
    manifest, packed = with_packed_answers(folder, manifest)
    terms_entry = may_be_passed_on(folder, status, override)
    target = ROOT / "logs" / status["stage"] / status["name"]
    if target.exists():
        raise UserError(
            f"{target.relative_to(ROOT)} exists, and released folders never change; release "
            "another run"
        )
    data = ROOT / "data" / group_of(folder, status) / status["name"].rsplit("-", 1)[0]
    left_out = not_released(manifest)
    places = planned_places(manifest, status, left_out, target, data)
    moved = {
        name: path.relative_to(ROOT).as_posix()
        for name, path in places.items()
        if path.is_relative_to(data)
    }
    with staging.aside(ROOT) as staged:
        copy_files(folder, manifest, places, packed, staged)
        if moved or left_out or packed:
            record = {"schema": 1, "moved": moved, "left_out": left_out}
            if packed:
                record["packed"] = {ANSWERS: listed[ANSWERS]["sha256"]}
            name = (target / "released.json").relative_to(ROOT).as_posix()
            staging.write(staged, name, dump(record, indent=1))
        names = list(moved.values())
        if moved:
            names.append(write_data_manifest(staged, data, status["name"], moved, terms_entry))
        if status["stage"] == "evaluate":
            names.append(write_readings(staged, folder.parent.parent / "test-readings.jsonl"))
        check_nothing_private(staged)
        for name in (*names, target.relative_to(ROOT).as_posix()):
            staging.put(staged, ROOT, name)
    also = f" and {data.relative_to(ROOT)}" if moved else ""
    print(f"released {status['name']} ({status['status']}) -> {target.relative_to(ROOT)}{also}")
    for name, why in left_out.items():
        print(f"left out {name}: {why}")


def with_packed_answers(
    folder: Path, manifest: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the manifest of a release and {name: bytes} of what is packed in it: the answers of an
    evaluation where they are too large for a released file.

    Raises UserError where they are too large even then, or changed since they were checked.
    """
    entry = manifest["files"].get(ANSWERS)
    if entry is None or entry["bytes"] <= MEGABYTES * 2**20:
        return manifest, {}
    answers = (folder / ANSWERS).read_bytes()
    if hashlib.sha256(answers).hexdigest() != entry["sha256"]:
        raise UserError(f"{folder / ANSWERS} changed while it was packed; run this again")
    data = gzip.compress(answers, mtime=0)
    name = f"{ANSWERS}.gz"
    entry = entry | {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    check_size(name, entry)
    files = {other: value for other, value in manifest["files"].items() if other != ANSWERS}
    return manifest | {"files": dict(sorted({**files, name: entry}.items()))}, {name: data}


def group_of(folder: Path, status: dict[str, Any]) -> str:
    """Return the folder of data/ that a run's data goes to: that of the questions of a collection,
    if they lie in data/, and of the rows of a training; else cpu.
    """
    if status["stage"] == "train":
        return released_rows(status).parents[1].name
    config = yaml.safe_load((folder / "config.yaml").read_text())
    directory = config.get("questions", {}).get("dir") or ""
    match = re.fullmatch(r"data/([^/]+)/[^/]+", directory)
    return match[1] if match else "cpu"


def not_released(manifest: dict[str, Any]) -> dict[str, str]:
    """Return {name: why} of the files of a manifest that a release leaves out: the text of a public
    benchmark, and weights that are too large.
    """
    texts = {
        name: "questions and answers of a public benchmark, which are not ours to publish"
        for name in manifest["files"]
        if name == QUESTIONS
    }
    return texts | {
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

    Raises UserError where one exists that this very release did not write before it was killed.
    """
    names = [name for name in (*manifest["files"], "manifest.json") if name not in left_out]
    all_are_records = status["status"] != "completed" or status["stage"] == "evaluate"
    places = {
        name: target / name if all_are_records or name in RECORDS else data / name for name in names
    }
    released = data_manifest(data)["files"]
    for name, path in places.items():
        is_of_this_run = released.get(name, {"run": status["name"]})["run"] == status["name"]
        if path.exists() and not (is_of_this_run and is_as_listed(path, manifest, name)):
            raise UserError(
                f"{path.relative_to(ROOT)} exists, and released files never change; release under "
                "another name"
            )
    return places


def is_as_listed(path: Path, manifest: dict[str, Any], name: str) -> bool:
    """Return whether a file has the hash that a manifest gives under a name."""
    return file_sha256(path) == manifest["files"].get(name, {}).get("sha256")


def copy_files(
    folder: Path,
    manifest: dict[str, Any],
    places: dict[str, Path],
    packed: dict[str, bytes],
    staged: Path,
) -> None:
    """Copy the files of a run aside, and write those that are `packed`; raises UserError for one
    that changed since it was checked.
    """
    for name, path in places.items():
        copy = staged / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if name in packed:
            copy.write_bytes(packed[name])
        elif name == "manifest.json" and whole_json(folder / name) != manifest:
            copy.write_text(dump(manifest, indent=1))  # packed, or the run did not come to write it
        else:
            shutil.copyfile(folder / name, copy)
        if name in manifest["files"] and not is_as_listed(copy, manifest, name):
            raise UserError(f"{folder / name} changed while it was copied; run this again")


def check_nothing_private(staged: Path) -> None:
    """Raise UserError for a file written aside that holds what must not be passed on, or whose name
    does.
    """
    for path in sorted(staged.rglob("*")):
        if path.is_file():
            name = path.relative_to(staged).as_posix()
            check_text(f"the name {name!r:.80}", name)
            check_text(name, leaks.text_of(path))


def check_text(what: str, text: str) -> None:
    """Raise UserError for a text that holds what must not be passed on."""
    if private := leaks.found_in(text):
        raise UserError(f"{what} holds {private}; remove its source and run again")


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
    status = whole_json(folder / "status.json")
    if status is None:
        raise UserError(f"{folder}/status.json is not whole; run its script again")
    manifest = whole_json(folder / "manifest.json")
    if manifest is None and status["status"] == "completed":
        raise UserError(
            f"{folder} was killed while its manifest was written; run its script again, which goes "
            "on from there"
        )
    if manifest is None:
        manifest = runs.manifest(folder, status["name"], status["inputs"])
    if any(entry["dirty"] is not False for entry in status["commits"]):
        raise UserError(
            f"{status['name']} was made from uncommitted code; commit, delete {folder} and run it "
            "again"
        )
    for name, entry in manifest["files"].items():
        check_file(folder / name, name, entry)
    return manifest, status


def whole_json(path: Path) -> dict[str, Any] | None:
    """Return what a JSON file holds, None where there is none or a kill cut it short."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def check_file(path: Path, name: str, entry: dict[str, Any]) -> None:
    """Raise UserError for a file that is not as its manifest says, too large, or private."""
    if file_sha256(path) != entry["sha256"]:
        raise UserError(f"{path} is not what its manifest says; delete the folder and run it again")
    if name != ANSWERS:  # of an evaluation, packed where they are large
        check_size(name, entry)
    check_text(name, leaks.text_of(path))


def check_size(name: str, entry: dict[str, Any]) -> None:
    """Raise UserError for a file that is too large to be released; weights are then left out."""
    if not name.endswith(".safetensors") and entry["bytes"] > MEGABYTES * 2**20:
        raise UserError(
            f"{name} has {entry['bytes'] / 2**20:.1f} MB, but a released file has at most "
            f"{MEGABYTES}"
        )


def may_be_passed_on(folder: Path, status: dict[str, Any], override: str | None) -> dict[str, Any]:
    """Return what the data's manifest says of the right to release, {} where nothing is passed on.

    Raises UserError for rows whose teacher's terms are restricted or unclear and no decision record
    overrides that, for sources whose revision nobody has read, and for weights whose rows are not
    released (what they were distilled from would be hidden).
    """
    config = yaml.safe_load((folder / "config.yaml").read_text())
    if status["stage"] == "train":
        released_rows(status)
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


def released_rows(status: dict[str, Any]) -> Path:
    """Return the file in data/ that holds the rows that a training read; raises UserError where
    there is none.

    Of several with the same bytes it is that of the experiment itself.
    """
    digest = status["inputs"]["train.jsonl"]
    paths = sorted((ROOT / "data").glob("*/*/train.jsonl"))
    same = [path for path in paths if file_sha256(path) == digest]
    if not same:
        raise UserError(
            f"{status['name']} was trained on rows that are not released; release its collect run "
            "first"
        )
    name = status["name"].rsplit("-", 1)[0]
    return next((path for path in same if path.parent.name == name), same[0])


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


def data_manifest(data: Path) -> dict[str, Any]:
    """Return the manifest of a data folder, an empty one where there is none."""
    path = data / "manifest.json"
    if not path.exists():
        return {"schema": 1, "files": {}}
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise RecordError(f"{path} is no JSON ({error}); restore it from git") from error


def write_data_manifest(
    staged: Path, data: Path, run: str, moved: dict[str, str], terms_entry: dict[str, Any]
) -> str:
    """Write aside the manifest of a data folder with the files of a run, and under what terms they
    are passed on; return its place.
    """
    manifest = data_manifest(data) | terms_entry
    for name, place in moved.items():
        manifest["files"][name] = {
            "run": run,
            "sha256": file_sha256(staged / place),
            "bytes": (staged / place).stat().st_size,
        }
    place = (data / "manifest.json").relative_to(ROOT).as_posix()
    staging.write(staged, place, dump(manifest, indent=1))
    return place


def write_readings(staged: Path, path: Path) -> str:
    """Write aside logs/test-readings.jsonl with every reading of the test split, released or not;
    return its place.
    """
    place = "logs/test-readings.jsonl"
    known = read_jsonl(ROOT / place) if (ROOT / place).exists() else []
    readings = read_jsonl(path, tolerate_cut=True) if path.exists() else []
    new = [row for row in readings if row not in known]
    staging.write(staged, place, "".join(dump(row) for row in known + new))
    return place


if __name__ == "__main__":
    main(*sys.argv[1:])
