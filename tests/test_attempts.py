"""Two attempts in one trace: what is joined, where the loss falls, how an audit joins them."""

import dataclasses

import pytest
import yaml
from conftest import SMOKE, collected, study_of

from ponder import rows, stages
from ponder.audit import rows as audited
from ponder.collect import attempts, draws
from ponder.errors import RecordError, UserError
from ponder.questions import pools
from ponder.rows import Trace, values_of
from ponder.runs import write_jsonl
from ponder.train import sft

LINK = "\nWait, "
RIGHT = Trace(
    id="a",
    family="f",
    domain="f",
    question="What is 2 + 2?",
    answer="4",
    gold="4",
    think="Two and two.\nThat is 4.",
    wrong=[],
    tokens=9,
    correct=True,
    teacher="t",
    rejected="",
)
WRONG = dataclasses.replace(RIGHT, think="That is 5.", answer="5", tokens=5, correct=False)


def joined(first, again, chat):
    return attempts.joined({first.id: first}, {again.id: again}, LINK, chat.delimiters)[0]


def test_a_wrong_attempt_and_a_right_one_become_one_trace(chat):
    trace = joined(WRONG, RIGHT, chat)
    assert trace.think == "That is 5.\nWait, Two and two.\nThat is 4."
    assert (trace.answer, trace.correct, trace.rejected) == ("4", True, "")
    assert [trace.think[start:end] for start, end in trace.wrong] == ["That is 5."]
    assert trace.tokens == WRONG.tokens + RIGHT.tokens


@pytest.mark.parametrize(
    "first, again",
    [
        (RIGHT, dataclasses.replace(RIGHT, think="Another.")),
        (WRONG, dataclasses.replace(WRONG, think="Another.")),
        (WRONG, dataclasses.replace(RIGHT, rejected="thinking cut")),
        (dataclasses.replace(WRONG, rejected="thinking cut"), RIGHT),
        (dataclasses.replace(WRONG, think=""), RIGHT),
        (WRONG, dataclasses.replace(RIGHT, id="b")),
    ],
)
def test_all_else_stays_the_first_attempt(first, again, chat):
    assert joined(first, again, chat) == first


def test_no_loss_falls_on_the_wrong_attempt_and_some_on_the_wait(chat):
    recipe = study_of("experiment=smoke", "train.loss_on_wrong=false").train
    ids, loss = sft._tokens_of(joined(WRONG, RIGHT, chat), chat, recipe)
    trained = chat.decode([i for i, carries in zip(ids, loss, strict=True) if carries])
    assert trained.startswith("\nWait, Two and two.\nThat is 4.\n")
    without = chat.decode([i for i, carries in zip(ids, loss, strict=True) if not carries])
    assert without.endswith("That is 5.")


@pytest.mark.parametrize("mark", ["<|im_start|>", "<|im_end|>", "<|endoftext|>"])
@pytest.mark.parametrize("where", ["first", "again"])
def test_a_thinking_with_a_mark_of_a_turn_is_rejected(mark, where, chat):
    first, again = WRONG, RIGHT
    if where == "first":
        first = dataclasses.replace(WRONG, think=f"That{mark} is 5.")
    else:
        again = dataclasses.replace(RIGHT, think=f"That{mark} is 4.")
    assert joined(first, again, chat).rejected == f"thinking goes on after {mark}"


def test_two_questions_of_one_id_are_refused(chat):
    with pytest.raises(RecordError, match="another text or reference answer"):
        joined(WRONG, dataclasses.replace(RIGHT, gold="5"), chat)


# --- asked once more, joined and drawn -------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Traces of 60 questions of which every second is wrong and one cut, and a right second
    attempt at the first twelve of the wrong ones; the folder, and all traces as programs wrote
    them.
    """
    out = tmp_path_factory.mktemp("attempts")
    plan = collected(out / "runs", "questions.limit=60")
    right = rows.read(Trace, stages.collect_run(plan).folder / "traces.jsonl")
    first = [
        dataclasses.replace(trace, think=f"No. {trace.think}", answer="no", correct=False)
        if number % 2
        else trace
        for number, trace in enumerate(right)
    ]
    first[1] = dataclasses.replace(first[1], rejected="thinking cut")
    again = [trace for trace, other in zip(right, first, strict=True) if not other.correct][1:13]
    write_jsonl(out / "first.jsonl", map(values_of, first))
    write_jsonl(out / "again.jsonl", map(values_of, again))
    return out, right


def joining(out):
    """The overrides of a collection that joins the files of a folder."""
    return [
        "questions.limit=60",
        "teacher=qwen-attempts",
        f"teacher.first={out}/first.jsonl",
        f"teacher.again={out}/again.jsonl",
        "selection.method=mended",
        "selection.max_tokens=2000",
        "selection.size=20",
        "train.loss_on_wrong=false",
        "name=smoke-waits",
    ]


def test_only_questions_that_were_answered_wrong_are_asked_again(files):
    out, right = files
    spec = study_of(
        "experiment=smoke", "questions.limit=60", f"+questions.wrong_in={out}/first.jsonl"
    ).questions
    questions, report = pools.read(spec)
    assert [question.id for question in questions] == [trace.id for trace in right[3::2]]
    dropped = [entry["dropped"]["not wrong in questions.wrong_in"] for entry in report.values()]
    assert sum(dropped) + 29 == sum(entry["rows"] for entry in report.values())
    assert f"{out}/first.jsonl" in pools.inputs(spec)
    with pytest.raises(UserError, match="has no wrong answer to a question of this pool"):
        pools.read(dataclasses.replace(spec, wrong_in=f"{out}/again.jsonl"))
    with pytest.raises(UserError, match="cannot be read"):
        pools.inputs(dataclasses.replace(spec, wrong_in=f"{out}/none.jsonl"))


def test_pairs_are_drawn_first_and_an_audit_joins_them_again(files):
    out, _ = files
    plan = collected(out / "runs", *joining(out))
    run = stages.collect_run(plan)
    chosen = rows.read(Trace, run.folder / "train.jsonl")
    pairs = [trace for trace in chosen if trace.wrong]
    assert len(chosen) == 20 and len(pairs) == 12 and all(trace.correct for trace in chosen)
    assert all(trace.think.startswith("No. ") and LINK in trace.think for trace in pairs)
    settings = yaml.safe_load((run.folder / "config.yaml").read_text())
    traces = rows.read(Trace, run.folder / "traces.jsonl")
    assert audited.joined_again(settings, traces) == traces
    assert not list(audited.trace_problems(run.folder, traces))
    changed = [dataclasses.replace(traces[0], think="Other."), *traces[1:]]
    assert "not the two attempts" in " ".join(audited.trace_problems(run.folder, changed))
    text = (run.folder / "README.md").read_text()
    assert "two collections of a model's traces, joined" in text


def test_what_is_joined_must_be_there(files, chat):
    out, right = files
    plan = study_of(*SMOKE, *joining(out), f"teacher.again={out}/none.jsonl")
    with pytest.raises(UserError, match=r"teacher.again is .*none.jsonl, which does not exist"):
        attempts.files(plan.teacher)
    turned = dataclasses.replace(
        plan.teacher, first=f"{out}/again.jsonl", again=f"{out}/first.jsonl"
    )
    with pytest.raises(UserError, match="no attempt at question"):
        attempts.write(right, turned, chat.delimiters)


def test_more_pairs_than_rows_are_refused(chat):
    rule = study_of(*SMOKE, "selection=qwen-waits", "selection.size=1").selection
    pairs = [dataclasses.replace(RIGHT, id=name, wrong=[[0, 3]]) for name in "ab"]
    with pytest.raises(UserError, match="selection.method=mended takes 2 traces"):
        draws.draw(pairs, rule, 0)
