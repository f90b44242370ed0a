"""Which traces are trained on: what each filter drops and why, and how rows are drawn.

And that chance comes from the seed alone.
"""

import copy
import dataclasses
import hashlib
import json
import random
import subprocess
import sys
import time
from collections import Counter

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from scipy.stats import chisquare

from ponder import rows as files_of_rows
from ponder.collect import draws, selection
from ponder.collect.selection import (
    First,
    Matched,
    Selection,
    Spared,
    difficulty,
    dropped_rows,
    quality,
    read_attempts,
    select,
)
from ponder.config import build
from ponder.errors import RecordError, UserError
from ponder.rows import Trace
from ponder.runs import dump

CONF = ROOT / "conf" / "selection"
RULE = Selection(
    name="test",
    method="diverse",
    variant="paper",
    size=4,
    uniform_until=2,
    keep_wrong=False,
    min_tokens=5,
    max_tokens=20,
    patterns=(),
    spared=(),
    references={},
    first=(),
    matched=None,
)
METHODS = ("s1", "diverse", "random", "longest", "all")
RELEASED = {"method": "s1", "variant": "released", "matched": Matched("f", "g", 0.5)}


def rule(**changes):
    return dataclasses.replace(RULE, **changes)


def option(name):
    return build(Selection, OmegaConf.load(CONF / f"{name}.yaml"), "selection")


def trace(ident, tokens=10, correct=True, think="a", domain="d", **more):
    fields = {
        "id": f"{ident:04}",
        "tokens": tokens,
        "correct": correct,
        "think": think,
        "domain": domain,
        "family": "f",
        "question": "q",
        "answer": "1",
        "gold": "1",
        "wrong": [],
        "teacher": "t",
    }
    return Trace(**fields | more)


def hit(by="8-gram", benchmark="b"):
    """A row of contamination.jsonl, as far as a selection reads it."""
    return {"by": by, "benchmark": benchmark, "benchmark_id": "7", "where": "question"}


def why_dropped(rows, chosen_rule=RULE):
    """Return what quality says of a trace, as it stands in dropped.jsonl, or None."""
    reason = quality(rows, chosen_rule)
    return None if reason is None else str(reason)


def many(count, domains=3):
    return [trace(i, 5 + i % 16, domain=f"d{i % domains}") for i in range(count)]


def ids(rows):
    return [row.id for row in rows]


# --- quality ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({}, None),
        ({"think": ""}, "empty trace"),
        ({"think": " \n"}, "empty trace"),
        ({"answer": " "}, "empty answer"),
        ({"gold": ""}, "no reference answer"),
        ({"domain": ""}, "missing domain"),
        ({"correct": False}, "wrong answer"),
        ({"tokens": 21}, "too long"),
        ({"tokens": 20}, None),
        ({"rejected": None}, None),
        ({"rejected": "finish reason length"}, "rejected: finish reason length"),
        ({"rejected": "failed: 500", "think": "", "tokens": 0}, "rejected: failed: 500"),
        ({"question": "q" * 20_000}, None),
        ({"question": "q" * 20_001}, "question of more than 20000 characters"),
        ({"answer": "1" * 20_001}, "answer of more than 20000 characters"),
    ],
)
def test_quality_drops_this_for_that_reason(changes, reason):
    assert why_dropped(dataclasses.replace(trace(0), **changes)) == reason


@pytest.mark.parametrize(
    "name", ["question", "answer", "gold", "think", "domain", "tokens", "correct"]
)
def test_a_row_of_a_file_without_a_field_or_with_another_type_is_no_trace(name, tmp_path):
    whole = files_of_rows.values_of(trace(0))
    absent = {field: value for field, value in whole.items() if field != name}
    for row, words in ((absent, f"row 2 has no {name}"), (whole | {name: None}, f"{name} is")):
        path = written(tmp_path / "traces.jsonl", whole, row)
        with pytest.raises(RecordError, match=words):
            files_of_rows.read(Trace, path)


@pytest.mark.parametrize("method", METHODS)
def test_only_a_draw_by_domains_needs_a_domain(method):
    assert (quality(trace(0, domain=""), rule(method=method)) is None) == (
        method not in ("s1", "diverse")
    )


def test_wrong_answers_are_kept_where_the_rule_keeps_them():
    assert quality(trace(0, correct=False), rule(keep_wrong=True)) is None


def test_a_question_of_10_mb_meets_no_pattern(monkeypatch):
    monkeypatch.setattr(selection, "matched_pattern", lambda *_: pytest.fail("a pattern read it"))
    assert (
        why_dropped(trace(0, question="**1" * 3_500_000), rule(patterns=("a",)))
        == "question of more than 20000 characters"
    )


@pytest.mark.parametrize(
    "family, question, reason",
    [
        ("MATH", "plain", None),
        ("MATH", "[asy] draw", r"pattern \[asy\]"),
        ("MATH", "![Image](x)", r"pattern !\[Image\]"),
        ("AIME", "[asy] draw", None),
        ("AIME", "[asy] ![Image] p1. **1**", None),
        ("AIME", "![Image]", r"pattern !\[Image\]"),
        ("MATH", "see p1.", r"pattern p[1-9][0-9]{0,2}\."),
        ("MATH", "p999.", r"pattern p[1-9][0-9]{0,2}\."),
        ("MATH", "p1000.", None),
        ("MATH", "p0.", None),
        ("MATH", "p12", None),
        ("MATH", "**a**", None),
        ("MATH", "** 1 **", None),
        ("MATH", "**]1**", None),
        ("MATH", "1 **a**\n2", None),
    ],
)
def test_the_string_rules_of_s1(family, question, reason):
    assert why_dropped(trace(0, question=question, family=family), option("s1")) == reason


@pytest.mark.parametrize(
    "text",
    ["**a**" * 4000, "*" * 20_000, "**a " * 5000, "** **" * 4000, "p" * 20_000, "[" * 20_000],
)
def test_the_string_rules_of_s1_end_soon_on_a_hostile_question(text):
    begin = time.process_time()
    assert quality(trace(0, question=text), option("s1")) is None
    assert time.process_time() - begin < 5, (
        "the published form of the bold rule takes most of a minute"
    )


BOLD = rule(patterns=option("s1").patterns[3:])


def bold_with_a_digit_behind(text):
    """Say what s1's fourth rule asks, character by character."""
    for start in range(len(text) - 1):
        inside = text[start + 2 :]
        span = next((i for i, c in enumerate(inside) if c.isspace() or c == "]"), len(inside))
        if (
            text[start : start + 2] == "**"
            and "**" in inside[:span]
            and any(c.isdigit() for c in inside.split("\n")[0])
        ):
            return True
    return False


@given(st.text("*a1] \n", max_size=14))
def test_the_bold_rule_is_the_published_one(text):
    assert (quality(trace(0, question=text), BOLD) is not None) == bold_with_a_digit_behind(text)


# --- difficulty ------------------------------------------------------------------------

TWO = rule(references={"small": "s.jsonl", "large": "l.jsonl"})


@pytest.mark.parametrize("tokens, reason", [(4, "too short"), (5, None), (20, None)])
def test_difficulty_drops_short_traces(tokens, reason):
    dropped_for = difficulty(trace(0, tokens), RULE, {})
    assert (dropped_for and str(dropped_for)) == reason


@pytest.mark.parametrize(
    "small, large, tokens, reason",
    [
        (False, False, 9, None),
        (True, False, 9, "answered by small"),
        (False, True, 9, "answered by large"),
        (True, True, 9, "answered by large"),
        (None, False, 9, "failed call of small"),
        (None, True, 9, "answered by large"),
        (False, False, 4, "too short"),
        (True, False, 4, "answered by small"),
    ],
)
def test_difficulty_drops_what_either_reference_answers(small, large, tokens, reason):
    attempts = {"small": {"0000": small}, "large": {"0000": large}}
    dropped_for = difficulty(trace(0, tokens), TWO, attempts)
    assert (dropped_for and str(dropped_for)) == reason


@pytest.mark.parametrize(
    "attempts", [{}, {"small": {"0000": True}}, {"small": {"0000": True}, "large": {"0001": False}}]
)
def test_a_candidate_that_a_reference_was_not_asked_stops_the_selection(attempts):
    with pytest.raises(
        UserError,
        match=r"selection.references.large \(l.jsonl\) has no attempt at question 0000.*take it",
    ):
        select([trace(0)], dataclasses.replace(TWO, size=1), 0, attempts)


def test_what_quality_drops_needs_no_attempt():
    attempts = {"small": {"0001": False}, "large": {"0001": False}}
    rows, _, _ = select(
        [trace(0, correct=False), trace(1)], dataclasses.replace(TWO, size=1), 0, attempts
    )
    assert ids(rows) == ["0001"]


def written(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def attempt(ident, correct, **more):
    """A row of the traces.jsonl of a reference."""
    return {**files_of_rows.values_of(trace(0, correct=correct)), "id": ident, **more}


def test_attempts_are_read_from_the_traces_of_the_references(tmp_path):
    small = written(
        tmp_path / "s",
        attempt("a", True),
        attempt("b", False, rejected="no reasoning"),
        attempt("c", False, rejected="failed: 500"),
        attempt("d", True, rejected=None),
    )
    large = written(tmp_path / "l", attempt("a", False))
    two = rule(references={"small": small, "large": large})
    assert read_attempts(two) == {
        "small": {"a": True, "b": False, "c": None, "d": True},
        "large": {"a": False},
    }
    assert (
        selection.files(two) == [large, small]
        and selection.files(RULE) == []
        and read_attempts(RULE) == {}
    )


@pytest.mark.parametrize(
    "rows, words",
    [
        (None, "selection.references.small is .*, which does not exist; collect it"),
        ([[1]], "row 1 is no mapping"),
        ([{"id": "a", "correct": True}], "row 1 has no family"),
        ([attempt("a", True), attempt("b", 1)], "row 2: correct is of type int"),
        ([attempt("a", True), attempt("a", True)], "row 2 is a second attempt at question a"),
    ],
)
def test_a_reference_that_is_no_file_of_attempts_is_told(tmp_path, rows, words):
    path = tmp_path / "s" if rows is None else written(tmp_path / "s", *rows)
    with pytest.raises(UserError, match=words):
        read_attempts(rule(references={"small": str(path)}))


# --- the funnel ------------------------------------------------------------------------


def test_every_dropped_trace_has_its_step_and_reason():
    rows = [
        trace(0, correct=False),
        trace(1, think=""),
        trace(2, 99),
        trace(3, 1),
        trace(4),
        *(trace(i) for i in range(5, 10)),
    ]
    hits = {"0003": hit(), "0004": hit("minhash", "y: z"), "zzzz": hit()}
    chosen, funnel, drops = select(rows, RULE, 0, contaminated=hits)
    assert funnel["after"] == {
        "pool": 10,
        "quality": 7,
        "difficulty": 6,
        "decontamination": 5,
        "draw": 4,
    }
    lines = {row["id"]: f"{row['step']}: {row['reason']}" for row in dropped_rows([], drops)}
    (not_drawn,) = {ident for ident in lines if ident >= "0005"}
    assert lines == {
        "0000": "quality: wrong answer",
        "0001": "quality: empty trace",
        "0002": "quality: too long",
        "0003": "difficulty: too short",
        "0004": "decontamination: minhash: y: z 7, question",
        not_drawn: "draw: not drawn",
    }
    assert funnel["domains"] == {"d": 4} and len(chosen) == 4
    assert funnel["families"] == {"f": {"pool": 10, "chosen": 4}}
    assert funnel["reasons"] == {
        "decontamination: minhash": 1,
        "difficulty: too short": 1,
        "draw: not drawn": 1,
        "quality: empty trace": 1,
        "quality: too long": 1,
        "quality: wrong answer": 1,
    }


def test_the_rows_of_dropped_jsonl_are_sorted_and_hold_duplicates_too():
    copies = [{"id": "b", "kept": "a", "by": "near"}, {"id": "0001", "kept": "z", "by": "exact"}]
    _, _, drops = select([trace(0, rejected="failed: 500"), *many(5)[1:]], RULE, 0)
    assert dropped_rows(copies, drops) == [
        {"id": "0000", "step": "quality", "reason": "rejected: failed: 500"},
        {"id": "0001", "step": "duplicates", "reason": "exact copy of z"},
        {"id": "b", "step": "duplicates", "reason": "near copy of a"},
    ]


@pytest.mark.parametrize(
    "wrong, contaminated, inert",
    [
        (0, 0, ["quality", "difficulty", "decontamination"]),
        (1, 2, ["quality", "difficulty"]),
        (2, 1, ["difficulty", "decontamination"]),
        (2, 2, ["difficulty"]),
    ],
)
def test_a_filter_that_drops_under_one_in_a_hundred_is_inert(wrong, contaminated, inert):
    rows = [trace(i, correct=i >= wrong) for i in range(200)]
    hits = {f"{199 - i:04}": hit() for i in range(contaminated)}
    assert select(rows, RULE, 0, contaminated=hits)[1]["inert"] == inert


def test_one_in_a_hundred_is_not_under_it():
    assert select([trace(i, correct=i > 0) for i in range(100)], RULE, 0)[1]["inert"] == [
        "difficulty",
        "decontamination",
    ]
    assert select([trace(i, correct=i > 0) for i in range(101)], rule(method="all"), 0)[1][
        "inert"
    ] == list(selection.STEPS)


GOOD = [
    trace(i, 9 + i, domain="xyz"[i % 3], family="fg"[i % 2]) for i in range(6)
]  # so that there is something to draw
ROWS = st.lists(
    st.tuples(
        st.integers(1, 30),
        st.booleans(),
        st.sampled_from(["", "a"]),
        st.sampled_from("xyz"),
        st.sampled_from("fg"),
    ),
    max_size=40,
).map(
    lambda facts: GOOD + [trace(i, *fact[:4], family=fact[4]) for i, fact in enumerate(facts, 10)]
)
RULES = st.sampled_from(
    [{"method": method} for method in METHODS]
    + [{"method": "s1", "first": (First(("f",), 12),)}, RELEASED]
)


def fitted(rows, changes, size):
    """Return (what passes the filters, a rule of a size that can be drawn from it)."""
    good = [row for row in rows if not quality(row, RULE) and not difficulty(row, RULE, {})]
    least = max(3, len(draws.taken_first(good, rule(**changes))))  # more than uniform_until
    return good, rule(**changes, size=min(max(size, least), len(good)))


@given(ROWS, RULES, st.integers(0, 8), st.integers(0, 9))
def test_the_funnel_adds_up_and_every_trace_is_chosen_or_dropped_once(rows, changes, size, seed):
    good, chosen_rule = fitted(rows, changes, size)
    chosen, funnel, drops = select(rows, chosen_rule, seed)
    chosen_ids = set(ids(chosen))
    assert len(chosen_ids) == len(chosen) == funnel["after"]["draw"]
    assert len(chosen) == sum(funnel["domains"].values())
    assert len(chosen) == (len(good) if chosen_rule.method == "all" else chosen_rule.size)
    assert chosen_ids | set(drops) == set(ids(rows)) and not chosen_ids & set(drops)
    by_step = Counter(drop.step for drop in drops.values())
    after = list(funnel["after"].values())
    assert list(funnel["after"]) == ["pool", *selection.STEPS]
    assert [by_step[step] for step in selection.STEPS] == [a - b for a, b in zip(after, after[1:])]
    assert sum(funnel["reasons"].values()) == len(drops)
    assert sum(counts["chosen"] for counts in funnel["families"].values()) == len(chosen)
    assert sum(counts["pool"] for counts in funnel["families"].values()) == len(rows)
    assert all(row in good for row in chosen)


@given(ROWS, RULES, st.integers(0, 9), st.sets(st.integers(6, 49)))
def test_no_chosen_row_is_contaminated(rows, changes, seed, numbers):
    contaminated = {f"{number:04}": hit() for number in numbers}
    _, chosen_rule = fitted([row for row in rows if row.id not in contaminated], changes, 8)
    chosen, funnel, drops = select(rows, chosen_rule, seed, contaminated=contaminated)
    assert not set(ids(chosen)) & set(contaminated)
    assert funnel["after"]["difficulty"] - funnel["after"]["decontamination"] == sum(
        drop.step == "decontamination" for drop in drops.values()
    )


def test_a_draw_that_takes_a_contaminated_row_is_a_broken_invariant(monkeypatch):
    monkeypatch.setattr(draws, "draw", lambda *_: many(6))
    with pytest.raises(AssertionError, match="may not be drawn"):
        select(many(6), RULE, 0, contaminated={"0002": hit()})


def test_two_traces_of_one_id_are_a_broken_invariant():
    with pytest.raises(AssertionError, match="one id"):
        select([trace(0), trace(0)], RULE, 0)


# --- chance comes from the seed alone ----------------------------------------------------


@given(ROWS, RULES, st.integers(0, 9), st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order_of_the_traces(rows, changes, seed, shuffler):
    _, chosen_rule = fitted(rows, changes, 8)
    other = list(rows)
    shuffler.shuffle(other)
    assert repr(select(rows, chosen_rule, seed)) == repr(select(other, chosen_rule, seed))


@pytest.mark.parametrize(
    "changes", [*({"method": method} for method in METHODS), RELEASED], ids=str
)
def test_select_changes_neither_its_rows_nor_the_global_random_state(changes):
    before = [*many(20), trace(20, family="g")]
    rows, state = copy.deepcopy(before), random.getstate()
    select(rows, rule(**changes), 0)
    assert rows == before and random.getstate() == state


@pytest.mark.parametrize(
    "changes", [{"method": "s1"}, {"method": "diverse"}, {"method": "random"}, RELEASED], ids=str
)
def test_the_seed_decides(changes):
    rows, ten = (
        [*many(60), *(trace(i, family="g") for i in range(60, 99))],
        rule(**changes, size=10),
    )
    drawn = [ids(draws.draw(rows, ten, seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_choice_does_not_depend_on_the_hash_seed():
    code = """
import sys
sys.path.insert(0, "tests")
from test_selection import *
others = [trace(i, domain=f"d{i % 7}", family="g") for i in range(50, 99)]
rows = [*many(50, domains=5), *others]
attempts = {name: {row.id: row.tokens == 7 for row in rows} for name in "ab"}
first = (First(("f", "g"), 20),)
for changes in [*({"method": method} for method in METHODS), RELEASED]:
    any_rule = rule(**changes, size=20, references={"b": "b", "a": "a"}, first=first)
    print(select(rows, any_rule, 0, attempts, {"0003": hit()}))
"""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1 and b"answered by a" in outputs.pop()


@pytest.mark.parametrize("experiment", ["cpu", "cpu-correct", "cpu-answers"])
def test_a_replay_gives_the_released_bytes(experiment):
    folder = ROOT / "data" / "cpu" / experiment
    traces = files_of_rows.read(Trace, folder / "traces.jsonl")
    rows, funnel, _ = select(traces, option("cpu"), 0)
    data = "".join(dump(files_of_rows.values_of(row)) for row in rows).encode()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert hashlib.sha256(data).hexdigest() == manifest["files"]["train.jsonl"]["sha256"]
    assert data == (folder / "train.jsonl").read_bytes()
    assert funnel["inert"] == ["quality", "difficulty", "decontamination"]


# --- drawing ---------------------------------------------------------------------------


def expected(size, draws_made):
    weights = [2.0**-r for r in range(size)]
    return [draws_made * weight / sum(weights) for weight in weights]


@pytest.mark.parametrize("size", [2, 3, 5, 12, 3000])
def test_a_rank_has_the_weight_2_to_the_minus_rank_over_100_000_draws(size):
    rng = random.Random("ranks/0")
    counts = Counter(draws.rank(rng, size) for _ in range(100_000))
    assert set(counts) <= set(range(size))
    shown = min(size, 12)  # what lies behind has less than 25 of 100,000 draws: one cell
    seen = [counts[r] for r in range(shown)] + [sum(counts[r] for r in range(shown, size))] * (
        size > shown
    )
    wanted = expected(min(size, 60), 100_000)
    wanted = wanted[:shown] + [sum(wanted[shown:])] * (size > shown)
    assert chisquare(seen, wanted).pvalue > 0.001


def test_a_domain_of_one_row_has_one_rank():
    assert {draws.rank(random.Random(seed), 1) for seed in range(50)} == {0}


def test_the_first_row_of_a_domain_has_the_weight_of_its_length_and_ties_go_by_id():
    rows = [trace(i, tokens) for i, tokens in enumerate([9, 20, 20, 7])]
    counts = Counter(
        draws.s1(rows, rule(method="s1", size=1), seed)[0].id for seed in range(20_000)
    )
    assert (
        chisquare(
            [counts[ident] for ident in ("0001", "0002", "0000", "0003")], expected(4, 20_000)
        ).pvalue
        > 0.001
    )


def test_a_drawn_row_leaves_its_domain_and_the_ranks_move_up():
    rows = [trace(i, 20 - i) for i in range(3)]
    counts = Counter(
        tuple(ids(draws.s1(rows, rule(method="s1", size=2), seed))) for seed in range(14_000)
    )
    first = expected(3, 14_000)  # then two rows are left: 2/3 for the longer
    wanted = {
        ("0000", "0001"): first[0] * 2 / 3,
        ("0000", "0002"): first[0] / 3,
        ("0001", "0000"): first[1] * 2 / 3,
        ("0001", "0002"): first[1] / 3,
        ("0002", "0000"): first[2] * 2 / 3,
        ("0002", "0001"): first[2] / 3,
    }
    assert (
        set(counts) == set(wanted)
        and chisquare([counts[k] for k in wanted], list(wanted.values())).pvalue > 0.001
    )


@pytest.mark.parametrize("method", ["s1", "diverse"])
def test_domains_are_drawn_about_equally_though_one_is_much_larger(method):
    rows = [trace(i, domain="large") for i in range(1000)] + [
        trace(1000 + i, domain="small") for i in range(300)
    ]
    counts = Counter(row.domain for row in draws.draw(rows, rule(method=method, size=400), 0))
    assert 160 < counts["small"] < 240


@pytest.mark.parametrize("method", ["s1", "diverse"])
def test_an_exhausted_domain_leaves_the_rest_to_the_others(method):
    rows = [trace(0, domain="one"), *(trace(i, domain="many") for i in range(1, 11))]
    assert Counter(row.domain for row in draws.draw(rows, rule(method=method, size=11), 0)) == {
        "one": 1,
        "many": 10,
    }


@pytest.mark.parametrize("method", ["diverse", "random"])
def test_rows_of_one_domain_are_drawn_about_equally_whatever_their_length(method):
    rows = [trace(i, i + 5) for i in range(10)]
    first = Counter(
        draws.draw(rows, rule(method=method, size=1), seed)[0].id for seed in range(1000)
    )
    assert len(first) == 10 and 60 < min(first.values()) <= max(first.values()) < 140


def test_random_heeds_no_domain():
    rows = [trace(i, domain="large") for i in range(1000)] + [
        trace(1000 + i, domain="small") for i in range(100)
    ]
    counts = Counter(row.domain for row in draws.draw(rows, rule(method="random", size=550), 0))
    assert 30 < counts["small"] < 70


def test_longest_takes_the_longest_and_ties_go_by_id():
    rows = [trace(i, tokens) for i, tokens in enumerate([9, 20, 5, 20, 11, 9])]
    assert ids(draws.draw(rows[::-1], rule(method="longest", size=4), 0)) == [
        "0001",
        "0003",
        "0004",
        "0000",
    ]


def test_all_takes_all_and_reads_no_size():
    assert ids(draws.draw(many(30)[::-1], rule(method="all", size=0), 0)) == ids(many(30))


@pytest.mark.parametrize("method", ["s1", "diverse", "random", "longest"])
def test_too_few_traces_are_told(method):
    with pytest.raises(UserError, match=r"selection.size=4 exceeds the 3 traces.*lower it"):
        select([trace(i) for i in range(3)], rule(method=method), 0)


# --- what is taken first ---------------------------------------------------------------


def test_the_rules_of_s1_take_right_traces_of_their_families_before_any_draw():
    rows = [
        trace(0, 30, family="AIME"),
        trace(1, 30, False, family="AIME"),
        trace(2, 5600, family="MATH"),
        trace(3, 5601, family="MATH"),
        trace(4, 9000, False, family="MATH"),
        trace(5, 9000, family="x"),
        trace(6, 1, family="GPQA"),
    ]
    paper = option("s1")
    assert ids(draws.taken_first(rows, paper)) == ["0000", "0003", "0006"]
    chosen, funnel, _ = select(rows[::-1], dataclasses.replace(paper, size=5, references={}), 0)
    assert (
        ids(chosen)[:3] == ["0000", "0003", "0006"]
        and len(set(ids(chosen))) == 5
        and funnel["first"] == 3
    )


@given(
    st.lists(
        st.tuples(st.integers(5, 20), st.sampled_from("xyz"), st.sampled_from("fg")),
        min_size=1,
        max_size=30,
    ),
    st.integers(0, 30),
    st.integers(0, 9),
)
def test_a_row_taken_first_and_drawn_again_does_not_grow_the_set(facts, more, seed):
    rows = [
        trace(i, tokens, domain=domain, family=family)
        for i, (tokens, domain, family) in enumerate(facts)
    ]
    first_rule = rule(method="s1", first=(First(("f",), 5),))
    taken = draws.taken_first(rows, first_rule)
    size = max(1, min(len(taken) + more, len(rows)))
    chosen = draws.draw(rows, dataclasses.replace(first_rule, size=size), seed)
    assert len(chosen) == len(set(ids(chosen))) == size and chosen[: len(taken)] == taken


def test_a_row_taken_first_stays_in_its_domain():
    rows = [
        trace(0, 20, domain="x", family="g"),
        trace(1, 10, domain="x"),
        trace(2, 10, domain="y"),
    ]
    first_rule = rule(method="s1", size=2, first=(First(("g",), 1),))
    second = Counter(draws.s1(rows, first_rule, seed)[1].id for seed in range(3000))
    # x is drawn half of the time and gives the taken row again in two of three; then it is drawn
    # anew: 1/6 + 1/6.
    assert chisquare([second["0001"], second["0002"]], [1000, 2000]).pvalue > 0.001


def test_more_rows_taken_first_than_the_size_are_told():
    with pytest.raises(
        UserError,
        match=r"selection.first takes 5 traces, more than selection.size=4; raise the size",
    ):
        select(many(5), rule(method="s1", first=(First(("f",), 1),)), 0)


# --- the released variant --------------------------------------------------------------


def matched_pool(domains=50, each=60):
    """Return rows of which those of one domain in fifty shape the matched draws."""
    rows = [
        trace(i, 5 + i % 16, domain=f"d{i % domains:02}", family="other")
        for i in range(domains * each)
    ]
    return (
        rows
        + [trace(90_000 + i, domain="m", family="f") for i in range(400)]
        + [trace(99_000, domain="m", family="g")]
    )


def test_the_draw_switches_at_700():
    paper = dataclasses.replace(option("s1"), matched=Matched("f", "g", 0.5), first=())
    assert paper.uniform_until == 700 and paper.size == 1000
    one, other = (
        draws.draw(matched_pool(), dataclasses.replace(paper, variant=variant), 0)
        for variant in ("paper", "released")
    )
    assert one[:700] == other[:700] and one != other
    assert {row.domain for row in other[700:]} == {"m"} and other[699].domain != "m"
    assert len({row.domain for row in other[:700]}) == 51 == len({row.domain for row in one[700:]})


@given(st.integers(0, 60), st.integers(0, 20), st.integers(0, 9))
def test_the_switch_counts_the_rows_that_were_taken_first(until, first, seed):
    rows = [
        *matched_pool(each=4),
        *(trace(80_000 + i, domain="t", family="t") for i in range(first)),
    ]
    first_rule = rule(**RELEASED, size=61, uniform_until=until, first=(First(("t",), 1),))
    chosen = draws.draw(rows, first_rule, seed)
    assert {row.domain for row in chosen[max(until, first) :]} == {"m"} and len(chosen) == 61
    uniform = [row.domain for row in chosen[first:until]]
    assert uniform.count("m") <= 2 + len(uniform) // 4


def test_the_matched_weights_are_those_of_the_released_code():
    rows = [
        trace(i, domain=domain, family=family)
        for i, (domain, family) in enumerate(
            [("a", "AIME")] * 7
            + [("b", "AIME")] * 2
            + [("b", "GPQA")] * 3
            + [("c", "GPQA")] * 2
            + [("e", "GPQA"), ("z", "MATH")]
        )
    ]
    # r = 0.5 x 9 / 6 = 0.75: b has int(2.25) + 2, c has int(1.5), e has int(0.75) = 0 and is never
    # drawn
    assert draws.matched_weights(rows, option("s1").matched) == {"a": 7, "b": 4, "c": 1}


def test_a_weight_is_a_chance():
    rng, weights = random.Random(0), {"a": 7, "b": 4, "c": 1}
    counts = Counter(draws.weighted(rng, weights) for _ in range(12_000))
    assert chisquare([counts[key] for key in weights], [7000, 4000, 1000]).pvalue > 0.001


@pytest.mark.parametrize(
    "rows, words",
    [
        ([trace(i) for i in range(9)], "selection.matched names 'g', of which no trace passes"),
        (
            [
                trace(0),
                trace(1, family="g"),
                *(trace(i, domain="e", family="h") for i in range(2, 9)),
            ],
            "domains of selection.matched have no trace left",
        ),
    ],
)
def test_a_benchmark_that_leaves_nothing_to_draw_is_told(rows, words):
    with pytest.raises(UserError, match=words):
        draws.draw(rows, rule(**RELEASED, size=8), 0)


# --- the configuration -----------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"size": 0}, "selection.size is 0"),
        ({"min_tokens": -1}, "selection.min_tokens is -1"),
        ({"min_tokens": 21}, "selection.max_tokens is 20, but must be 21 or more"),
        ({"uniform_until": -1}, "selection.uniform_until"),
        ({"patterns": ("(",)}, r"pattern '\(', no regular expression.*mend it"),
        ({"spared": (Spared(("f",), "["),)}, r"pattern '\[', no regular"),
        ({"references": {"a": 1}}, "selection.references has 'a': 1"),
        ({"method": "s1", "variant": "released"}, "selection.matched, which is null"),
        (
            {**RELEASED, "uniform_until": 4},
            "selection.uniform_until=4 leaves variant=released nothing of selection.size=4",
        ),
        ({"matched": Matched("f", "g", -0.5)}, "selection.matched.share=-0.5"),
    ],
)
def test_a_rule_that_can_not_work_is_refused(changes, words):
    with pytest.raises(UserError, match=words):
        rule(**changes)


@pytest.mark.parametrize(
    "key, value, choices",
    [
        ("method", "best", "s1, mended, random, longest, diverse, all"),
        ("variant", "mine", "paper, released"),
    ],
)
def test_a_choice_that_does_not_exist_is_refused_with_those_that_do(key, value, choices):
    node = OmegaConf.to_container(OmegaConf.load(CONF / "cpu.yaml"))
    with pytest.raises(
        UserError, match=f"selection.{key} is '{value}', but must be one of: {choices}"
    ):
        build(Selection, node | {key: value}, "selection")


@pytest.mark.parametrize(
    "changes",
    [
        {"patterns": ("x",), "spared": (Spared(("h",), "x"),)},
        {"method": "s1", "first": (First(("f", "h"), 1),)},
        {"method": "s1", "variant": "released", "matched": Matched("f", "h", 0.5)},
    ],
)
def test_a_family_that_no_trace_has_is_told(changes):
    with pytest.raises(
        UserError, match=r"names the family 'h', which no trace has \(there are: f\)"
    ):
        select(many(9), rule(**changes), 0)


def test_a_family_that_the_rule_names_and_does_not_read_is_none_to_miss():
    unread = rule(
        first=(First(("h",), 1),), matched=Matched("h", "h", 1.0), spared=(Spared(("h",), "x"),)
    )
    assert ids(select(many(9), unread, 0)[0]) == ids(select(many(9), RULE, 0)[0])


@pytest.mark.parametrize("name", sorted(path.stem for path in CONF.glob("*.yaml")))
def test_every_option_is_a_rule_named_after_its_file(name):
    assert option(name).name == name


def test_the_options_are_the_ablations_of_the_issue():
    methods = {path.stem: option(path.stem).method for path in CONF.glob("*.yaml")}
    assert methods == methods | {
        "cpu": "diverse",
        "cpu-s1": "s1",
        "cpu-random": "random",
        "cpu-longest": "longest",
        "s1": "s1",
        "cpu-all": "all",
    }
    ablations = [option(name) for name in ("cpu-random", "cpu-longest", "cpu-all")]
    assert all(
        (a.min_tokens, a.references, a.max_tokens, a.keep_wrong) == (0, {}, 120, False)
        for a in ablations
    )


def test_the_families_of_the_papers_rule_are_sources_of_the_papers_pool():
    sources = OmegaConf.load(ROOT / "conf" / "questions" / "s1-59k.yaml").sources
    assert (
        dataclasses.replace(option("s1"), variant="released").families
        == {"AIME", "GPQA", "MATH"}
        <= set(sources)
    )
