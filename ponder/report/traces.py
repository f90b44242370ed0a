"""One question of each family with the trace and answer that its teacher gives, chosen by rule."""

import random
from collections.abc import Iterable, Mapping
from typing import Any

from ponder.questions import solver
from ponder.questions.drawn import Question


def solved(questions: Iterable[Question]) -> list[dict[str, str]]:
    """Return the first of these questions of each family, with the trace that a program writes.

    Each is {"name": its family, "teacher", "question", "trace", "answer"}.
    """
    first: dict[str, Question] = {}
    for question in questions:
        first.setdefault(question.family, question)
    return [
        {
            "name": family,
            "teacher": "solver",
            "question": question.question,
            "trace": solver.write(question, "none", 0, random.Random(0)).think,
            "answer": question.answer,
        }
        for family, question in sorted(first.items())
    ]


def shortest(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return of each family the row whose trace has the fewest tokens, each as in `solved`."""
    least: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        kept = least.setdefault(row["family"], row)
        if row["tokens"] < kept["tokens"]:
            least[row["family"]] = row
    return [
        {
            "name": family,
            "teacher": row["teacher"],
            "question": row["question"],
            "trace": row["think"],
            "answer": row["answer"],
        }
        for family, row in sorted(least.items())
    ]
