"""Traces that somebody has already: a file or a data set of a hub, its columns named by the config.

It is the pool of its questions and the teacher of their traces at once. A row that gives no
question is counted with its reason; its text is never a path, a format string or code.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ponder.config import Name, at_least
from ponder.errors import UserError
from ponder.questions import hub, tables
from ponder.questions.drawn import Question
from ponder.questions.tables import Row, Unfit

# Characters of a thinking or an answer; 32,768 tokens have about 130,000.
MAX_TRACE = 2_000_000
THINK = "<think>"
RIGHT = {"true": True, "yes": True, "right": True, "correct": True, "1": True}
WRONG = {"false": False, "no": False, "wrong": False, "incorrect": False, "0": False}
SUBSTITUTE = "a local copy as teacher.path"


@dataclass(frozen=True)
class TraceFields:
    """Our field -> the column that holds it, a dot leads into a nested one; null where none does.

    Without `thinking`, the column of `answer` holds both.
    """

    question: str
    thinking: str | None
    answer: str
    gold: str | None  # the reference answer, to grade by
    right: str | None  # whether the answer is right, as somebody else judged it
    domain: str | None
    family: str | None


@dataclass(frozen=True)
class TraceSource:
    """Where traces stand (conf/teacher/traces.yaml): a file, or else a data set of a hub."""

    kind: Literal["traces"]
    name: Name  # also the family, where the rows name none
    path: str | None  # a .jsonl, .csv or .parquet file, which wins
    hub: str | None
    revision: str | None  # 40 hex digits, or "unverified"; null for a file
    config: str | None  # of the hub data set; null: its default
    split: str
    fields: TraceFields
    thinking_ends: str  # between thinking and answer, where one column holds both
    licence: str  # of the questions and traces, or "unverified"
    source: str  # what it is, in words
    limit: int | None  # rows that are taken, from the first; null: all

    def __post_init__(self) -> None:
        if self.limit is not None:
            at_least(1, "teacher", self, "limit")
        if self.hub and not self.path and not hub.REVISION.fullmatch(self.revision or ""):
            raise UserError(
                f"teacher.revision is {self.revision!r}, but of a hub data set it must be 40 hex "
                f"digits, or {hub.UNVERIFIED} where nobody has read them"
            )
        if self.fields.thinking is None and not self.thinking_ends:
            raise UserError(
                "teacher.fields.thinking is null and teacher.thinking_ends is empty; name the "
                "column of the thinking, or the text that ends it"
            )


class OwnTrace(NamedTuple):
    """A row: its question, and what was written about it, without outer white space."""

    question: Question
    think: str
    answer: str
    right: bool | None  # None: nobody has said


def read(source: TraceSource, dropped: Counter[str]) -> list[OwnTrace]:
    """Return the rows of a source; counts in `dropped` why the others gave none.

    Raises UserError for data out of reach or without rows, for a column that the first row does not
    have, and where no row gives a question.
    """
    traces = []
    for number, row in enumerate(_rows(source), 1):
        if number == 1:
            _check_columns(source, row)
        if source.limit is not None and number > source.limit:
            dropped["over teacher.limit"] += 1
            continue
        try:
            traces.append(_trace(source, row))
        except Unfit as error:
            dropped[str(error)] += 1
    if not traces and not dropped.total():
        raise UserError(
            f"{source.path or source.hub} has no rows; name a file or a data set that has some"
        )
    if not traces:
        raise UserError(
            f"{source.path or source.hub} gave no trace out of {dropped.total()} rows "
            f"({dict(dropped)}); look at teacher.fields"
        )
    return traces


def identity(source: TraceSource) -> tuple[str, str]:
    """Return (name, revision) of a hub data set.

    Raises UserError for a source that names neither a file nor a data set.
    """
    if not source.hub:
        raise UserError(
            "teacher.path is null and so is teacher.hub; name a file of traces with "
            "teacher.path=mine.jsonl, or a data set of a hub"
        )
    return source.hub, source.revision or hub.UNVERIFIED


def _rows(source: TraceSource) -> Iterator[Row]:
    if source.path:
        return tables.file_rows(source.path)
    name = identity(source)[0]
    columns = {column for column in vars(source.fields).values() if column}
    columns |= {column.split(".")[0] for column in columns}
    revision = None if source.revision == hub.UNVERIFIED else source.revision
    return tables.hub_rows(name, revision, source.config, source.split, (), columns, SUBSTITUTE)


def _check_columns(source: TraceSource, row: Row) -> None:
    """Raise UserError for a column that a row does not have, with those that it has."""
    for name, column in vars(source.fields).items():
        if column is None:
            continue
        try:
            tables.cell(row, column)
        except Unfit as error:
            raise UserError(
                f"{source.path or source.hub} has {error}, which teacher.fields.{name} names; it "
                f"has: {', '.join(map(str, row))[:300]}"
            ) from None


def _trace(source: TraceSource, row: Row) -> OwnTrace:
    """Return the OwnTrace of a row; raises Unfit where it gives no question or holds no texts."""
    fields = source.fields
    texts = {
        name: tables.cell_text(row, column) if column else ""
        for name, column in vars(fields).items()
        if name != "right"
    }
    family = tables.clean(texts["family"], "family", tables.MAX_NAME) or source.name
    domain = tables.clean(texts["domain"], "domain", tables.MAX_NAME)
    question = tables.question(texts["question"], texts["gold"], family, domain)
    think, answer = texts["thinking"], texts["answer"]
    if fields.thinking is None:
        think, end, answer = answer.partition(source.thinking_ends)
        if not end:
            raise Unfit(f"column {fields.answer} without {source.thinking_ends!r}")
    think = tables.clean(think, "thinking", MAX_TRACE).removeprefix(THINK).strip()
    answer = tables.clean(answer, "answer", MAX_TRACE)
    return OwnTrace(question, think, answer, _right(row, fields.right))


def _right(row: Row, column: str | None) -> bool | None:
    """Return what a column says of the answer, None where it says neither right nor wrong."""
    value = tables.cell(row, column) if column else None
    if not isinstance(value, str | bool | int | float):
        return None
    return (RIGHT | WRONG).get(str(value).strip().lower().removesuffix(".0"))
