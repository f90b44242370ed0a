"""Duplicates in a pool: which are found, which one is kept, and that order does not matter.

Nor does the hash seed.
"""

import json
import os
import random
import subprocess
import sys

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from ponder.collect import duplicates
from ponder.collect.duplicates import (
    bands,
    canonical,
    exact,
    jaccard,
    near,
    remove,
    shingles,
    tokens,
)
from ponder.questions.drawn import Question, question_id

# Few words, so that drawn texts share shingles; and anything that a file can hold.
WORDY = st.lists(st.sampled_from("a b c d e 1 + -".split()), min_size=1, max_size=12).map(" ".join)
ANY = st.one_of(WORDY, st.text(max_size=40))
SENTENCE = (
    "A train leaves the station at noon and drives north at sixty miles an hour for two hours and "
    "then stops for good"
)


def question(text, family="x", answer=""):
    ident = question_id(text)
    return Question(ident, family, text, answer, ident, {})


def questions_of(texts):
    return exact([question(text, f"f{number % 3}") for number, text in enumerate(texts)])[0]


def without(text, *numbers):
    """The text with a word of its own in place of some words."""
    words = text.split()
    for number in numbers:
        words[number] = f"other{chr(97 + number % 26)}"
    return " ".join(words)


# --- words and shingles ----------------------------------------------------------------


@pytest.mark.parametrize(
    "one, other",
    [
        (r"$\log(kx)=2\log(x+2)$", r"\[\log (kx) = 2 \, \log \left( x+2 \right)\]"),
        (r"$[-500,500]$", "<math>[-500, 500]</math>"),
        (r"$\dfrac{a}{b}$", r"\(\frac a b\)"),
        ("Find it.", "find  IT"),
        ("\\begin{align*}x\\end{align*}", "$$ x $$"),
        ("it's", "it\u2019s"),
        ("5 cm", r"$5\text{cm}$"),
    ],
)
def test_layout_does_not_matter(one, other):
    assert tokens(one) == tokens(other)


@pytest.mark.parametrize(
    "one, other",
    [
        ("2+3", "2-3"),
        ("x<y", "x>y"),
        ("2\u00d73", "2\u00f73"),
        ("ab", "a b"),
        ("1", "11"),
        (r"\leftarrow", r"\rightarrow"),
        ("3!", "3"),
    ],
)
def test_what_means_something_else_stays_different(one, other):
    assert tokens(one) != tokens(other)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", set()),
        (" .,\n", set()),
        ("One", {"one"}),
        ("one two", {"one two"}),
        ("a b c", {"a b c"}),
        ("a b c d", {"a b c", "b c d"}),
    ],
)
def test_shingles(text, expected):
    assert shingles(text) == expected


def test_jaccard():
    assert (
        jaccard(set(), set()),
        jaccard({1}, {2}),
        jaccard({1, 2, 3}, {2, 3, 4}),
        jaccard({1}, {1}),
    ) == (0.0, 0.0, 0.5, 1.0)


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0])
def test_bands_miss_at_most_the_stated_share(threshold):
    count, rows = bands(threshold)
    assert count * rows <= duplicates.PERMUTATIONS and count >= 2
    assert (1 - threshold**rows) ** count <= duplicates.MISSED
    assert (
        rows == 64
        or (1 - threshold ** (rows + 1)) ** (duplicates.PERMUTATIONS // (rows + 1))
        > duplicates.MISSED
    )


def test_what_a_changed_word_leaves():
    """The numbers at SHINGLE and in conf/decontamination/s1.yaml."""
    text = " ".join(f"{one}{other}" for one in "abcd" for other in "abcdefghij")
    assert jaccard(shingles(text), shingles(without(text, 10))) == 35 / 41
    assert jaccard(shingles(text), shingles(without(text, 10, 30))) == 32 / 44


# --- exact -----------------------------------------------------------------------------


def test_equal_texts_are_one_question_whatever_their_case_and_white_space():
    one, two, other = (
        question("Add 1 and 2.", "b"),
        question("add  1 AND 2.\n", "a"),
        question("Add 2 and 1.", "b"),
    )
    assert exact([one, other, two]) == ([other, two], [(one, two)])


def test_the_preferred_source_keeps_its_copy():
    rows = [question("Add.", "a"), question("add.", "b"), question("ADD.", "c")]
    assert [q.family for q in canonical(rows)] == ["a", "b", "c"]
    assert [q.family for q in canonical(rows, ("c", "absent"))] == ["c", "a", "b"]
    assert [q.family for q in exact(rows, ("b",))[0]] == ["b"]


def test_the_same_row_twice_is_kept_once():
    row = question("Add.")
    assert exact([row, row, question("Add.")]) == ([row], [(row, row)] * 2)
    assert exact([]) == ([], [])


@given(
    st.lists(st.tuples(ANY, st.sampled_from("xyz"), st.sampled_from("12")), max_size=12),
    st.randoms(use_true_random=False),
)
def test_exact_keeps_one_of_each_id_in_any_order(rows, rng):
    def safe(text):
        return text.encode("utf-8", "replace").decode()

    questions = [question(safe(text), family, answer) for text, family, answer in rows]
    kept, dropped = exact(questions, ("y",))
    assert {q.id for q in kept} == {q.id for q in questions} and len({q.id for q in kept}) == len(
        kept
    )
    assert len(kept) + len(dropped) == len(questions) and all(
        one.id == two.id for one, two in dropped
    )
    places = [questions.index(q) for q in kept]
    assert places == sorted(places), "in the order given"
    mixed = list(questions)
    rng.shuffle(mixed)
    again = exact(mixed, ("y",))
    assert (canonical(again[0]), again[1]) == (canonical(kept), dropped)


# --- near ------------------------------------------------------------------------------


def test_a_changed_word_is_a_near_duplicate_and_two_questions_of_one_topic_are_not():
    first, second = question(SENTENCE), question(without(SENTENCE, 0))
    far = question(
        "A bus leaves the depot at nine and drives south at forty miles an hour for one hour and "
        "then turns back"
    )
    assert 0.8 <= jaccard(shingles(first.question), shingles(second.question)) < 1
    kept, dropped = sorted((first.id, second.id))
    assert near([first, second, far], 0.8) == {dropped: kept}
    assert near([first, second, far], 0.95) == {}


def test_the_preferred_source_is_kept_of_near_duplicates_too():
    rows = [question(SENTENCE, "a"), question(without(SENTENCE, 0), "b")]
    assert near(rows, 0.8, ("a",)) == {rows[1].id: rows[0].id} and near(rows, 0.8, ("b",)) == {
        rows[0].id: rows[1].id
    }


def test_a_chain_is_not_one_question():
    """c is near b and b near a, but c is not near a: where a is kept, b goes and c stays."""
    rows = [
        question(SENTENCE, "0"),
        question(without(SENTENCE, 0), "1"),
        question(without(SENTENCE, 0, -1), "2"),
    ]
    sets = [shingles(q.question) for q in rows]
    assert (
        jaccard(sets[0], sets[2]) < 0.9 <= min(jaccard(sets[0], sets[1]), jaccard(sets[1], sets[2]))
    )
    assert near(rows, 0.9) == {rows[1].id: rows[0].id}
    assert near(rows, 0.9, ("1",)) == {rows[0].id: rows[1].id, rows[2].id: rows[1].id}


def test_other_punctuation_is_no_other_question():
    rows = [question("Find $m+n$."), question("Find $m+n.$")]
    assert len(near(rows, 1.0)) == 1 and near([rows[0], question("Find $m-n$.")], 0.8) == {}


@pytest.mark.parametrize("text", ["", " ", "...", "\u200b", "$$"])
def test_texts_without_words_are_near_to_nothing(text):
    rows, _ = exact([question(text), question("?!"), question(SENTENCE)])
    assert near(rows, 0.5) == {}


def test_ids_must_be_unique():
    with pytest.raises(AssertionError, match="one id"):
        near([question("a"), question("A")], 0.8)


@given(
    st.lists(ANY, max_size=14), st.sampled_from([0.5, 0.8, 1.0]), st.randoms(use_true_random=False)
)
def test_what_near_drops_is_so_similar_and_what_it_keeps_is_not(texts, threshold, rng):
    rows = questions_of(text.encode("utf-8", "replace").decode() for text in texts)
    dropped, sets = near(rows, threshold, ("f1",)), {q.id: shingles(q.question) for q in rows}
    assert set(dropped) <= set(sets) and set(dropped).isdisjoint(dropped.values())
    assert all(jaccard(sets[one], sets[other]) >= threshold for one, other in dropped.items())
    kept = [q for q in canonical(rows, ("f1",)) if q.id not in dropped]
    equal = [
        (a.id, b.id)
        for i, a in enumerate(kept)
        for b in kept[:i]
        if sets[a.id] and sets[a.id] == sets[b.id]
    ]
    assert not equal, "equal sets of shingles are always candidates"
    mixed = list(rows)
    rng.shuffle(mixed)
    assert near(mixed, threshold, ("f1",)) == dropped


@pytest.mark.parametrize("threshold", [0.6, 0.8, 0.9])
def test_hardly_a_pair_at_the_threshold_is_missed(threshold):
    """The promise of `bands`: at most 1 in 1,000 is missed.

    Over 1,500 questions-up pairs that lie at the threshold or just above.
    """
    rng, lost = random.Random("pairs"), 0
    for number in range(1500):
        same = rng.randint(40, 60)
        # So many on each side leave the threshold or more.
        own = int(same * (1 - threshold) / threshold / 2)
        one = {f"s{number} {i}" for i in range(same)} | {f"a{number} {i}" for i in range(own)}
        other = {f"s{number} {i}" for i in range(same)} | {f"b{number} {i}" for i in range(own)}
        assert jaccard(one, other) >= threshold
        sketches = duplicates.index(threshold)
        sketches.insert(0, duplicates.sketch(one))
        lost += 0 not in sketches.query(duplicates.sketch(other))
    # Six or more of 1,500 at a chance of 0.001 each happen once in 200 at worst.
    assert lost <= 5, lost


def test_a_question_of_ten_megabytes():
    text = SENTENCE + " incomprehensibilities" * 480_000
    rows = [question(text), question(text + " one"), question("Add one and two.")]
    kept, dropped = sorted(row.id for row in rows[:2])
    assert len(text) > 10**7 and near(rows, 0.8) == {dropped: kept}


def test_remove_tells_what_went_and_why():
    rows = [
        question(SENTENCE, "b"),
        question(SENTENCE.upper(), "a"),
        question(without(SENTENCE, 0), "c"),
        question("Add.", "c"),
    ]
    kept, copies = remove(rows, 0.8, ("a",))
    assert kept == [rows[1], rows[3]]
    assert copies == sorted(
        [
            {
                "id": rows[0].id,
                "family": "b",
                "kept": rows[1].id,
                "kept_family": "a",
                "by": "exact",
            },
            {"id": rows[2].id, "family": "c", "kept": rows[1].id, "kept_family": "a", "by": "near"},
        ],
        key=lambda row: row["id"],
    )
    assert remove(rows, None)[0] == rows[1:] and [row["by"] for row in remove(rows, None)[1]] == [
        "exact"
    ]


def test_the_committed_pool_has_no_equal_questions():
    from ponder.questions.drawn import read_split

    pool = read_split(ROOT / "data/cpu/questions", "pool")
    assert remove(pool, None) == (pool, [])


def test_the_hash_seed_of_python_changes_nothing():
    code = """
import json
from ponder.collect import duplicates
from test_duplicates import SENTENCE, question, without
rows = [question(without(SENTENCE, i), f"f{i % 4}") for i in range(20)]
kept, copies = duplicates.remove(rows, 0.7, ("f2",))
print(json.dumps([[q.id for q in kept], copies]))
"""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
            },
        ).stdout
        for seed in ("0", "1")
    ]
    assert outputs[0] == outputs[1] and json.loads(outputs[0])[1]
