"""A solver that thinks in steps a 135M model can follow: each is a look-up, a copy or a small sum.

It works from the facts of a question alone, never from its answer, so that comparing the two tests
both. The thinking may carry one doubt: a line that starts with "Wait," and says again, or corrects,
the line before it.
"""

from __future__ import annotations

import random
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ponder.config import check_choice
from ponder.questions.drawn import Question

Doubt = Literal["none", "confirm", "correct"]
DOUBTS: tuple[str, ...] = typing.get_args(Doubt)
WAIT = "Wait, "
SIDE = {"heads": "tails", "tails": "heads"}
TURNED = {
    "left": {"north": "west", "west": "south", "south": "east", "east": "north"},
    "right": {"north": "east", "east": "south", "south": "west", "west": "north"},
    "around": {"north": "south", "south": "north", "east": "west", "west": "east"},
}

Facts = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One line of thinking: text, then value.

    `wrong` holds plausible wrong values; a step with none cannot be doubted.
    """

    text: str
    value: str
    wrong: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The line as it is thought."""
        return self.text + self.value


@dataclass(frozen=True)
class Thinking:
    """A finished thinking text, and where it is wrong on purpose.

    `wrong` holds the [start, end) of each such value, in characters of `think`.
    """

    think: str
    wrong: tuple[tuple[int, int], ...]


# --- steps of each family --------------------------------------------------------------


def _facing(facts: Facts) -> list[Step]:
    steps = [Step("", facts["start"])]
    for turn in facts["turns"]:
        direction = TURNED[turn][steps[-1].value]
        wrong = tuple(other for other in TURNED["left"] if other != direction)
        steps.append(Step(f"{turn}: ", direction, wrong))
    return steps


def _boolean(facts: Facts) -> list[Step]:
    steps = [Step("", facts["start"])]
    for operation in facts["operations"]:
        value = _truth(steps[-1].value == "True", operation)
        steps.append(Step(f"{operation}: ", str(value), (str(not value),)))
    return steps


def _truth(value: bool, operation: str) -> bool:
    word, _, operand = operation.partition(" ")
    if word == "not":
        return not value
    other = operand == "True"
    return {"and": value and other, "or": value or other, "xor": value != other}[word]


def _chain_sum(facts: Facts) -> list[Step]:
    first, *rest = facts["expression"].split(" ")
    steps, total = [], int(first)
    for sign, term in zip(rest[::2], rest[1::2], strict=True):
        after = total + int(term) if sign == "+" else total - int(term)
        wrong = (str(after - 1), str(after + 1))
        steps.append(Step(f"{total} {sign} {term} = ", str(after), wrong))
        total = after
    return steps


def _number_sorting(facts: Facts) -> list[Step]:
    return _picks([str(number) for number in facts["numbers"]], int, facts["direction"])


def _word_sorting(facts: Facts) -> list[Step]:
    return _picks(list(facts["words"]), str, facts["direction"])


def _picks(items: list[str], rank: Callable[[str], Any], direction: str) -> list[Step]:
    """Return one step per pick: the item, and after a bar the items left in their order."""
    choose = min if direction == "ascending" else max
    steps: list[Step] = []
    picked: list[str] = []
    left = items
    while left:
        pick = choose(left, key=rank)
        # The last pick has no rival; the slip that is left is to pick an item again.
        others = left if len(left) > 1 else picked
        wrong = tuple(_pick(other, left) for other in dict.fromkeys(others) if other != pick)
        steps.append(Step("", _pick(pick, left), wrong))
        left = _without(pick, left)
        picked.append(pick)
    return steps


def _pick(item: str, left: list[str]) -> str:
    return " ".join([item, "|", *_without(item, left)]) if len(left) > 1 else item


def _without(item: str, left: list[str]) -> list[str]:
    place = left.index(item)
    return left[:place] + left[place + 1 :]


def _needle_haystack(facts: Facts) -> list[Step]:
    sentences = {thing: f"{name} {verb} {thing}." for name, verb, thing in facts["statements"]}
    thing = facts["asked"][1]
    wrong = tuple(sentence for other, sentence in sentences.items() if other != thing)
    return [Step(f"{thing}: ", sentences[thing], wrong)]


def _letter_counting(facts: Facts) -> list[Step]:
    steps, count = [], 0
    for word in facts["words"]:
        pieces = []
        for letter in word.lower():
            count += letter == facts["letter"]
            pieces += [letter, str(count)]
        wrong = tuple(str(other) for other in (count - 1, count + 1) if other >= 0)
        steps.append(Step(" ".join(pieces[:-1]) + " ", pieces[-1], wrong))
    return steps


def _coin(facts: Facts) -> list[Step]:
    steps = [Step("", facts["start"])]
    for name, flip in zip(facts["names"], facts["flips"], strict=True):
        side = SIDE[steps[-1].value] if flip else steps[-1].value
        steps.append(Step(f"{name} {'flips' if flip else 'keeps'}: ", side, (SIDE[side],)))
    return steps


STEPS: dict[str, Callable[[Facts], list[Step]]] = {
    "number_sorting": _number_sorting,
    "chain_sum": _chain_sum,
    "needle_haystack": _needle_haystack,
    "facing": _facing,
    "boolean": _boolean,
    "letter_counting": _letter_counting,
    "coin": _coin,
    "word_sorting": _word_sorting,
}


# --- what others call ------------------------------------------------------------------


def steps(question: Question) -> list[Step]:
    """Return the Steps that lead to the answer of a question.

    Raises UserError for a family that the solver does not know.
    """
    check_choice("family", question.family, tuple(STEPS))
    return STEPS[question.family](question.facts)


def answer_of(family: str, solved: Sequence[Step]) -> str:
    """Return the answer that the steps of a question of this family lead to."""
    if family in ("number_sorting", "word_sorting"):
        return ", ".join(step.value.split(" ")[0] for step in solved)
    if family == "needle_haystack":
        return solved[-1].value.split(" ")[0]
    return solved[-1].value


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
