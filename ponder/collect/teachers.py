"""Who writes the traces (conf/teacher): programs, a model behind a server, a local model, or
somebody who has written them already.

All have one interface, `write`. A model's raw replies are recorded call by call
(ponder/collect/calls.py) before anything is made of them; what its rows may be used for is said by
its terms (ponder/collect/terms.py). Rows that programs write are no distillation.
"""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ponder.api import limits, replies, wire
from ponder.collect.terms import Terms
from ponder.collect.traces import graded_trace
from ponder.config import Name, at_least
from ponder.errors import UserError
from ponder.models import Model
from ponder.questions import own, solver
from ponder.questions.own import TraceSource
from ponder.rows import Trace

if TYPE_CHECKING:
    from ponder.chat import Chat
    from ponder.questions.drawn import Question
    from ponder.runs import Run
    from ponder.study import Study


@dataclass(frozen=True)
class SolverTeacher:
    """Programs that write down each step; `doubt` as in solver.write."""

    kind: Literal["solver"]
    name: Name
    doubt: solver.Doubt
    doubt_rate: float
    terms: Terms

    def __post_init__(self) -> None:
        if not 0 <= self.doubt_rate <= 1:
            raise UserError(f"teacher.doubt_rate={self.doubt_rate} is no share; give 0 to 1")


@dataclass(frozen=True)
class ServerTeacher:
    """A model behind an OpenAI-compatible chat endpoint."""

    kind: Literal["openai"]
    name: Name
    url: str  # up to and with /v1
    model: str | None  # null: the only model that the server offers
    revision: str | None  # of an open model, where it is known
    instruction: str | None  # appended to every question
    body: dict[str, Any]  # sampling and other fields of the request, sent as they are
    # For a model whose reasoning stands in the content: the text that ends it.
    reasoning_ends: str | None
    terms: Terms
    # Finish reasons, in lower case, of a reply that its model ended; "" for one that names none.
    complete: tuple[str, ...] = replies.COMPLETE

    def __post_init__(self) -> None:
        if not self.complete:
            raise UserError(
                "teacher.complete is empty, so no reply would be whole; name the finish reasons of "
                f"one that is, such as {', '.join(replies.COMPLETE[:3])}"
            )
        wire.origin_of(self.url)
        limits.check_body("teacher.body", self.body)


@dataclass(frozen=True)
class LocalTeacher:
    """A transformers model on this machine, asked like a subject of evaluate.py."""

    kind: Literal["hf"]
    name: Name
    model: Model
    adapter: str | None  # a folder that train.py wrote
    think: str | None  # roles of the thinking and the answer, as trained; null: a plain turn
    answer: str | None
    shots: int  # worked examples in the prompt
    temperature: float  # 0: the likeliest token
    max_thinking: int  # tokens; a trace that reaches it is rejected as cut
    max_answer: int  # tokens
    force_answer: Literal["capped", "always"]  # as budget.force_answer
    terms: Terms
    instruction: str | None = None  # appended to every question

    def __post_init__(self) -> None:
        at_least(0, "teacher", self, "shots", "temperature")
        at_least(1, "teacher", self, "max_thinking", "max_answer")


@dataclass(frozen=True)
class TraceTeacher(TraceSource):
    """Nobody is asked: the traces are there (ponder/questions/own.py)."""

    terms: Terms

    def pool(self) -> TraceSource:
        """Return the pool of the questions of these traces."""
        fields = dataclasses.fields(TraceSource)
        return TraceSource(**{field.name: getattr(self, field.name) for field in fields})


@dataclass(frozen=True)
class AttemptsTeacher:
    """Nobody is asked: two collections are joined (ponder/collect/attempts.py)."""

    kind: Literal["attempts"]
    name: Name
    first: str  # a traces.jsonl with an attempt at every question
    again: str  # another, with a second attempt at questions that the first has wrong
    link: str  # between a wrong attempt and the right one
    terms: Terms


Teacher = SolverTeacher | ServerTeacher | LocalTeacher | TraceTeacher | AttemptsTeacher


def write(questions: Sequence[Question], study: Study, run: Run, chat: Chat) -> list[Trace]:
    """Return one Trace per question, in the order of the questions, from the study's teacher.

    A trace of a model teacher has the field `rejected`: "", or why the call gave no trace that can
    be trained on. Raises UserError as the teacher's own functions do.
    """
    teacher = study.teacher
    if teacher.kind == "solver":
        return [_solve(question, teacher, study.data_seed, chat) for question in questions]
    from ponder.collect import attempts, local, traces
    from ponder.collect import calls as teacher_calls

    if teacher.kind == "attempts":
        return attempts.write(questions, teacher, chat.delimiters)
    if teacher.kind == "traces":
        rows = {row.question.id: row for row in reversed(own.read(teacher, Counter()))}
        return [
            traces.own_trace_of(rows[question.id]._replace(question=question), teacher.name, chat)
            for question in questions
        ]

    ask = teacher_calls.ask_server if teacher.kind == "openai" else local.ask
    calls = ask(questions, study, run)
    teacher_calls.add_calls(run.folder / teacher_calls.RUNNING, calls)
    return [
        traces.trace_of(question, call, teacher, chat, study.questions.kind)
        for question, call in zip(questions, calls, strict=True)
    ]


def _solve(question: Question, teacher: SolverTeacher, seed: int, chat: Chat) -> Trace:
    """Return the Trace of a program.

    Its `tokens` are counted without its doubt, so that a doubt never decides which rows are chosen.
    """
    rng = random.Random(f"trace/{question.id}/{seed}")
    solution = solver.write(question, teacher.doubt, teacher.doubt_rate, rng)
    plain = solver.write(question, "none", 0.0, rng)
    answer = solver.answer_of(question.family, solver.steps(question))
    return graded_trace(
        question,
        solution.think,
        answer,
        f"Final Answer: {answer}",
        teacher.name,
        len(chat.encode(plain.think)),
        solution.wrong,
    )
