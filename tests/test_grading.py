"""From an answer text to right or wrong: what is the same answer, and hostile text."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ponder.grading.families import extract, is_correct, normal

EQUAL = [  # (reply, gold)
    ("Final Answer: 7", "7"),
    ("Final Answer: 7.", "7"),
    ("Final Answer: +7", "7"),
    ("Final Answer: 7.0", "7"),
    ("Final Answer: 0.5", "1/2"),
    ("Final Answer: 2/4", "1/2"),
    ("Final Answer: 007", "7"),
    ("Final Answer: -3", "-3"),
    ("Final Answer: \u22123", "-3"),
    ("Final Answer: $7$", "7"),
    ("final answer: 7", "7"),
    ("FINAL ANSWER:7", "7"),
    ("Answer : 7", "7"),
    ("The answer: 7", "7"),
    ("Final Answer: West", "west"),
    ("Final Answer:  new   york ", "New York"),
    ("Final Answer: true", "True"),
    ("Final Answer: a, b, c", "a,b,c"),
    ("Final Answer: [a, b]", "a, b"),
    ("Final Answer: (1, 2)", "1, 2"),
    ("Final Answer: ['a', \"b\"]", "a, b"),
    ("Final Answer: ['-69', '11']", "-69, 11"),
    ("Final Answer: **west**", "west"),
    ("\\boxed{7}", "7"),
    ("so \\boxed{ 7 } it is", "7"),
    ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
    ("\\boxed{1} or rather \\boxed{2}", "2"),
    ("Final Answer: 1\nFinal Answer: 2", "2"),
    ("Final Answer: 1\nFinal Answer: 2\nbye", "2"),
    ("Final Answer: 7\nThat was it.", "7"),
    ("Final Answer: \\boxed{7}", "7"),
    ("Final Answer: 9**9**9", "9**9**9"),
    ("caf\u00e9 Answer: \u00c9A", "\u00e9a"),
]
DIFFERENT = [
    ("Final Answer: 8", "7"),
    ("Final Answer: 77", "7"),
    ("Final Answer: -7", "7"),
    ("Final Answer: 0.333", "1/3"),
    ("Final Answer: 4 - 3", "1"),
    ("Final Answer: 2+2", "4"),
    ("Final Answer: 9**9**9", "1"),
    ('Final Answer: __import__("os")', "1"),
    ("Final Answer: a, b", "b, a"),
    ("Final Answer: a, b, c", "a, b"),
    ("Final Answer: 1, 2", "12"),
    ("Final Answer: east or west", "west"),
    ("Final Answer: 1/0", "1"),
    ("Final Answer: nan", "1"),
    ("Final Answer: inf", "1"),
    ("Final Answer: 1e3", "1000"),
    ("Final Answer: 7 Final Answer: 8", "7"),
    ("Final Answer: 1\nFinal Answer: 2", "1"),
    ("\\boxed{1} or rather \\boxed{2}", "1"),
    ("Final Answer: 7\n\\boxed{8}", "7"),
    ("Final Answer: " + "7" * 100_000, "7" * 100_000),
    ("Final Answer: " + "1," * 10_000, "1"),
]
NO_ANSWER = [
    "",
    " ",
    "7",
    "west",
    "Final Answer",
    "Final Answer:",
    "Final Answer:   \n7",
    "The answers are: 7",
    "\\boxed{7",
    "\\boxed{{7}",
    "\\boxed",
    "Final Answer: " + "7" * 100_000,
    "\\boxed{" + "7" * 100_000 + "}",
    "Final Answer: 7\nFinal Answer:",
]


@pytest.mark.parametrize("reply, gold", EQUAL)
def test_these_are_the_same_answer(reply, gold):
    assert is_correct(reply, gold)


@pytest.mark.parametrize("reply, gold", DIFFERENT, ids=lambda text: text[:30])
def test_these_are_not_the_same_answer(reply, gold):
    assert not is_correct(reply, gold)


@pytest.mark.parametrize("reply", NO_ANSWER, ids=lambda text: text[:30])
def test_this_is_no_answer_and_therefore_wrong(reply):
    assert extract(reply) is None
    assert not any(is_correct(reply, gold) for gold in ("7", "west", "", "None"))


@pytest.mark.parametrize(
    "text, answer",
    [
        ("\\boxed{a{b}{c{d}}}", "a{b}{c{d}}"),
        ("\\boxed{}", ""),
        ("\\boxed{1}}", "1"),
        ("\\boxed{a \\boxed{b}}", "b"),
        ("\\boxed{7 Final Answer: 8", "8"),
        ("\\boxed{" + "{" * 100 + "}" * 100 + "}", "{" * 100 + "}" * 100),
    ],
)
def test_a_box_is_matched_by_its_braces(text, answer):
    assert extract(text) == answer


def test_an_answer_of_256_characters_is_the_longest():
    assert extract("Final Answer: " + "a" * 256) == "a" * 256
    assert extract("Final Answer: " + "a" * 257) is None


NASTY = st.one_of(
    st.text(),
    st.text("\\boxed{}answer: 0123/.-+[]()'\",\n$\u2212"),
    st.from_regex(r"[+-]?\d+[./]?\d*", fullmatch=True),
)


@given(NASTY, NASTY)
@example("1/0", "1/0")
@example("1/000", "0")
@example("1/\u0660", "1")  # an Arabic zero
@example("\u0661", "1")
@example("\ud800", "\udfff")
@example("[", "]")
def test_no_text_raises(reply, gold):
    extract(reply), normal(reply)
    for text in (reply, f"Final Answer: {reply}", f"\\boxed{{{reply}}}"):
        assert is_correct(text, gold) in (True, False)


@given(
    st.text(st.characters(exclude_characters="\n\\"), min_size=1, max_size=200).filter(
        lambda t: t.strip()
    )
)
def test_an_answer_equals_itself(text):
    answer = extract(f"Final Answer: {text}")
    assert answer is None or is_correct(f"Final Answer: {text}", answer)


@given(st.integers(-(10**17), 10**17), st.integers(-(10**17), 10**17))
def test_whole_numbers_are_compared_as_numbers(one, other):
    assert is_correct(f"Final Answer: {one}", str(other)) == (one == other)


@pytest.mark.parametrize(
    "piece",
    [
        "answer:",
        "answer ",
        "answer: \t ",
        "\\boxed{",
        "\\boxed{}",
        "{",
        "}",
        " ",
        "\n",
        "7",
        "1,",
        "[",
        "(",
    ],
)
def test_a_megabyte_is_graded_in_linear_time(piece):
    text = "Final Answer: " + piece * (10**6 // len(piece))
    began = time.perf_counter()
    is_correct(text, "7")
    assert time.perf_counter() - began < 2


def test_a_megabyte_of_gold_is_normalised_in_linear_time():
    began = time.perf_counter()
    is_correct("Final Answer: 7", "7" * 10**6)
    assert time.perf_counter() - began < 2
