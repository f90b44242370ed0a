"""The rows of traces.jsonl: a question with the trace and the answer that a teacher gave, graded."""

from ponder.api import replies
from ponder.grading.families import is_correct
from ponder.runs import dump


def row(question, think, answer, reply, teacher, tokens, wrong=()):
    """Return one graded row of traces.jsonl; `reply` is what is graded, `answer` what is trained on."""
    return {
        "id": question.id,
        "family": question.family,
        "domain": question.domain or question.family,
        "question": question.question,
        "answer": answer,
        "gold": question.answer,
        "think": think,
        "wrong": [list(span) for span in wrong],
        "tokens": tokens,
        "correct": is_correct(reply, question.answer),
        "teacher": teacher.name,
    }


def trace_of(question, call, teacher, chat):
    """Return the row of traces.jsonl that a call gives, a pure function of what was kept; `rejected` says why it is no
    trace, or "".

    Its answer, which is trained on, is what follows the final-answer prefix, of a server's reply the last one, or the whole
    reply: a row writes that prefix itself (s1, data/tokenization.py L18-34, puts "Answer:" before a text without one).
    """
    if call["status"] == "failed":
        think, reply, rejected = "", "", f"failed: {call['reason']}"
    elif teacher.kind == "openai":
        found = replies.parse(dump(call["response"]), teacher.reasoning_ends)
        think, reply, rejected = found.think, found.answer, found.rejected
    else:
        think, reply = call["response"]["thinking"].strip(), call["response"]["reply"]
        rejected = (
            "thinking cut"
            if call["response"]["capped"]
            else None
            if call["reason"] == "stop"
            else "finish reason length"
        )
        rejected = rejected or (None if think else "no reasoning")
    final = chat.delimiters.final
    answer = (
        reply.rpartition(final)[2]
        if teacher.kind == "openai"
        else reply.strip().removeprefix(final)
    )
    return row(question, think, answer.strip(), reply, teacher, len(chat.encode(think))) | {
        "rejected": rejected or ""
    }
