"""The solver's answers, and the doubts written into its traces."""

import dataclasses
import random
from pathlib import Path

import pytest

from ponder.errors import UserError
from ponder.questions.drawn import Question, read_split
from ponder.questions.families import FAMILIES
from ponder.questions.family import Step
from ponder.questions.solver import answer_of, steps, write

COMMITTED = Path(__file__).resolve().parents[1] / "data/cpu/questions"


@pytest.fixture(scope="module")
def rows():
    return [
        row for split in ("pool", "probe", "dev", "test") for row in read_split(COMMITTED, split)
    ]


@pytest.fixture(scope="module")
def pool():
    return read_split(COMMITTED, "pool")


def question(family, facts):
    return Question("0" * 16, family, "", "", "", facts)


def traces(questions, doubt, rate=1.0):
    return [(one, write(one, doubt, rate, random.Random(f"doubt/{one.id}/0"))) for one in questions]


# --- answers ---------------------------------------------------------------------------


def test_every_committed_answer_is_derived_from_the_facts(rows):
    assert {row.family for row in rows} <= set(FAMILIES)
    for row in rows:
        assert answer_of(row.family, steps(row)) == row.answer
        blind = dataclasses.replace(row, answer="", question="", key="")
        assert steps(blind) == steps(row)


@pytest.mark.parametrize(
    ("family", "facts", "think", "answer"),
    [
        (
            "facing",
            {"start": "north", "turns": ["left", "around"]},
            "north\nleft: west\naround: east",
            "east",
        ),
        (
            "boolean",
            {"start": "True", "operations": ["and False", "or True", "not", "xor True"]},
            "True\nand False: False\nor True: True\nnot: False\nxor True: True",
            "True",
        ),
        ("chain_sum", {"expression": "6 + 3 - 8 - 4"}, "6 + 3 = 9\n9 - 8 = 1\n1 - 4 = -3", "-3"),
        (
            "number_sorting",
            {"direction": "ascending", "numbers": [12, 8, 71]},
            "8 | 12 71\n12 | 71\n71",
            "8, 12, 71",
        ),
        (
            "number_sorting",
            {"direction": "descending", "numbers": [9, 10, 9]},
            "10 | 9 9\n9 | 9\n9",
            "10, 9, 9",
        ),
        (
            "needle_haystack",
            {
                "statements": [["Bo", "hates", "tea"], ["Ann", "likes", "fishing"]],
                "asked": ["likes", "fishing"],
            },
            "fishing: Ann likes fishing.",
            "Ann",
        ),
        (
            "letter_counting",
            {"letter": "a", "words": ["Banana", "at"]},
            "b 0 a 1 n 1 a 2 n 2 a 3\na 4 t 4",
            "4",
        ),
        (
            "coin",
            {"start": "heads", "names": ["Ann", "Bo"], "flips": [True, False]},
            "heads\nAnn flips: tails\nBo keeps: tails",
            "tails",
        ),
        ("word_sorting", {"direction": "descending", "words": ["ab", "c"]}, "c | ab\nab", "c, ab"),
    ],
)
def test_traces_read_as_documented(family, facts, think, answer):
    one = question(family, facts)
    assert write(one, "none", 1.0, random.Random(0)).think == think
    assert answer_of(family, steps(one)) == answer


def test_wrong_values_are_wrong_and_distinct(rows):
    for row in rows:
        for step in steps(row):
            assert step.value not in step.wrong
            assert len(set(step.wrong)) == len(step.wrong)
            assert all(step.wrong) and "\n" not in step.text + step.value + "".join(step.wrong)


def test_wrong_picks_keep_what_remains_in_order():
    first, second, last = steps(
        question("number_sorting", {"direction": "ascending", "numbers": [12, 8, 71]})
    )
    assert first == Step("", "8 | 12 71", ("12 | 8 71", "71 | 12 8"))
    assert second == Step("", "12 | 71", ("71 | 12",))
    assert last == Step("", "71", ("8", "12"))


def test_unknown_family_and_doubt_are_named(pool):
    with pytest.raises(UserError, match="family is 'riddles'"):
        steps(question("riddles", {}))
    with pytest.raises(UserError, match="doubt is 'some'.*none, confirm, correct"):
        write(pool[0], "some", 1.0, random.Random(0))


# --- doubts ----------------------------------------------------------------------------


def test_none_and_rate_zero_doubt_nothing(pool):
    for doubt, rate in (("none", 1.0), ("confirm", 0.0), ("correct", 0.0)):
        for one, trace in traces(pool[:300], doubt, rate):
            assert trace.think == "\n".join(step.line for step in steps(one))
            assert trace.wrong == ()


@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_rate_is_the_share_of_doubtful_traces(pool, rate):
    doubtful = sum("Wait, " in trace.think for _, trace in traces(pool, "correct", rate))
    assert abs(doubtful / len(pool) - rate) < 0.03


def test_about_half_of_the_doubts_correct_and_confirm_never_does(pool):
    correct, confirm = traces(pool, "correct"), traces(pool, "confirm")
    assert 0.47 < sum(bool(trace.wrong) for _, trace in correct) / len(pool) < 0.53
    assert not any(trace.wrong for _, trace in confirm)
    for (_, one), (_, other) in zip(correct, confirm, strict=True):
        lines = zip(one.think.split("\n"), other.think.split("\n"), strict=True)
        assert sum(a != b for a, b in lines) == len(one.wrong)  # same line doubted, wrong or right


def test_removing_the_doubted_line_gives_the_plain_trace(pool):
    for doubt in ("confirm", "correct"):
        for one, trace in traces(pool, doubt):
            lines = trace.think.split("\n")
            place = next(i for i, line in enumerate(lines) if line.startswith("Wait, "))
            right = lines[place].removeprefix("Wait, ")
            plain = "\n".join([*lines[: place - 1], right, *lines[place + 1 :]])
            assert plain == write(one, "none", 1.0, random.Random(0)).think
            assert (lines[place - 1] != right) == bool(trace.wrong)


def test_spans_cover_exactly_the_wrong_value(pool):
    for one, trace in traces(pool, "correct"):
        for start, end in trace.wrong:
            place = trace.think[:start].count("\n")
            step = steps(one)[place]
            assert trace.think[start:end] in step.wrong
            line = trace.think.split("\n")[place]
            assert line == step.text + trace.think[start:end]
            assert trace.think[:start].endswith(step.text)
            assert trace.think[end : end + 7] == "\nWait, "


def test_about_half_or_more_of_the_doubts_are_of_the_last_step(pool):
    last_lines = [
        (one, trace.think.split("\n")[-1].startswith("Wait, "))
        for one, trace in traces(pool, "correct")
    ]
    long = [doubted for one, doubted in last_lines if len(steps(one)) > 3]
    assert 0.5 < sum(long) / len(long) < 0.75
    assert {one.family for one, doubted in last_lines if doubted} == {one.family for one in pool}


def test_a_start_is_never_doubted_nor_a_step_without_a_wrong_value(pool):
    for one, trace in traces(pool, "correct"):
        if one.family in ("facing", "boolean"):
            assert not trace.think.split("\n")[1].startswith("Wait, ")
    same = question("number_sorting", {"direction": "ascending", "numbers": [5, 5, 5]})
    assert write(same, "correct", 1.0, random.Random(0)).think == "5 | 5 5\n5 | 5\n5"


def test_same_rng_same_trace(pool):
    assert traces(pool[:200], "correct", 0.5) == traces(pool[:200], "correct", 0.5)
