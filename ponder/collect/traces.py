"""The rows of traces.jsonl: a question with the trace and the answer that a teacher gave."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ponder.api import replies
from ponder.grading.families import is_correct
from ponder.rows import ABSENT, Call, Trace

if TYPE_CHECKING:
    from ponder.chat import Chat
    from ponder.collect.teachers import LocalTeacher, ServerTeacher
    from ponder.questions.drawn import Question

# How `rejected` begins for a call that failed.
FAILED = "failed: "


def graded_trace(
    question: Question,
    think: str,
    answer: str,
    reply: str,
    teacher: str,
    tokens: int,
    wrong: Sequence[Sequence[int]] = (),
    rejected: str = ABSENT,
) -> Trace:
    """Return the graded Trace of a teacher's name.

    `reply` is what is graded, `answer` what is trained on; the other arguments are fields of it.
    """
    return Trace(
        id=question.id,
        family=question.family,
        domain=question.domain or question.family,
        question=question.question,
        answer=answer,
        gold=question.answer,
        think=think,
        wrong=[list(span) for span in wrong],
        tokens=tokens,
        correct=is_correct(reply, question.answer),
        teacher=teacher,
        rejected=rejected,
    )


def trace_of(
    question: Question, call: Call, teacher: ServerTeacher | LocalTeacher, chat: Chat
) -> Trace:
    """Return the Trace that a call gives, a pure function of what was recorded.

    Its `rejected` says why the call gives no trace that can be trained on, or "". Its answer, which
    is trained on, is what follows the final-answer prefix (of a server's reply the last one), or
    the whole reply: a training row writes that prefix itself (s1, data/tokenization.py L18-34, puts
    "Answer:" before a text without one).
    """
    final = chat.delimiters.final
    if call.status == "failed":
        think, reply, rejected = "", "", f"{FAILED}{call.reason}"
    elif teacher.kind == "openai":
        parsed = replies.parse(call.response, teacher.reasoning_ends)
        think, reply, rejected = parsed.think, parsed.answer, parsed.rejected or ""
    else:
        think, reply, rejected = _local_reply(call)
    if teacher.kind == "openai":
        answer = reply.rpartition(final)[2]
    else:
        answer = reply.strip().removeprefix(final)
    return graded_trace(
        question,
        think,
        answer.strip(),
        reply,
        teacher.name,
        len(chat.encode(think)),
        rejected=rejected,
    )


def _local_reply(call: Call) -> tuple[str, str, str]:
    """Return (think, reply, rejected) of a call of a local model."""
    response = json.loads(call.response)
    think = response["thinking"].strip()
    if response["capped"]:
        rejected = "thinking cut"
    elif call.reason != "stop":
        rejected = "finish reason length"
    else:
        rejected = "" if think else "no reasoning"
    return think, response["reply"], rejected


def call_failed(trace: Trace) -> bool:
    """Return whether a trace is empty because its call failed."""
    return (trace.rejected or "").startswith(FAILED)
