"""Question pools by config: the drawn questions, a JSONL file, or data sets of a model hub.

Whatever its kind, a pool has questions, a report of what was dropped, the hashes or revisions that
name its content, and a source and licence for each family. Rows with equal ids are kept; taking
duplicates out is a later step, over the whole pool.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ponder import rows as rows_of
from ponder.config import Name, at_least
from ponder.errors import UserError
from ponder.hashing import file_sha256
from ponder.questions import drawn, hub, own, tables
from ponder.questions.drawn import Question
from ponder.questions.hub import HubPool
from ponder.questions.tables import Row, Unfit
from ponder.rows import Trace

__all__ = [
    "FilePool",
    "HubPool",
    "Pool",
    "check_resolved",
    "inputs",
    "read",
    "sources",
    "unresolved",
]


@dataclass(frozen=True)
class Fields:
    """Our field -> the column of a JSONL file that holds it; null where the file has none."""

    question: str
    answer: str | None
    domain: str | None
    family: str | None
    # The reference answer begins behind the last such mark in its column; null: it is all of it.
    answer_after: str | None = None


@dataclass(frozen=True)
class FilePool:
    """A JSONL file of the user's own."""

    kind: Literal["jsonl"]
    name: Name  # also the family, where the file names none
    path: str
    licence: str
    source: str  # what it is, in words
    fields: Fields
    limit: int | None  # rows that are taken, from the first; null: all

    def __post_init__(self) -> None:
        if self.limit is not None:
            at_least(1, "questions", self, "limit")


Pool = drawn.Questions | FilePool | HubPool | own.TraceSource


def read(spec: Pool) -> tuple[list[Question], dict[str, dict[str, Any]]]:
    """Return (questions, report) of a pool.

    The report is {family: {"rows": read, "kept": rows, "dropped": {reason: rows}}}. Raises
    UserError for data that is missing, empty or out of reach, for a row of a user's own file that
    gives no question (with path and line), and for a hub source of which no row gives one.
    """
    dropped: defaultdict[str, Counter[str]] = defaultdict(Counter)
    if spec.kind == "drawn":
        drawn_questions = drawn.read_split(spec.dir, "pool")
        questions = [q for q in drawn_questions if q.family not in spec.left_out]
        for question in drawn_questions:
            if question.family in spec.left_out:
                dropped[question.family]["in questions.left_out"] += 1
        if spec.wrong_in:
            questions = _answered_wrong(questions, spec.wrong_in, dropped)
        questions = _limited(questions, spec.limit, dropped)
    elif spec.kind == "jsonl":
        rows = [_file_question(spec, number, row) for number, row in tables.jsonl(spec.path)]
        if not rows:
            raise UserError(f"{spec.path} has no rows; write a question a line into it")
        questions = _limited(rows, spec.limit, dropped)
    elif spec.kind == "traces":
        questions = [trace.question for trace in own.read(spec, dropped[spec.name])]
    else:
        questions = []
        for family in sorted(spec.sources):
            rows = hub.read_source(family, spec.source(family), dropped[family])
            questions += _limited(rows, spec.limit, dropped)
    kept = Counter(question.family for question in questions)
    report = {
        family: {
            "rows": kept[family] + dropped[family].total(),
            "kept": kept[family],
            "dropped": dict(sorted(dropped[family].items())),
        }
        for family in sorted(kept | dropped)
    }
    return questions, report


def _answered_wrong(
    questions: list[Question], path: str, dropped: defaultdict[str, Counter[str]]
) -> list[Question]:
    """Return the questions whose answer in a traces.jsonl is wrong; counts the others in `dropped`.

    A trace that was rejected, such as one that was cut, has no answer. Raises UserError where no
    question is left, RecordError as rows.read does.
    """
    wrong = {
        trace.id
        for trace in rows_of.read(Trace, path)
        if not trace.correct and not trace.rejected and trace.graded is not False
    }
    kept = [question for question in questions if question.id in wrong]
    if not kept:
        raise UserError(
            f"questions.wrong_in={path} has no wrong answer to a question of this pool; name the "
            "traces.jsonl of another collection"
        )
    for question in questions:
        if question.id not in wrong:
            dropped[question.family]["not wrong in questions.wrong_in"] += 1
    return kept


def limit_of(spec: Pool) -> int | None:
    """Return after how many questions a pool is cut, None where it is not, or elsewhere."""
    return None if spec.kind == "traces" else spec.limit


def _limited(
    questions: list[Question], limit: int | None, dropped: defaultdict[str, Counter[str]]
) -> list[Question]:
    """Return the first `limit` questions; counts the others in `dropped`."""
    if limit is None:
        return questions
    for question in questions[limit:]:
        dropped[question.family]["over questions.limit"] += 1
    return questions[:limit]


def inputs(spec: Pool) -> dict[str, str]:
    """Return {what is read: its sha256, or the revision of what a hub has}, to identify a run.

    Raises UserError for a file that cannot be read.
    """
    if spec.kind == "drawn":
        asked = {spec.wrong_in: _sha256(spec.wrong_in)} if spec.wrong_in else {}
        return drawn.inputs(spec.dir, ["pool.jsonl"]) | asked
    if spec.kind == "jsonl":
        return {Path(spec.path).name: _sha256(spec.path)}
    if spec.kind == "traces":
        return _trace_inputs(spec)
    identities: dict[str, str] = {}
    for family in sorted(spec.sources):
        source = spec.source(family)
        identities |= hub.revisions(family, source)
        for number, path in enumerate(_local_files(source)):
            identities[f"{family} {number} {Path(path).name}"] = _sha256(path)
    return identities


def _trace_inputs(spec: own.TraceSource) -> dict[str, str]:
    if spec.path:
        return {Path(spec.path).name: _sha256(spec.path)}
    name, revision = own.identity(spec)
    return {name: revision}


def _local_files(source: hub.HubSource) -> list[str]:
    """Return the local files that are read in place of a hub, in the order of the configuration."""
    paths: list[str] = []
    for part in source.parts:
        for holder in (part, part.only, part.exclude):
            paths += holder.data_files if holder else ()
    return paths


def _sha256(path: str) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); name a file that is there"
        ) from error


def sources(spec: Pool, families: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
    """Return {family: {"source", "licence", "revision", "rows"}} of a pool, for its data card.

    `rows` is what the configuration states, None where it states nothing. A file whose rows name
    their families has the entry of the file for each of `families`.
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
    if spec.kind == "traces":
        (revision,) = _trace_inputs(spec).values()
        origin = spec.source if spec.path else f"{spec.source} ({spec.hub})"
        entry = {"source": origin, "licence": spec.licence, "revision": revision, "rows": None}
        return {family: dict(entry) for family in sorted(families or (spec.name,))}
    entries = {}
    for family in sorted(spec.sources):
        source = spec.source(family)
        entries[family] = {
            "source": f"{source.source} ({source.hub})",
            "licence": source.licence,
            "revision": source.revision,
            "rows": source.rows,
        }
    return entries


def unresolved(spec: Pool) -> list[str]:
    """Return the names of what a pool reads from a hub at a revision that nobody has read.

    Local files count as known.
    """
    if spec.kind == "traces":
        unread = not spec.path and spec.revision == hub.UNVERIFIED
        return [str(spec.hub)] if unread else []
    if spec.kind != "hub":
        return []
    names = []
    for family in sorted(spec.sources):
        revisions = hub.revisions(family, spec.source(family))
        names += [name for name, revision in revisions.items() if revision == hub.UNVERIFIED]
    return names


def check_resolved(spec: Pool) -> None:
    """Raise UserError, with the command that helps, unless every revision of a pool is known.

    What is released can then be read again.
    """
    names = unresolved(spec)
    if names and spec.kind == "traces":
        raise UserError(
            f"teacher={spec.name} reads {names[0]} at a revision nobody has read; give its 40 hex "
            "digits, as the page of the data set shows them, with teacher.revision=..."
        )
    if names:
        raise UserError(
            f"questions={spec.name} reads {len(names)} data sets at a revision nobody has read "
            f"({', '.join(names)}); run `python -m ponder.release.revisions "
            f"conf/questions/{spec.name}.yaml` where the hub is in reach"
        )


def _file_question(spec: FilePool, number: int, row: Row) -> Question:
    try:
        texts = _file_texts(spec.fields, row)
        family = texts["family"] or spec.name
        return tables.question(texts["question"], texts["answer"], family, texts["domain"])
    except Unfit as error:
        raise UserError(
            f"{spec.path}, line {number}: {error}; mend or delete the line, or change "
            "questions.fields"
        ) from error


def _file_texts(fields: Fields, row: Row) -> dict[str, str]:
    """Return {our field: its text, "" where there is none} of a row; raises Unfit."""
    columns = {name: column for name, column in vars(fields).items() if name != "answer_after"}
    values = {}
    for name, column in columns.items():
        values[name] = tables.cell(row, column) if column else None
    if not isinstance(values["question"], str):
        kind = type(values["question"]).__name__
        raise Unfit(f"column {fields.question} holds {kind}, not text")
    texts = {}
    for name, value in values.items():
        most = tables.MAX_NAME if name in ("domain", "family") else tables.MAX_TEXT
        texts[name] = tables.clean(tables.text(value, name, ", "), name, most)
    if fields.family and not texts["family"]:
        raise Unfit("no family")
    if fields.answer_after and texts["answer"]:
        texts["answer"] = tables.behind(texts["answer"], fields.answer_after, "answer")
    return texts
