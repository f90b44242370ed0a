"""The collect stage as a whole: which rows it chooses, and which questions it refuses."""

import pytest
from conftest import SMOKE, collected, study_of

from ponder import stages
from ponder.errors import UserError
from ponder.questions import drawing, drawn
from ponder.runs import read_jsonl


def rows_of(plan, name):
    return read_jsonl(stages.collect_run(plan).folder / name)


def test_a_doubt_never_decides_which_rows_are_chosen(tmp_path):
    plain, doubting = (
        collected(tmp_path, f"teacher.doubt={doubt}") for doubt in ("none", "correct")
    )
    rows, others = rows_of(plain, "train.jsonl"), rows_of(doubting, "train.jsonl")
    assert [row["id"] for row in rows] == [row["id"] for row in others]
    assert [row["tokens"] for row in rows] == [row["tokens"] for row in others]
    assert any("Wait, " in row["think"] for row in others) and not any(
        "Wait" in row["think"] for row in rows
    )


def test_every_trace_of_the_pool_is_kept_right_or_wrong(tmp_path):
    plan = collected(tmp_path)
    traces, pool = rows_of(plan, "traces.jsonl"), drawn.read_split(plan.questions.dir, "pool")
    assert [trace["id"] for trace in traces] == [question.id for question in pool] and len(
        pool
    ) >= 5000
    assert all(trace["correct"] for trace in traces), "the solver's answers are right"


@pytest.mark.parametrize(
    "override",
    [
        "questions.seed=1",
        "questions.counts.pool=100",
        "questions.families.coin.trained=true",
        "questions.families.facing.params.max_turns=5",
    ],
)
def test_questions_that_were_not_drawn_like_this_are_refused(override, tmp_path):
    plan = study_of(*SMOKE, f"out={tmp_path}", override)
    key = override.split("=")[0].split(".")[1]
    with pytest.raises(UserError, match=f"{key} is not what data/cpu/questions was drawn with"):
        stages.collect_run(plan)


def test_released_questions_are_never_drawn_over(tmp_path):
    with pytest.raises(UserError, match="questions.dir=data/cpu/questions is released data"):
        drawing.draw_outside_data(study_of(*SMOKE, "questions.source=draw").questions)
