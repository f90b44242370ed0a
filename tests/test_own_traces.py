"""Traces that somebody has: columns by config, graded or not, chosen, trained on and evaluated."""

import csv
import json
from collections import Counter

import pytest
from conftest import SMOKE, composed, evaluated, script, study_of, trained

from ponder import rows, stages
from ponder.audit import rows as audit_rows
from ponder.errors import UserError
from ponder.questions import own, pools
from ponder.runs import read_jsonl

QUESTIONS = [
    ("What is 12 apples and 30 apples?", "12 + 30 = 42", "Final Answer: 42", "42"),
    ("Solve for the largest root.", "It is one half.", r"So \boxed{\frac{1}{2}}.", "0.5"),
    ("Which interval holds them?", "Closed below.", r"The answer is $[1,2)$.", "(1,2)"),
    ("Name the capital of France.", "It is Paris.", "Paris", "Paris"),
]
COLUMNS = ("question", "thinking", "answer", "gold")


@pytest.fixture
def out(tmp_path, pocket_folder):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "models").symlink_to(pocket_folder.parent)
    return tmp_path / "out"


def table(*questions):
    return [dict(zip(COLUMNS, question, strict=True)) for question in questions or QUESTIONS]


def written(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def options(out, path, *more):
    own_traces = (*SMOKE, "teacher=traces", "selection=traces", f"teacher.path={path}")
    return (*own_traces, f"out={out}", *more)


def collect(out, path, *more):
    """Run collect.py in this process and return its run's folder."""
    overrides = options(out, path, *more)
    script("collect").main(composed(*overrides, script="collect"))
    return stages.collect_run(study_of(*overrides)).folder


def refused(capsys, *arguments):
    """Return the one sentence with which collect.py ends."""
    with pytest.raises(SystemExit) as stop:
        collect(*arguments)
    message = capsys.readouterr().err
    assert stop.value.code == 2 and message.count("\n") == 1 and "Traceback" not in message
    return message


def texts_of(folder, name="traces.jsonl"):
    return [
        (trace.question, trace.think, trace.answer)
        for trace in rows.read(rows.Trace, folder / name)
    ]


# --- where the texts stand -------------------------------------------------------------


def messages(question, think, answer, gold):
    talk = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": f"<think>\n{think}\n</think>\n\n{answer}"},
    ]
    return {"messages": talk, "meta": {"gold": gold}}


FORMS = {
    "plain": (lambda *texts: dict(zip(COLUMNS, texts, strict=True)), ()),
    "renamed": (
        lambda q, t, a, g: {"problem": q, "cot": t, "attempt": a, "gold": g},
        (
            "teacher.fields.question=problem",
            "teacher.fields.thinking=cot",
            "teacher.fields.answer=attempt",
        ),
    ),
    "a list of one thinking": (
        lambda q, t, a, g: {"question": q, "thinking": [t], "answer": a, "gold": g},
        (),
    ),
    "messages": (
        messages,
        (
            "teacher.fields.question=messages.0.content",
            "teacher.fields.thinking=null",
            "teacher.fields.answer=messages.1.content",
            "teacher.fields.gold=meta.gold",
        ),
    ),
    "other tags": (
        lambda q, t, a, g: {"question": q, "answer": f"{t}<|end_of_thought|>{a}", "gold": g},
        ("teacher.fields.thinking=null", "teacher.thinking_ends='<|end_of_thought|>'"),
    ),
    "markers of an end": (
        lambda q, t, a, g: {
            "question": q,
            "thinking": f"<think>\n{t}\n</think>",
            "answer": f"{a}<|im_end|>",
            "gold": g,
        },
        (),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_texts_are_found_in_the_columns_that_the_config_names(form, out, tmp_path):
    row_of, more = FORMS[form]
    path = written(tmp_path / "mine.jsonl", [row_of(*question) for question in QUESTIONS])
    folder = collect(out, path, "teacher.fields.gold=gold", *more)
    found = rows.read(rows.Trace, folder / "traces.jsonl")
    assert [(t.question, t.think) for t in found] == [question[:2] for question in QUESTIONS]
    assert [t.correct for t in found] == [True, True, False, True]
    assert {t.graded for t in found} == {True} and not any(t.rejected for t in found)
    assert len(read_jsonl(folder / "train.jsonl")) == 4


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_other_tables_than_json_lines_are_read(suffix, out, tmp_path):
    path = tmp_path / f"mine{suffix}"
    if suffix == ".csv":
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(table())
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table()), path)
    assert [text[:2] for text in texts_of(collect(out, path))] == [q[:2] for q in QUESTIONS]


@pytest.mark.parametrize(
    "option, row",
    [
        (
            "traces-s1k",
            {
                "question": "Q?",
                "solution": "S",
                "thinking_trajectories": ["T"],
                "attempt": "A",
                "source_type": "qfq/openaimath",
            },
        ),
        (
            "traces-s1k-1.1",
            {
                "question": "Q?",
                "deepseek_thinking_trajectory": "T",
                "deepseek_attempt": "A",
                "deepseek_grade": "Yes",
                "source_type": "qfq/openaimath",
            },
        ),
        (
            "traces-openthoughts",
            {
                "problem": "Q?",
                "deepseek_reasoning": "T",
                "deepseek_solution": "A",
                "ground_truth_solution": None,
                "domain": "math",
                "source": "olympiads",
            },
        ),
    ],
)
def test_a_preset_reads_a_local_copy(option, row, tmp_path):
    path = written(tmp_path / "copy.jsonl", [row])
    plan = study_of(*SMOKE, f"teacher={option}", f"teacher.path={path}")
    (trace,) = own.read(plan.teacher, Counter())
    assert (trace.question.question, trace.think, trace.answer) == ("Q?", "T", "A")
    assert trace.right is (True if "deepseek_grade" in row else None)
    (source,) = pools.sources(plan.questions).values()
    assert source["licence"] and source["source"] == plan.teacher.source


def test_a_preset_of_a_hub_out_of_reach_is_one_sentence(out, capsys):
    message = refused(capsys, out, "null", "teacher=traces-s1k")
    assert "cannot be read from the hub" in message and "teacher.path" in message


def test_a_data_set_of_unread_revision_is_not_released(tmp_path):
    plan = study_of(*SMOKE, "teacher=traces-s1k")
    with pytest.raises(UserError, match="teacher.revision="):
        pools.check_resolved(plan.questions)


# --- graded or not ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "values, verdicts",
    [
        ([True, False, None], [True, False, None]),
        (["Yes", "No", "perhaps"], [True, False, None]),
        (["true", "FALSE", ""], [True, False, None]),
        ([1, 0, 7], [True, False, None]),
        ([1.0, 0.0, None], [True, False, None]),
        (["correct", "incorrect", ["yes"]], [True, False, None]),
    ],
)
def test_what_somebody_else_judged_is_taken_and_the_rest_is_not_graded(
    values, verdicts, out, tmp_path
):
    lines = [row | {"good": value} for row, value in zip(table()[:3], values, strict=True)]
    folder = collect(out, written(tmp_path / "mine.jsonl", lines), "teacher.fields.right=good")
    found = rows.read(rows.Trace, folder / "traces.jsonl")
    assert [trace.correct if trace.graded else None for trace in found] == verdicts
    assert len(read_jsonl(folder / "train.jsonl")) == 3
    card = (folder / "README.md").read_text()
    assert "1 answers could not be graded" in card and "| not graded | 1 | 1 |" in card


def test_rows_that_nobody_graded_are_dropped_where_only_right_ones_are_wanted(
    out, tmp_path, capsys
):
    path = written(tmp_path / "mine.jsonl", table())
    message = refused(capsys, out, path, "selection.keep_wrong=false")
    assert "4 quality: not graded" in message
    assert len(read_jsonl(collect(out, path) / "train.jsonl")) == 4


# --- rows that cannot be used ----------------------------------------------------------


def test_a_long_row_is_dropped_with_its_length_and_the_others_are_trained_on(out, tmp_path):
    long = ("Long one?", "so " * 400, "Final Answer: 1", "1")
    long_question = ("Why " * 400, "so it is so", "Final Answer: 1", "1")
    path = written(tmp_path / "mine.jsonl", table(*QUESTIONS, long, long_question))
    more = ("train.max_tokens=300", "train.epochs=1", "train.batch_rows=2", "wandb=disabled")
    folder = collect(out, path, "selection.max_tokens=4000", *more)
    dropped = {row["id"]: row["reason"] for row in read_jsonl(folder / "dropped.jsonl")}
    assert len(dropped) == 2 and len(read_jsonl(folder / "train.jsonl")) == 4
    assert all(
        reason.startswith("row too long: 1") and reason.endswith(" tokens, train.max_tokens=300")
        for reason in dropped.values()
    )
    assert json.loads((folder / "funnel.json").read_text())["reasons"] == {
        "quality: row too long": 2
    }
    run = trained(study_of(*options(out, path, "selection.max_tokens=4000", *more)))
    assert run.finished
    again, counts = audit_rows.choose_again(folder, rows.read(rows.Trace, folder / "traces.jsonl"))
    assert (
        again == rows.read(rows.Trace, folder / "train.jsonl") and counts["after"]["quality"] == 4
    )
    longer = collect(out, path, "selection.max_tokens=4000", *more, "train.max_tokens=9000")
    assert longer != folder and len(read_jsonl(longer / "train.jsonl")) == 6
    # The block may be longer than the context: then the context decides, as it does in training.
    more = (*more, "train.max_tokens=9000", "model.context=300")
    short = collect(out, path, "selection.max_tokens=4000", *more)
    reasons = [row["reason"] for row in read_jsonl(short / "dropped.jsonl")]
    assert len(reasons) == 2 and all(reason.endswith("model.context=300") for reason in reasons)


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"thinking": ""}, "rejected: empty thinking"),
        ({"thinking": None}, "rejected: empty thinking"),
        ({"answer": " \n"}, "rejected: empty answer"),
        ({"thinking": "<|im_end|>"}, "rejected: empty thinking"),
        ({"answer": "4<|im_end|>user"}, "rejected: answer goes on after <|im_end|>"),
    ],
)
def test_a_row_without_a_text_is_dropped_with_its_reason(change, reason, out, tmp_path):
    lines = [*table(), table(("Empty?", "so", "4", "4"))[0] | change]
    folder = collect(out, written(tmp_path / "mine.jsonl", lines))
    (dropped,) = read_jsonl(folder / "dropped.jsonl")
    assert (dropped["step"], dropped["reason"]) == ("quality", reason)


def test_rows_that_give_no_question_are_counted_and_copies_are_taken_out(out, tmp_path):
    lines = [*table(), {"question": "", "thinking": "t", "answer": "a"}, table()[0]]
    lines += [{"question": 5, "thinking": {"a": 1}, "answer": "a"}, {"question": "q"}]
    folder = collect(out, written(tmp_path / "mine.jsonl", lines))
    funnel = json.loads((folder / "funnel.json").read_text())
    (report,) = [entry for name, entry in funnel["read"].items() if entry["dropped"]]
    assert report["rows"] - report["kept"] == 3 and funnel["duplicates"] == 1
    assert report["dropped"]["no question text"] == 1


@pytest.mark.parametrize(
    "lines, more, words",
    [
        ([{"a": "b"}], (), "it has: a"),
        (table(), ("teacher.fields.thinking=cot",), "it has: question, thinking, answer, gold"),
        ([], (), "mine.jsonl has no rows; name a file"),
        (
            [{"question": ""}],
            ("teacher.fields={thinking:question,answer:question,gold:null}",),
            "gave no trace out of 1 rows ({'no question text': 1})",
        ),
        (table(), ("teacher.fields.thinking=null",), "column answer without '</think>'"),
        ([["a"]], (), "is no JSON object"),
    ],
)
def test_a_file_that_gives_nothing_is_one_sentence(lines, more, words, out, tmp_path, capsys):
    assert words in refused(capsys, out, written(tmp_path / "mine.jsonl", lines), *more)


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_table_that_commas_do_not_separate_is_one_sentence(mark, out, tmp_path, capsys):
    path = tmp_path / "mine.csv"
    path.write_text(mark.join(["question", "thinking", "answer", "gold"]) + "\n")
    message = refused(capsys, out, path)
    assert "has one column" in message and "separate its columns by commas" in message


@pytest.mark.parametrize("text", ["", "question,thinking,answer,gold\n"])
def test_a_table_without_rows_is_one_sentence(text, out, tmp_path, capsys):
    (tmp_path / "mine.csv").write_text(text)
    assert "mine.csv has no rows" in refused(capsys, out, tmp_path / "mine.csv")


@pytest.mark.parametrize(
    "path, more, words",
    [
        ("null", (), "teacher.path=mine.jsonl"),
        ("nowhere.jsonl", (), "cannot be read"),
        ("README.md", (), "must be one of"),
        ("null", ("teacher.hub=a/b",), "teacher.revision is None"),
        ("a.jsonl", ("teacher.limit=0",), "teacher.limit is 0"),
        (
            "a.jsonl",
            ("teacher.fields.thinking=null", "teacher.thinking_ends=''"),
            "teacher.thinking_ends is empty",
        ),
        ("a.jsonl", ("+teacher.fields.tinking=x",), "did you mean thinking"),
    ],
)
def test_a_source_that_cannot_be_is_one_sentence(path, more, words, out, capsys):
    assert words in refused(capsys, out, path, *more)


# --- the three commands ----------------------------------------------------------------


def test_questions_of_the_test_split_are_taken_out(out, tmp_path):
    (bad, *_) = read_jsonl("data/cpu/questions/test/facing.jsonl")
    lines = table(
        *QUESTIONS, (f"Please solve this. {bad['question']}", "so it is so", "north", "north")
    )
    folder = collect(out, written(tmp_path / "mine.jsonl", lines))
    assert {row["step"] for row in read_jsonl(folder / "dropped.jsonl")} == {"decontamination"}
    assert len(read_jsonl(folder / "train.jsonl")) == 4


def test_the_same_three_commands_make_and_measure_a_model(out, tmp_path):
    path = written(tmp_path / "mine.jsonl", table())
    more = ("train.batch_rows=2", "benchmark.limit=1", "benchmark.tasks=[facing]")
    overrides = ("experiment=traces", "model=pocket", "hardware.threads=1", "wandb=disabled")
    overrides += (f"teacher.path={path}", f"out={out}", "train.checkpoint_steps=1", *more)
    script("collect").main(composed(*overrides, script="collect"))
    plan = study_of(*overrides)
    assert trained(plan).finished
    run = evaluated(plan)
    assert run.finished and len(read_jsonl(run.folder / "samples.jsonl")) == 1
