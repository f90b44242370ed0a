"""Data sets of a model hub as questions: what conf/ says of each source, and how its rows become questions.

A source is declared, not programmed: which rows, and templates of the question and the reference answer. A row that
gives no question is counted with its reason; its text is never a path, a format string or code.
"""

import collections
import itertools
import random
import re
from dataclasses import dataclass
from typing import Literal

from ponder.config import at_least, build
from ponder.errors import UserError
from ponder.grading import families as grading
from ponder.questions import tables
from ponder.questions.tables import Unfit

UNVERIFIED = "unverified"
REVISION = re.compile(rf"[0-9a-f]{{40}}|{UNVERIFIED}")
COLUMN = re.compile(r"\{([^{}]+)\}")
LETTERS = "ABCDEFGHIJ"
# What a part of a source leaves out: it is then not done.
NOT_DONE = {
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
    """A seeded choice of `rows` rows, in turn from each group of rows with equal values in the columns `by`."""

    rows: int
    by: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class Part:
    """Rows of a source that become questions in one way.

    `question` and `answer` are templates in which {column} stands for a column's text. The rows are those of every
    config and split, or of `files` of the hub repository, or of the local `data_files`, which win.
    """

    question: str
    answer: str | None  # null: no reference answer
    configs: tuple[str, ...]  # none: the data set's default
    splits: tuple[str, ...]
    files: tuple[str, ...]
    data_files: tuple[str, ...]
    where: (
        dict  # column -> the values that are kept, or {min, max}, or "any" for all but null and ""
    )
    cut: dict  # column -> [text before what is kept or null, text after it or null]
    extract: (
        bool  # the reference answer is the last box of the answer text; without one there is none
    )
    choices: tuple[
        str, ...
    ]  # columns of options, the right one first: sets {choices} (shuffled) and {right} (its letter)
    only: SourceColumn | None  # keep only rows whose column of that name has one of these values
    exclude: SourceColumn | None  # drop them
    sample: Subsample | None

    def __post_init__(self):
        for column, rule in self.where.items():
            if not (
                isinstance(rule, list)
                or rule == "any"
                or isinstance(rule, dict)
                and sorted(rule) == ["max", "min"]
            ):
                raise UserError(
                    f"where.{column} is {rule!r}, but must be a list of values, a mapping with min and max, or any"
                )
        for column, marks in self.cut.items():
            if not (
                isinstance(marks, list)
                and len(marks) == 2
                and all(mark is None or isinstance(mark, str) for mark in marks)
            ):
                raise UserError(
                    f"cut.{column} is {marks!r}, but must be a list of the text before and the text after, or null"
                )
        if len(self.choices) > len(LETTERS):
            raise UserError(
                f"choices has {len(self.choices)} columns, but there are only {len(LETTERS)} letters"
            )
        if self.sample:
            at_least(1, "sample", self.sample, "rows")


@dataclass(frozen=True)
class HubSource:
    """One data set of a hub pool."""

    hub: str
    revision: str  # 40 hex digits, or "unverified" until `python -m ponder.release.revisions` has asked the hub
    licence: str  # as its page states it, or "unverified"
    source: str  # what it is, in words
    note: str | None  # what differs from s1 or cannot be had
    rows: int  # in s1's 59,029 (Table 7)
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class HubPool:
    """Data sets of a hub; the key of each in `sources` is its family."""

    kind: Literal["hub"]
    name: str
    sources: dict
    limit: int | None  # rows that are taken of each source, from the first; null: all

    def __post_init__(self):
        if self.limit is not None:
            at_least(1, "questions", self, "limit")
        if not self.sources:
            raise UserError("questions.sources is empty; name at least one data set")
        for family in self.sources:
            source = self.source(family)
            others = [
                other for part in source.parts for other in (part.only, part.exclude) if other
            ]
            for revision in (source.revision, *(other.revision for other in others)):
                if not REVISION.fullmatch(revision):
                    raise UserError(
                        f"questions.sources.{family} has the revision {revision!r}, but it must be 40 hex digits or "
                        f"{UNVERIFIED}"
                    )

    def source(self, family):
        """Return the HubSource of one family."""
        node, where = self.sources[family], f"questions.sources.{family}"
        if isinstance(node, dict) and isinstance(node.get("parts"), list):
            node = node | {
                "parts": [
                    NOT_DONE | part if isinstance(part, dict) else part for part in node["parts"]
                ]
            }
        return build(HubSource, node, where)


def revisions(family, source):
    """Return {name: revision} of what is read from the hub, not from local files, of one source."""
    found = {}
    for part in source.parts:
        if not part.data_files:
            found[family] = source.revision
        found |= {
            f"{family} against {other.hub}": other.revision
            for other in (part.only, part.exclude)
            if other and not other.data_files
        }
    return found


def read_source(family, source, dropped):
    """Return the questions of a HubSource; counts in `dropped` (a Counter) why the other rows gave none.

    Raises UserError for data out of reach, and where no row gives a question.
    """
    found = [
        question for part in source.parts for question in _read_part(family, source, part, dropped)
    ]
    if not found:
        raise UserError(
            f"source {family} gave no question out of {dropped.total()} rows ({dict(dropped)}); look at "
            f"questions.sources.{family}"
        )
    return found


def _read_part(family, source, part, dropped):
    only, exclude = (other and _values(other) for other in (part.only, part.exclude))
    found = []
    for row in _rows(family, source, part):
        try:
            if not all(
                _allowed(tables.cell(row, column), rule, column)
                for column, rule in part.where.items()
            ):
                dropped["not asked for (where)"] += 1
            elif (
                part.only
                and tables.text(tables.cell(row, part.only.column), part.only.column) not in only
            ):
                dropped["not in the other data set (only)"] += 1
            elif (
                part.exclude
                and tables.text(tables.cell(row, part.exclude.column), part.exclude.column)
                in exclude
            ):
                dropped["in the other data set (exclude)"] += 1
            else:
                group = [
                    tables.text(tables.cell(row, column), column)
                    for column in (part.sample.by if part.sample else ())
                ]
                found.append((group, _part_question(part, row, family)))
        except Unfit as error:
            dropped[str(error)] += 1
    chosen = _sampled(found, part.sample, family)
    if len(chosen) < len(found):
        dropped["not drawn (sample)"] += len(found) - len(chosen)
    return chosen


def _rows(family, source, part):
    if part.data_files:
        return (row for path in part.data_files for row in tables.local(path))
    if not part.splits and not part.files:
        raise UserError(
            f"source {family} is not on a hub in a form that can be read ({source.note}); give local files, e.g. "
            f"questions.sources.{family}.parts.{source.parts.index(part)}.data_files=[file.jsonl]"
        )
    columns = {column.split(".")[0] for column in _columns(part)} | _columns(part)
    revision = None if source.revision == UNVERIFIED else source.revision
    places = (
        [(None, None)]
        if part.files
        else [(config, split) for config in part.configs or (None,) for split in part.splits]
    )
    return (
        row
        for config, split in places
        for row in tables.hub(source.hub, revision, config, split, part.files, columns)
    )


def _columns(part):
    named = COLUMN.findall(part.question + (part.answer or "")) + [
        *part.where,
        *part.cut,
        *part.choices,
    ]
    return {
        *named,
        *(part.sample.by if part.sample else ()),
        *(other.column for other in (part.only, part.exclude) if other),
    }


def _values(other):
    """Return the texts in a SourceColumn."""
    revision = None if other.revision == UNVERIFIED else other.revision
    rows = (
        (row for path in other.data_files for row in tables.local(path))
        if other.data_files
        else tables.hub(other.hub, revision, other.config, other.split, (), {other.column})
    )
    return {tables.text(tables.cell(row, other.column), other.column) for row in rows}


def _allowed(value, rule, column):
    """Return whether a value is one of a list, compared as text, or within {min, max}, or any text at all."""
    if rule == "any":
        return tables.text(value, column) != ""
    if isinstance(rule, list):  # an image, say, is none of them
        return not isinstance(value, (dict, bytes)) and tables.text(value, column) in [
            tables.text(item, column) for item in rule
        ]
    try:
        return rule["min"] <= int(value) <= rule["max"]
    except (TypeError, ValueError) as error:
        raise Unfit(f"column {column} holds no whole number") from error


def _part_question(part, row, family):
    row = row | {
        column: _cut(tables.text(tables.cell(row, column), column), *marks, column)
        for column, marks in part.cut.items()
    }
    if part.choices:
        row |= _choices(
            [tables.text(tables.cell(row, column), column).strip() for column in part.choices]
        )
    question = _filled(part.question, row, "\n")
    answer = _filled(part.answer, row, ", ") if part.answer else ""
    return tables.question(
        question, grading.extract(answer) or "" if part.extract else answer, family
    )


def _filled(template, row, joint):
    """Return a template with each {column} replaced by its text; what comes in is not looked at again."""
    return COLUMN.sub(
        lambda found: tables.text(tables.cell(row, found[1]), found[1], joint), template
    )


def _cut(value, begin, end, column):
    if begin is not None:
        _, marker, value = value.partition(begin)
        if not marker:
            raise Unfit(f"column {column} without {begin!r}")
    return value if end is None else value.partition(end)[0]


def _choices(options):
    """Return the options as lettered lines in an order that depends on their texts alone, and the letter of the first."""
    order = list(range(len(options)))
    random.Random("choices/" + "/".join(options)).shuffle(order)
    return {
        "choices": "\n".join(f"({LETTERS[at]}) {options[i]}" for at, i in enumerate(order)),
        "right": LETTERS[order.index(0)],
    }


def _sampled(found, sample, family):
    """Return the questions of [(group, question)] that a Subsample chooses, whatever their order; all for None."""
    if sample is None:
        return [question for _, question in found]
    shuffled = sorted(found, key=lambda pair: (pair[1].id, pair[1].question, pair[0]))
    random.Random(f"sample/{family}/{sample.seed}").shuffle(shuffled)
    groups = collections.defaultdict(list)
    for group, question in shuffled:
        groups[tuple(group)].append(question)
    turns = itertools.zip_longest(*(groups[group] for group in sorted(groups)))
    return [question for turn in turns for question in turn if question is not None][: sample.rows]
