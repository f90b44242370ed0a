"""Who writes the traces. For now one teacher: a program that says each step, so its rows are no distillation."""
import random

from ponder import solver
from ponder.grading import is_correct


def write(questions, teacher, seed, chat):
    """Return one graded trace (a dict) per question, in the order of the questions.

    Fields: id, family, domain (the family), question, answer (the teacher's own), gold, think, wrong (character spans of
    deliberately wrong values), tokens (of the trace without its doubt, so that a doubt never decides which rows are
    chosen), correct, teacher.
    """
    traces = []
    for question in questions:
        rng = random.Random(f"trace/{question.id}/{seed}")
        trace = solver.write(question, teacher.doubt, teacher.doubt_rate, rng)
        plain = solver.write(question, "none", 0.0, rng)
        answer = solver.answer_of(question.family, solver.steps(question))
        traces.append({
            "id": question.id, "family": question.family, "domain": question.family, "question": question.question,
            "answer": answer, "gold": question.answer, "think": trace.think, "wrong": [list(span) for span in trace.wrong],
            "tokens": len(chat.encode(plain.think)), "correct": is_correct(f"Final Answer: {answer}", question.answer),
            "teacher": teacher.name})
    return traces
