"""A solver that thinks in steps a 135M model can follow: each is a look-up, a copy or a small sum.

It works from the facts of a question alone, never from its answer, so that comparing the two tests
both. The thinking may carry one doubt: a line that starts with "Wait," and says again, or corrects,
the line before it.
"""

from __future__ import annotations

import random
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ponder.config import check_choice
from ponder.errors import UserError
from ponder.questions.drawn import Question
from ponder.questions.families import FAMILIES
from ponder.questions.family import Step, faults_told

Doubt = Literal["none", "confirm", "correct"]
DOUBTS: tuple[str, ...] = typing.get_args(Doubt)
WAIT = "Wait, "


@dataclass(frozen=True)
class Thinking:
    """A finished thinking text, and where it is wrong on purpose.

    `wrong` holds the [start, end) of each such value, in characters of `think`.
    """

    think: str
    wrong: tuple[tuple[int, int], ...]


def steps(question: Question) -> list[Step]:
    """Return the Steps that lead to the answer of a question.

    Raises UserError for a family that the solver does not know, for one without steps, and for a
    fault in its module.
    """
    check_choice("family", question.family, tuple(FAMILIES))
    lead = FAMILIES[question.family].steps
    if lead is None:
        raise UserError(
            f"no program solves the family {question.family!r} step by step, as teacher=solver and "
            "worked examples need; choose another teacher, or leave the family out "
            f"with '~questions.families.{question.family}'"
        )
    with faults_told(question.family):
        return lead(question.facts)


def answer_of(family: str, solved: Sequence[Step]) -> str:
    """Return the answer that the steps of a question of this family lead to."""
    with faults_told(family):
        return FAMILIES[family].answer(solved)


def write(question: Question, doubt: str, rate: float, rng: random.Random) -> Thinking:
    """Return the Thinking over a question, with one doubt in it with probability `rate`.

    A `doubt` of "none" writes none. The line doubted is the last that can be half of the time, else
    any. "confirm" doubts right lines only; "correct" doubts a wrong value half of the time and
    thinks on from the right one. The rng is asked for the same things in both, so one seed doubts
    the same line of the same questions. Raises UserError for another `doubt` or an unknown family.
    """
    check_choice("doubt", doubt, DOUBTS)
    solved = steps(question)
    lines = [step.line for step in solved]
    places = [place for place, step in enumerate(solved) if step.wrong]
    if doubt == "none" or not places or rng.random() >= rate:
        return Thinking("\n".join(lines), ())
    place = places[-1] if rng.random() < 0.5 else rng.choice(places)
    step = solved[place]
    wrong, slip = rng.choice(step.wrong), rng.random() < 0.5 and doubt == "correct"
    first = step.text + wrong if slip else step.line
    start = sum(len(line) + 1 for line in lines[:place]) + len(step.text)
    think = "\n".join([*lines[:place], first, WAIT + step.line, *lines[place + 1 :]])
    return Thinking(think, ((start, start + len(wrong)),) if slip else ())
