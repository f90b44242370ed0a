"""Intervals against numbers worked out by hand, and the control that answers like its neighbour."""

import pytest

from ponder.evaluate.nearest import nearest, words
from ponder.statistics import accuracy, difference, summary


def test_the_interval_of_an_accuracy_is_wilsons():
    found = accuracy([True] * 8 + [False] * 2)
    assert (found["n"], found["correct"], found["accuracy"]) == (10, 8, 0.8)
    assert found["low"] == pytest.approx(0.4902, abs=1e-4) and found["high"] == pytest.approx(
        0.9433, abs=1e-4
    )


def test_a_difference_is_paired_by_question():
    same = [True, False] * 50
    assert difference(same, same, "t") == {"difference": 0.0, "low": 0.0, "high": 0.0}
    found = difference([True] * 100, same, "t")
    assert found["difference"] == 0.5 and 0.35 < found["low"] < 0.45 and 0.55 < found["high"] < 0.65


def test_a_bootstrap_is_named_by_its_purpose():
    flags, others = [i % 3 > 0 for i in range(997)], [i % 7 > 2 for i in range(997)]
    found = [difference(flags, others, purpose) for purpose in ("a", "a", "b", "c", "d")]
    assert found[0] == found[1] and len({f["low"] for f in found} | {f["high"] for f in found}) > 2


def test_a_summary_counts_what_forcing_did():
    rows = [
        {"correct": True, "num_thinking": 4, "capped": True, "num_ignored": 0},
        {"correct": False, "num_thinking": 8, "capped": False, "num_ignored": 2},
    ]
    found = summary(rows)
    assert (found["thinking_tokens"], found["capped"], found["ignored_ends"], found["correct"]) == (
        6.0,
        1,
        2,
        1,
    )


def test_the_nearest_question_shares_most_words_and_ties_go_to_the_first():
    asked = ["Who likes tea?", "Who likes 4 + 4?", "Who likes tea?"]
    rows = [{"id": ident, "question": question} for ident, question in enumerate(asked, 1)]
    assert nearest("Who likes 4 + 5?", rows)["id"] == 2
    assert nearest("who LIKES tea", rows)["id"] == 1
    assert "+" in words("4 + 5")
