"""What counts as the answer of a reply to a benchmark question, and which are the same text.

The faults of s1's harness (lm_eval/tasks of its fork) each have a test that they are not here.
"""

import inspect
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.grading import answers, crosscheck
from ponder.grading.answers import Answer, choice, extract, normal, number

ANSWERED = [  # (reply, answer, where it stood)
    (r"so \boxed{7}", "7", "box"),
    (r"\boxed{1}, no: \boxed{2}", "2", "box"),
    (r"\boxed{\frac{1}{\sqrt{2}}} it is", r"\frac{1}{\sqrt{2}}", "box"),
    (r"\boxed{\{1, 2\}}", r"\{1, 2\}", "box"),
    (r"\boxed{\left\{1\right.}", r"\left\{1\right.", "box"),
    (r"\boxed{a \boxed{b}}", "b", "box"),
    (r"\boxed {7}", "7", "box"),
    (r"\boxed{5} and then \boxed{6", "5", "box"),
    (r"\boxed{5} and \boxed{}", "5", "box"),
    ("Final Answer: 8\n\\boxed{7}", "7", "box"),
    ("\\boxed{7}\nFinal Answer: 8", "7", "box"),
    ("Final Answer: 204", "204", "line"),
    ("Final Answer: 1\nFinal Answer: 2", "2", "line"),
    ("Final Answer: 2\nThat is all.", "2", "line"),
    ("**Final Answer:** 204", "204", "line"),
    ("Final Answer:\n\n204\n", "204", "line"),
    ("Answer: 42. I hope it is correct.", "42", "line"),
    ("Answer: 3.14", "3.14", "line"),
    ("The final answer is $42$. I hope it is correct.", "$42$", "line"),
    ("Answer: 5\nI am sure that my answer is right", "5", "line"),
    ("Final Answer: the answer is 5", "5", "line"),
    ("204", "204", "text"),
    (" 204 \n", "204", "text"),
]
NOTHING = [
    "",
    " \n",
    "I think it is 7\nor 8",
    "Final Answer:",
    "Final Answer: 7\nFinal Answer:",
    r"\boxed{}",
    r"\boxed{7",
    r"\boxed{" + "7" * 257 + "}",
    "Final Answer: " + "7" * 100_000,
    "7" * 100_000,
    r"\boxed{" + "7" * 100_000 + "}",
]


@pytest.mark.parametrize("reply, text, how", ANSWERED)
def test_this_is_the_answer(reply, text, how):
    assert extract(reply) == Answer(text, how)


@pytest.mark.parametrize("reply", NOTHING, ids=lambda reply: reply[:20])
def test_this_is_no_answer(reply):
    assert extract(reply) is None


def test_an_answer_of_256_characters_is_the_longest():
    for text in (r"\boxed{%s}", "Answer: %s", "%s"):
        assert extract(text % ("a" * 256)).text == "a" * 256
        assert extract(text % ("a" * 257)) is None


SAME = [
    ("7", "7.0"),
    ("7", "+7"),
    ("7", "007"),
    ("1/2", r"\frac{1}{2}"),
    ("0.5", r"\dfrac12"),
    (".5", "0.50"),
    ("-0.5", r"-\frac{1}{2}"),
    (r"1\frac{4}{5}", "9/5"),
    ("10,080", r"10,\!080"),
    (r"\$36", "36"),
    ("$36$", "36"),
    (r"90^\circ", "90"),
    ("90 degrees", "90"),
    ("5 cm", r"5 \text{ cm}"),
    ("5", r"5\text{ cm}^2"),
    ("5.4 cents", r"5.4 \text{ cents}"),
    (r"864 \mbox{ inches}^2", "864"),
    (r"50\%", "50"),
    (r"\text{east}", "East"),
    (r"\text{(C)}", "C"),
    ("(C)", "C"),
    (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\tfrac{\pi}2)"),
    ("x=5", "5"),
    ("y = 2x + 3", "2x+3"),
    (r"x \in [-2,7]", "[-2,7]"),
    (r"3\sqrt{13}", r"3 \sqrt {13}"),
    ("3\u221a5", r"3\sqrt5"),
    ("3 pi", r"3\pi"),
    ("sqrt(2)", r"\sqrt{2}"),
    ("x^{10}", "x^10"),
    ("42.", "42"),
    (r"\(42\)", "42"),
    ("**42**", "42"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
    ("\u22125", "-5"),
    ("(6.0,31.00,-1)", "(6,31,-1)"),
]
OTHER = [
    ("7", "-7"),
    ("7", "77"),
    ("0.333", "1/3"),
    ("1/0", "1"),
    ("2k", "2"),
    (r"\text{east}", "seat"),
    ("(3,4]", "[3,4)"),
    ("52_8", "52"),
    ("1,200", "1,2"),
    ("(1,200)", "1200"),
    ("r", "R"),
    ("x=5", "x=6"),
    (r"\text{Evelyn}", "Navin"),
    ("5 - 7y = 0", "7y"),
    ("4-3", "1"),
]


@pytest.mark.parametrize("one, other", SAME)
def test_these_are_the_same_text(one, other):
    assert normal(one) == normal(other)


@pytest.mark.parametrize("one, other", OTHER)
def test_these_are_not_the_same_text(one, other):
    assert normal(one) != normal(other)


def test_a_number_is_exact():
    assert number(normal("0.1")) == Fraction(1, 10)
    assert number(normal("0.333333333")) != Fraction(1, 3)
    for text in ("x", "1/0", "9**9"):
        assert number(normal(text)) is None


@pytest.mark.parametrize(
    "answer, letter",
    [
        ("B", "B"),
        ("(B)", "B"),
        ("B) two", "B"),
        ("B. two", "B"),
        ("**B**", "B"),
        (r"\text{B}", "B"),
        ("option B", "B"),
        ("Choice (B)", "B"),
        ("two", "B"),
        (" Two. ", "B"),
        ("$2$ m", None),
        ("A proton", None),
        ("Because", None),
        ("E", None),
        ("", None),
        ("b", "B"),
        ("bad", None),
        ("same", None),
    ],
)
def test_a_letter_is_named_or_it_is_not(answer, letter):
    assert choice(answer, ["one", "two", "same", "same"]) == letter


NASTY = st.one_of(
    st.text(max_size=300),
    st.text("\\boxed{}answer: 0123/.-+[]()'\",\n$^_ frctexsq\u2212", max_size=300),
)


@given(NASTY)
def test_no_text_raises_and_an_answer_equals_itself(text):
    for reply in (text, f"Final Answer: {text}", f"\\boxed{{{text}}}"):
        crosscheck.is_correct(reply, "7")
        if answer := extract(reply):
            assert normal(answer.text) == normal(answer.text) and 0 < len(answer.text) <= 256
            choice(answer.text, ["1", "2", "3", "4"])
            crosscheck.same(answer.text, "x^2")


@pytest.mark.parametrize(
    "text", [r"\begin", r"\begin{pmatrix", r"1, \begin x", r"(\begin,2)", r"\begin{x}\end"]
)
def test_a_matrix_cut_short_is_read_as_text_by_the_second_grader(text):
    assert not crosscheck.same(text, "1")
    assert crosscheck.same(text, text)


@pytest.mark.parametrize(
    "piece",
    [
        "answer:",
        "answer is ",
        "answer ",
        "\\boxed{",
        "\\boxed{}",
        "{",
        "}",
        " ",
        "\n",
        "\\",
        "*",
        "7",
    ],
)
def test_a_megabyte_is_searched_in_linear_time(piece):
    text = "Final Answer: " + piece * (10**6 // len(piece))
    began = time.process_time()
    extract(text)
    crosscheck.last_answer(text)
    assert time.process_time() - began < 10


# --- faults of s1's harness ------------------------------------------------------------


@pytest.mark.parametrize(
    "reply", ["<|im_start|>answer\n7\n<|im_start|>8", "7<|im_start|>answer\n8"]
)
def test_fault_3_8_1_a_delimiter_written_as_text_does_not_cut_the_reply(reply):
    """s1 takes what follows the last delimiter in the text, so it grades another part of a reply
    that writes one."""
    assert extract(reply + "\nFinal Answer: 5 <|im_start|>").text == "5 <|im_start|>"
    assert extract("\\boxed{5}" + reply).text == "5"


def test_fault_3_8_1_thinking_that_never_ends_is_no_answer(chat):
    """s1 then grades the thinking without its first line. Here the reply is what the budget closed,
    which is nothing."""
    from ponder.decode.budget import Sample

    sample = Sample(ids=chat.encode("let me see\n\\boxed{7}"), closed_at=None)
    thinking, reply = chat.split(sample)
    assert "boxed" in thinking and extract(reply) is None


def test_fault_3_8_2_the_last_answer_line_counts_and_only_that_line():
    """s1's expression takes all that follows the first "Answer:", whatever its comment says."""
    assert extract("Answer: 1\nNo.\nAnswer: 2\nBye.") == Answer("2", "line")


def test_fault_3_8_2_an_fbox_is_a_box():
    """s1 fails an assertion on it, and with it the whole evaluation."""
    assert extract(r"so \fbox{7}") == Answer("7", "box")
    assert crosscheck.is_correct(r"so \fbox{7}", "7")


def test_fault_3_8_3_extraction_does_not_see_the_gold_nor_what_was_answered_before():
    """s1's judge is shown the gold as its first option, and after it the answers that were
    extracted before."""
    for function in (extract, answers.tidy, normal, number, crosscheck.last_answer):
        assert len(inspect.signature(function).parameters) == 1, "one text goes in"
    source = inspect.getsource(answers)
    assert not any(
        word in source for word in ("openai", "http", "global ", "cache", "random", "time.")
    )
    assert list(inspect.signature(choice).parameters) == ["answer", "options"]


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I cannot say.",
        "Final Answer: none of them",
        "A proton is heavier,\nso nothing fits.",
        "Final Answer: E",
    ],
)
def test_fault_3_8_4_no_letter_is_no_answer_and_never_an_a(reply):
    """s1 makes an "A" of anything that names no letter."""
    from ponder.grading.verify import grade

    for letter in "ABCD":
        row = grade(reply, letter, ["1", "2", "3", "4"])
        assert not row["correct"] and not row["second"]


def test_fault_3_8_5_one_value_is_one_vote_however_it_is_written():
    """s1 counts strings, so \\frac{1}{2} and 0.5 split their votes. A vote here is the normal form,
    and no answer is none."""
    replies = (
        r"\boxed{\frac{1}{2}}",
        "Final Answer: 0.5",
        r"\boxed{\dfrac12}",
        r"\boxed{3}",
        "\n\nhm\n\n?",
    )
    answers_given = [extract(reply) for reply in replies]
    votes = [answer and normal(answer.text) for answer in answers_given]
    assert votes == ["1/2", "1/2", "1/2", "3", None]
