"""The drawn questions of an experiment: their configuration, and reading them back verified.

How they are drawn is ponder/questions/drawing.py.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ponder.config import Name, at_least, build, check_choice
from ponder.errors import UserError
from ponder.hashing import file_sha256
from ponder.questions.families import FAMILIES
from ponder.questions.family import Family

SCHEMA = 1
KEYS_PER_ROW = 20
TRAINED_SPLITS = ("pool", "probe", "dev", "test")
TRANSFER_SPLITS = ("dev", "test")


def question_id(text: str) -> str:
    """Return 16 hex digits that name a question text, whatever its case and white space."""
    return hashlib.sha256(" ".join(text.lower().split()).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Question:
    """One question.

    `id` hashes its text, `key` is shared by all of its wordings, `facts` feed the solver. `family`
    is the generator or data set that it comes from; `answer` and `domain` are "" where they are not
    known.
    """

    id: str
    family: str
    question: str
    answer: str
    key: str
    facts: dict[str, Any]
    domain: str = ""


# What a drawn file holds; the domain of a drawn question is its family.
FIELDS: dict[str, type] = {
    "id": str,
    "family": str,
    "question": str,
    "answer": str,
    "key": str,
    "facts": dict,
}


@dataclass(frozen=True)
class Counts:
    """Rows of each family in each split, 0 for a split that is not drawn.

    A transfer family has only dev and test.
    """

    pool: int
    probe: int
    dev: int
    test: int

    def __post_init__(self) -> None:
        at_least(1, "questions.counts", self, "pool")
        at_least(0, "questions.counts", self, "probe", "dev", "test")


@dataclass(frozen=True)
class FamilySpec:
    """What the configuration says about one family."""

    origin: str
    trained: bool
    params: dict[str, Any]


@dataclass(frozen=True)
class Questions:
    """The configuration of drawn questions (conf/questions).

    Raises UserError for a family or a parameter that does not exist.
    """

    kind: Literal["drawn"]
    name: Name
    dir: str
    source: Literal["committed", "draw"]
    without: str | None
    limit: int | None
    seed: int
    counts: Counts
    families: dict[str, Any]
    left_out: tuple[str, ...] = ()  # families whose pool rows nobody is asked
    # A traces.jsonl: only questions that it answers, and wrongly, are asked; null: all.
    wrong_in: str | None = None

    def __post_init__(self) -> None:
        if self.limit is not None:
            at_least(1, "questions", self, "limit")
        for family in self.left_out:
            check_choice("questions.left_out", family, tuple(self.families))
        for family, node in self.families.items():
            where = f"questions.families.{family}"
            check_choice(where, family, tuple(FAMILIES))
            spec = build(FamilySpec, node, where)
            check_choice(f"{where}.origin", spec.origin, (FAMILIES[family].origin,))
            _check_params(where, spec.params, FAMILIES[family])

    def spec(self, family: str) -> FamilySpec:
        """Return the FamilySpec of one configured family."""
        return build(FamilySpec, self.families[family], f"questions.families.{family}")


def _check_params(where: str, params: Mapping[str, Any], family: Family) -> None:
    if sorted(params) != sorted(family.params):
        raise UserError(
            f"{where}.params has {', '.join(sorted(params))}, but must have exactly: "
            f"{', '.join(family.params)}"
        )
    for name, value in params.items():
        if type(value) is not int or value < 0:
            raise UserError(
                f"{where}.params.{name} is {value!r}, but must be a whole number of 0 or more"
            )
        if value > family.most.get(name, value):
            raise UserError(
                f"{where}.params.{name} is {value}, but must be at most {family.most[name]}"
            )
        largest = params.get(name.replace("min_", "max_", 1))
        if type(largest) is int and value > largest:
            raise UserError(
                f"{where}.params.{name} is {value}, but must not exceed its maximum {largest}"
            )


# --- reading ---------------------------------------------------------------------------


def read_manifest(directory: Path | str) -> dict[str, Any]:
    """Return the manifest of a drawn directory, or raise UserError if there is none to rely on."""
    path = Path(directory) / "manifest.json"
    try:
        manifest = json.loads(path.read_bytes())
        known = manifest["schema"] == SCHEMA
        known = known and all("sha256" in entry for entry in manifest["files"].values())
    except FileNotFoundError as error:
        raise UserError(
            f"{path} does not exist: restore the committed questions, or draw them with collect.py "
            "and questions.source=draw"
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path} is no readable manifest ({error!r}): restore it or draw again"
        ) from error
    if not known:
        raise UserError(f"{path} is not a manifest of schema {SCHEMA}: restore it or draw again")
    return manifest


def inputs(directory: Path | str, names: Iterable[str]) -> dict[str, str]:
    """Return {name: sha256} of some files of a drawn directory, to identify a run that reads them.

    Raises UserError for one that is missing, or is not the one the manifest was written for.
    """
    entries = read_manifest(directory)["files"]
    digests = {}
    for name in names:
        path, digest = Path(directory) / name, entries[name]["sha256"]
        if not path.is_file() or file_sha256(path) != digest:
            raise UserError(
                f"{path} is not the file that the manifest was written for: restore it or draw "
                "again"
            )
        digests[name] = digest
    return digests


def check_drawn(spec: Questions) -> None:
    """Raise UserError unless spec.dir was drawn with this seed, these counts and families."""
    manifest = read_manifest(spec.dir)
    comparisons = {
        "seed": (spec.seed, manifest["seed"]),
        "counts": (dataclasses.asdict(spec.counts), manifest["counts"]),
        "families": (_drawn_by(spec.families), _drawn_by(manifest["families"])),
        "without": (spec.without, manifest.get("without")),
    }
    for key, (configured, recorded) in comparisons.items():
        if configured != recorded:
            raise UserError(
                f"questions.{key} is not what {spec.dir} was drawn with; leave it as committed, or "
                "draw anew with questions.source=draw questions.dir=outputs/questions"
            )


def _drawn_by(families: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what of each family's entry decides which questions are drawn."""
    return {
        name: {"trained": entry["trained"], "params": entry["params"]}
        for name, entry in families.items()
    }


def read_split(directory: Path | str, split: str) -> list[Question]:
    """Return the questions of one split, all families of dev and test in the order of their files.

    Raises UserError, with path and line, for a missing file, a line that is no question, or a file
    that is not the one the manifest was written for.
    """
    check_choice("split", split, TRAINED_SPLITS)
    entries = read_manifest(directory)["files"]
    names = [
        name for name in sorted(entries) if name == f"{split}.jsonl" or name.startswith(f"{split}/")
    ]
    if not names:
        raise UserError(
            f"{Path(directory) / 'manifest.json'} lists no file of split {split!r}: draw again"
        )
    questions = []
    for name in names:
        questions += _read_file(Path(directory) / name, entries[name]["sha256"])
    return questions


def _read_file(path: Path, sha256: str) -> list[Question]:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(
            f"{path} does not exist: restore the committed questions, or draw them with collect.py "
            "and questions.source=draw"
        ) from error
    # Lines before the hash, so that a cut-off file is reported with the line where it ends.
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    questions = [_read_row(path, number, line) for number, line in enumerate(lines, start=1)]
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise UserError(
            f"{path}, line {len(lines)} (its last): the file has sha256 {digest[:16]}..., but the "
            f"manifest says {sha256[:16]}...: restore the file or draw again"
        )
    return questions


def _read_row(path: Path, number: int, line: bytes) -> Question:
    where = f"{path}, line {number}"
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(
            f"{where} is not whole JSON ({error}): restore the file or draw again"
        ) from error
    if not isinstance(row, dict):
        raise UserError(f"{where} is no JSON object: restore the file or draw again")
    for name, kind in FIELDS.items():
        if not isinstance(row.get(name), kind):
            raise UserError(
                f"{where} has no field {name!r} of type {kind.__name__}: restore the file or draw "
                "again"
            )
    return Question(**{name: row[name] for name in FIELDS})
