"""Two attempts at one question in one trace: the wrong one, a "Wait", and the right one.

No loss falls on the wrong attempt (Trace.wrong): the student learns to mend it, not to make it.
Everything here is a function of two files of traces, so an audit joins them again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ponder import rows
from ponder.collect import traces
from ponder.errors import RecordError, UserError
from ponder.rows import Trace

if TYPE_CHECKING:
    from ponder.chat import Delimiters
    from ponder.collect.teachers import AttemptsTeacher, Teacher
    from ponder.questions.drawn import Question


def files(teacher: Teacher) -> list[str]:
    """Return the paths that a teacher joins, none of one of another kind.

    Raises UserError for one that does not exist.
    """
    if teacher.kind != "attempts":
        return []
    for name, path in (("first", teacher.first), ("again", teacher.again)):
        if not Path(path).is_file():
            raise UserError(
                f"teacher.{name} is {path}, which does not exist; collect it first, or name "
                "another traces.jsonl"
            )
    return [teacher.first, teacher.again]


def write(
    questions: Sequence[Question], teacher: AttemptsTeacher, delimiters: Delimiters
) -> list[Trace]:
    """Return the trace of each question, in their order, from the files of a teacher.

    `delimiters` are those of the model to be trained. Raises UserError for a question that the
    first file has no attempt at, RecordError as rows.read and `joined` do.
    """
    first, again = (
        {trace.id: trace for trace in rows.read(Trace, path)}
        for path in (teacher.first, teacher.again)
    )
    for question in questions:
        if question.id not in first:
            raise UserError(
                f"teacher.first={teacher.first} has no attempt at question {question.id}; ask only "
                "what it has, or collect the others first"
            )
    asked = {question.id: first[question.id] for question in questions}
    return joined(asked, again, teacher.link, delimiters)


def joined(
    first: Mapping[str, Trace], again: Mapping[str, Trace], link: str, delimiters: Delimiters
) -> list[Trace]:
    """Return a trace for each of the `first` attempts, {id: trace}, in their order.

    Where the first attempt is wrong and the one in `again` is right, it is both of them; else it is
    the first as it was. Raises RecordError where the two ask another question of one id.
    """
    return [_joined(trace, again.get(trace.id), link, delimiters) for trace in first.values()]


def _joined(first: Trace, again: Trace | None, link: str, delimiters: Delimiters) -> Trace:
    """Return both attempts as one trace where the second mends the first, else the first.

    `wrong` covers the first attempt, the link carries loss: when to say "Wait" is to be learnt.
    `tokens` are those of both attempts, without the link.
    """
    is_wrong = not first.correct and not first.rejected and bool(first.think)
    if again is None or not is_wrong or not again.correct or again.rejected:
        return first
    if (first.question, first.gold) != (again.question, again.gold):
        raise RecordError(
            f"question {first.id} has another text or reference answer in the second file; collect "
            "both from one pool"
        )
    think = f"{first.think}{link}{again.think}"
    marks = traces.turn_ends_in(think, delimiters)
    return dataclasses.replace(
        again,
        think=think,
        wrong=[[0, len(first.think)]],
        tokens=first.tokens + again.tokens,
        rejected=f"thinking goes on after {marks[0]}" if marks else again.rejected,
    )
