"""What goes wrong in answers, counted by rule: the first wrong step, what follows a nudge, and
answers of the wrong type. Pure: no rule looks at who answered.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from ponder.grading.families import extract, normal
from ponder.questions import solver
from ponder.questions.drawn import Question
from ponder.questions.family import Step
from ponder.report.comparisons import MAIN, within
from ponder.report.example import Decode
from ponder.statistics import Sample

AGAIN = "Wait, "  # opens a line that says again, or corrects, the one before it
# The first wrong line of a thinking: "right" has none.
STEPS = ("right", "value", "step", "missing", "extra")
# What follows the last nudge.
NUDGES = ("operation", "again", "value", "step", "nothing", "other")
VALUE = re.compile(r"(.*(?::|=|\|) ?)(.*)")  # a line up to its last separator, and its value
CLOSED = 4  # a family with so few different answers, none of them a number, has these alone

FREE = (
    MAIN,
    "SFT with doubt, no forcing",
    "Distilled student, no forcing",
    "SFT on s1's choice of rows, no forcing",
)
WAIT = "SFT, Wait x1"  # of the main arm
NUDGED = (WAIT, "Distilled student, Wait x1", "SFT with doubt, Wait x1", "SFT with doubt, Wait x2")
TYPED = ("Base, zero-shot", "Base, 4 worked examples", "SFT on answers only", *FREE)
Answers = Mapping[tuple[str, str, int], Sample]

# How the documents and the site name what is counted, in the order of their columns.
STEP_COLUMNS = {
    "n": "answers",
    "right_answers": "right answers",
    "right": "every step right",
    "followed": "and the answer too",
    "value": "another value",
    "step": "another step",
    "missing": "ended early",
    "extra": "went on",
}
NUDGE_COLUMNS = {
    "n": "nudged",
    "operation": "`Wait:` as one more operation",
    "followed": "its value is the answer",
    "again": "the line before again",
    "value": "with another value",
    "step": "another step",
    "nothing": "nothing",
    "other": "other words",
}


def mistakes(
    rows: Mapping[str, Answers],
    questions: Sequence[Question],
    trained: Sequence[str],
    decode: Decode,
) -> dict[str, list[dict[str, Any]]]:
    """Return what is counted: {"steps", "nudges", "types"}, lists of entries that have a name.

    `rows` are the answers of the table by label, `trained` the families that steps are counted in.
    The main arm has an entry for each family beside its own, and a type has one for each family.
    """
    families = sorted({question.family for question in questions})
    steps = {(q.family, q.id): solver.steps(q) for q in questions}
    kinds = {f: kind_of(q.answer for q in questions if q.family == f) for f in families}
    of_steps = [(label, list(trained)) for label in FREE]
    of_steps += [(f"{MAIN}: {family}", [family]) for family in trained]
    of_nudges = [(label, families) for label in NUDGED]
    of_nudges += [(f"{WAIT}: {family}", [family]) for family in families]
    return {
        "steps": [
            {"name": name, **steps_counted(_answers(rows, name, some), steps, decode)}
            for name, some in of_steps
        ],
        "nudges": [
            {"name": name, "family": some[0] if ":" in name else None}
            | nudges_counted(_answers(rows, name, some), decode)
            for name, some in of_nudges
        ],
        "types": [
            {
                "name": label,
                "families": {
                    f: types_counted(within(rows[label], [f]), f, kinds) for f in families
                },
            }
            for label in TYPED
        ],
    }


def _answers(rows: Mapping[str, Answers], name: str, families: list[str]) -> list[Sample]:
    return within(rows[name.partition(":")[0]], families)


# --- the first wrong step --------------------------------------------------------------


def first_wrong(thinking: str, steps: Sequence[Step]) -> tuple[str, int]:
    """Return which of STEPS the first line is that is not the solver's, and its number from 1.

    value: it is the step that is due, with another value; step: it is another line; missing: the
    thinking ends before it; extra: all steps are right and the thinking goes on. A line that begins
    with "Wait, " takes the place of the one before it. Of "right" the number is that of the steps.
    """
    lines = mended(thinking)
    for number, step in enumerate(steps, 1):
        if number > len(lines):
            return "missing", number
        line = lines[number - 1]
        if line != step.line:
            return ("value" if line.startswith(step.text) else "step"), number
    return ("extra", len(steps) + 1) if len(lines) > len(steps) else ("right", len(steps))


def mended(thinking: str) -> list[str]:
    """Return the lines of a thinking, each as it was said last."""
    lines: list[str] = []
    for line in thinking.rstrip("\n").split("\n"):
        if line.startswith(AGAIN) and lines:
            lines.pop()
        lines.append(line.removeprefix(AGAIN))
    return lines


def steps_counted(
    samples: Iterable[Sample], steps: Mapping[tuple[str, str], Sequence[Step]], decode: Decode
) -> dict[str, Any]:
    """Return {"n", "right_answers", each of STEPS, "followed"} of the answers to some questions.

    `steps` are the solver's by (task, id). "followed" are the right answers among those whose steps
    are all right.
    """
    counts: Counter[str] = Counter(dict.fromkeys(STEPS, 0) | {"followed": 0, "right_answers": 0})
    n = 0
    for sample in samples:
        thinking = decode(sample["ids"][: sample["num_thinking"]])
        pattern, _ = first_wrong(thinking, steps[sample["task"], sample["id"]])
        counts[pattern] += 1
        counts["right_answers"] += sample["correct"]
        counts["followed"] += pattern == "right" and sample["correct"]
        n += 1
    return {"n": n, **counts}


# --- after a nudge ---------------------------------------------------------------------


def nudged(sample: Sample, decode: Decode) -> tuple[str, str] | None:
    """Return the thinking before the last nudge and after it; None without a nudge."""
    ids, thinking = sample["ids"], sample["num_thinking"]
    forced = [place for place in sample["forced"] if place < thinking]
    if not forced:
        return None
    first = forced[-1]
    while first - 1 in forced:
        first -= 1
    return decode(ids[:first]), decode(ids[forced[-1] + 1 : thinking])


def after_nudge(before: str, after: str) -> str:
    """Return which of NUDGES a text is that follows a nudge.

    operation: it goes on with a colon, as if the nudge were the name of one more step; again: with
    the line before; value: with that line and another value; step: with another line that gives a
    value; nothing: it ends; other: none of it.
    """
    if after.lstrip(" ").startswith(":"):
        return "operation"
    said = after.strip().removeprefix(",").split("\n")[0].strip()
    if not said:
        return "nothing"
    lines = [line for line in mended(before.rstrip()) if line.strip()]
    last = lines[-1].strip() if lines else ""
    if said == last:
        return "again"
    due, given = VALUE.fullmatch(last), VALUE.fullmatch(said)
    if given is None:
        return "other"
    return "value" if due is not None and due[1] == given[1] else "step"


def nudges_counted(samples: Iterable[Sample], decode: Decode) -> dict[str, Any]:
    """Return {"n": answers with a nudge, each of NUDGES, "followed"} of some answers.

    "followed" are those of operation whose answer is the value that the nudge was given.
    """
    counts: Counter[str] = Counter(dict.fromkeys(NUDGES, 0) | {"followed": 0})
    n = 0
    for sample in samples:
        parts = nudged(sample, decode)
        if parts is None:
            continue
        pattern, answer = after_nudge(*parts), extract(sample["reply"])
        counts[pattern] += 1
        if pattern == "operation" and answer is not None:
            value = parts[1].lstrip(" :").split("\n")[0]
            counts["followed"] += normal(value) == normal(answer)
        n += 1
    return {"n": n, **counts}


# --- the type of an answer -------------------------------------------------------------


def kind_of(golds: Iterable[str]) -> str | frozenset:
    """Return what the right answers of a family are: "numbers", "words", "number" or "word", or
    the few normal forms that there are.
    """
    forms = [normal(gold) for gold in golds]
    is_numeric = all(isinstance(item, Fraction) for form in forms for item in form)
    if all(len(form) > 1 for form in forms):
        return "numbers" if is_numeric else "words"
    if is_numeric:
        return "number"
    return frozenset(forms) if len(set(forms)) <= CLOSED else "word"


def is_of_kind(answer: str, kind: str | frozenset) -> bool:
    """Return whether an answer, right or wrong, is of a kind."""
    form = normal(answer)
    if isinstance(kind, frozenset):
        return form in kind
    items_fit = all(isinstance(item, Fraction) == kind.startswith("number") for item in form)
    return items_fit and (len(form) > 1) == kind.endswith("s")


def types_counted(
    samples: Iterable[Sample], family: str, kinds: Mapping[str, str | frozenset]
) -> dict[str, Any]:
    """Return {"n", "unanswered", "wrong", "borrowed", "from"} of the answers to a family.

    wrong: answers of another type than the family's right ones; borrowed: those of them that are
    one of the few answers of another family, "from" the family that most are of, None without any.
    """
    answers = [extract(sample["reply"]) for sample in samples]
    given = [answer for answer in answers if answer is not None]
    wrong = [answer for answer in given if not is_of_kind(answer, kinds[family])]
    owners: Counter[str] = Counter()
    for answer in wrong:
        owners.update(
            name
            for name, kind in kinds.items()
            if isinstance(kind, frozenset) and is_of_kind(answer, kind)
        )
    most = owners.most_common(1)
    return {
        "n": len(answers),
        "unanswered": len(answers) - len(given),
        "wrong": len(wrong),
        "borrowed": most[0][1] if most else 0,
        "from": most[0][0] if most else None,
    }
