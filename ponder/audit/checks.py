"""What a check returns, and how it reads records: each file once, and with a sentence for one that
cannot be read.
"""

import functools
import gzip
import hashlib
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ponder import rows
from ponder.config import yaml_value
from ponder.errors import RecordError
from ponder.rows import SampleRow
from ponder.runs import ROOT

CODE = Path(__file__).resolve().parents[2]  # the checkout of this code, whatever it looks at
STAGES = ("collect", "train", "evaluate")
DATA = ROOT / "data" / "cpu"


class Findings(NamedTuple):
    """What a check returns: what it looked at, in words with counts, and a sentence per problem.

    `claims` are the ids of the claims that are among the problems.
    """

    looked_at: str
    problems: list[str]
    claims: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """The answer of one check."""

    check: str
    # PASS | FAIL | UNSUPPORTED: cannot be told here | NOT_RUN: there is nothing to look at yet
    result: str
    looked_at: str  # what was looked at, with counts; for UNSUPPORTED and NOT_RUN why
    proves: str
    leaves_open: str  # what it does not prove
    problems: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()  # ids of the claims that are among the problems
    complete: bool = True  # whether the check came to its end


class Unsupported(Exception):
    """What a check asks cannot be told here; its text says why and what helps."""


def verdict_of(
    name: str, check: Callable[[], tuple[Any, ...]], proves: str, leaves_open: str
) -> Verdict:
    """Return the Verdict of a check that returns Findings, or a tuple of their first two values.

    Records that the check cannot read, or that lack what it needs, are a FAIL and no crash.
    """
    try:
        findings = Findings(*check())
    except Unsupported as why:
        return Verdict(name, "UNSUPPORTED", str(why), proves, leaves_open, complete=False)
    except Exception as error:  # records are hostile: whatever they bring up is a problem
        problem = str(error)
        if not isinstance(error, RecordError):
            problem = f"{type(error).__name__}: {problem[:200]}"
        looked_at = "stopped at a record that it could not read"
        return Verdict(name, "FAIL", looked_at, proves, leaves_open, (problem,), complete=False)
    return Verdict(
        check=name,
        result="FAIL" if findings.problems else "PASS",
        looked_at=findings.looked_at,
        proves=proves,
        leaves_open=leaves_open,
        problems=tuple(findings.problems),
        claims=tuple(findings.claims),
    )


def contents(path: Path) -> bytes:
    """Return the bytes of a file, read once, unpacked where it is packed; raises RecordError."""
    return _contents(path, stamp(path))


def stamp(path: Path) -> tuple[int, int]:
    """Return what tells a file from what it was: its time and size; zeros where it is not there."""
    try:
        state = path.stat()
    except OSError:
        return 0, 0
    return state.st_mtime_ns, state.st_size


@functools.cache
def _contents(path: Path, _: tuple[int, int]) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.name.endswith(".gz") else data
    except (OSError, EOFError, zlib.error) as error:  # BadGzipFile is an OSError
        raise RecordError(f"{shown(path)} cannot be read ({type(error).__name__})") from error


def read(path: Path) -> Any:
    """Return the value of a .json or .yaml file, or the rows of a .jsonl file, read once.

    Raises RecordError for a file that is not there or not of its form.
    """
    return _read(path, stamp(path))


@functools.cache
def _read(path: Path, _: tuple[int, int]) -> Any:
    text = contents(path)
    try:
        if ".jsonl" in path.name:
            return [json.loads(line) for line in text.splitlines()]
        if path.suffix in (".yaml", ".yml"):
            return yaml_value(text)
        return json.loads(text)
    except (ValueError, yaml.YAMLError) as error:
        first_line = str(error).splitlines()[0]
        raise RecordError(f"{shown(path)} is no {path.suffix[1:]} ({first_line})") from error


def samples(folder: Path) -> list[SampleRow]:
    """Return the answers of a released evaluate run, read once; raises RecordError."""
    path = rows.answers_path(folder)
    return _samples(path, stamp(path))


@functools.cache
def _samples(path: Path, _: tuple[int, int]) -> list[SampleRow]:
    name = shown(path)
    return [
        rows.row_of(SampleRow, values, f"{name} row {number}")
        for number, values in enumerate(read(path), 1)
    ]


class Digests(NamedTuple):
    """What a file hashes to."""

    blob: str  # the id that git gives to it
    sha256: str


def digests(path: Path) -> Digests:
    """Return what a file hashes to, read once; raises RecordError."""
    return _digests(path, stamp(path))


@functools.cache
def _digests(path: Path, _: tuple[int, int]) -> Digests:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{shown(path)} cannot be read ({type(error).__name__})") from error
    return Digests(blob(data), hashlib.sha256(data).hexdigest())


def blob(data: bytes) -> str:
    """Return the id that git gives to a file with these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def answers_file(folder: Path) -> str:
    """Return the file with the answers of an evaluation as seen from the repository."""
    return shown(rows.answers_path(folder))


def shown(path: Path) -> str:
    """Return a path as seen from the repository."""
    return Path(path).relative_to(ROOT).as_posix()


def runs(*stages: str) -> list[Path]:
    """Return the folders of the released runs of some stages, or of all."""
    return [
        path
        for stage in stages or STAGES
        for path in sorted((ROOT / "logs" / stage).glob("*"))
        if path.is_dir()
    ]


def status(folder: Path) -> dict[str, Any]:
    """Return status.json of a released run."""
    return read(folder / "status.json")


def completed(stage: str) -> list[Path]:
    """Return the folders of the released runs of a stage that came to their end."""
    return [folder for folder in runs(stage) if status(folder)["status"] == "completed"]


def released(folder: Path, key: str) -> dict[str, str]:
    """Return what released.json says under `moved`, `left_out` or `packed`, {} for nothing."""
    path = folder / "released.json"
    return read(path).get(key, {}) if path.exists() else {}


def groups() -> list[Path]:
    """Return the folders of data/ that hold data sets: one for each group of experiments."""
    return sorted({path.parents[1] for path in (ROOT / "data").glob("*/*/manifest.json")})


def tokenizers() -> list[Path]:
    """Return the released tokenizers, one for each of the groups of data sets that has one."""
    groups = (ROOT / "data").glob("*/tokenizer.json*")
    return sorted(path for path in groups if path.suffix in (".json", ".gz"))


def place(folder: Path, name: str) -> Path:
    """Return where a file of a released run lies: in its folder, or where it was moved to."""
    moved = released(folder, "moved")
    return ROOT / moved[name] if name in moved else folder / name
