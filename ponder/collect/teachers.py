"""Who writes the traces (conf/teacher): programs, a model behind a server, or a local model. One interface: `write`.

A model's raw replies are kept call by call (ponder/collect/calls.py) before anything is made of them; what its rows may be used
for is said by its terms (ponder/collect/terms.py). Rows that programs write are no distillation.
"""

import random
from dataclasses import dataclass
from typing import Literal

from ponder.api import limits, wire
from ponder.collect.terms import Terms
from ponder.collect.traces import row
from ponder.config import at_least, check_choice
from ponder.errors import UserError
from ponder.models import Model
from ponder.questions import solver


@dataclass(frozen=True)
class SolverTeacher:
    """Programs that say each step; `doubt` as in solver.write."""

    kind: Literal["solver"]
    name: str
    doubt: str
    doubt_rate: float
    terms: Terms

    def __post_init__(self):
        check_choice("teacher.doubt", self.doubt, solver.DOUBTS)
        if not 0 <= self.doubt_rate <= 1:
            raise UserError(f"teacher.doubt_rate={self.doubt_rate} is no share; give 0 to 1")


@dataclass(frozen=True)
class ServerTeacher:
    """A model behind an OpenAI-compatible chat endpoint."""

    kind: Literal["openai"]
    name: str
    url: str  # up to and with /v1
    model: str | None  # null: the only model that the server offers
    revision: str | None  # of an open model, where it is known
    instruction: str | None  # appended to every question
    body: dict  # sampling and other fields of the request, sent as they are
    reasoning_ends: (
        str | None
    )  # for a model whose reasoning stands in the content: the text that ends it
    terms: Terms

    def __post_init__(self):
        wire.origin_of(self.url)
        limits.check_body("teacher.body", self.body)


@dataclass(frozen=True)
class LocalTeacher:
    """A transformers model on this machine, with or without an adapter, asked like a subject of evaluate.py."""

    kind: Literal["hf"]
    name: str
    model: Model
    adapter: str | None  # a folder that train.py wrote
    think: str | None  # roles of the thinking and the answer, as trained; null: a plain turn
    answer: str | None
    shots: int  # worked examples in the prompt
    temperature: float  # 0: the likeliest token
    max_thinking: int  # tokens; a trace that reaches it is rejected as cut
    max_answer: int  # tokens
    force_answer: str  # capped | always, as budget.force_answer
    terms: Terms

    def __post_init__(self):
        check_choice("teacher.force_answer", self.force_answer, ("capped", "always"))
        at_least(0, "teacher", self, "shots", "temperature")
        at_least(1, "teacher", self, "max_thinking", "max_answer")


def write(questions, plan, run, chat):
    """Return one trace (a dict, see logs/README.md) per question, in the order of the questions, from the study's teacher.

    A row of a model teacher has one more field, `rejected`: "", or why the call gave no usable trace. Raises
    UserError as the teacher's own functions do.
    """
    if plan.teacher.kind == "solver":
        return [_solved(question, plan.teacher, plan.data_seed, chat) for question in questions]
    from ponder.collect import calls, local, traces

    ask = calls.ask_server if plan.teacher.kind == "openai" else local.ask
    answered = ask(questions, plan, run)
    calls.put(
        run.folder / calls.MADE, answered
    )  # every question has been asked once, and its call is kept
    return [
        traces.trace_of(question, call, plan.teacher, chat)
        for question, call in zip(questions, answered, strict=True)
    ]


def _solved(question, teacher, seed, chat):
    """Return the trace of a program; `tokens` are counted without its doubt, so that a doubt never decides which rows are
    chosen.
    """
    rng = random.Random(f"trace/{question.id}/{seed}")
    trace = solver.write(question, teacher.doubt, teacher.doubt_rate, rng)
    plain = solver.write(question, "none", 0.0, rng)
    answer = solver.answer_of(question.family, solver.steps(question))
    return row(
        question,
        trace.think,
        answer,
        f"Final Answer: {answer}",
        teacher,
        len(chat.encode(plain.think)),
        trace.wrong,
    )
