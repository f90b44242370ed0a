"""The questions of an experiment: drawing them once, splitting them, and reading them back verified.

What is drawn depends on the seed and the parameters alone. Two questions with one canonical key are one question, so
splits are disjoint by key; a family that has fewer than 20 times as many keys as rows is refused, because a model
could then learn its questions by heart.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ponder.config import at_least, build, check_choice
from ponder.errors import UserError
from ponder.questions.families import FAMILIES, LIBRARY, PEOPLE, library_version

SCHEMA = 1
KEYS_PER_ROW = 20
CANDIDATES_PER_ROW = 200
TRAINED_SPLITS = ("pool", "probe", "dev", "test")
TRANSFER_SPLITS = ("dev", "test")


@dataclass(frozen=True)
class Question:
    """One row: `id` hashes the text, `key` is shared by all wordings of one question, `facts` feed the solver.

    `family` is the generator or data set that it comes from; `answer` and `domain` are "" where they are not known.
    """

    id: str
    family: str
    question: str
    answer: str
    key: str
    facts: dict
    domain: str = ""


# What a drawn file holds; the domain of a drawn question is its family.
FIELDS = {"id": str, "family": str, "question": str, "answer": str, "key": str, "facts": dict}


@dataclass(frozen=True)
class Counts:
    """Rows of each family in each split, 0 for a split that is not drawn; a transfer family has only dev and test."""

    pool: int
    probe: int
    dev: int
    test: int

    def __post_init__(self):
        at_least(1, "questions.counts", self, "pool")
        at_least(0, "questions.counts", self, "probe", "dev", "test")


@dataclass(frozen=True)
class FamilySpec:
    """What the configuration says about one family."""

    origin: str
    trained: bool
    params: dict


@dataclass(frozen=True)
class Questions:
    """The questions configuration; raises UserError for a family or parameter that does not exist."""

    kind: Literal["drawn"]
    name: str
    dir: str
    source: str
    without: str | None
    limit: int | None
    seed: int
    counts: Counts
    families: dict

    def __post_init__(self):
        check_choice("questions.source", self.source, ("committed", "draw"))
        if self.limit is not None:
            at_least(1, "questions", self, "limit")
        for family, node in self.families.items():
            where = f"questions.families.{family}"
            check_choice(where, family, tuple(FAMILIES))
            spec = build(FamilySpec, node, where)
            check_choice(f"{where}.origin", spec.origin, (FAMILIES[family].origin,))
            _check_params(where, spec.params, FAMILIES[family].params)

    def spec(self, family):
        """Return the FamilySpec of one configured family."""
        return build(FamilySpec, self.families[family], f"questions.families.{family}")


def _check_params(where, params, names):
    if sorted(params) != sorted(names):
        raise UserError(
            f"{where}.params has {', '.join(sorted(params))}, but must have exactly: {', '.join(names)}"
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


def question_id(text):
    """Return 16 hex digits that name a question text, whatever its case and white space."""
    return hashlib.sha256(" ".join(text.lower().split()).encode()).hexdigest()[:16]


def draw_family(family, params, rows, seed, taken=()):
    """Return (questions, candidates, distinct keys): the first `rows` distinct questions of one family.

    None of them has the key or the text of a question in `taken`. Candidates are drawn until 20 times as many keys as
    rows, those of `taken` included, were seen. Raises UserError if 200 times as many candidates do not show them.
    """
    keys, ids, kept = {question.key for question in taken}, {question.id for question in taken}, []
    limit, wanted = CANDIDATES_PER_ROW * (rows + len(taken)), KEYS_PER_ROW * (rows + len(taken))
    for drawn, candidate in enumerate(
        itertools.islice(FAMILIES[family].candidates(params, seed), limit), start=1
    ):
        if candidate is None:
            continue
        key, ident = FAMILIES[family].key(candidate.facts), question_id(candidate.question)
        if key not in keys and ident not in ids and len(kept) < rows:
            kept.append(
                Question(ident, family, candidate.question, candidate.answer, key, candidate.facts)
            )
        keys.add(key)
        ids.add(ident)
        if len(keys) >= wanted and len(kept) == rows:
            return kept, drawn, len(keys)
    raise UserError(
        f"family {family!r} showed {len(keys)} distinct questions in {limit} candidates, but {rows} rows need "
        f"{wanted}: widen questions.families.{family}.params or lower questions.counts"
    )


def split_rows(questions, sizes, family, seed):
    """Return {split: questions} by a seeded shuffle; `sizes` {split: rows} must add up to all questions."""
    shuffled = list(questions)
    random.Random(f"split/{family}/{seed}").shuffle(shuffled)
    cuts = list(itertools.accumulate(sizes.values(), initial=0))
    return {
        split: shuffled[start:end]
        for split, (start, end) in zip(sizes, itertools.pairwise(cuts), strict=True)
    }


def drawn_files(spec):
    """Return ({relative path: questions}, {family: manifest entry}) for a questions configuration."""
    files, families = {"pool.jsonl": [], "probe.jsonl": []}, {}
    taken = (
        []
        if spec.without is None
        else [q for split in TRAINED_SPLITS for q in read_split(spec.without, split)]
    )
    for family in FAMILIES:
        if family not in spec.families:
            continue
        wanted = spec.spec(family)
        splits = TRAINED_SPLITS if wanted.trained else TRANSFER_SPLITS
        sizes = {split: getattr(spec.counts, split) for split in splits}
        kept, candidates, distinct = draw_family(
            family,
            wanted.params,
            sum(sizes.values()),
            spec.seed,
            [question for question in taken if question.family == family],
        )
        for split, rows in split_rows(kept, sizes, family, spec.seed).items():
            name = f"{split}/{family}.jsonl" if split in TRANSFER_SPLITS else f"{split}.jsonl"
            files.setdefault(name, []).extend(rows)
        library = wanted.origin == LIBRARY
        families[family] = {
            "source": f"reasoning-gym=={library_version()} {family}" if library else "ponder",
            "licence": "Apache-2.0",
            "params": wanted.params,
            "trained": wanted.trained,
            "candidates": candidates,
            "distinct_keys": distinct,
        }
    for name in ("pool.jsonl", "probe.jsonl"):
        random.Random(f"order/{name}/{spec.seed}").shuffle(files[name])
    return {name: rows for name, rows in files.items() if rows}, families


def _dump(value, indent=None):
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=indent) + "\n"


def draw(spec, directory):
    """Draw the questions of a Questions configuration into `directory` and return the manifest.

    The manifest is written last, so an interrupted draw is not readable. Raises UserError as draw_family does, and
    where a library family is configured and reasoning-gym is absent.
    """
    files, families = drawn_files(spec)
    written = {}
    directory = Path(directory)
    (directory / "manifest.json").unlink(missing_ok=True)
    for name, rows in files.items():
        data = "".join(
            _dump({name: getattr(row, name) for name in FIELDS}) for row in rows
        ).encode()
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)
        written[name] = {
            "sha256": hashlib.sha256(data).hexdigest(),
            "rows": len(rows),
            "bytes": len(data),
        }
    manifest = {
        "schema": SCHEMA,
        "seed": spec.seed,
        "counts": dataclasses.asdict(spec.counts),
        "families": families,
        "files": written,
    } | ({"without": spec.without} if spec.without else {})
    (directory / "manifest.json").write_bytes(_dump(manifest, indent=1).encode())
    return manifest


def draw_outside_data(spec):
    """Draw the questions into spec.dir; raises UserError for a folder under data/, whose files are released."""
    if Path(spec.dir).resolve().is_relative_to((Path.cwd() / "data").resolve()):
        raise UserError(
            f"questions.dir={spec.dir} is released data; draw elsewhere, e.g. questions.dir=outputs/questions"
        )
    return draw(spec, spec.dir)


# --- reading ---------------------------------------------------------------------------


def read_manifest(directory):
    """Return the manifest of a drawn directory, or raise UserError if there is none to rely on."""
    path = Path(directory) / "manifest.json"
    try:
        manifest = json.loads(path.read_bytes())
        known = manifest["schema"] == SCHEMA and all(
            "sha256" in entry for entry in manifest["files"].values()
        )
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


def check_drawn(spec):
    """Raise UserError unless the questions in spec.dir were drawn with this seed, these counts and families."""
    drawn = read_manifest(spec.dir)
    families = {
        name: {key: entry[key] for key in ("trained", "params")}
        for name, entry in drawn["families"].items()
    }
    wanted = {
        name: {key: node[key] for key in ("trained", "params")}
        for name, node in spec.families.items()
    }
    for key, asked, found in (
        ("seed", spec.seed, drawn["seed"]),
        ("counts", dataclasses.asdict(spec.counts), drawn["counts"]),
        ("families", wanted, families),
        ("without", spec.without, drawn.get("without")),
    ):
        if asked != found:
            raise UserError(
                f"questions.{key} is not what {spec.dir} was drawn with; leave it as committed, or draw anew with "
                "questions.source=draw questions.dir=outputs/questions"
            )


def read_split(directory, split):
    """Return the questions of one split, all families of dev and test in the order of their file names.

    Raises UserError, with path and line, for a missing file, a line that is no question, or a file that is not
    the one the manifest was written for.
    """
    check_choice("split", split, TRAINED_SPLITS)
    listed = read_manifest(directory)["files"]
    names = sorted(
        name for name in listed if name == f"{split}.jsonl" or name.startswith(f"{split}/")
    )
    if not names:
        raise UserError(
            f"{Path(directory) / 'manifest.json'} lists no file of split {split!r}: draw again"
        )
    return [
        row for name in names for row in _read_file(Path(directory) / name, listed[name]["sha256"])
    ]


def _read_file(path, sha256):
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
    rows = [_read_row(path, number, line) for number, line in enumerate(lines, start=1)]
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise UserError(
            f"{path}, line {len(lines)} (its last): the file has sha256 {found[:16]}..., but the manifest says "
            f"{sha256[:16]}...: restore the file or draw again"
        )
    return rows


def _read_row(path, number, line):
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
                f"{where} has no field {name!r} of type {kind.__name__}: restore the file or draw again"
            )
    return Question(**{name: row[name] for name in FIELDS})
