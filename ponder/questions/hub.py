"""Data sets of a model hub as questions: what conf/ says of each, and how rows become questions.

A source is declared, not programmed: which rows, and templates of the question and the reference
answer. A row that gives no question is counted with its reason; its text is never a path, a format
string or code.
"""

import itertools
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ponder.config import Name, at_least, build
from ponder.errors import UserError
from ponder.grading.families import extract
from ponder.questions import tables
from ponder.questions.drawn import Question
from ponder.questions.tables import Row, Unfit, cell_text

UNVERIFIED = "unverified"
REVISION = re.compile(rf"[0-9a-f]{{40}}|{UNVERIFIED}")
COLUMN = re.compile(r"\{([^{}]+)\}")
LETTERS = "ABCDEFGHIJ"
SUBSTITUTE = "local files as data_files in questions.sources"
# What holds for a key that a part of a source leaves out: nothing is done.
PART_DEFAULTS: dict[str, Any] = {
    "answer": None,
    "configs": [],
    "splits": [],
    "files": [],
    "data_files": [],
    "where": {},
    "cut": {},
    "extract": False,
    "choices": [],
    "only": None,
    "exclude": None,
    "sample": None,
}


@dataclass(frozen=True)
class SourceColumn:
    """The values of one column of a hub data set, to compare another data set with."""

    hub: str
    revision: str
    config: str | None
    split: str
    column: str
    data_files: tuple[str, ...]  # local files that are read instead


@dataclass(frozen=True)
class Subsample:
    """A seeded choice of `rows` rows.

    They are taken in turn from each group of rows with equal values in the columns `by`.
    """

    rows: int
    by: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class Part:
    """Rows of a source that become questions in one way.

    `question` and `answer` are templates in which {column} stands for a column's text. The rows are
    those of every config and split, or of `files` of the hub repository, or of the local
    `data_files`, which win.
    """

    question: str
    answer: str | None  # null: no reference answer
    configs: tuple[str, ...]  # none: the data set's default
    splits: tuple[str, ...]
    files: tuple[str, ...]
    data_files: tuple[str, ...]
    # column -> the values that are kept, or {min, max}, or "any" for all but null and ""
    where: dict[str, Any]
    # column -> [text before what is kept or null, text after it or null]
    cut: dict[str, Any]
    # the reference answer is the last box of the answer text; without one there is none
    extract: bool
    # columns of options, the right one first: sets {choices} (shuffled) and {right} (its letter)
    choices: tuple[str, ...]
    only: SourceColumn | None  # keep only rows whose column of that name has one of these values
    exclude: SourceColumn | None  # drop them
    sample: Subsample | None

    def __post_init__(self) -> None:
        for column, rule in self.where.items():
            if not _is_rule(rule):
                raise UserError(
                    f"where.{column} is {rule!r}, but must be a list of values, a mapping with min "
                    "and max, or any"
                )
        for column, marks in self.cut.items():
            if not _is_cut(marks):
                raise UserError(
                    f"cut.{column} is {marks!r}, but must be a list of the text before and the "
                    "text after, or null"
                )
        if len(self.choices) > len(LETTERS):
            raise UserError(
                f"choices has {len(self.choices)} columns, but there are only {len(LETTERS)} "
                "letters"
            )
        if self.sample:
            at_least(1, "sample", self.sample, "rows")


def _is_rule(rule: object) -> bool:
    if isinstance(rule, dict):
        return sorted(rule) == ["max", "min"]
    return isinstance(rule, list) or rule == "any"


def _is_cut(marks: object) -> bool:
    if not isinstance(marks, list) or len(marks) != 2:
        return False
    return all(mark is None or isinstance(mark, str) for mark in marks)


@dataclass(frozen=True)
class HubSource:
    """One data set of a hub pool."""

    hub: str
    # 40 hex digits, or "unverified" until `python -m ponder.release.revisions` has asked the hub
    revision: str
    licence: str  # as its page states it, or "unverified"
    source: str  # what it is, in words
    note: str | None  # what differs from s1 or cannot be had
    rows: int  # in s1's 59,029 (Table 7)
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class HubPool:
    """Data sets of a hub; the key of each in `sources` is its family."""

    kind: Literal["hub"]
    name: Name
    sources: dict[str, Any]
    limit: int | None  # rows that are taken of each source, from the first; null: all

    def __post_init__(self) -> None:
        if self.limit is not None:
            at_least(1, "questions", self, "limit")
        if not self.sources:
            raise UserError("questions.sources is empty; name at least one data set")
        for family in self.sources:
            source = self.source(family)
            revisions = [source.revision]
            for part in source.parts:
                revisions += [reference.revision for reference in _references(part)]
            for revision in revisions:
                if not REVISION.fullmatch(revision):
                    raise UserError(
                        f"questions.sources.{family} has the revision {revision!r}, but it must be "
                        f"40 hex digits or {UNVERIFIED}"
                    )

    def source(self, family: str) -> HubSource:
        """Return the HubSource of one family."""
        node = self.sources[family]
        if isinstance(node, dict) and isinstance(node.get("parts"), list):
            node = node | {"parts": [_with_defaults(part) for part in node["parts"]]}
        return build(HubSource, node, f"questions.sources.{family}")


def _with_defaults(part: object) -> object:
    return PART_DEFAULTS | part if isinstance(part, dict) else part


def _references(part: Part) -> list[SourceColumn]:
    """Return the columns of other data sets that the rows of a part are compared with."""
    return [reference for reference in (part.only, part.exclude) if reference]


def revisions(family: str, source: HubSource) -> dict[str, str]:
    """Return {name: revision} of what of one source is read from the hub, not from local files."""
    revision_of = {}
    for part in source.parts:
        if not part.data_files:
            revision_of[family] = source.revision
        for reference in _references(part):
            if not reference.data_files:
                revision_of[f"{family} against {reference.hub}"] = reference.revision
    return revision_of


def read_source(family: str, source: HubSource, dropped: Counter[str]) -> list[Question]:
    """Return the questions of a HubSource; counts in `dropped` why the other rows gave none.

    Raises UserError for data out of reach, and where no row gives a question.
    """
    questions = []
    for part in source.parts:
        questions += _read_part(family, source, part, dropped)
    if not questions:
        raise UserError(
            f"source {family} gave no question out of {dropped.total()} rows ({dict(dropped)}); "
            f"look at questions.sources.{family}"
        )
    return questions


def _read_part(family: str, source: HubSource, part: Part, dropped: Counter[str]) -> list[Question]:
    only = _values(part.only) if part.only else set()
    exclude = _values(part.exclude) if part.exclude else set()
    by = part.sample.by if part.sample else ()
    candidates = []
    for row in _rows(family, source, part):
        try:
            if reason := _why_left_out(part, row, only, exclude):
                dropped[reason] += 1
            else:
                group = [cell_text(row, column) for column in by]
                candidates.append((group, _part_question(part, row, family)))
        except Unfit as error:
            dropped[str(error)] += 1
    questions = _sampled(candidates, part.sample, family)
    if len(questions) < len(candidates):
        dropped["not drawn (sample)"] += len(candidates) - len(questions)
    return questions


def _why_left_out(part: Part, row: Row, only: set[str], exclude: set[str]) -> str | None:
    """Return why the configuration does not ask for a row, or None; raises Unfit."""
    for column, rule in part.where.items():
        if not _allowed(tables.cell(row, column), rule, column):
            return "not asked for (where)"
    if part.only and cell_text(row, part.only.column) not in only:
        return "not in the other data set (only)"
    if part.exclude and cell_text(row, part.exclude.column) in exclude:
        return "in the other data set (exclude)"
    return None


def _rows(family: str, source: HubSource, part: Part) -> Iterator[Row]:
    if part.data_files:
        return itertools.chain.from_iterable(map(tables.file_rows, part.data_files))
    if not part.splits and not part.files:
        raise UserError(
            f"source {family} is not on a hub in a form that can be read ({source.note}); give "
            f"local files, e.g. questions.sources.{family}.parts.{source.parts.index(part)}."
            "data_files=[file.jsonl]"
        )
    return _hub_rows(source, part)


def _hub_rows(source: HubSource, part: Part) -> Iterator[Row]:
    columns = _columns(part)
    columns |= {column.split(".")[0] for column in columns}
    revision = _revision(source.revision)
    if part.files:
        yield from tables.hub_rows(
            source.hub, revision, None, None, part.files, columns, SUBSTITUTE
        )
        return
    for config in part.configs or (None,):
        for split in part.splits:
            yield from tables.hub_rows(source.hub, revision, config, split, (), columns, SUBSTITUTE)


def _revision(revision: str) -> str | None:
    """Return the revision to ask the hub for; None, its newest, where nobody has read one."""
    return None if revision == UNVERIFIED else revision


def _columns(part: Part) -> set[str]:
    """Return the columns that a part names, a nested one by its whole path."""
    columns = {*COLUMN.findall(part.question), *COLUMN.findall(part.answer or "")}
    columns |= {*part.where, *part.cut, *part.choices}
    if part.sample:
        columns |= {*part.sample.by}
    return columns | {reference.column for reference in _references(part)}


def _values(reference: SourceColumn) -> set[str]:
    """Return the texts in a SourceColumn."""
    rows: Iterable[Row]
    if reference.data_files:
        rows = itertools.chain.from_iterable(map(tables.file_rows, reference.data_files))
    else:
        rows = tables.hub_rows(
            reference.hub,
            _revision(reference.revision),
            reference.config,
            reference.split,
            (),
            {reference.column},
            SUBSTITUTE,
        )
    return {cell_text(row, reference.column) for row in rows}


def _allowed(value: Any, rule: Any, column: str) -> bool:
    """Return whether a value keeps a rule: one of a list, as text; within {min, max}; any text."""
    if rule == "any":
        return tables.text(value, column) != ""
    if isinstance(rule, list):
        if isinstance(value, (dict, bytes)):
            return False  # an image, say, is none of them
        return tables.text(value, column) in [tables.text(item, column) for item in rule]
    try:
        return rule["min"] <= int(value) <= rule["max"]
    except (TypeError, ValueError) as error:
        raise Unfit(f"column {column} holds no whole number") from error


def _part_question(part: Part, row: Row, family: str) -> Question:
    for column, (begin, end) in part.cut.items():
        row = row | {column: _cut(cell_text(row, column), begin, end, column)}
    if part.choices:
        row = row | _choices([cell_text(row, column).strip() for column in part.choices])
    question = _filled(part.question, row, "\n")
    answer = _filled(part.answer, row, ", ") if part.answer else ""
    if part.extract:
        answer = extract(answer) or ""
    return tables.question(question, answer, family)


def _filled(template: str, row: Row, joint: str) -> str:
    """Return a template with each {column} replaced by its text, which is no template itself."""
    return COLUMN.sub(lambda match: cell_text(row, match[1], joint), template)


def _cut(value: str, begin: str | None, end: str | None, column: str) -> str:
    if begin is not None:
        _, marker, value = value.partition(begin)
        if not marker:
            raise Unfit(f"column {column} without {begin!r}")
    return value if end is None else value.partition(end)[0]


def _choices(options: Sequence[str]) -> dict[str, str]:
    """Return the options as lettered lines, and the letter of the first, which is right.

    Their order depends on their texts alone.
    """
    order = list(range(len(options)))
    random.Random("choices/" + "/".join(options)).shuffle(order)
    lines = [f"({LETTERS[place]}) {options[at]}" for place, at in enumerate(order)]
    return {"choices": "\n".join(lines), "right": LETTERS[order.index(0)]}


def _sampled(
    candidates: Sequence[tuple[list[str], Question]], sample: Subsample | None, family: str
) -> list[Question]:
    """Return the questions of [(group, question)] that a Subsample chooses; all for None.

    The choice does not depend on the order of the candidates.
    """
    if sample is None:
        return [question for _, question in candidates]
    shuffled = sorted(candidates, key=lambda pair: (pair[1].id, pair[1].question, pair[0]))
    random.Random(f"sample/{family}/{sample.seed}").shuffle(shuffled)
    groups = defaultdict(list)
    for group, question in shuffled:
        groups[tuple(group)].append(question)
    questions = []
    for turn in itertools.zip_longest(*(groups[group] for group in sorted(groups))):
        questions += [question for question in turn if question is not None]
    return questions[: sample.rows]
