"""What goes wrong in answers: each rule on answers that it must tell apart, and the counts."""

import json

import pytest
from conftest import ROOT

from ponder.questions.family import Step
from ponder.report import mistakes

STEPS = [Step("", "True"), Step("not: ", "False"), Step("or True: ", "True")]
RIGHT = "True\nnot: False\nor True: True"


@pytest.mark.parametrize(
    "thinking, found",
    [
        (RIGHT, ("right", 3)),
        (RIGHT + "\n", ("right", 3)),
        ("False\nnot: False\nor True: True", ("value", 1)),
        ("True\nnot: True\nor True: True", ("value", 2)),
        ("True\nor True: True", ("step", 2)),
        ("True\nnot: False", ("missing", 3)),
        ("", ("value", 1)),
        (RIGHT + "\nand False: False", ("extra", 4)),
        ("True\nnot: True\nWait, not: False\nor True: True", ("right", 3)),
        ("True\nnot: False\nWait, not: True\nor True: True", ("value", 2)),
        ("Wait, True\nnot: False\nor True: True", ("right", 3)),
    ],
)
def test_the_first_wrong_step_is_the_first_line_that_is_not_due(thinking, found):
    assert mistakes.first_wrong(thinking, STEPS) == found


@pytest.mark.parametrize(
    "after, pattern",
    [
        (": True", "operation"),
        (" : x\nmore", "operation"),
        (", or True: True", "again"),
        (", or True: True\nand so on", "again"),
        (", or True: False", "value"),
        (", and False: False", "step"),
        (", 2 + 1 = 3", "step"),
        ("", "nothing"),
        (",\n", "nothing"),
        (", I'm done!", "other"),
        (" 2", "other"),
    ],
)
def test_what_follows_a_nudge_is_one_of_its_patterns(after, pattern):
    assert pattern in mistakes.NUDGES
    assert mistakes.after_nudge(RIGHT + "\n", after) == pattern


def test_the_line_before_a_nudge_may_itself_be_a_doubt():
    assert (
        mistakes.after_nudge("or True: True\nWait, or True: False\n", ", or True: False") == "again"
    )


def sample(thinking, reply, forced=(), correct=False):
    """An answer whose tokens are the characters of its thinking."""
    return {
        "task": "boolean",
        "id": "1",
        "ids": [ord(sign) for sign in thinking],
        "num_thinking": len(thinking),
        "forced": list(forced),
        "reply": reply,
        "correct": correct,
    }


def decode(ids):
    return "".join(map(chr, ids))


def test_a_nudge_is_the_last_stretch_of_forced_tokens_in_the_thinking():
    text = "a\nWait: b\nWait: c"
    forced = [*range(2, 6), *range(10, 14), len(text) + 1]
    assert mistakes.nudged(sample(text, "", forced), decode) == ("a\nWait: b\n", ": c")
    assert mistakes.nudged(sample(text, "", [len(text) + 1]), decode) is None


def test_counts_are_of_the_answers_and_followed_of_the_pattern():
    at = len(RIGHT) + 1
    forced = range(at, at + 4)
    answers = [
        sample(RIGHT + "\nWait: False", "Final Answer: false", forced),
        sample(RIGHT + "\nWait: False", "Final Answer: True", forced, correct=True),
        sample(RIGHT + "\nWait, or True: True", "Final Answer: True", forced, correct=True),
        sample(RIGHT, "Final Answer: True", correct=True),
    ]
    counts = mistakes.nudges_counted(answers, decode)
    assert (counts["n"], counts["operation"], counts["followed"], counts["again"]) == (3, 2, 1, 1)
    steps = mistakes.steps_counted(answers, {("boolean", "1"): STEPS}, decode)
    assert (steps["n"], steps["right_answers"], steps["right"], steps["extra"]) == (4, 3, 2, 2)
    assert steps["followed"] == 2


@pytest.mark.parametrize(
    "golds, kind, fitting, other",
    [
        (["1", "-5", "12"], "number", "1/2", "one"),
        (["1, 2", "3, 1"], "numbers", "[7, 8, 9]", "7"),
        (["b, a", "c, d"], "words", "x, y", "x, 1"),
        (["heads", "tails"], None, "Heads.", "True"),
        (["Ann", "Bo", "Cy", "Di", "Ed"], "word", "Someone", "3"),
    ],
)
def test_the_type_of_an_answer_is_that_of_the_right_ones(golds, kind, fitting, other):
    found = mistakes.kind_of(golds)
    assert found == kind if kind else len(found) == len(golds)
    assert mistakes.is_of_kind(fitting, found) and not mistakes.is_of_kind(other, found)


def test_an_answer_of_another_family_is_told_from_one_of_none():
    kinds = {"coin": mistakes.kind_of(["heads", "tails"]), "boolean": mistakes.kind_of(["True"])}
    replies = ["Final Answer: True", "Final Answer: edge", "Final Answer: tails", "nothing"]
    counts = mistakes.types_counted([sample("", reply) for reply in replies], "coin", kinds)
    assert counts == {"n": 4, "unanswered": 1, "wrong": 2, "borrowed": 1, "from": "boolean"}


def test_what_was_counted_adds_up():
    found = json.loads((ROOT / "paper/generated/results.json").read_text())["mistakes"]
    for entry in found["steps"]:
        assert sum(entry[pattern] for pattern in mistakes.STEPS) == entry["n"]
        assert entry["followed"] <= min(entry["right"], entry["right_answers"])
    for entry in found["nudges"]:
        assert sum(entry[pattern] for pattern in mistakes.NUDGES) == entry["n"]
    for part in ("steps", "nudges"):
        whole = {entry["name"]: entry for entry in found[part]}
        label = (mistakes.MAIN, mistakes.WAIT)[part == "nudges"]
        families = [entry for name, entry in whole.items() if name.startswith(f"{label}: ")]
        assert sum(entry["n"] for entry in families) == whole[label]["n"]
    for entry in found["types"]:
        for family in entry["families"].values():
            assert family["borrowed"] <= family["wrong"] <= family["n"] - family["unanswered"]
