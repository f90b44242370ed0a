"""A solver that thinks in steps a 135M model can follow: each is a look-up, a copy or a small sum.

It works from the facts of a question alone, never from its answer, so that comparing the two tests both. A trace may
carry one doubt: a line that starts with "Wait," and says again, or corrects, the line before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ponder.config import check_choice

DOUBTS = ("none", "confirm", "correct")
WAIT = "Wait, "
SIDE = {"heads": "tails", "tails": "heads"}
TURNED = {
    "left": {"north": "west", "west": "south", "south": "east", "east": "north"},
    "right": {"north": "east", "east": "south", "south": "west", "west": "north"},
    "around": {"north": "south", "south": "north", "east": "west", "west": "east"},
}


@dataclass(frozen=True)
class Step:
    """One line of thinking, text then value. `wrong` holds plausible wrong values; with none it cannot be doubted."""

    text: str
    value: str
    wrong: tuple[str, ...] = ()

    @property
    def line(self):
        """The line as it is thought."""
        return self.text + self.value


@dataclass(frozen=True)
class Trace:
    """A finished thinking text and the [start, end) character spans in it of deliberately wrong values."""

    think: str
    wrong: tuple[tuple[int, int], ...]


# --- steps of each family --------------------------------------------------------------


def _facing(facts):
    steps = [Step("", facts["start"])]
    for turn in facts["turns"]:
        now = TURNED[turn][steps[-1].value]
        steps.append(Step(f"{turn}: ", now, tuple(side for side in TURNED["left"] if side != now)))
    return steps


def _boolean(facts):
    steps = [Step("", facts["start"])]
    for operation in facts["operations"]:
        now = _truth(steps[-1].value == "True", operation)
        steps.append(Step(f"{operation}: ", str(now), (str(not now),)))
    return steps


def _truth(value, operation):
    word, _, told = operation.partition(" ")
    if word == "not":
        return not value
    other = told == "True"
    return {"and": value and other, "or": value or other, "xor": value != other}[word]


def _chain_sum(facts):
    first, *rest = facts["expression"].split(" ")
    steps, total = [], int(first)
    for sign, term in zip(rest[::2], rest[1::2], strict=True):
        after = total + int(term) if sign == "+" else total - int(term)
        steps.append(
            Step(f"{total} {sign} {term} = ", str(after), (str(after - 1), str(after + 1)))
        )
        total = after
    return steps


def _number_sorting(facts):
    return _picks([str(number) for number in facts["numbers"]], int, facts["direction"])


def _word_sorting(facts):
    return _picks(list(facts["words"]), str, facts["direction"])


def _picks(left, rank, direction):
    """Return one step per pick: the item chosen, and after a bar what is left in the order of the question."""
    choose = min if direction == "ascending" else max
    steps, picked = [], []
    while left:
        pick = choose(left, key=rank)
        # The last pick has no rival; the slip left to make is to pick an item again.
        others = left if len(left) > 1 else picked
        wrong = tuple(_pick(other, left) for other in dict.fromkeys(others) if other != pick)
        steps.append(Step("", _pick(pick, left), wrong))
        left = _without(pick, left)
        picked.append(pick)
    return steps


def _pick(item, left):
    return " ".join([item, "|", *_without(item, left)]) if len(left) > 1 else item


def _without(item, left):
    place = left.index(item)
    return left[:place] + left[place + 1 :]


def _needle_haystack(facts):
    said = {thing: f"{name} {verb} {thing}." for name, verb, thing in facts["statements"]}
    thing = facts["asked"][1]
    return [
        Step(f"{thing}: ", said[thing], tuple(other for key, other in said.items() if key != thing))
    ]


def _letter_counting(facts):
    steps, count = [], 0
    for word in facts["words"]:
        told = []
        for letter in word.lower():
            count += letter == facts["letter"]
            told += [letter, str(count)]
        near = tuple(str(other) for other in (count - 1, count + 1) if other >= 0)
        steps.append(Step(" ".join(told[:-1]) + " ", told[-1], near))
    return steps


def _coin(facts):
    steps = [Step("", facts["start"])]
    for name, flip in zip(facts["names"], facts["flips"], strict=True):
        now = SIDE[steps[-1].value] if flip else steps[-1].value
        steps.append(Step(f"{name} {'flips' if flip else 'keeps'}: ", now, (SIDE[now],)))
    return steps


STEPS: dict[str, Callable[[dict], list[Step]]] = {
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


def steps(question):
    """Return the Steps that lead to the answer of a question; raises UserError for a family it cannot solve."""
    check_choice("family", question.family, tuple(STEPS))
    return STEPS[question.family](question.facts)


def answer_of(family, solved):
    """Return the answer that the steps of a question of this family lead to."""
    if family in ("number_sorting", "word_sorting"):
        return ", ".join(step.value.split(" ")[0] for step in solved)
    if family == "needle_haystack":
        return solved[-1].value.split(" ")[0]
    return solved[-1].value


def write(question, doubt, rate, rng):
    """Return the Trace of a question, with one doubt in it with probability `rate` unless `doubt` is "none".

    The line doubted is the last that can be half of the time, else any. "confirm" doubts right lines only; "correct"
    doubts a wrong value half of the time and thinks on from the right one. The rng is asked for the same things in
    both, so one seed doubts the same line of the same traces. Raises UserError for another `doubt` or an unknown
    family.
    """
    check_choice("doubt", doubt, DOUBTS)
    solved = steps(question)
    lines = [step.line for step in solved]
    places = [place for place, step in enumerate(solved) if step.wrong]
    if doubt == "none" or not places or rng.random() >= rate:
        return Trace("\n".join(lines), ())
    place = places[-1] if rng.random() < 0.5 else rng.choice(places)
    step = solved[place]
    wrong, slip = rng.choice(step.wrong), rng.random() < 0.5 and doubt == "correct"
    first = step.text + wrong if slip else step.line
    start = sum(len(line) + 1 for line in lines[:place]) + len(step.text)
    think = "\n".join([*lines[:place], first, WAIT + step.line, *lines[place + 1 :]])
    return Trace(think, ((start, start + len(wrong)),) if slip else ())
