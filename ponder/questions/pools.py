"""Question pools by config: the drawn questions, a JSONL file, or data sets of a model hub.

Whatever its kind, a pool has questions, a report of what was dropped, the hashes or revisions that name its content,
and a source and licence for each family. Rows with equal ids are kept; taking duplicates out is a later step, over the
whole pool.
"""

import collections
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ponder.config import at_least
from ponder.errors import UserError
from ponder.hashing import file_sha256
from ponder.questions import drawn, hub, tables
from ponder.questions.hub import HubPool
from ponder.questions.tables import Unfit

__all__ = ["FilePool", "HubPool", "check_resolved", "inputs", "read", "sources", "unresolved"]


@dataclass(frozen=True)
class Fields:
    """Our field -> the column of a JSONL file that holds it; null where the file has none."""

    question: str
    answer: str | None
    domain: str | None
    family: str | None


@dataclass(frozen=True)
class FilePool:
    """A JSONL file of the user's own."""

    kind: Literal["jsonl"]
    name: str  # also the family, where the file names none
    path: str
    licence: str
    source: str  # what it is, in words
    fields: Fields
    limit: int | None  # rows that are taken, from the first; null: all

    def __post_init__(self):
        if self.limit is not None:
            at_least(1, "questions", self, "limit")


def read(spec):
    """Return (questions, report) of a pool; the report is {family: {"rows": read, "kept": rows, "dropped": {reason: rows}}}.

    Raises UserError for data that is missing or out of reach, for a row of a user's own file that gives no question
    (with path and line), and for a hub source of which no row gives one.
    """
    dropped = collections.defaultdict(collections.Counter)
    if spec.kind == "drawn":
        found = _limited(drawn.read_split(spec.dir, "pool"), spec.limit, dropped)
    elif spec.kind == "jsonl":
        found = _limited(
            [_file_question(spec, number, row) for number, row in tables.jsonl(spec.path)],
            spec.limit,
            dropped,
        )
    else:
        found = []
        for family in sorted(spec.sources):
            found += _limited(
                hub.read_source(family, spec.source(family), dropped[family]), spec.limit, dropped
            )
    kept = collections.Counter(question.family for question in found)
    return found, {
        family: {
            "rows": kept[family] + dropped[family].total(),
            "kept": kept[family],
            "dropped": dict(sorted(dropped[family].items())),
        }
        for family in sorted(kept | dropped)
    }


def _limited(found, limit, dropped):
    if limit is None:
        return found
    for question in found[limit:]:
        dropped[question.family]["over questions.limit"] += 1
    return found[:limit]


def inputs(spec):
    """Return {what is read: its sha256, or the revision of what a hub has}, for the identity of a run."""
    if spec.kind == "drawn":
        return {"pool.jsonl": drawn.read_manifest(spec.dir)["files"]["pool.jsonl"]["sha256"]}
    if spec.kind == "jsonl":
        return {Path(spec.path).name: _sha256(spec.path)}
    found = {}
    for family in sorted(spec.sources):
        source = spec.source(family)
        found |= hub.revisions(family, source)
        files = [
            name
            for part in source.parts
            for names in (part, part.only, part.exclude)
            if names
            for name in names.data_files
        ]
        found |= {
            f"{family} {number} {Path(name).name}": _sha256(name)
            for number, name in enumerate(files)
        }
    return found


def _sha256(path):
    try:
        return file_sha256(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); name a file that is there"
        ) from error


def sources(spec, families=()):
    """Return {family: {"source", "licence", "revision", "rows"}} of a pool, for its data card.

    `rows` is what the configuration states, None where it states nothing. A file whose rows name their families has the
    entry of the file for each of `families`.
    """
    if spec.kind == "drawn":
        manifest = drawn.read_manifest(spec.dir)
        return {
            family: {
                "source": entry["source"],
                "licence": entry["licence"],
                "revision": None,
                "rows": spec.counts.pool,
            }
            for family, entry in sorted(manifest["families"].items())
            if entry["trained"]
        }
    if spec.kind == "jsonl":
        entry = {
            "source": spec.source,
            "licence": spec.licence,
            "revision": inputs(spec)[Path(spec.path).name],
            "rows": None,
        }
        return {family: dict(entry) for family in sorted(families or (spec.name,))}
    found = {family: spec.source(family) for family in sorted(spec.sources)}
    return {
        family: {
            "source": f"{source.source} ({source.hub})",
            "licence": source.licence,
            "revision": source.revision,
            "rows": source.rows,
        }
        for family, source in found.items()
    }


def unresolved(spec):
    """Return the names of what a pool reads from a hub at a revision that nobody has read; local files count as known."""
    if spec.kind != "hub":
        return []
    return [
        name
        for family in sorted(spec.sources)
        for name, revision in hub.revisions(family, spec.source(family)).items()
        if revision == hub.UNVERIFIED
    ]


def check_resolved(spec):
    """Raise UserError, with the command that helps, unless every revision is known: what is released can be read again."""
    if names := unresolved(spec):
        raise UserError(
            f"questions={spec.name} reads {len(names)} data sets at a revision nobody has read ({', '.join(names)}); "
            f"run `python -m ponder.release.revisions conf/questions/{spec.name}.yaml` where the hub is in reach"
        )


def _file_question(spec, number, row):
    try:
        named = {
            name: tables.cell(row, column) if column else None
            for name, column in vars(spec.fields).items()
        }
        if not isinstance(named["question"], str):
            raise Unfit(
                f"column {spec.fields.question} holds {type(named['question']).__name__}, not text"
            )
        most = {"domain": tables.MAX_NAME, "family": tables.MAX_NAME}
        texts = {
            name: tables.clean(
                tables.text(value, name, ", "), name, most.get(name, tables.MAX_TEXT)
            )
            for name, value in named.items()
        }
        if spec.fields.family and not texts["family"]:
            raise Unfit("no family")
        return tables.question(
            texts["question"], texts["answer"], texts["family"] or spec.name, texts["domain"]
        )
    except Unfit as error:
        raise UserError(
            f"{spec.path}, line {number}: {error}; mend or delete the line, or change questions.fields"
        ) from error
