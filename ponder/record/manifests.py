"""What a finished run consists of: its manifest, and whether its files are still what it says."""

import json
from pathlib import Path
from typing import Any

from ponder.errors import RecordError
from ponder.hashing import file_sha256, files_sha256

# Of a run. 2: its inputs name the files of the base model and adapter_config.json (decision 0033).
SCHEMA = 2
# What a run resumes from, files and folders by their patterns; gone once its manifest is written.
SCRATCH = ("checkpoint-*", "generations.jsonl", "calls.jsonl")
# Files that differ between equal runs.
NOT_REPRODUCED = ("cost.json", "environment.json", "status.json", "stdout.log", "timing.jsonl")
PART = ".part"  # ends the name of a file that was being written


def scratch(folder: Path) -> list[Path]:
    """Return the paths in a run folder that a run resumes from."""
    return [path for pattern in SCRATCH for path in folder.glob(pattern)]


def manifest(folder: Path, name: str, inputs: dict[str, str]) -> dict[str, Any]:
    """Return the manifest of a run folder: each file with its hash and size.

    The manifest itself, what a run resumes from and what a kill left half written are not in it.
    """
    left_out = {folder / "manifest.json", *scratch(folder)}
    entries = {}
    for path in sorted(folder.rglob("*")):
        kept = left_out.isdisjoint((path, *path.parents)) and path.suffix != PART
        if path.is_file() and kept:
            entries[path.relative_to(folder).as_posix()] = {
                "sha256": file_sha256(path),
                "bytes": path.stat().st_size,
                "reproducible": path.name not in NOT_REPRODUCED,
            }
    return {"schema": SCHEMA, "name": name, "inputs": inputs, "files": entries}


def is_finished(folder: Path, name: str, inputs: dict[str, str], stamps: Path) -> bool:
    """Return whether a run was finished: its manifest is whole, and so is what it lists.

    A manifest that a crash left empty, cut short, or with a half-written file in it, is none: such
    a run is made again. Raises RecordError for a run whose files or inputs were changed afterwards.
    """
    files = _files(folder / "manifest.json", name, inputs)
    if files is None:
        return False
    paths = {file: folder / file for file in files}
    missing = [file for file, path in paths.items() if not path.is_file()]
    digests = files_sha256([path for path in paths.values() if path.is_file()], stamps)
    changed = [f for f, path in paths.items() if digests.get(path) != files[f]["sha256"]]
    if changed:
        what = "is missing" if changed[0] in missing else "is not what its manifest says"
        raise RecordError(
            f"{folder / changed[0]} {what}, and nothing may be made of it; restore it, or delete "
            f"{folder} to make the run again"
        )
    return True


def _files(path: Path, name: str, inputs: dict[str, str]) -> dict[str, Any] | None:
    """Return the entries of a manifest, None where no run came to write a whole one."""
    try:
        record = json.loads(path.read_text())
        files, identity = record["files"], (record["name"], record["inputs"])
        is_whole = all(
            isinstance(entry["sha256"], str) and not file.endswith(PART)
            for file, entry in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not (files and is_whole):
        return None
    if identity != (name, inputs):
        raise RecordError(
            f"{path} is of another run or of other inputs than {name}; restore it, or delete "
            f"{path.parent} to make the run again"
        )
    return files
