"""Which benchmark questions templates were made from, and what decontamination sees of test
questions that somebody reworded.

The questions of GSM8K are not part of the project. Tests over them read gsm8k.jsonl in the folder
PONDER_BENCHMARKS, else in shared/benchmarks beside the checkout, whose last 1,319 rows are the test
split, and skip where it is not.
"""

import dataclasses
import hashlib
import json
import os
import re
from pathlib import Path

import pytest
from conftest import ROOT, composed

from ponder import config
from ponder.collect import originals
from ponder.collect.contamination import Decontamination, compared, hits, read_benchmarks
from ponder.collect.originals import Template, in_order
from ponder.questions.drawn import Question, question_id, read_split
from ponder.release import overlaps
from ponder.runs import read_jsonl

BENCHMARKS = Path(os.environ.get("PONDER_BENCHMARKS", ROOT.parent / "shared" / "benchmarks"))
RELEASED = ROOT / "data/qwen/gsm8k-originals.jsonl"

# As the library writes its templates, which are never run.
SOURCE = '''
def generate_7(rng, difficulty=1.0):
    def generate_from_variables(name, fruit, price, count):
        """Make one."""
        cost = price * count
        question = (
            f"{name} visits the {fruit} market on {days[0]}. A crate of {fruit}s weighs {count} "
            f"kilograms and costs ${price:.2f}. How much do two crates and a bag cost {name}?"
        )
        return {"question": question, "answer": cost}


def generate_3(rng, difficulty=1.0):
    question = f"Fill {n} tubs, each with {m} fish, and empty {k} of them. How many fish are left?"


def other():
    question = "is no template"
'''
ORIGINAL = (
    "Jo visits the fig market on Monday. A crate of figs weighs 9 kilograms and costs $4.50. How "
    "much do two crates and a bag cost Jo?"
)
CHANGED = ORIGINAL.replace("A crate of figs weighs", "Each box of figs weighs")
OTHERS = [
    "A crate of tools weighs 9 kilograms. How much do two of them weigh?",
    "On Monday a market sells figs. How many are left on Tuesday, if a third of them are bad?",
    "Fill the tub.",
]


# --- templates ---------------------------------------------------------------------------


def test_templates_are_read_and_not_run():
    third, seventh = originals.templates(SOURCE)
    assert third.number == 3
    assert (
        third.words == "fill tubs each with fish and empty of them how many fish are left".split()
    )
    words = "visits the market on a crate of weighs kilograms and costs how much do two crates and"
    assert seventh == (7, [*words.split(), "a", "bag", "cost"]), (
        "a plural and a full stop that hang on a variable belong to it"
    )


@pytest.mark.parametrize(
    ("words", "text", "number"),
    [
        ("a b c", "a x b y c", 3),
        ("a b c", "c b a", 1),
        ("a b a b", "b a b", 3),
        ("a a a", "a a", 2),
        ("a b", "", 0),
        ("", "a b", 0),
    ],
)
def test_words_are_counted_in_their_order(words, text, number):
    assert in_order(words.split(), text.split()) == number


def test_the_original_of_a_template_is_found_by_its_own_words():
    found = originals.originals(originals.templates(SOURCE), [*OTHERS, CHANGED, ORIGINAL])
    assert [row["template"] for row in found] == [7], "template 3 has none"
    (row,) = found
    assert row["position"] == 4 and row["share"] == 1.0 and 0.8 < row["next"] < 1
    assert row["id"] == question_id(ORIGINAL)
    assert row["sha256"] == hashlib.sha256(ORIGINAL.encode()).hexdigest()


def test_of_equal_questions_the_first_is_the_original():
    (row,) = originals.originals([Template(1, ["a", "b"])], ["b a", "a b", "x a b"])
    assert row["position"] == 1 and row["next"] == 1.0


def test_a_template_with_too_few_of_its_words_anywhere_has_no_original():
    words = [*"abcdefghij"]
    assert originals.originals([Template(1, words)], ["a b c d e", "x"]) == []
    assert len(originals.originals([Template(1, words)], ["a b c d e f", "x"])) == 1


def test_what_is_written_holds_no_text(tmp_path, monkeypatch):
    path, out = tmp_path / "test.jsonl", tmp_path / "out.jsonl"
    monkeypatch.setattr(originals, "ROWS", 4)
    monkeypatch.setattr(originals.gym, "template_sources", lambda: [SOURCE])
    path.write_text("".join(json.dumps({"problem": q}) + "\n" for q in [*OTHERS, ORIGINAL]))
    originals.main(str(path), str(out), "problem")
    (row,) = read_jsonl(out)
    assert sorted(row) == ["id", "next", "position", "sha256", "share", "template"]
    assert originals.ids(out) == {question_id(ORIGINAL)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name the JSONL of GSM8K's test split and the file to write"),
        (("{path}", "o"), "line 1 has no text in the column 'question'; name the column"),
        (("{path}", "o", "problem"), "holds 1 questions, but GSM8K's test split has 1319; give"),
    ],
)
def test_mistakes_are_told_in_one_sentence(arguments, message, tmp_path, capsys):
    path = tmp_path / "test.jsonl"
    path.write_text(json.dumps({"problem": ORIGINAL}) + "\n")
    with pytest.raises(SystemExit):
        originals.main(*(word.format(path=path) for word in arguments))
    assert message in capsys.readouterr().err


def test_the_released_file_names_a_hundred_questions_and_no_text():
    rows = read_jsonl(RELEASED)
    assert [row["template"] for row in rows] == list(range(100))
    assert len({row["id"] for row in rows}) == len({row["position"] for row in rows}) == 100
    for row in rows:
        assert row["share"] >= originals.LEAST and row["share"] - row["next"] > 0.2
        assert re.fullmatch("[0-9a-f]{16}", row["id"]) and len(row["sha256"]) == 64
    drawn = {row.facts["template"] for row in read_split(ROOT / "data/qwen/questions", "pool")
             if row.family == "gsm_symbolic"}  # fmt: skip
    assert drawn <= {row["template"] for row in rows}


# --- test questions that were reworded ------------------------------------------------------

PEOPLE = ("Quentin", "Ottilie", "Zacharias", "Philippa", "Ignatius", "Rosalind")
BEFORE = "Solve the following problem. Think step by step and give the final answer in a box.\n\n"
BEHIND = "\nLet's think step by step and put the final answer within \\boxed{}."


def other_names(text, small):
    """Return a text with other people and places: words that are never written small."""
    names = {}

    def other(match):
        word = match[0]
        if word.lower() in small:
            return word
        return names.setdefault(word, PEOPLE[len(names) % len(PEOPLE)])

    return re.sub(r"\b[A-Z][a-z]+\b", other, text)


def other_numbers(text):
    return re.sub(r"\d+", lambda match: str(3 * int(match[0]) + 1), text)


def rewordings(small):
    """Return {what is done to a question: the function that does it}."""
    return {
        "names": lambda text: other_names(text, small),
        "numbers": other_numbers,
        "white space": lambda text: "  " + text.replace(" ", " \n\t") + "\n",
        "an instruction in front": lambda text: BEFORE + text,
        "an instruction behind": lambda text: text + BEHIND,
        "all of it": lambda text: (
            BEFORE + other_numbers(other_names(text, small)).replace(" ", "  ") + BEHIND
        ),
    }


WAYS = tuple(rewordings(frozenset()))


def words_written_small(texts):
    return frozenset(word for text in texts for word in re.findall(r"\b[a-z]+\b", text))


def rule():
    """The rule of conf/decontamination/qwen.yaml, with one benchmark."""
    node = composed("experiment=smoke", "decontamination=qwen").decontamination
    given = config.build(Decontamination, node)
    return dataclasses.replace(
        given, benchmarks={"gsm8k": dict(given.benchmarks["gsm8k"], path="x")}
    )


def found(texts, benchmark):
    """Return the places of `texts` that are hits of the benchmark question of that place."""
    rows = [
        {"id": str(place), "question": text, "key": question_id(text)}
        for place, text in enumerate(benchmark)
    ]
    asked = [
        Question(f"{place:016}", "x", text, "", question_id(text), {})
        for place, text in enumerate(texts)
    ]
    pairs = {(int(row["id"]), int(row["benchmark_id"]))
             for row in hits(asked, [], {"gsm8k": rows}, rule())}  # fmt: skip
    return {place for place in range(len(texts)) if (place, place) in pairs}


# Made up, in the manner of GSM8K.
MADE_UP = [
    "Greta bakes 14 loaves of rye bread every morning and sells each of them for $6 at the corner "
    "of her street. On Sundays she bakes twice as many. How much money does she make in a week?",
    "A ferry carries 36 cars on each of its trips across the lake. Half of the cars pay 8 dollars "
    "and the other half pay 5 dollars. How much does Captain Olsen earn on 4 trips?",
    "Henrik reads the first 25 pages of a book on Monday, and on every later day 5 pages more than "
    "on the day before. How many pages has he read by the end of Thursday?",
    "The school orchestra has 18 violins, a third as many cellos, and 2 more flutes than cellos. "
    "If each player needs a chair and a stand, how many chairs and stands does Ms. Vogel put out?",
    "Tilda and her brother collect rain water in a barrel that holds 120 liters. It rains for 3 "
    "hours and the barrel fills by 15 liters an hour. How many liters still fit into the barrel?",
]
# The words between two of its names or numbers are always fewer than eight.
DENSE = (
    "Pia has twice as many sheep as Ole. Ole has 4 times as many sheep as Kai. How many sheep do "
    "Pia, Ole, and Kai have together if Kai has 20 sheep?"
)


@pytest.mark.parametrize("way", WAYS)
def test_a_made_up_test_question_is_found_however_it_is_put(way):
    small = words_written_small(MADE_UP)
    put = [rewordings(small)[way](text) for text in MADE_UP]
    assert all(text != before for text, before in zip(put, MADE_UP, strict=True))
    assert found(put, MADE_UP) == set(range(5))


@pytest.mark.parametrize("way", WAYS)
def test_what_decontamination_cannot_see(way):
    """A question without eight words in a row between its names and numbers is another question to
    it, once both are changed; each change for itself, or any other, is seen or not as said here.
    """
    put = rewordings(words_written_small([DENSE]))[way](DENSE)
    seen = found([put], [DENSE]) == {0}
    assert seen == (way not in ("names", "all of it"))


@pytest.fixture(scope="module")
def gsm8k():
    """The texts of GSM8K's test split."""
    path = BENCHMARKS / "gsm8k.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is absent; PONDER_BENCHMARKS names the folder of benchmark files")
    return [row["problem"] for row in read_jsonl(path)][-originals.ROWS :]


@pytest.mark.parametrize("way", WAYS)
def test_five_test_questions_of_gsm8k_are_found_however_they_are_put(gsm8k, way):
    """Every 264th: they were not chosen for being found."""
    reword = rewordings(words_written_small(gsm8k))[way]
    chosen = range(0, len(gsm8k), 264)
    put = [reword(gsm8k[place]) for place in chosen]
    assert len(put) == 5 and found(put, [gsm8k[place] for place in chosen]) == set(range(5))


def test_how_many_test_questions_are_found_when_everything_is_changed(gsm8k):
    """91 in 100; the others have no eight words between their names and numbers (decision 0039)."""
    reword = rewordings(words_written_small(gsm8k))["all of it"]
    put = [reword(text) for text in gsm8k]
    assert 0.90 < len(found(put, gsm8k)) / len(gsm8k) < 0.93


def test_the_released_originals_are_questions_of_the_test_split(gsm8k):
    for row in read_jsonl(RELEASED):
        text = gsm8k[row["position"]]
        assert hashlib.sha256(text.encode()).hexdigest() == row["sha256"]
        assert question_id(text) == row["id"]


def test_the_released_originals_are_made_again_from_the_library(gsm8k, tmp_path):
    pytest.importorskip("reasoning_gym", reason="the templates need `pip install -e .[gen]`")
    path = tmp_path / "test.jsonl"
    path.write_text("".join(json.dumps({"question": text}) + "\n" for text in gsm8k))
    originals.write(str(path), str(tmp_path / "out.jsonl"))
    assert (tmp_path / "out.jsonl").read_bytes() == RELEASED.read_bytes()


def test_templates_that_were_made_of_test_questions_are_found_in_the_pool(gsm8k):
    """Most rows of gsm_symbolic share eight words or more; of the word problems of our own nearly
    none do.
    """
    pool = read_split(ROOT / "data/qwen/questions", "pool")
    rows = [
        {"id": str(place), "question": text, "key": question_id(text)}
        for place, text in enumerate(gsm8k)
    ]
    caught = {row["id"] for row in hits(pool, [], {"gsm8k": rows}, rule())}
    families = [question.family for question in pool if question.id in caught]
    assert 0.6 < families.count("gsm_symbolic") / 420 < 0.8
    assert len(families) - families.count("gsm_symbolic") <= 5
    assert len(pool) - len(caught) >= 6_000


def test_the_rule_looks_at_words_and_at_keys():
    assert rule().ngrams == (8, 13) and rule().keys and rule().instructions
    assert compared(rule(), True) == (
        "gsm8k (8-grams, 13-grams, near-duplicates, equal keys or texts)",
    )


# --- what is released of it -----------------------------------------------------------------

OVERLAPS = ROOT / "data/qwen/overlaps.jsonl"
QWEN = ("experiment=smoke", "questions=qwen")


def test_a_clone_without_the_benchmarks_rejects_the_same_questions():
    node = composed(*QWEN, "decontamination=qwen-released").decontamination
    released = config.build(Decontamination, node)
    pool, rows = read_split(ROOT / "data/qwen/questions", "pool"), read_jsonl(OVERLAPS)
    rejected = hits(pool, [], read_benchmarks(released), released)
    assert {row["id"] for row in rejected} == {row["id"] for row in rows}
    assert {row["by"] for row in rejected} == {"key"}
    texts = {question.id: question.question for question in pool}
    assert all(row["question"] == texts[row["id"]] for row in rows), "ours, and no other text"
    assert {type(value) for row in rows for name, value in row.items() if name != "share"} == {str}


def test_what_is_rejected_of_a_template_is_found_in_its_original():
    """Two rules that share nothing agree: runs of words, and a template's own words in order."""
    originals_of = {row["template"]: row["id"] for row in read_jsonl(RELEASED)}
    rows = [row for row in read_jsonl(OVERLAPS) if row["family"] == "gsm_symbolic"]
    templates = [int(row["key"].removeprefix("gsm ").split(":")[0]) for row in rows]
    for row, template in zip(rows, templates, strict=True):
        assert row["benchmark_id"] == originals_of[template], row["question"]


def test_the_released_overlaps_are_made_again(gsm8k, tmp_path):
    paths = []
    for name in ("gsm8k", "math500", "aime24"):
        texts = gsm8k
        if name != "gsm8k":
            texts = [row["question"] for row in read_jsonl(BENCHMARKS / f"{name}.jsonl")]
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"question": text}) + "\n" for text in texts))
        paths.append(f"decontamination.benchmarks.{name}.path={path}")
    overlaps.main(str(tmp_path / "out.jsonl"), *QWEN, "decontamination=qwen", *paths)
    assert (tmp_path / "out.jsonl").read_bytes() == OVERLAPS.read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("experiment=smoke",), "the file to write is 'experiment=smoke'; name it first"),
        (("o", *QWEN, "decontamination=qwen"), r"\.path is null, but the questions of"),
        (
            ("o", "experiment=traces", "teacher.path=mine.jsonl"),
            "questions=traces is not drawn, and what has no key cannot be named by it",
        ),
    ],
)
def test_mistakes_in_writing_overlaps_are_told(words, message, capsys):
    with pytest.raises(SystemExit):
        overlaps.main(*words)
    assert re.search(message, capsys.readouterr().err)
