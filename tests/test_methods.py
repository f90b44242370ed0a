"""The compared methods: limits, rows of table 3, votes, rejections, each against a hand count."""

import pytest

from ponder.errors import UserError
from ponder.report import methods, printed, released
from ponder.report.released import Method, MethodRun

PUBLISHED = {
    "table3": {"rows": {"BF": {"control": 100, "scaling": 15, "performance": 56.7, "runs": 5}}}
}


def run(name, least=None, most=None):
    return MethodRun(name, "cpu", "trained", "none", "free", "greedy", least, most)


def samples(tokens, right):
    """Return a sample for each number of thinking tokens; the first `right` of them are right."""
    return [
        {
            "task": "t",
            "id": str(i),
            "num_thinking": count,
            "correct": i < right,
            "capped": False,
            "num_ignored": 0,
            "ids": [count, i],
        }
        for i, count in enumerate(tokens)
    ]


def test_a_step_has_the_tokens_of_its_line_and_of_its_countdown():
    rows = [
        {"id": ident, "think": think, "tokens": tokens}
        for ident, think, tokens in (("a", "x\ny", 7), ("b", "x", 2), ("c", "x", 9))
    ]
    found = methods.tokens_per_step(rows, ["a", "b", "a"], counted=130, plain=100)
    assert found == {"tokens_per_step": (16 + 30) / 5, "steps": 5, "trace": 16, "countdown": 30}
    with pytest.raises(UserError, match="training saw row z, which is not among the rows"):
        methods.tokens_per_step(rows, ["a", "z"], 1, 1)


def test_limits_are_counted_in_the_unit_of_the_method():
    units = {"tokens": 1, "steps": 6.5, "unasked": 20.0}
    assert methods.limits(
        Method("X", "x", "tokens", (run("a", None, 8.0), run("b", 2.0, None))), units
    ) == [(None, 8), (2, None)]
    assert methods.limits(Method("X", "x", "steps", (run("a", None, 4.0),)), units) == [(None, 26)]


def test_thinking_as_long_as_without_an_instruction_obeys_neither_short_nor_long():
    method = Method("CCC", "x", "unasked", (run("short", None, 1.0), run("long", 1.0, None)))
    same = samples([20, 20], 1)
    found = methods.row(method, {"unasked": 20.0}, [same, same], PUBLISHED)
    assert (
        found["control"]["value"] == 0
        and found["scaling"] is None
        and found["slope"] == "not defined"
    )
    found = methods.row(
        method, {"unasked": 20.0}, [samples([19, 20], 1), samples([21, 21], 1)], PUBLISHED
    )
    assert found["control"]["value"] == 1 and [point["within"] for point in found["points"]] == [
        1,
        2,
    ]


def test_a_row_has_the_metrics_of_its_runs_with_their_text_and_what_s1_printed():
    method = Method("BF", "x", "tokens", (run("a", None, 8.0), run("b", None, 20.0)))
    found = methods.row(
        method, {"tokens": 1}, [samples([8] * 10, 2), samples([10, 22] * 5, 6)], PUBLISHED
    )
    assert (found["control"]["value"], found["performance"]["value"]) == (1.0, 0.6)
    assert found["scaling"]["value"] == pytest.approx(40.0) and found["slope"] == "positive"
    assert found["control_per_sample"]["value"] == pytest.approx(0.75)
    assert found["text"]["control"] == "100 [100, 100]" and found["text"]["scaling"].startswith(
        "+40.0 [+"
    )
    assert found["s1"] == PUBLISHED["table3"]["rows"]["BF"] and found["runs"] == 2
    assert (
        methods.row(
            Method("Y", "x", "tokens", method.runs), {"tokens": 1}, [samples([8], 1)] * 2, PUBLISHED
        )["s1"]
        is None
    )


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ((0.5, -0.3, 1.2), "not distinguishable from 0"),
        ((0.5, 0.1, 1.2), "positive"),
        ((-2, -3, -0.1), "negative"),
        ((60, 1, 101.1), methods.NOT_DETERMINED),
    ],
)
def test_a_slope_is_said_only_where_its_interval_leaves_out_0(found, words):
    scaling = dict(zip(("value", "low", "high"), found, strict=True))
    assert methods.slope(scaling, [10, 20]) == words
    assert methods.slope(scaling, [0, 20, 40, 20.9]) == methods.NOT_DETERMINED
    assert methods.slope(scaling, [0, 0, 20, 21.1]) == words


def test_two_runs_with_the_same_answers_count_once_in_scaling():
    names = Method("BF", "x", "tokens", tuple(run(name, None, 99.0) for name in "abc"))
    short, long = samples([8] * 200, 40), samples([16] * 200, 80)
    again = [s | {"ids": [0], "correct": True} if s["id"] == "199" else s for s in long]
    found = methods.row(names, {"tokens": 1}, [short, long, again], PUBLISHED)
    alone = methods.row(
        Method("BF", "x", "tokens", names.runs[:2]), {"tokens": 1}, [short, again], PUBLISHED
    )
    assert found["counted"] == ["a", "c"] and found["runs"] == 3
    assert found["scaling"] == alone["scaling"] and found["slope"] == alone["slope"]
    other = [s | {"ids": [0]} if int(s["id"]) > 196 else s for s in long]
    found = methods.row(names, {"tokens": 1}, [short, long, other], PUBLISHED)
    assert found["counted"] == ["a", "b", "c"] and found["slope"] == methods.NOT_DETERMINED
    assert found["text"]["scaling"] == "n.d."


def test_a_text_never_has_a_minus_zero():
    assert (
        printed.interval_text({"value": -0.01, "low": -0.2, "high": 0.04}, 1, 1, "+")
        == "+0.0 [-0.2, +0.0]"
    )
    assert (
        printed.interval_text({"value": 0.5, "low": 0.123, "high": 1}, 100, 1)
        == "50.0 [12.3, 100.0]"
    )
    assert printed.interval_text(None, 1, 1) == "-"


def said(*answers, task="t", ident="1", right="4"):
    return [
        {
            "task": task,
            "id": ident,
            "sample": i,
            "reply": f"Final Answer: {answer}" if answer else "hm",
            "num_thinking": 10 + i,
            "correct": answer == right,
        }
        for i, answer in enumerate(answers)
    ]


def test_answers_that_the_grader_takes_for_equal_vote_together():
    assert (
        methods.vote_of("Final Answer: 4.0") == methods.vote_of("Final Answer: 4.")
        and methods.vote_of("hm") is None
    )
    votes = said("5", "4", "4.0", None)
    votes[2]["correct"] = True
    first, two, four = methods.voting(votes, (1, 2, 4))
    assert (first["scores"], two["scores"], four["scores"]) == ([0.0], [0.5], [1.0]) and two[
        "tied"
    ] == 1
    assert (first["tokens"], two["tokens"], four["tokens"]) == (10, 21, 46)
    assert (first["coverage"]["value"], four["coverage"]["value"]) == (0.5, 1.0)
    assert four["accuracy"]["text"] == "100.0 [100.0, 100.0]"


def test_votes_are_by_question_whatever_the_order_of_the_rows():
    rows = said("4", "5", ident="2") + said(None, "4", ident="1")
    found = methods.voting(rows[::-1], (1,))[0]
    assert found["scores"] == [0.0, 1.0] and found["unanswered"] == 1 and found["n"] == 2


def test_a_question_that_misses_a_sample_or_has_one_twice_is_refused():
    rows = said("4", "5", ident="1") + said("4", "5", ident="2")
    for broken in (rows[:-1], [*rows[:-1], rows[-2]]):
        with pytest.raises(UserError, match=r"^t 2 has the samples \[0"):
            methods.voting(broken, (1,))


def test_what_rejection_threw_away_is_counted_with_the_unanswered():
    rows = [
        {"tries": 1, "thrown": 0, "num_thinking": 5, "finish": "stop"},
        {"tries": 3, "thrown": 24, "num_thinking": 0, "finish": "rejected"},
    ]
    assert methods.rejection(rows) == {"tries": 2, "thrown": 12, "spent": 14.5, "unanswered": 1}


def test_the_compared_runs_are_named_once_and_pair_with_the_comparisons():
    compared = released.methods()
    labels = [run.run_label("test") for run in compared.named().values()]
    assert len(labels) == len(set(labels))
    assert {compared.unasked.run_label("test"), compared.voting.run_label("test")} <= set(labels)
    assert compared.voting.run_label("dev") == "cpu-trained-free-sampled4-dev"
