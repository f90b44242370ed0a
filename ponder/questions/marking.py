"""By which of the graders the answers to a family of questions are marked.

Where a program writes the thinking, it writes the answer, too, and a strict grader reads it
(ponder/grading/families.py). Other questions a model answers in words of its own, such as 1,125 or
\\$23 or 8 km, and is marked as on benchmarks (ponder/grading/verify.py).
"""

from collections.abc import Mapping
from typing import Any

from ponder.grading import families, verify
from ponder.grading.kinds import DRAWN
from ponder.questions.families import FAMILIES

FREE = "free"  # the kind of drawn questions that are answered in words of one's own


def kind_of(family: str, kind: str) -> str:
    """Return the kind that grading.kinds marks by: FREE for a drawn family without steps, else that
    of the pool.
    """
    known = FAMILIES.get(family)
    return FREE if kind == DRAWN and known is not None and known.steps is None else kind


def mark(reply: str, gold: str, family: str) -> Mapping[str, Any]:
    """Return what an evaluation keeps of a reply to a drawn question: `correct`, and where it is
    marked as on benchmarks the other fields of a verify.Grade.
    """
    if kind_of(family, DRAWN) == FREE:
        return verify.grade(reply, gold)
    return {"correct": families.is_correct(reply, gold)}
