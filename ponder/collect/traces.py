"""The rows of traces.jsonl: a question with the trace and the answer that a teacher gave."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ponder.api import limits, replies
from ponder.api.replies import Reply
from ponder.grading import answers
from ponder.grading.kinds import DRAWN, is_right
from ponder.questions.marking import kind_of
from ponder.rows import ABSENT, Call, Trace

if TYPE_CHECKING:
    from ponder.chat import Chat, Delimiters
    from ponder.collect.teachers import LocalTeacher, ServerTeacher
    from ponder.questions.drawn import Question
    from ponder.questions.own import OwnTrace

# How `rejected` begins for a call that failed.
FAILED = "failed: "
# What ends a turn or a text, of models other than the student, and a tag that a server left over.
END_MARKERS = (
    "</s>",
    "</think>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|im_end|>",
    "<|return|>",
    "<end_of_turn>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
)


def graded_trace(
    question: Question,
    think: str,
    answer: str,
    reply: str,
    teacher: str,
    tokens: int,
    wrong: Sequence[Sequence[int]] = (),
    rejected: str = ABSENT,
    kind: str = DRAWN,
) -> Trace:
    """Return the graded Trace of a teacher's name.

    `reply` is what is graded, as the `kind` of its pool asks, and `answer` what is trained on; the
    other arguments are fields of it.
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
        correct=is_right(reply, question.answer, kind_of(question.family, kind)),
        teacher=teacher,
        rejected=rejected,
    )


def trace_of(
    question: Question,
    call: Call,
    teacher: ServerTeacher | LocalTeacher,
    chat: Chat,
    kind: str = DRAWN,
) -> Trace:
    """Return the Trace that a call gives, a pure function of what was recorded.

    `kind` is that of the question's pool. The trace's `rejected` says why the call gives none that
    can be trained on, or "". Its answer, which is trained on, is what answers.trained reads in the
    reply, by the extractor that is also graded by; a training row writes the final-answer prefix
    itself. A local teacher is asked like a subject of an evaluation: where its reply begins with
    that prefix, all that stands behind it is the answer, unless that has a box of its own.
    """
    if call.status == "failed":
        think, reply, rejected = "", "", f"{FAILED}{call.reason}"
    elif teacher.kind == "openai":
        parsed = reply_of(call, teacher)
        think, reply, rejected = without_markers(parsed.think, parsed.answer, chat)
        rejected = parsed.rejected or rejected
    else:
        think, reply, rejected = _local_reply(call)
    answer, final = answers.trained(reply), chat.delimiters.final
    extracted = answers.extract(reply)
    is_boxed = extracted is not None and extracted.how == "box"
    if teacher.kind == "hf" and reply.strip().startswith(final) and not is_boxed:
        answer = reply.strip().removeprefix(final).strip()
    return graded_trace(
        question,
        think,
        answer,
        reply,
        teacher.name,
        len(chat.encode(think)),
        rejected=rejected,
        kind=kind,
    )


def own_trace_of(trace: OwnTrace, teacher: str, chat: Chat) -> Trace:
    """Return the Trace of a row that came from elsewhere, graded by what there is to grade by.

    What its source says of the answer counts first, then the reference answer; with neither it is
    not graded. Its answer is read as in `trace_of`.
    """
    think, reply, rejected = without_markers(trace.think, trace.answer, chat)
    for name, text in (("thinking", think), ("answer", reply)):
        if not text:
            rejected = rejected or f"empty {name}"
    row = graded_trace(
        trace.question,
        think,
        answers.trained(reply),
        reply,
        teacher,
        len(chat.encode(think)),
        rejected=rejected,
        kind="traces",
    )
    is_judged = trace.right is not None
    correct = bool(trace.right) if is_judged else bool(trace.question.answer) and row.correct
    graded = is_judged or bool(trace.question.answer)
    return dataclasses.replace(row, correct=correct, graded=graded)


def reply_of(call: Call, teacher: ServerTeacher) -> Reply:
    """Return the Reply of an answered call of a server."""
    most_tokens = limits.bound_of(json.loads(call.request))
    return replies.parse(call.response, teacher.reasoning_ends, teacher.complete, most_tokens)


def without_markers(think: str, reply: str, chat: Chat) -> tuple[str, str, str]:
    """Return (think, reply, rejected) without the markers at their ends that are no text.

    Those are END_MARKERS, the special tokens of the student's tokenizer, and a <think> that opens
    the thinking. `rejected` says what keeps the rest from being trained on, or "": a text that goes
    on after an end of its turn, or is empty.
    """
    special = [str(token) for token in chat.tokenizer.all_special_tokens]
    markers = "|".join(map(re.escape, sorted({*END_MARKERS, *special}, key=len, reverse=True)))
    ends = re.compile(rf"(?:(?:{markers})\s*)+\Z")
    texts = {"thinking": think.removeprefix(replies.THINK), "answer": reply}
    rejected = ""
    for name, text in texts.items():
        texts[name] = bare = ends.sub("", text.strip()).strip()
        if text.strip() and not bare:
            rejected = rejected or f"empty {name}"
        if inside := turn_ends_in(bare, chat.delimiters):
            rejected = rejected or f"{name} goes on after {inside[0]}"
    return texts["thinking"], texts["answer"], rejected


def turn_ends_in(text: str, delimiters: Delimiters) -> list[str]:
    """Return which marks of a turn's begin or end stand in a text, sorted."""
    marks = {*END_MARKERS, delimiters.turn_end, delimiters.turn_start} - {replies.END}
    return sorted(mark for mark in marks if mark in text)


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
