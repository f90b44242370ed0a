"""Decontamination: what is found in questions and traces, what is not, and what the report says.

The benchmark files are not part of the project. Tests over them read the folder PONDER_BENCHMARKS,
else shared/benchmarks beside the checkout, with aime24.jsonl, math500.jsonl and gsm8k.jsonl, and
skip where they are not.
"""

import dataclasses
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, composed, study_of
from hypothesis import given
from hypothesis import strategies as st

from ponder import config
from ponder.collect import likeness
from ponder.collect.contamination import (
    Decontamination,
    compared,
    files,
    hits,
    read_benchmarks,
    strongest,
)
from ponder.collect.wording import Instructions, lower, tokens
from ponder.errors import UserError
from ponder.questions.drawn import Question, question_id, read_split
from ponder.rows import Trace

BENCHMARKS = Path(os.environ.get("PONDER_BENCHMARKS", ROOT.parent / "shared" / "benchmarks"))
COLUMNS = {"aime24": "question", "math500": "question", "gsm8k": "problem"}
KNOWN = "test/intermediate_algebra/1849.json"  # AIME 2017 II-7 in math500.jsonl
NAMES = [
    "id",
    "where",
    "benchmark",
    "benchmark_id",
    "by",
    "form",
    "share",
    "overlap",
    "text",
    "benchmark_text",
]

SOURCE = {"path": None, "field": "question", "id": "id", "key": None}
RULE = Decontamination("test", None, (), (8, 13), 0.6, True, True, {"b": SOURCE})
LEAK = (
    "A train leaves the station at noon and drives north at sixty miles an hour for two hours; how "
    "far does it get?"
)
OTHER = (
    "Nine people share twelve apples so that nobody has more than two. In how many ways can they "
    "do that, if order counts?"
)


def question(text, key=None):
    return Question(question_id(text), "x", text, "", key or question_id(text), {})


def plain(text):
    return Instructions(()).words_of(text).plain


def benchmark_of(*texts, name="b"):
    return {
        name: [
            {"id": str(number), "question": text, "key": question_id(text)}
            for number, text in enumerate(texts)
        ]
    }


def trace(think, ident="t", answer="7"):
    return Trace(
        id=ident,
        family="f",
        domain="f",
        question="q",
        answer=answer,
        gold="7",
        think=think,
        wrong=[],
        tokens=1,
        correct=True,
        teacher="t",
    )


def reasons(rows):
    """Return {id: what its strongest hit is}."""
    return {
        ident: f"{row['by']}: {row['benchmark']} {row['benchmark_id']}, {row['where']}"
        for ident, row in strongest(rows).items()
    }


def only(**changes):
    """A rule that looks for nothing but what is named."""
    return dataclasses.replace(
        RULE, **{"ngrams": (), "minhash": None, "keys": False, "traces": False, **changes}
    )


def by(matches):
    return {(row["benchmark_id"], row["where"], row["by"]) for row in matches}


# --- n-grams ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, form, overlap",
    [
        (
            "so A train  LEAVES the station at noon and stops",
            "words",
            "a train leaves the station at noon and",
        ),
        (
            "so a train leaves the station (at noon) and stops",
            "plain",
            "a train leaves the station at noon and",
        ),
        (
            "so $a$ train, leaves: the station at noon + and - stops",
            "plain",
            "a train leaves the station at noon and",
        ),
        ("so a train leaves the station at noon", None, None),
        ("a train leaves the big station at noon and drives", None, None),
        ("", None, None),
        ("...", None, None),
        ("train " * 9, None, None),
    ],
)
def test_eight_words_in_a_row_are_a_hit_in_one_of_two_forms(text, form, overlap):
    matches = hits([question(text)], [], benchmark_of(LEAK, OTHER), only(ngrams=(8,)))
    assert [(row["form"], row["overlap"]) for row in matches] == ([(form, overlap)] if form else [])


def test_what_a_hit_says():
    text = "so a train leaves the station at noon and stops"
    (row,) = hits([question(text)], [], benchmark_of(OTHER, LEAK), only(ngrams=(8,)))
    assert row == {
        "id": question_id(text),
        "where": "question",
        "benchmark": "b",
        "benchmark_id": "1",
        "by": "8-gram",
        "form": "words",
        "share": 1 / 16,
        "overlap": "a train leaves the station at noon and",
        "text": text,
        "benchmark_text": LEAK,
    }
    assert list(row) == NAMES and json.loads(json.dumps(row)) == row


def test_signs_alone_are_words_of_the_first_form_only():
    """s1 keeps punctuation, so a formula with spaces has many words."""
    matches = hits(
        [question("Show that a + b + c = d holds")],
        [],
        benchmark_of("Is a + b + c = d true?"),
        only(ngrams=(7, 8)),
    )
    assert [(row["by"], row["form"], row["overlap"]) for row in matches] == [
        ("7-gram", "words", "a + b + c = d")
    ]


def test_a_formula_that_is_taken_apart_is_no_hit():
    """Common ones, as in AM-GM, would else flag a large part of all traces."""
    probe = question(
        r"Show that $\frac{a}{b} + \frac{b}{c} + \frac{c}{a} \ge 3$ for all positive numbers."
    )
    benchmarks = benchmark_of(
        r"Find the least value of $\frac{a}{b}+\frac{b}{c}+\frac{c}{a}$ for triangles."
    )
    assert (
        len(plain(r"$\frac{a}{b} + \frac{b}{c} + \frac{c}{a}$")) == 9
        and hits([probe], [], benchmarks, only(ngrams=(8,))) == []
    )
    assert [
        row["form"]
        for row in hits([probe], [], benchmark_of("For all positive numbers!"), only(ngrams=(4,)))
    ] == ["plain"]


def test_every_length_is_looked_for_and_the_form_of_s1_is_named_first():
    matches = hits(
        [question(LEAK.replace("noon", "(noon)"))], [], benchmark_of(LEAK), only(ngrams=(8, 13))
    )
    assert {row["by"]: row["form"] for row in matches} == {"8-gram": "words", "13-gram": "words"}
    matches = hits(
        [question(LEAK.replace("sixty", "(sixty)"))], [], benchmark_of(LEAK), only(ngrams=(8, 13))
    )
    assert {row["by"]: row["form"] for row in matches} == {"8-gram": "words", "13-gram": "plain"}


def test_no_run_reaches_from_one_benchmark_question_into_the_next():
    assert (
        hits(
            [question("two three four five six seven eight")],
            [],
            benchmark_of("one two three four five", "five six seven eight nine"),
            only(ngrams=(8, 5)),
        )
        == []
    )


def test_three_passages_are_shown_and_the_others_are_counted():
    parts = [
        " ".join(f"{word}{number}" for word in "abcdefghijkl"[: 8 + number % 3])
        for number in range(5)
    ]
    matches = hits(
        [question(" gap ".join(parts))], [], benchmark_of(" hole ".join(parts)), only(ngrams=(8,))
    )
    words = [" ".join(part.split()) for part in parts]
    assert [row["overlap"] for row in matches] == [
        " ... ".join([words[1], words[2], words[4], "(2 more)"])
    ]


def test_every_pair_is_in_the_report():
    texts = [f"{number} {LEAK}" for number in range(30)]
    matches = hits(
        [question(f"So {text}") for text in texts[:10]], [], benchmark_of(*texts), only(ngrams=(8,))
    )
    assert len({(row["id"], row["benchmark_id"]) for row in matches}) == len(matches) == 300


@given(
    st.lists(st.sampled_from("abcd"), max_size=30),
    st.lists(st.lists(st.sampled_from("abcde"), max_size=12), min_size=1, max_size=4),
    st.integers(2, 5),
)
def test_grams_are_found_exactly(words, items, n):
    def grams(of):
        return {tuple(of[start : start + n]) for start in range(len(of) - n + 1)}

    matches = hits(
        [question(" ".join(words))],
        [],
        benchmark_of(*(" ".join(item) for item in items)),
        only(ngrams=(n,)),
    )
    expected = {
        str(number): len(grams(words) & grams(item)) / len(grams(item))
        for number, item in enumerate(items)
        if grams(words) & grams(item)
    }
    assert {row["benchmark_id"]: row["share"] for row in matches} == pytest.approx(
        expected, abs=1e-4
    )
    for row in matches:
        assert all(
            passage in " ".join(words)
            for passage in row["overlap"].split(" ... ")
            if "more)" not in passage
        )


# --- near-duplicates and keys ----------------------------------------------------------


def test_a_near_duplicate_is_a_hit_from_the_threshold_on():
    changed = question(LEAK.replace("noon", "midnight"))
    (row,) = hits([changed, question(OTHER)], [], benchmark_of(LEAK), only(minhash=0.6))
    assert (row["by"], row["id"]) == ("minhash", changed.id) and 0.7 < row["share"] < 0.8
    assert row["overlap"].startswith("a train leaves the station at ... and drives north")
    assert hits([changed], [], benchmark_of(LEAK), only(minhash=0.8)) == []


def test_a_text_shorter_than_every_gram_is_still_found():
    matches = hits(
        [question("Compute $2+3$."), question("Compute $2-3$.")],
        [],
        benchmark_of(r"compute \(2 + 3\)"),
        RULE,
    )
    assert [(row["id"], row["by"], row["share"]) for row in matches] == [
        (question_id("Compute $2+3$."), by, 1.0) for by in ("minhash", "whole")
    ]


def test_equal_keys_are_one_question_in_any_wording():
    benchmarks = {"b": [{"id": "7", "question": "Sort 1, 2.", "key": "ascending 1 2"}]}
    rows = [
        question("Order these numbers: 2, 1", "ascending 1 2"),
        question("Sort 1, 3.", "ascending 1 3"),
    ]
    matches = hits(rows, [], benchmarks, only(keys=True))
    assert [(row["id"], row["by"], row["overlap"]) for row in matches] == [
        (rows[0].id, "key", "ascending 1 2")
    ]


def test_keys_of_other_questions_are_hashes_so_that_equal_texts_are_found():
    assert by(
        hits([question(" what  IS it?")], [], benchmark_of("What is it?"), only(keys=True))
    ) == {("0", "question", "key")}


# --- questions with and without a canonical key ----------------------------------------


SORT = "Sort the numbers 1 and {} from small to large, and give them one after the other."
KEYED = {"b": [{"id": "7", "question": SORT.format(2), "key": "ascending 1 2"}]}


def test_of_two_canonical_keys_nothing_but_they_is_compared():
    other = question(SORT.format(3), "ascending 1 3")
    assert hits([other], [], KEYED, RULE) == []
    same_words = dataclasses.replace(other, key=other.id)  # as a file has it
    assert {row["by"] for row in hits([same_words], [], KEYED, RULE)} == {"8-gram", "minhash"}
    without_key = benchmark_of(SORT.format(2))
    assert {row["by"] for row in hits([other], [], without_key, RULE)} == {"8-gram", "minhash"}
    asked = trace(other.question, ident=other.id)
    assert hits([other], [asked], KEYED, RULE) == []
    assert hits([same_words], [asked], KEYED, RULE)


def test_what_was_compared_is_said_by_the_kind_of_pool():
    sources = {"drawn": {**SOURCE, "key": "key"}, "written": SOURCE}
    rule = dataclasses.replace(RULE, benchmarks=sources)
    words = "8-grams, 13-grams, near-duplicates"
    assert compared(rule, has_keys=True) == (
        "drawn (equal keys or texts)",
        f"written ({words}, equal keys or texts)",
    )
    assert compared(rule, has_keys=False) == (
        f"drawn ({words}, short texts as a whole, equal texts)",
        f"written ({words}, short texts as a whole, equal texts)",
    )


OWN = ("experiment=cpu", "questions=jsonl", "questions.name=mine", "questions.path=mine.jsonl",
       "questions.licence=MIT", "questions.source=mine")  # fmt: skip


def test_keys_alone_are_refused_for_questions_that_have_none():
    alone = ("decontamination.ngrams=[]", "decontamination.minhash=null")
    with pytest.raises(UserError, match=r"a hub have none; set decontamination.ngrams=\[8,13\]"):
        study_of(*OWN, *alone)
    assert study_of(*OWN).decontamination.minhash and study_of("experiment=cpu", *alone)


def in_a_longer_text(text):
    return f"Yesterday my neighbour asked me, and I had no answer: {text} What would you say?"


def sprinkled(text, sign):
    """The text with a sign after every third letter or so."""
    return "".join(c + sign * (c.isalpha() and n % 3 == 0) for n, c in enumerate(text))


def renamed(text):
    """The text with another name for each person in it."""
    others = itertools.cycle(["Mirabel", "Zorblat", "Quixley"])
    for name in dict.fromkeys(re.findall(r"[A-Z][a-z]+(?= flips| does)", text)):
        text = text.replace(name, next(others))
    return text


def full_width(text):
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def mathematical(text):
    return "".join(chr(0x1D41A + ord(c) - 97) if "a" <= c <= "z" else c for c in text)


ASKED = "Put your final answer in \\boxed{}."
REWORDED = {
    "upper case": str.upper,
    "laid out anew": lambda text: text.replace(" ", "\n  "),
    "in a longer text": in_a_longer_text,
    "without punctuation": lambda text: re.sub(r"[.,;:?!'\"$](?!\d)", "", text),
    "in brackets and stars": lambda text: f"**({text})**",
    "set in TeX by another hand": lambda text: text.replace("\\frac", "\\dfrac").replace("$", "$$"),
    "with zero-width spaces": lambda text: sprinkled(text, "\u200b"),
    "with soft hyphens": lambda text: sprinkled(text, "\u00ad"),
    "with word joiners": lambda text: sprinkled(text, "\u2060"),
    "with marks on its letters": lambda text: sprinkled(text, "\u0336"),
    "in Cyrillic letters": lambda text: text.translate(str.maketrans("aeopcyxijs", "аеорсухіјѕ")),
    "in Cyrillic capitals": lambda text: text.upper().translate(
        str.maketrans("ABEIKMHOPCTX", "АВЕІКМНОРСТХ")
    ),
    "in Greek letters": lambda text: text.translate(str.maketrans("AOTEHvo", "ΑΟΤΕΗνο")),
    "in Armenian letters": lambda text: text.translate(str.maketrans("oung", "օսոց")),
    "in full-width letters": full_width,
    "in mathematical letters": mathematical,
    "with no-break spaces": lambda text: text.replace(" ", "\u00a0"),
    "an instruction after it": lambda text: f"{text} {ASKED}",
    "thoughts asked for after it": lambda text: f"{text}\nLet's think step by step.",
    "a long instruction after it": lambda text: (
        f"{text}\n\nPlease reason step by step, and put your final answer within \\boxed{{}}."
    ),
    "an instruction before it": lambda text: f"Solve the following problem. {text}",
    "an instruction of no list": lambda text: (
        f"Kindly have a go at this one, dear reader: {text} Take all the time that you may need."
    ),
    "labels around it": lambda text: f"Question: {text}\nAnswer:",
}


@pytest.mark.parametrize("reword", REWORDED.values(), ids=REWORDED)
def test_a_test_question_in_an_own_pool_is_found_however_it_is_put(reword):
    rule = rule_of()
    benchmarks = read_benchmarks(rule)
    wanted = benchmarks["cpu_test"][::8]
    rows = {row["id"]: question(reword(row["question"])) for row in wanted}
    found = {
        (row["id"], row["benchmark_id"]) for row in hits([*rows.values()], [], benchmarks, rule)
    }
    assert len(wanted) == 60
    assert [ident for ident, row in rows.items() if (row.id, ident) not in found] == []


def test_a_test_question_about_other_people_is_found():
    rule = rule_of()
    benchmarks = read_benchmarks(rule)
    coins = [row for row in benchmarks["cpu_test"] if renamed(row["question"]) != row["question"]]
    assert len(coins) >= 50
    rows = [question(renamed(row["question"])) for row in coins]
    assert set(reasons(hits(rows, [], benchmarks, rule))) == {row.id for row in rows}


# --- letters, instructions and short texts ---------------------------------------------


@pytest.mark.parametrize(
    "text, seen",
    [
        ("Ѕіmрlіfу", "simplify"),
        ("S\u200bi\u00adm\ufeffp\u2060lify", "simplify"),
        ("S\u0336i\u0301mpl\u034fify\ufe0f", "simplify"),
        ("ＳＩＭＰＬＩＦＹ", "simplify"),
        ("𝐒𝐢𝐦𝐩𝐥𝐢𝐟𝐲 𝑥²", "simplify x2"),
        ("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "abezhikmnoptyx"),
        ("АВЕІКМНОРСТХ", "abeikmhopctx"),
        ("ﬁnd ⅳ", "find iv"),
        ("na\u00efve", "naive"),
        ("sn\u043ew", "snow"),
        ("a\u3164b\u2800c", "a b c"),
    ],
)
def test_letters_are_those_that_a_reader_sees(text, seen):
    assert lower(text) == seen


@pytest.mark.parametrize(
    "one, other",
    [("x \u00d7 y", "x \u00f7 y"), ("\u2264", "\u2265"), ("\u4e2d", "\u6587"), ("и", "а"),
     ("\u2211", "\u222b"), ("10", "lO")],
)  # fmt: skip
def test_what_a_reader_tells_apart_stays_apart(one, other):
    assert tokens(one) != tokens(other)


def test_letters_with_many_marks_cost_no_more_than_others():
    assert lower("a" + "\u0301\u0323" * 10**6 + "b") == "ab"


@pytest.mark.parametrize(
    "text, rest",
    [
        ("Simplify $\\sqrt{242}$. Let's think step by step.", "simplify sqrt 242"),
        (f"Simplify $\\sqrt{{242}}$. {ASKED}", "simplify sqrt 242"),
        ("Solve the following problem. Find $x$.", "find x"),
        ("Question: Find $x$.\nAnswer:", "find x"),
        ("Please reason step by step, and put your final answer within \\boxed{}. Find $x$.",
         "find x"),
        ("Solve the following math problem step by step. The last line of your response should be "
         "of the form Answer: $ANSWER (without quotes) where $ANSWER is the answer to the problem. "
         "Find $x$.", "find x"),
        ("Find $x$. End your reply with one line: Final Answer: <answer>", "find x"),
        ("Solve the following problem.", "solve the following problem"),
        ("", ""),
    ],
)  # fmt: skip
def test_instructions_around_a_question_are_no_part_of_it(text, rest):
    instructions = Instructions(rule_of().instructions)
    assert " ".join(instructions.words_of(text).question) == rest
    assert instructions.words_of(text).tokens == tokens(text)


def test_a_short_question_is_found_within_a_longer_one():
    short = benchmark_of("Simplify $\\sqrt{242}$.", "Find x.")
    (row,) = hits([question(in_a_longer_text(r"simplify \(\sqrt {242}\)"))], [], short, RULE)
    assert (row["benchmark_id"], row["by"], row["overlap"]) == ("0", "whole", "simplify sqrt 242")
    for other in ("simplify \\sqrt{2420}", "simplify the sqrt of 242", "Find x. " * 9):
        assert hits([question(in_a_longer_text(other))], [], short, RULE) == []
    assert strongest([row])[row["id"]]["by"] == "whole"


# --- traces ----------------------------------------------------------------------------


def test_a_trace_is_searched_for_n_grams_and_shown_around_them():
    think = f"{'before ' * 60}{LEAK} {'after ' * 60}"
    matches = hits(
        [question(OTHER)],
        [trace(think), trace("", "u"), trace(OTHER, "v")],
        benchmark_of(LEAK),
        RULE,
    )
    assert {(row["id"], row["where"], row["by"]) for row in matches} == {
        ("t", "trace", "8-gram"),
        ("t", "trace", "13-gram"),
    }
    words = matches[0]["text"].split()
    assert (
        words.count("before") == likeness.CONTEXT
        and len(words) < 120
        and matches[0]["share"] == 1.0
    )
    assert (
        hits([], [trace(think)], benchmark_of(LEAK), dataclasses.replace(RULE, traces=False)) == []
    )
    assert hits([], [trace("", answer=f"{LEAK} is 7")], benchmark_of(LEAK), RULE), (
        "the answer is trained on, too"
    )


@pytest.mark.parametrize(
    "filler, size",
    [
        ("the number of primes below ", 10**7),
        ("a\u0301\x00 ", 10**6),
        ("1 2 3 ", 10**6),
        ("\\begin{", 10**6),
        ("<math", 10**6),
        ("\u4e2d\u6587", 10**6),
        ("\\", 10**6),
    ],
)
def test_ten_megabytes_of_anything_hide_nothing(filler, size):
    matches = hits(
        [], [trace(filler * (size // len(filler)) + f" ; {LEAK} ")], benchmark_of(LEAK), RULE
    )
    assert (
        by(matches) == {("0", "trace", "8-gram"), ("0", "trace", "13-gram")}
        and len(matches[0]["overlap"]) < 200
    )


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_only_compared(one, other):
    one, other = (text.encode("utf-8", "replace").decode() for text in (one, other))
    matches = hits([question(one)], [trace(one)], benchmark_of(other), RULE)
    same = bool(plain(one)) and plain(one) == plain(other) and len(plain(one)) >= 8
    assert not same or any(row["by"] == "8-gram" for row in matches)
    assert (question_id(one) == question_id(other)) == any(row["by"] == "key" for row in matches)


# --- the report as a whole -------------------------------------------------------------


TEXTS = st.lists(
    st.lists(st.sampled_from("a b c d e f".split()), max_size=14).map(" ".join),
    min_size=1,
    max_size=6,
    unique=True,
)


@given(TEXTS, TEXTS, st.randoms(use_true_random=False))
def test_order_does_not_matter(texts, others, rng):
    rule = dataclasses.replace(RULE, ngrams=(3, 5))
    rows, traces = (
        [question(text) for text in texts],
        [trace(text, f"t{number}") for number, text in enumerate(texts)],
    )
    benchmarks = benchmark_of(*others) | benchmark_of(*others[::2], name="a")
    matches = hits(rows, traces, benchmarks, rule)
    assert len(
        {
            tuple(row[name] for name in ("id", "where", "benchmark", "benchmark_id", "by"))
            for row in matches
        }
    ) == len(matches)
    mixed = {name: rng.sample(items, len(items)) for name, items in reversed(benchmarks.items())}
    assert (
        hits(rng.sample(rows, len(rows)), rng.sample(traces, len(traces)), mixed, rule) == matches
    )
    assert set(strongest(matches)) == {row["id"] for row in matches}


@given(TEXTS, TEXTS)
def test_a_question_is_no_hit_of_itself_and_a_benchmark_question_is_its_own(texts, others):
    rule = dataclasses.replace(RULE, ngrams=(3,))
    apart = [text.translate(str.maketrans("abcdef", "uvwxyz")) for text in texts]
    benchmarks = benchmark_of(*(text for text in others if text))
    assert (
        hits(
            [question(text) for text in apart if text],
            [trace(text) for text in apart],
            benchmarks,
            rule,
        )
        == []
    )
    for row in benchmark_of(*others)["b"]:
        assert (row["id"], "question", "key") in by(
            hits([question(row["question"])], [], benchmark_of(*others), rule)
        )


def test_the_reason_of_an_id_is_its_strongest_hit():
    def row(ident, how, share, where="question", name="0"):
        fields = {
            "id": ident,
            "by": how,
            "share": share,
            "where": where,
            "benchmark": "b",
            "benchmark_id": name,
        }
        return dict.fromkeys(NAMES, "") | fields

    matches = [
        row("1", "8-gram", 1.0),
        row("1", "minhash", 0.7),
        row("2", "minhash", 1.0),
        row("2", "13-gram", 0.1, "trace"),
        row("3", "13-gram", 1.0),
        row("3", "key", 1.0),
        row("4", "8-gram", 0.2),
        row("4", "8-gram", 0.3, name="1"),
        row("5", "8-gram", 0.2, name="0"),
        row("5", "8-gram", 0.2, name="1"),
    ]
    assert reasons(matches) == {
        "1": "minhash: b 0, question",
        "2": "13-gram: b 0, trace",
        "3": "key: b 0, question",
        "4": "8-gram: b 1, question",
        "5": "8-gram: b 0, question",
    }


def test_the_hash_seed_of_python_changes_nothing():
    code = """
import json
from test_contamination import *
rows = [question(f"{LEAK} {i}") for i in range(9)] + [question(OTHER)]
benchmarks = benchmark_of(*(f"{i} {LEAK}" for i in range(9))) | benchmark_of(OTHER, name="a")
matches = hits(rows, [trace(LEAK + OTHER)], benchmarks, RULE)
print(json.dumps([matches, strongest(matches)]))
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
    assert outputs[0] == outputs[1] and len(json.loads(outputs[0])[0]) > 100


# --- configuration and files -----------------------------------------------------------


def written(folder, *rows, name="b.jsonl"):
    path = folder / name
    path.write_bytes(
        b"".join(
            row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows
        )
    )
    return str(path)


def test_benchmarks_are_read_by_their_columns(tmp_path):
    one = written(tmp_path, {"q": " Why?\r\n", "n": 3}, {"q": "How?", "n": 4})
    written(tmp_path, {"q": "Who?", "n": 5}, name="c.jsonl")
    rule = dataclasses.replace(
        RULE,
        benchmarks={
            "z": {**SOURCE, "path": one, "field": "q", "id": "n"},
            "y": {"path": f"{tmp_path}/*.jsonl", "field": "q", "id": None, "key": "n"},
        },
    )
    assert read_benchmarks(rule) == {
        "y": [
            {"id": "b.jsonl:1", "question": "Why?", "key": "3"},
            {"id": "b.jsonl:2", "question": "How?", "key": "4"},
            {"id": "c.jsonl:1", "question": "Who?", "key": "5"},
        ],
        "z": [
            {"id": "3", "question": "Why?", "key": question_id("why?")},
            {"id": "4", "question": "How?", "key": question_id("how?")},
        ],
    }
    assert list(read_benchmarks(rule)) == ["y", "z"] and files(rule) == [one, f"{tmp_path}/c.jsonl"]


@pytest.mark.parametrize(
    "rows, words",
    [
        ([], "holds no question"),
        ([{"id": "1", "question": "Why?"}, {"id": "2"}], "line 2: no column question"),
        ([{"id": "1", "question": ["Why?"]}], "line 1: column question holds no question"),
        ([{"id": "1", "question": " "}], "line 1"),
        ([{"question": "Why?"}], "line 1: no column id"),
        ([{"id": "", "question": "Why?"}], "column id is empty"),
        ([{"id": "1", "question": "\ud800"}], "line 1"),
        ([{"id": "\ud800", "question": "Why?"}], "line 1"),
        ([b"{\n"], "line 1"),
        ([b'{"id": "1", "question": "\xff"}\n'], "line 1"),
        ([{"id": "1", "question": "x" * 10**7}], "line 1: question of more than"),
    ],
)
def test_a_row_that_is_no_question_is_an_error_that_names_it(tmp_path, rows, words):
    path = written(tmp_path, *rows)
    with pytest.raises(UserError, match=words) as error:
        read_benchmarks(dataclasses.replace(RULE, benchmarks={"b": {**SOURCE, "path": path}}))
    assert path in str(error.value) and len(str(error.value)) < 1000


@pytest.mark.parametrize(
    "path, words",
    [(None, "is null"), ("absent/b.jsonl", "is no file"), ("absent/*.jsonl", "is no file")],
)
def test_a_benchmark_without_a_file_is_an_error_that_says_how_to_give_one(path, words):
    rule = dataclasses.replace(RULE, benchmarks={"b": {**SOURCE, "path": path}})
    for read in (files, read_benchmarks):
        with pytest.raises(
            UserError,
            match=rf"decontamination\.benchmarks\.b\.path.*{words}.*'~decontamination\.benchmarks\.b'",
        ):
            read(rule)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"near": 0.3}, "near=0.3"),
        ({"minhash": 1.5}, "minhash=1.5"),
        ({"ngrams": (8, 8)}, "ngrams"),
        ({"ngrams": (1,)}, "single word"),
        ({"prefer": ("a", "a")}, "prefer"),
        ({"ngrams": ()}, "traces=true"),
        ({"benchmarks": {}}, "benchmarks is {}"),
        ({"ngrams": (), "traces": False, "minhash": None, "keys": False}, "neither"),
        ({"benchmarks": {"b": {"path": None}}}, "field"),
        ({"benchmarks": {"b": {**SOURCE, "fields": "x"}}}, "did you mean field"),
        ({"instructions": ("a(",)}, "no regular expression"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(changes, words):
    with pytest.raises(UserError, match=re.escape(words)):
        dataclasses.replace(RULE, **changes)


def test_looking_for_nothing_in_no_benchmark_is_allowed():
    rule = only(benchmarks={})
    assert (
        files(rule) == []
        and read_benchmarks(rule) == {}
        and hits([question(LEAK)], [trace(LEAK)], {}, rule) == []
    )


def rule_of(*overrides):
    return config.build(Decontamination, composed("experiment=cpu", *overrides).decontamination)


def test_the_rule_of_the_paper_asks_for_the_benchmark_files(tmp_path):
    rule = rule_of("decontamination=s1")
    assert rule.ngrams == (8, 13) and list(rule.benchmarks) == [
        "aime24",
        "math500",
        "gpqa_diamond",
        "gsm8k",
    ]
    with pytest.raises(UserError, match=r"decontamination\.benchmarks\.aime24\.path=/"):
        files(rule)
    path = written(tmp_path, {"question": LEAK})
    given = rule_of(
        "decontamination=s1",
        f"decontamination.benchmarks.aime24.path={path}",
        "~decontamination.benchmarks.math500",
        "~decontamination.benchmarks.gpqa_diamond",
        "~decontamination.benchmarks.gsm8k",
    )
    assert read_benchmarks(given) == {
        "aime24": [{"id": "b.jsonl:1", "question": LEAK, "key": question_id(LEAK)}]
    }


def test_the_committed_pool_shares_no_key_with_what_is_evaluated():
    rule = rule_of()
    benchmarks, pool = read_benchmarks(rule), read_split("data/cpu/questions", "pool")
    assert {name: len(rows) for name, rows in benchmarks.items()} == {
        "cpu_dev": 240,
        "cpu_test": 480,
    }
    assert hits(pool, [], benchmarks, rule) == []
    leaked = [
        dataclasses.replace(q, id=f"{number:016}")
        for number, q in enumerate(read_split("data/cpu/questions", "dev"))
    ]
    assert {row["id"] for row in hits(pool + leaked, [], benchmarks, rule)} == {
        q.id for q in leaked
    }


def test_n_grams_flag_templated_questions_all_over():
    """Why nothing but the key is looked for where both questions have one."""
    rule = dataclasses.replace(rule_of(), keys=False)
    pool = [q for q in read_split("data/cpu/questions", "pool") if q.family == "chain_sum"][:100]
    assert len(reasons(hits(pool, [], read_benchmarks(rule), rule))) == 100
    assert hits(pool, [], read_benchmarks(rule), rule_of()) == []


# --- the real benchmarks ---------------------------------------------------------------


@pytest.fixture(scope="module")
def real():
    """{benchmark: rows} of the files beside the project."""
    if absent := [name for name in COLUMNS if not (BENCHMARKS / f"{name}.jsonl").exists()]:
        pytest.skip(
            f"no {absent[0]}.jsonl in {BENCHMARKS}: name the folder of the benchmark files in "
            "PONDER_BENCHMARKS"
        )
    sources = {
        name: {**SOURCE, "path": str(BENCHMARKS / f"{name}.jsonl"), "field": column}
        for name, column in COLUMNS.items()
    }
    return read_benchmarks(dataclasses.replace(RULE, benchmarks=sources))


# How sources of AIME set the question: wiki markup as the AoPS wiki stores it, and the same text
# set by another hand.
AIME_2017_II_7 = [
    "Find the number of integer values of <math>k</math> in the closed interval "
    "<math>[-500,500]</math> for which the equation <math>\\log(kx)=2\\log(x+2)</math> has exactly "
    "one real solution.",
    "Find the number of integer values of \\(k\\) in the closed interval "
    "\\(\\left[-500,\\,500\\right]\\) for which the equation "
    "\\(\\log (kx) = 2\\log (x + 2)\\)\nhas exactly one real solution .",
]


def test_the_known_leak_is_found(real):
    """s1K holds AIME 2017 II-7, which is in MATH-500 (s1, issue 26)."""
    known, rows = (
        {row["id"]: row["question"] for row in real["math500"]}[KNOWN],
        [question(text) for text in AIME_2017_II_7],
    )
    assert "[-500,500]" in known and question_id(known) not in {row.id for row in rows}
    matches = [row for row in hits(rows, [], real, RULE) if row["benchmark"] == "math500"]
    for probe in rows:
        own = [row for row in matches if row["id"] == probe.id]
        assert by(own) == {
            (KNOWN, "question", "8-gram"),
            (KNOWN, "question", "13-gram"),
            (KNOWN, "question", "minhash"),
        }
        assert all(row["text"] == probe.question and row["benchmark_text"] == known for row in own)
        assert {row["share"] for row in own if row["form"] != "words"} == {1.0}, (
            "all but s1's own form see that it is all there"
        )
        assert reasons(matches)[probe.id] == f"13-gram: math500 {KNOWN}, question"


def test_the_form_of_s1_alone_misses_the_known_leak_in_wiki_markup(real):
    """Why there are two forms."""
    matches = hits(
        [question(AIME_2017_II_7[0])], [], {"math500": real["math500"]}, only(ngrams=(8,))
    )
    assert [(row["benchmark_id"], row["form"]) for row in matches] == [(KNOWN, "plain")]


def test_the_known_leak_is_found_in_a_trace_and_other_questions_are_not(real):
    other = [
        "How many integers $k$ between $-300$ and $300$ make $\\log(kx)=3\\log(x+5)$ have two real "
        "roots?",
        "Determine how many lattice points lie inside the triangle with corners $(0,0)$, $(17,0)$ "
        "and $(5,23)$.",
        OTHER,
    ]
    leaked = trace(f"Let me restate. {AIME_2017_II_7[1]} First, the domain.")
    matches = hits(
        [question(text) for text in other],
        [leaked, *(trace(text, "other") for text in other)],
        real,
        RULE,
    )
    assert (KNOWN, "trace", "13-gram") in by(matches) and {row["id"] for row in matches} == {
        leaked.id
    }


def test_the_benchmarks_do_not_hold_each_other_but_for_stock_phrases(real):
    """AIME and MATH share phrases such as "m and n are relatively prime positive integers".

    8-grams tell, but shares stay small.
    """
    rows = [question(row["question"]) for row in real["aime24"]]
    matches = hits(rows, [], {name: real[name] for name in ("math500", "gsm8k")}, RULE)
    assert {row["by"] for row in matches} == {"8-gram", "13-gram"} and max(
        row["share"] for row in matches
    ) < 0.15
    assert {row["benchmark"] for row in matches} == {"math500"} and 0 < len(reasons(matches)) < 15


def test_every_benchmark_question_is_found_in_its_benchmark(real):
    matches = hits(
        [question(row["question"]) for row in real["math500"]],
        [],
        {"math500": real["math500"]},
        RULE,
    )
    assert {row["benchmark_id"] for row in matches if row["by"] == "key"} == {
        row["id"] for row in real["math500"]
    }
    assert (
        sum(row["by"] == "minhash" for row in matches) >= 495
    )  # the others have no word at all, or share one by chance


@pytest.mark.parametrize("reword", REWORDED.values(), ids=REWORDED)
def test_a_benchmark_question_is_found_however_it_is_put(real, reword):
    """Of MATH-500 many are short: 19 were missed with an instruction after them."""
    math500 = {"math500": real["math500"]}
    rule = dataclasses.replace(RULE, instructions=rule_of().instructions)
    rows = {row["id"]: question(reword(row["question"])) for row in real["math500"]}
    pairs = {(row["id"], row["benchmark_id"]) for row in hits([*rows.values()], [], math500, rule)}
    assert [ident for ident, row in rows.items() if (row.id, ident) not in pairs] == []


def test_short_benchmark_questions_stand_in_few_others(real):
    """Which is why they are looked for as a whole: no question of GSM8K or AIME holds one."""
    rows = [question(row["question"]) for row in real["gsm8k"][::4] + real["aime24"]]
    matches = hits(rows, [], {"math500": real["math500"]}, RULE)
    assert not [row for row in matches if row["by"] == "whole"]
