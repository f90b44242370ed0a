"""The questions of an experiment: drawn once, split, and read back verified.

What is drawn depends on the seed and the parameters alone. Two questions with one canonical key are
one question, so splits are disjoint by key; a family that has fewer than 20 times as many keys as
rows is refused, because a model could then learn its questions by heart.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from ponder.config import at_least, build, check_choice
from ponder.errors import UserError
from ponder.questions.families import FAMILIES, LIBRARY, PEOPLE, library_version

SCHEMA = 1
KEYS_PER_ROW = 20
CANDIDATES_PER_ROW = 200
TRAINED_SPLITS = ("pool", "probe", "dev", "test")
TRANSFER_SPLITS = ("dev", "test")

Item = TypeVar("Item")


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
    name: str
    dir: str
    source: Literal["committed", "draw"]
    without: str | None
    limit: int | None
    seed: int
    counts: Counts
    families: dict[str, Any]

    def __post_init__(self) -> None:
        if self.limit is not None:
            at_least(1, "questions", self, "limit")
        for family, node in self.families.items():
            where = f"questions.families.{family}"
            check_choice(where, family, tuple(FAMILIES))
            spec = build(FamilySpec, node, where)
            check_choice(f"{where}.origin", spec.origin, (FAMILIES[family].origin,))
            _check_params(where, spec.params, FAMILIES[family].params)

    def spec(self, family: str) -> FamilySpec:
        """Return the FamilySpec of one configured family."""
        return build(FamilySpec, self.families[family], f"questions.families.{family}")


def _check_params(where: str, params: Mapping[str, Any], names: Sequence[str]) -> None:
    if sorted(params) != sorted(names):
        raise UserError(
            f"{where}.params has {', '.join(sorted(params))}, but must have exactly: "
            f"{', '.join(names)}"
        )
    for name, value in params.items():
        if type(value) is not int or value < 0:
            raise UserError(
                f"{where}.params.{name} is {value!r}, but must be a whole number of 0 or more"
            )
        if name == "max_people" and value > len(PEOPLE):
            raise UserError(
                f"{where}.params.{name} is {value}, but there are only {len(PEOPLE)} names"
            )
        largest = params[name.replace("min_", "max_", 1)]
        if type(largest) is int and value > largest:
            raise UserError(
                f"{where}.params.{name} is {value}, but must not exceed its maximum {largest}"
            )


# --- drawing ---------------------------------------------------------------------------


def question_id(text: str) -> str:
    """Return 16 hex digits that name a question text, whatever its case and white space."""
    return hashlib.sha256(" ".join(text.lower().split()).encode()).hexdigest()[:16]


def draw_family(
    family: str, params: dict[str, int], rows: int, seed: int, taken: Sequence[Question] = ()
) -> tuple[list[Question], int, int]:
    """Return (questions, candidates, distinct keys): the first `rows` distinct ones of a family.

    None of them has the key or the text of a question in `taken`. Candidates are drawn until 20
    times as many keys as rows, those of `taken` included, were seen. Raises UserError if 200 times
    as many candidates do not show them.
    """
    keys = {question.key for question in taken}
    ids = {question.id for question in taken}
    questions: list[Question] = []
    max_candidates = CANDIDATES_PER_ROW * (rows + len(taken))
    min_keys = KEYS_PER_ROW * (rows + len(taken))
    candidates = itertools.islice(FAMILIES[family].candidates(params, seed), max_candidates)
    for number, candidate in enumerate(candidates, start=1):
        if candidate is None:
            continue
        text, answer, facts = candidate.question, candidate.answer, candidate.facts
        key, ident = FAMILIES[family].key(facts), question_id(text)
        if key not in keys and ident not in ids and len(questions) < rows:
            questions.append(Question(ident, family, text, answer, key, facts))
        keys.add(key)
        ids.add(ident)
        if len(keys) >= min_keys and len(questions) == rows:
            return questions, number, len(keys)
    raise UserError(
        f"family {family!r} showed {len(keys)} distinct questions in {max_candidates} candidates, "
        f"but {rows} rows need {min_keys}: widen questions.families.{family}.params or lower "
        "questions.counts"
    )


def split_rows(
    questions: Iterable[Item], sizes: Mapping[str, int], family: str, seed: int
) -> dict[str, list[Item]]:
    """Return {split: questions} by a seeded shuffle; `sizes` {split: rows} must add up to all."""
    shuffled = list(questions)
    random.Random(f"split/{family}/{seed}").shuffle(shuffled)
    cuts = itertools.accumulate(sizes.values(), initial=0)
    return {
        split: shuffled[start:end]
        for split, (start, end) in zip(sizes, itertools.pairwise(cuts), strict=True)
    }


def drawn_files(spec: Questions) -> tuple[dict[str, list[Question]], dict[str, dict[str, Any]]]:
    """Return ({relative path: questions}, {family: manifest entry}) for a questions configuration.

    Raises UserError as draw_family does, and where spec.without cannot be read.
    """
    files: dict[str, list[Question]] = {"pool.jsonl": [], "probe.jsonl": []}
    families = {}
    earlier = []
    if spec.without is not None:
        for split in TRAINED_SPLITS:
            earlier += read_split(spec.without, split)
    for family in FAMILIES:
        if family not in spec.families:
            continue
        family_spec = spec.spec(family)
        splits = TRAINED_SPLITS if family_spec.trained else TRANSFER_SPLITS
        sizes = {split: getattr(spec.counts, split) for split in splits}
        taken = [question for question in earlier if question.family == family]
        questions, candidates, distinct_keys = draw_family(
            family, family_spec.params, sum(sizes.values()), spec.seed, taken
        )
        for split, rows in split_rows(questions, sizes, family, spec.seed).items():
            name = f"{split}/{family}.jsonl" if split in TRANSFER_SPLITS else f"{split}.jsonl"
            files.setdefault(name, []).extend(rows)
        library = family_spec.origin == LIBRARY
        families[family] = {
            "source": f"reasoning-gym=={library_version()} {family}" if library else "ponder",
            "licence": "Apache-2.0",
            "params": family_spec.params,
            "trained": family_spec.trained,
            "candidates": candidates,
            "distinct_keys": distinct_keys,
        }
    for name in ("pool.jsonl", "probe.jsonl"):
        random.Random(f"order/{name}/{spec.seed}").shuffle(files[name])
    return {name: rows for name, rows in files.items() if rows}, families


def _dump(value: object, indent: int | None = None) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=indent) + "\n"


def _line(question: Question) -> str:
    """Return the line of a drawn file that holds a question."""
    return _dump({name: getattr(question, name) for name in FIELDS})


def draw(spec: Questions, directory: Path | str) -> dict[str, Any]:
    """Draw the questions of a Questions configuration into `directory` and return the manifest.

    The manifest is written last, so an interrupted draw is not readable. Raises UserError as
    draw_family does, and where a library family is configured and reasoning-gym is absent.
    """
    files, families = drawn_files(spec)
    entries = {}
    directory = Path(directory)
    (directory / "manifest.json").unlink(missing_ok=True)
    for name, questions in files.items():
        data = "".join(_line(question) for question in questions).encode()
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)
        entries[name] = {
            "sha256": hashlib.sha256(data).hexdigest(),
            "rows": len(questions),
            "bytes": len(data),
        }
    manifest = {
        "schema": SCHEMA,
        "seed": spec.seed,
        "counts": dataclasses.asdict(spec.counts),
        "families": families,
        "files": entries,
    }
    if spec.without:
        manifest["without"] = spec.without
    (directory / "manifest.json").write_bytes(_dump(manifest, indent=1).encode())
    return manifest


def draw_outside_data(spec: Questions) -> dict[str, Any]:
    """Draw the questions into spec.dir and return the manifest.

    Raises UserError for a folder under data/, whose files are released, and as draw does.
    """
    if Path(spec.dir).resolve().is_relative_to((Path.cwd() / "data").resolve()):
        raise UserError(
            f"questions.dir={spec.dir} is released data; draw elsewhere, e.g. "
            "questions.dir=outputs/questions"
        )
    return draw(spec, spec.dir)


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
            f"{path} does not exist: restore the committed questions or draw them"
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path} is no readable manifest ({error!r}): restore it or draw again"
        ) from error
    if not known:
        raise UserError(f"{path} is not a manifest of schema {SCHEMA}: restore it or draw again")
    return manifest


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
            f"{path} does not exist: restore the committed questions or draw them"
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
