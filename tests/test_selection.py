"""Which traces are trained on: what each filter drops and why, and that chance comes from the seed alone."""
import random
import subprocess
import sys
from collections import Counter

import pytest
from conftest import ROOT
from hypothesis import assume, given
from hypothesis import strategies as st

from ponder.config import ConfigError
from ponder.selection import Selection, difficulty, diversity, quality, select

RULE = Selection("test", 4, max_tokens=20, min_tokens=5)


def trace(ident, tokens=10, correct=True, think="a", domain="d"):
    return {"id": f"{ident:04}", "tokens": tokens, "correct": correct, "think": think, "domain": domain}


def many(count, domains=3):
    return [trace(i, domain=f"d{i % domains}") for i in range(count)]


@pytest.mark.parametrize("row, reason", [
    (trace(0), None), (trace(0, think=""), "empty trace"), (trace(0, think=" \n"), "empty trace"),
    (trace(0, correct=False), "wrong answer"), (trace(0, tokens=21), "too long"), (trace(0, tokens=20), None)])
def test_quality_drops_this_for_that_reason(row, reason):
    assert quality(row, RULE) == reason


@pytest.mark.parametrize("tokens, reason", [(4, "too short"), (5, None), (20, None)])
def test_difficulty_drops_short_traces(tokens, reason):
    assert difficulty(trace(0, tokens), RULE) == reason


def test_every_dropped_trace_has_its_filter_and_reason():
    rows = [trace(0, correct=False), trace(1, think=""), trace(2, 99), trace(3, 1), *(trace(i) for i in range(4, 9))]
    chosen, funnel = select(rows, RULE, 0)
    assert funnel["after"] == {"pool": 9, "quality": 6, "difficulty": 5, "diversity": 4}
    assert {k: v for k, v in funnel["dropped"].items() if k < "0004"} == {
        "0000": "quality: wrong answer", "0001": "quality: empty trace", "0002": "quality: too long",
        "0003": "difficulty: too short"}
    left, = {k for k in funnel["dropped"] if k >= "0004"}
    assert funnel["dropped"][left] == "diversity: not drawn"
    assert funnel["domains"] == {"d": 4} and len(chosen) == 4


ROWS = st.lists(st.tuples(st.integers(1, 30), st.booleans(), st.sampled_from(["", "a"]), st.sampled_from("xyz")),
                max_size=40).map(lambda facts: [trace(i, *fact) for i, fact in enumerate(facts)])


@given(ROWS, st.integers(0, 3), st.integers(0, 9))
def test_the_funnel_adds_up_and_every_trace_is_chosen_or_dropped_once(rows, size, seed):
    good = [row for row in rows if not quality(row, RULE) and not difficulty(row, RULE)]
    assume(good)
    rule = Selection("test", max(1, min(size, len(good))), 20, 5)
    chosen, funnel = select(rows, rule, seed)
    ids = {row["id"] for row in chosen}
    assert len(ids) == len(chosen) == rule.size == funnel["after"]["diversity"] == sum(funnel["domains"].values())
    assert ids | set(funnel["dropped"]) == {row["id"] for row in rows} and not ids & set(funnel["dropped"])
    why = Counter(reason.split(":")[0] for reason in funnel["dropped"].values())
    after = list(funnel["after"].values())
    assert [why["quality"], why["difficulty"], why["diversity"]] == [a - b for a, b in zip(after, after[1:])]
    assert all(row in good for row in chosen)


@given(ROWS, st.integers(0, 9), st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order_of_the_traces(rows, seed, shuffler):
    good = [row for row in rows if not quality(row, RULE) and not difficulty(row, RULE)]
    assume(good)
    rule = Selection("test", max(1, len(good) // 2), 20, 5)
    other = list(rows)
    shuffler.shuffle(other)
    assert select(rows, rule, seed) == select(other, rule, seed)


def test_select_changes_neither_its_rows_nor_the_global_random_state():
    rows, state = many(20), random.getstate()
    select(rows, RULE, 0)
    assert rows == many(20) and random.getstate() == state


def test_the_seed_decides():
    rows = many(60)
    assert diversity(rows, 10, 0) == diversity(rows, 10, 0) != diversity(rows, 10, 1)


def test_the_choice_does_not_depend_on_the_hash_seed():
    code = ("from ponder.selection import *\n"
            "rows = [dict(id=str(i), tokens=9, correct=True, think='a', domain='d' + str(i % 5)) for i in range(50)]\n"
            "print(select(rows, Selection('x', 20, 99, 1), 0))")
    said = {subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={"PYTHONHASHSEED": seed}, capture_output=True,
                           check=True).stdout for seed in ("1", "2")}
    assert len(said) == 1


def test_too_few_traces_are_told():
    with pytest.raises(ConfigError, match=r"selection.size=4 exceeds the 3 traces.*lower it"):
        select([trace(i) for i in range(3)], RULE, 0)


def test_domains_are_drawn_about_equally_though_one_is_much_larger():
    rows = [trace(i, domain="large") for i in range(1000)] + [trace(1000 + i, domain="small") for i in range(300)]
    counts = Counter(row["domain"] for row in diversity(rows, 400, 0))
    assert 160 < counts["small"] < 240


def test_an_exhausted_domain_leaves_the_rest_to_the_others():
    rows = [trace(0, domain="one"), *(trace(i, domain="many") for i in range(1, 11))]
    assert Counter(row["domain"] for row in diversity(rows, 11, 0)) == {"one": 1, "many": 10}


def test_traces_within_a_domain_are_drawn_about_equally():
    rows = [trace(i, domain="d") for i in range(10)]
    first = Counter(diversity(rows, 1, seed)[0]["id"] for seed in range(1000))
    assert len(first) == 10 and 60 < min(first.values()) <= max(first.values()) < 140
