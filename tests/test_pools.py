"""Question pools: a user's file, the paper's sources, hostile rows, revisions.

The paper's sources are read from local files and from a fake hub.
"""

import csv
import hashlib
import json
import os
import random
import subprocess
import sys

import pytest
from conftest import ROOT, study_of
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ponder.collect import terms
from ponder.config import build
from ponder.errors import UserError
from ponder.questions import drawn, hub, pools, tables
from ponder.release import revisions

PAPER = ROOT / "conf/questions/s1-59k.yaml"
SHA = "0123456789abcdef0123456789abcdef01234567"


def node(name="s1-59k"):
    return OmegaConf.to_container(OmegaConf.load(ROOT / f"conf/questions/{name}.yaml"))


def file_of(path, rows, **changed):
    """Return the FilePool of a JSONL file that holds these rows, or these bytes."""
    if not isinstance(rows, bytes):
        rows = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(rows)
    fields = {"question": "question", "answer": "answer", "domain": None, "family": None}
    node = {
        "kind": "jsonl",
        "name": "mine",
        "path": str(path),
        "licence": "CC0-1.0",
        "source": "made up",
        "fields": fields | changed.pop("fields", {}),
        "limit": None,
    }
    return build(pools.FilePool, node | changed)


def hub_of(part, limit=None, **source):
    """Return a HubPool of one source `set` with one part."""
    entry = {
        "hub": "who/set",
        "revision": "unverified",
        "licence": "MIT",
        "source": "a set",
        "note": "a note",
        "rows": 3,
        "parts": [part],
    } | source
    return build(
        pools.HubPool, {"kind": "hub", "name": "some", "sources": {"set": entry}, "limit": limit}
    )


def local_part(path, rows, **part):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"question": "{question}", "answer": "{answer}", "data_files": [str(path)]} | part


# --- the user's own file ---------------------------------------------------------------


def test_a_file_becomes_questions(tmp_path):
    rows = [
        {"question": " What is 1 + 1?\r\nSay it. ", "answer": 2},
        {"question": "Why?", "answer": None},
    ]
    spec = file_of(tmp_path / "q.jsonl", rows)
    (first, second), report = pools.read(spec)
    ident = drawn.question_id("What is 1 + 1? Say it.")
    assert first == drawn.Question(ident, "mine", "What is 1 + 1?\nSay it.", "2", ident, {}, "")
    assert second.answer == ""
    assert report == {"mine": {"rows": 2, "kept": 2, "dropped": {}}}
    assert pools.inputs(spec) == {
        "q.jsonl": hashlib.sha256((tmp_path / "q.jsonl").read_bytes()).hexdigest()
    }
    assert pools.unresolved(spec) == []
    entry = {
        "source": "made up",
        "licence": "CC0-1.0",
        "revision": pools.inputs(spec)["q.jsonl"],
        "rows": None,
    }
    assert pools.sources(spec) == {"mine": entry}
    assert pools.sources(spec, {"b", "a"}) == {"a": entry, "b": entry}


def test_columns_of_a_file_are_named_by_config(tmp_path):
    rows = [
        {"q": "One?", "topic": "11", "from": {"set": "x"}},
        {"q": "Two?", "topic": None, "from": {"set": "y"}},
    ]
    spec = file_of(
        tmp_path / "q.jsonl",
        rows,
        fields={"question": "q", "answer": None, "domain": "topic", "family": "from.set"},
    )
    questions, report = pools.read(spec)
    columns = [(question.domain, question.family, question.answer) for question in questions]
    assert columns == [("11", "x", ""), ("", "y", "")]
    assert list(report) == ["x", "y"]


FIELDS = {"question": "question", "answer": "answer", "domain": None, "family": None}


def test_an_answer_begins_behind_its_mark(tmp_path):
    answers = ["She has 3 + 4 = <<3+4=7>>7 left.\n#### 7", "#### 1 more.\n#### 1,200\n", ""]
    rows = [{"question": f"{i}?", "answer": answer} for i, answer in enumerate(answers)]
    spec = file_of(tmp_path / "q.jsonl", rows, fields=FIELDS | {"answer_after": "####"})
    assert [question.answer for question in pools.read(spec)[0]] == ["7", "1,200", ""]
    plain = file_of(tmp_path / "q.jsonl", rows, fields=FIELDS | {"answer_after": None})
    assert [question.answer for question in pools.read(plain)[0]] == [a.strip() for a in answers]
    assert plain == file_of(tmp_path / "q.jsonl", rows, fields=FIELDS), "the key may be left out"


@pytest.mark.parametrize("answer", ["7", "It is 7 ###", "7 ####", "7 #### \n "])
def test_an_answer_without_its_mark_is_told_with_its_line(tmp_path, answer):
    rows = [{"question": "One?", "answer": "#### 1"}, {"question": "Two?", "answer": answer}]
    spec = file_of(tmp_path / "q.jsonl", rows, fields=FIELDS | {"answer_after": "####"})
    with pytest.raises(UserError, match="line 2: column answer without '####'"):
        pools.read(spec)


def test_a_limit_is_counted(tmp_path):
    rows = [{"question": f"{i}?", "answer": ""} for i in range(5)]
    questions, report = pools.read(file_of(tmp_path / "q.jsonl", rows, limit=2))
    assert [question.question for question in questions] == ["0?", "1?"]
    assert report == {"mine": {"rows": 5, "kept": 2, "dropped": {"over questions.limit": 3}}}
    with pytest.raises(UserError, match="questions.limit is 0"):
        file_of(tmp_path / "q.jsonl", rows, limit=0)


def test_equal_questions_stay(tmp_path):
    rows = [{"question": "Same?", "answer": "1"}, {"question": "SAME? ", "answer": "2"}]
    (one, other), _ = pools.read(file_of(tmp_path / "q.jsonl", rows))
    assert one.id == other.id


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"question": "a\\u0000b", "answer": ""}', "NUL"),
        (b'{"question": "a\\ud800b", "answer": ""}', "surrogate"),
        (b'{"question": "Why?", "answer": "\\udfff"}', "surrogate"),
        (b'{"question": "\xff", "answer": ""}', "UTF-8"),
        (b'{"question": "Why?", "answer"', "not whole JSON"),
        (b'{"question": "Why?"}', "no column answer"),
        (b'{"question": null, "answer": ""}', "holds NoneType"),
        (b'{"question": 3, "answer": ""}', "holds int"),
        (b'{"question": ["Why?"], "answer": ""}', "holds list"),
        (b'{"question": "Why?", "answer": {"a": 1}}', "holds dict"),
        (b'{"question": " \\n", "answer": ""}', "no question text"),
        (b'["question"]', "no JSON object"),
        (b"", "not whole JSON"),
        (b"[" * 100_000, "not whole JSON"),
        (b'{"question": "Why?", "answer": ' + b"9" * 5000 + b"}", "not whole JSON"),
        (
            b'{"question": "' + b"x" * (tables.MAX_TEXT + 1) + b'", "answer": ""}',
            "more than 100000 characters",
        ),
        (b'{"question": "Why?", "answer": "' + b"x" * 10_000_000 + b'"}', "answer of more than"),
    ],
)
def test_a_line_that_is_no_question_is_named(tmp_path, line, says):
    good = b'{"question": "Good?", "answer": ""}'
    spec = file_of(tmp_path / "q.jsonl", b"\n".join([good, line, good, b""]))
    with pytest.raises(UserError, match="q.jsonl, line 2") as error:
        pools.read(spec)
    assert says in str(error.value) and len(str(error.value)) < 500


def test_a_line_without_end_is_not_read_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MAX_LINE", 1000)
    with pytest.raises(UserError, match="line 1 has more than 1000 bytes"):
        pools.read(file_of(tmp_path / "q.jsonl", b"x" * 5000))


def test_ten_megabytes_that_are_not_asked_for_do_no_harm(tmp_path):
    rows = [{"question": "Why?", "answer": "", "tests": "x" * 10_000_000}]
    assert len(pools.read(file_of(tmp_path / "q.jsonl", rows))[0]) == 1


def test_a_byte_order_mark_and_a_last_line_without_end_are_read(tmp_path):
    rows = b'{"question": "One?", "answer": ""}\r\n{"question": "Two?", "answer": ""}'
    (one, two), _ = pools.read(file_of(tmp_path / "q.jsonl", b"\xef\xbb\xbf" + rows))
    assert (one.question, two.question) == ("One?", "Two?")


@given(
    st.text(max_size=30)
    | st.text("\0\x0b\x0c\x1b\x85\u2028\ud800\udc00 <|im_start|>{}\\", max_size=30)
)
def test_whatever_is_accepted_can_be_written_and_keeps_its_id(tmp_path_factory, text):
    spec = file_of(
        tmp_path_factory.mktemp("any") / "q.jsonl", [{"question": "Q" + text, "answer": text}]
    )
    try:
        (row,), _ = pools.read(spec)
    except UserError as error:
        assert "line 1" in str(error)
        assert "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text)
        return
    assert "\0" not in row.question + row.answer
    line = json.dumps(vars(row), ensure_ascii=False).encode()
    assert json.loads(line)["question"] == row.question
    assert row.id == drawn.question_id(row.question) == drawn.question_id("Q" + text)


def test_a_file_without_rows_is_told(tmp_path):
    with pytest.raises(UserError, match="q.jsonl has no rows; write a question a line"):
        pools.read(file_of(tmp_path / "q.jsonl", b""))


def test_a_file_that_is_not_there(tmp_path):
    spec = file_of(tmp_path / "q.jsonl", b"")
    (tmp_path / "q.jsonl").unlink()
    for function in (pools.read, pools.inputs, pools.sources):
        with pytest.raises(UserError, match="q.jsonl cannot be read"):
            function(spec)


# --- the drawn questions ---------------------------------------------------------------


def test_drawn_questions_are_the_committed_pool():
    spec = build(drawn.Questions, node("cpu"))
    questions, report = pools.read(spec)
    assert questions == drawn.read_split(spec.dir, "pool")
    assert report["facing"] == {"rows": 860, "kept": 860, "dropped": {}}
    assert pools.inputs(spec) == {
        "pool.jsonl": hashlib.sha256((ROOT / spec.dir / "pool.jsonl").read_bytes()).hexdigest()
    }
    assert set(pools.sources(spec)) == set(report) and pools.unresolved(spec) == []
    assert pools.sources(spec)["facing"] == {
        "source": "ponder",
        "licence": "Apache-2.0",
        "revision": None,
        "rows": 860,
    }
    pools.check_resolved(spec)


def test_drawn_questions_can_be_limited():
    questions, report = pools.read(build(drawn.Questions, node("cpu") | {"limit": 7}))
    assert len(questions) == 7 and sum(entry["rows"] for entry in report.values()) == 5160


# --- the paper's pool ------------------------------------------------------------------

# For each part of each source the rows of a tiny local file.
FIXTURE = {
    "AGIEval": [
        [
            {"passage": None, "question": "Q1?", "options": ["(A)1", "(B)2"], "label": "B"},
            {"passage": "Read.", "question": "Q2?", "options": ["(A)x"], "label": "A"},
        ],
        [
            {"question": "Hard?", "answer": "3", "other": {"level": 5}},
            {"question": "Easy?", "answer": "3", "other": {"level": 4}},
        ],
    ],
    "AIME": [
        [
            {"ID": "2017-II-7", "Year": 2017, "Question": "Find k.", "Answer": 501},
            {"ID": "2022-I-1", "Year": 2022, "Question": "Too new?", "Answer": "1"},
        ]
    ],
    "GPQA": [
        [
            {
                "Question": "Which?",
                "Correct Answer": "right\n",
                "Incorrect Answer 1": "w1",
                "Incorrect Answer 2": "w2",
                "Incorrect Answer 3": "w3",
            },
            {
                "Question": "Diamond?",
                "Correct Answer": "r",
                "Incorrect Answer 1": "a",
                "Incorrect Answer 2": "b",
                "Incorrect Answer 3": "c",
            },
        ]
    ],
    "JEEBench": [[{"question": "(A) ... ?", "gold": "BC"}]],
    "LiveCodeBench": [
        [
            {"question_content": "Code.", "difficulty": "hard"},
            {"question_content": "Print.", "difficulty": "easy"},
        ]
    ],
    "MATH": [[{"problem": "Add.", "answer": "\\frac{1}{2}", "solution": "..."}]],
    "NuminaMATH": [
        [
            {
                "source": "aops_forum",
                "problem": "Forum?",
                "solution": "So \\boxed{1}, no, \\boxed{\\frac{2}{3}}.",
            },
            {"source": "orca_math", "problem": "Not this.", "solution": ""},
        ],
        [
            {"source": "olympiads", "problem": "Kept?", "solution": "A proof."},
            {"source": "cn_k12", "problem": "Other?", "solution": ""},
        ],
    ],
    "OlympiadBench": [
        [
            {"context": "Given.", "question": "What?", "final_answer": ["1", "2"]},
            {"context": None, "question": "And?", "final_answer": None},
        ],
        [{"context": None, "question": "Prove it."}],
    ],
    "OlympicArena": [
        [
            {"problem": "English?", "answer": ["4"], "language": "EN", "modality": "text-only"},
            {"problem": "Test?", "answer": None, "language": "EN", "modality": "text-only"},
            {"problem": "Picture?", "answer": ["4"], "language": "EN", "modality": "multi-modal"},
        ]
    ],
    "OmniMath": [[{"problem": "Hard one?", "answer": "7", "solution": "..."}]],
    "SciEval": [
        [
            {"question": "Bio?\n\nA. x\n\nAnswer:", "answer": ["A"], "task_name": "MedQA"},
            {"question": "No answer?", "answer": None, "task_name": "MedQA"},
        ]
    ],
    "TheoremQA": [
        [
            {"Question": "Theorem?", "Answer": "True", "Picture": None},
            {"Question": "See?", "Answer": "1", "Picture": {"bytes": b"png", "path": None}},
        ]
    ],
    "USACO": [[{"question": " Cows. "}]],
    "s1-prob": [[{"question": "Probability?", "solution": "It is \\boxed{\\pi}."}]],
    "s1-teasers": [[{"Question": "Doors?", "Answer": "Switch, because ..."}]],
    "xword": [
        [
            {
                "input": "You are good.\n\n### Clue: Minor change (4)",
                "output": "### Answer: NEWS ### Explanation: anagram",
            },
            {"input": "without", "output": "### Answer: X"},
        ]
    ],
}
REFERENCES = {
    "GPQA": ("exclude", "Question", "Diamond?"),
    "NuminaMATH": ("only", "problem", "Kept?"),
}


def write_rows(path, rows):
    """Write rows as .jsonl, .csv or .parquet, by the name of the path."""
    if path.suffix == ".csv":
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


SUFFIXES = {"GPQA": ".csv", "AIME": ".csv", "TheoremQA": ".parquet", "MATH": ".parquet"}


def paper_pool(folder, **changed):
    """Return the HubPool of s1-59k with every part read from a local file."""
    spec = node() | changed
    for family, fixture in FIXTURE.items():
        suffix = SUFFIXES.get(family, ".jsonl")
        parts = spec["sources"][family]["parts"]
        for number, (part, rows) in enumerate(zip(parts, fixture, strict=True)):
            part["data_files"] = [write_rows(folder / f"{family}-{number}{suffix}", rows)]
            word, column, text = REFERENCES.get(family, ("", "", ""))
            if word in part:
                path = folder / f"{family}-{word}.jsonl"
                part[word]["data_files"] = [write_rows(path, [{column: text}])]
    return build(pools.HubPool, spec)


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    """(HubPool, questions by family, report) of the paper's pool from local files."""
    spec = paper_pool(tmp_path_factory.mktemp("paper"))
    questions, report = pools.read(spec)
    by_family = {family: [] for family in FIXTURE}
    for question in questions:
        by_family[question.family].append(question)
    return spec, by_family, report


def test_the_paper_has_16_sources_and_59029_questions():
    spec = build(pools.HubPool, node())
    entries = pools.sources(spec)
    assert len(entries) == 16 and sum(entry["rows"] for entry in entries.values()) == 59_029
    assert all(entry["licence"] and entry["source"] for entry in entries.values())
    assert {family for family, entry in entries.items() if entry["licence"] == "unverified"} == {
        "SciEval",
        "USACO",
    }


COUNTS = {
    "AGIEval": 3,
    "AIME": 1,
    "GPQA": 1,
    "JEEBench": 1,
    "LiveCodeBench": 1,
    "MATH": 1,
    "NuminaMATH": 2,
    "OlympiadBench": 3,
    "OlympicArena": 2,
    "OmniMath": 1,
    "SciEval": 1,
    "TheoremQA": 1,
    "USACO": 1,
    "s1-prob": 1,
    "s1-teasers": 1,
    "xword": 1,
}


def test_every_source_gives_its_questions(paper):
    spec, by_family, report = paper
    assert {family: len(questions) for family, questions in by_family.items()} == COUNTS
    for family, parts in FIXTURE.items():
        entry = report[family]
        assert entry["rows"] == sum(map(len, parts))
        assert entry["rows"] == entry["kept"] + sum(entry["dropped"].values())
    assert [question.question for question in by_family["AGIEval"]] == [
        "Q1?\n(A)1\n(B)2",
        "Read.\n\nQ2?\n(A)x",
        "Hard?",
    ]
    assert by_family["OlympiadBench"][0].question == "Given.\n\nWhat?"
    assert by_family["SciEval"][0].question == "Bio?\n\nA. x"
    assert by_family["xword"][0].question.endswith("\n\nMinor change (4)")
    assert report["xword"]["dropped"] == {"column input without '### Clue: '": 1}
    for questions in by_family.values():
        for question in questions:
            assert question.id == question.key == drawn.question_id(question.question)
            assert question.facts == {} and question.domain == ""


@pytest.mark.parametrize(
    ("family", "answers"),
    [
        ("AGIEval", ["B", "A", "3"]),
        ("JEEBench", ["BC"]),
        ("MATH", ["\\frac{1}{2}"]),
        ("NuminaMATH", ["\\frac{2}{3}", ""]),
        ("OlympiadBench", ["1, 2", "", ""]),
        ("SciEval", ["A"]),
        ("TheoremQA", ["True"]),
        ("USACO", [""]),
        ("s1-prob", ["\\pi"]),
        ("s1-teasers", [""]),
        ("xword", ["NEWS"]),
    ],
)
def test_every_source_gives_its_answers(paper, family, answers):
    _, by_family, _ = paper
    assert [question.answer for question in by_family[family]] == answers


def test_aime_takes_the_path_of_all_others(paper):
    _, by_family, report = paper
    (question,) = by_family["AIME"]
    assert (question.question, question.answer) == ("Find k.", "501")
    assert report["AIME"]["dropped"] == {"not asked for (where)": 1}


def test_gpqa_leaves_the_benchmark_out_and_shuffles_its_options(paper):
    spec, by_family, report = paper
    assert spec.source("GPQA").parts[0].exclude.config == "gpqa_diamond"
    (question,) = by_family["GPQA"]
    options = question.question.split("\n")[2:]
    assert f"({question.answer}) right" in options
    assert [option[:4] for option in options] == ["(A) ", "(B) ", "(C) ", "(D) "]
    assert report["GPQA"]["dropped"] == {"in the other data set (exclude)": 1}
    letters = {hub._choices([f"right {i}", "b", "c", "d"])["right"] for i in range(100)}
    assert letters == set("ABCD")


def test_local_files_are_named_by_their_hash_and_count_as_resolved(paper):
    spec, _, _ = paper
    assert pools.unresolved(spec) == []
    pools.check_resolved(spec)
    identities = pools.inputs(spec)
    assert len(identities) == sum(map(len, FIXTURE.values())) + len(REFERENCES)
    assert all(len(sha256) == 64 for sha256 in identities.values())
    assert not any("/" in name for name in identities)


def test_order_of_the_sources_in_the_file_does_not_matter(paper, tmp_path):
    spec, _, _ = paper
    turned = build(pools.HubPool, vars(spec) | {"sources": dict(reversed(spec.sources.items()))})
    assert pools.read(turned) == pools.read(spec)
    assert pools.inputs(turned) == pools.inputs(spec)


def test_a_limit_holds_for_each_source(tmp_path):
    questions, report = pools.read(paper_pool(tmp_path, limit=1))
    assert len(questions) == 16 and report["AGIEval"]["dropped"]["over questions.limit"] == 2


def test_the_paper_pool_is_refused_until_its_revisions_are_known():
    spec = build(pools.HubPool, node())
    names = pools.unresolved(spec)
    assert len(names) == 18 and "NuminaMATH against simplescaling/numinamath_500" in names
    command = r"`python -m ponder\.release\.revisions conf/questions/s1-59k\.yaml`"
    with pytest.raises(UserError, match=command):
        pools.check_resolved(spec)
    assert set(pools.inputs(spec).values()) == {"unverified"}


def test_a_source_without_a_readable_form_says_what_to_do():
    spec = build(pools.HubPool, node() | {"sources": {"AGIEval": node()["sources"]["AGIEval"]}})
    with pytest.raises(
        UserError, match=r"loading script.*questions\.sources\.AGIEval\.parts\.0\.data_files"
    ):
        pools.read(spec)


# --- rows of a hub ---------------------------------------------------------------------


def test_rows_that_give_no_question_are_counted(tmp_path):
    rows = [
        {"question": "Fine?", "answer": 1.5},
        {"question": None, "answer": ""},
        {"question": {"a": 1}, "answer": ""},
        {"question": "\0", "answer": ""},
        {"question": "x" * (tables.MAX_TEXT + 1), "answer": ""},
        {"text": "Why?"},
        {"question": "\ud800", "answer": ""},
    ]
    (question,), report = pools.read(hub_of(local_part(tmp_path / "a.jsonl", rows)))
    assert (question.question, question.answer) == ("Fine?", "1.5")
    assert report["set"] == {
        "rows": 7,
        "kept": 1,
        "dropped": {
            "column question holds dict, not text": 1,
            "no column question": 1,
            "no question text": 1,
            "question of more than 100000 characters": 1,
            "question with a NUL or half a surrogate pair": 2,
        },
    }


def test_a_source_that_gives_nothing_is_an_error(tmp_path):
    part = local_part(tmp_path / "a.jsonl", [{"text": "Why?"}])
    message = r"source set gave no question out of 1 rows \(\{'no column question': 1\}\)"
    with pytest.raises(UserError, match=message):
        pools.read(hub_of(part))
    (tmp_path / "a.jsonl").write_text("")
    with pytest.raises(UserError, match="out of 0 rows"):
        pools.read(hub_of(part))


def test_a_value_is_never_a_template(tmp_path):
    template = "{answer} {0.__class__} %s $x"
    part = local_part(tmp_path / "a.jsonl", [{"question": template, "answer": "secret"}])
    (question,), _ = pools.read(hub_of(part))
    assert question.question == template


def test_a_sample_takes_turns_and_does_not_depend_on_the_order_of_rows(tmp_path):
    def read(seed):
        sample = {"rows": 10, "by": ["task"], "seed": seed}
        return pools.read(hub_of(local_part(tmp_path / "a.jsonl", rows, sample=sample)))

    rows = [
        {"question": f"{task} {number}?", "answer": "", "task": task}
        for task, count in (("a", 50), ("b", 3))
        for number in range(count)
    ]
    questions, report = read(seed=1)
    assert [question.question[0] for question in questions].count("b") == 3
    assert len(questions) == 10
    assert report["set"]["dropped"] == {"not drawn (sample)": 43}
    random.Random(0).shuffle(rows)
    assert read(seed=1)[0] == questions
    assert read(seed=2)[0] != questions


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.txt", b"", "must be one of: .jsonl, .csv, .parquet"),
        ("a.jsonl", b"{", "line 1 is not whole JSON"),
        ("a.parquet", b"no parquet", "cannot be read as parquet"),
        ("a.csv", b"question\n\xff\n", "cannot be read as CSV"),
        ("a.csv", b'question\n"' + b"x" * 200_000 + b'"\n', "cannot be read as CSV"),
        ("gone.csv", None, "cannot be read as CSV"),
        ("gone.parquet", None, "cannot be read as parquet"),
        ("gone.jsonl", None, "cannot be read"),
    ],
)
def test_local_files_that_cannot_be_read(tmp_path, name, data, says):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError) as error:
        pools.read(hub_of({"question": "{question}", "data_files": [str(tmp_path / name)]}))
    assert says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"revision": "main"}, "the revision 'main', but it must be 40 hex digits"),
        ({"revision": SHA.upper()}, "must be 40 hex digits"),
        ({"rows": "3"}, "must be of type int"),
        ({"licence": None}, "licence is None"),
        ({"parts": [{"answer": "{a}"}]}, "question is missing"),
        ({"parts": [{"question": "{q}", "shuffle": True}]}, "shuffle is read by nothing"),
        ({"parts": [{"question": "{q}", "where": {"x": 3}}]}, "where.x is 3"),
        ({"parts": [{"question": "{q}", "where": {"x": {"min": 3}}}]}, "where.x is"),
        ({"parts": [{"question": "{q}", "cut": {"x": ["a"]}}]}, "cut.x is"),
        ({"parts": [{"question": "{q}", "choices": list("abcdefghijk")}]}, "only 10 letters"),
        (
            {"parts": [{"question": "{q}", "sample": {"rows": 0, "by": [], "seed": 0}}]},
            "sample.rows is 0",
        ),
        ({"parts": "all"}, "must be a list"),
    ],
)
def test_mistakes_in_the_config_of_a_source(change, says):
    with pytest.raises(UserError) as error:
        hub_of({"question": "{q}"}, **change)
    assert says in str(error.value)


def test_a_hub_without_sources_is_a_mistake():
    with pytest.raises(UserError, match="questions.sources is empty"):
        build(pools.HubPool, {"kind": "hub", "name": "x", "sources": {}, "limit": None})
    with pytest.raises(UserError, match="must be a mapping"):
        build(pools.HubPool, {"kind": "hub", "name": "x", "sources": {"a": "b/c"}, "limit": None})


@pytest.fixture
def fake_hub(monkeypatch):
    """The list of calls of datasets.load_dataset.

    Each gives two rows, one with a picture that cannot be decoded.
    """
    import datasets

    calls = []

    def load_dataset(path, name=None, **options):
        calls.append((path, name, options))
        row = {
            "question": f"{name} {options['split']}?",
            "answer": 7,
            "picture": {"bytes": b"no picture", "path": None},
            "more": 1,
        }
        features = datasets.Features(
            question=datasets.Value("string"),
            answer=datasets.Value("int64"),
            picture=datasets.Image(),
            more=datasets.Value("int64"),
        )
        return datasets.Dataset.from_list([row, row | {"picture": None}], features=features)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return calls


def test_every_config_and_split_is_read_at_its_revision(fake_hub):
    part = {
        "question": "{question}",
        "answer": "{answer}",
        "configs": ["a", "b"],
        "splits": ["test", "val"],
        "where": {"picture": [None]},
    }
    spec = hub_of(part, revision=SHA)
    questions, report = pools.read(spec)
    texts = [question.question for question in questions]
    assert texts == ["a test?", "a val?", "b test?", "b val?"]
    assert {question.answer for question in questions} == {"7"}
    assert report["set"]["dropped"] == {"not asked for (where)": 4}
    assert fake_hub[0] == ("who/set", "a", {"split": "test", "revision": SHA})
    assert pools.inputs(spec) == {"set": SHA} and pools.unresolved(spec) == []


def test_an_unverified_revision_reads_the_newest(fake_hub):
    pools.read(hub_of({"question": "{question}", "splits": ["train"]}))
    pools.read(hub_of({"question": "{question}", "files": ["a/b.jsonl"]}))
    pools.read(hub_of({"question": "{question}", "files": ["b.jsonl"]}, revision=SHA))
    assert fake_hub[0] == ("who/set", None, {"split": "train", "revision": None})
    assert [call[2]["data_files"] for call in fake_hub[1:]] == [
        ["hf://datasets/who/set/a/b.jsonl"],
        [f"hf://datasets/who/set@{SHA}/b.jsonl"],
    ]


def test_another_data_set_is_read_to_compare_with(fake_hub):
    other = {
        "hub": "who/else",
        "revision": SHA,
        "config": "c",
        "split": "train",
        "column": "question",
        "data_files": [],
    }
    part = {"question": "{question}", "splits": ["train"], "configs": ["c"], "only": other}
    assert len(pools.read(hub_of(part))[0]) == 2
    assert fake_hub[0] == ("who/else", "c", {"split": "train", "revision": SHA})
    assert pools.unresolved(hub_of(part)) == ["set"]
    with pytest.raises(UserError, match="in the other data set"):
        pools.read(hub_of(part | {"only": None, "exclude": other}))


@pytest.mark.parametrize(
    "error",
    [None, OSError("one\ntwo"), ValueError(), RuntimeError("scripts are no longer supported")],
)
def test_a_hub_out_of_reach_is_one_sentence(error, monkeypatch):
    import datasets

    def fail(*args, **options):
        raise error

    if error:
        monkeypatch.setattr(datasets, "load_dataset", fail)
    message = r"who/set cannot be read from the hub \(\w+.*data_files in questions\.sources"
    with pytest.raises(UserError, match=message) as raised:
        pools.read(hub_of({"question": "{question}", "splits": ["train"]}))
    assert "\n" not in str(raised.value)


# --- revisions -------------------------------------------------------------------------


def test_resolving_changes_the_revisions_and_nothing_else(tmp_path, monkeypatch, capsys):
    import huggingface_hub

    names = []

    class Api:
        def dataset_info(self, name, timeout):
            names.append(name)
            return type("Info", (), {"sha": hashlib.sha1(name.encode()).hexdigest()})

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    path = tmp_path / "s1-59k.yaml"
    path.write_bytes(PAPER.read_bytes())
    revisions.main(path)
    spec = build(pools.HubPool, OmegaConf.load(path))
    assert pools.unresolved(spec) == []
    pools.check_resolved(spec)
    maths, reference = spec.source("MATH"), spec.source("NuminaMATH").parts[1].only
    assert maths.revision == hashlib.sha1(b"simplescaling/openaimath").hexdigest()
    assert reference.revision == hashlib.sha1(b"simplescaling/numinamath_500").hexdigest()
    assert len(names) == len(set(names)) == 17
    assert "17 data sets resolved" in capsys.readouterr().out
    before, after = PAPER.read_text().splitlines(), path.read_text().splitlines()
    changed = [old.strip() for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 18 and set(changed) == {"revision: unverified"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["s1-59k.yaml"]
    revisions.main(path)
    assert len(names) == 17 and "nothing to resolve" in capsys.readouterr().out


TEXT = """sources:
  a:
    hub: who/a  # one
    revision: unverified    # a comment: unverified
  b:
    revision: unverified
    hub: who/b
    parts:
      - hub: who/c
        revision: unverified
"""


def test_a_revision_belongs_to_the_hub_line_above_it():
    newest = {"who/a": SHA, "who/c": SHA[::-1]}
    text, answers, failures = revisions.resolve(TEXT, newest.__getitem__)
    assert answers == newest and failures == {}
    # A `hub:` below its revision is not guessed.
    assert text.count(SHA) == 2 and text.count(SHA[::-1]) == 1


@pytest.mark.parametrize("answer", [None, "main", SHA + "0", "", SHA.upper(), SHA + "\nhub: x/y"])
def test_an_answer_that_is_no_revision_is_not_written(answer):
    text, answers, failures = revisions.resolve(TEXT, lambda name: answer)
    assert text == TEXT and answers == {} and set(failures) == {"who/a", "who/c"}


def test_what_was_found_is_kept_when_the_rest_fails(tmp_path, monkeypatch, capsys):
    def ask(name):
        if name != "who/a":
            raise OSError("401 gated\nsecond line")
        return SHA

    monkeypatch.setattr(revisions, "ask_hub", ask)
    path = tmp_path / "x.yaml"
    path.write_text(TEXT)
    with pytest.raises(SystemExit) as stop:
        revisions.main(path)
    out = capsys.readouterr()
    assert stop.value.code == 2 and out.err.count("\n") == 1 and "1 of 2 data sets" in out.err
    assert f"who/a {SHA}" in out.out and "who/c not found: 401 gated\n" in out.out
    assert path.read_text().count(SHA) == 2 and path.read_text().count("revision: unverified") == 1


def test_the_command_without_a_hub_exits_2_in_one_sentence(tmp_path):
    path = tmp_path / "s1-59k.yaml"
    path.write_bytes(PAPER.read_bytes())
    process = _module("ponder.release.revisions", str(path))
    assert (process.returncode, process.stdout) == (2, "")
    assert path.read_bytes() == PAPER.read_bytes()
    assert process.stderr.startswith("error: 17 of 17 data sets could not be asked for")
    assert process.stderr.count("\n") == 1
    gone = _module("ponder.release.revisions", str(tmp_path / "gone.yaml"))
    assert gone.returncode == 2 and "gone.yaml cannot be read" in gone.stderr
    assert _module("ponder.release.revisions").stderr.startswith("usage:")


def _module(name, *arguments):
    return subprocess.run(
        [sys.executable, "-m", name, *arguments],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
    )


# --- licence texts ---------------------------------------------------------------------


def test_licence_texts_are_named_by_their_hash():
    texts = {
        path.stem: path.read_bytes() for path in sorted((ROOT / "data/licenses").glob("*.txt"))
    }
    assert texts
    for name, text in texts.items():
        assert hashlib.sha256(text).hexdigest() == name
    assert (ROOT / "LICENSE").read_bytes() in texts.values()


@pytest.mark.parametrize(
    ("name", "reading"), [("gemini", "restricted"), ("deepseek-r1", "allowed")]
)
def test_the_terms_of_the_papers_teachers(name, reading):
    teacher_terms = build(terms.Terms, OmegaConf.load(ROOT / f"conf/teacher/{name}.yaml").terms)
    assert teacher_terms.reading == reading
    terms.check_text(teacher_terms)
    assert (terms.refusal(vars(teacher_terms)) is None) == (reading == "allowed")
    if name == "gemini":
        assert "compete with the Services" in terms.refusal(vars(teacher_terms))


def test_a_family_that_is_left_out_is_not_asked_and_is_counted():
    spec = study_of(
        "experiment=cpu", "+questions.left_out=[boolean]", "questions.limit=50"
    ).questions
    questions, report = pools.read(spec)
    assert len(questions) == 50 and "boolean" not in {q.family for q in questions}
    assert report["boolean"]["kept"] == 0
    assert report["boolean"]["dropped"] == {"in questions.left_out": report["boolean"]["rows"]}
    with pytest.raises(UserError, match="questions.left_out is 'coins'"):
        study_of("experiment=cpu", "+questions.left_out=[coins]")
