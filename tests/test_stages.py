"""Where the rows and weights of a study come from."""

import json

import pytest
from conftest import ROOT, SMOKE, evaluated, study_of, trained

from ponder import stages
from ponder.errors import UserError
from ponder.hashing import file_sha256
from ponder.runs import dump, read_jsonl

RELEASED = "data/cpu/smoke/train.jsonl"


def test_released_rows_are_trained_on_and_evaluated_without_a_collection(tmp_path):
    plan = study_of(*SMOKE, f"out={tmp_path}", f"+rows={RELEASED}", "budget=cap16")
    run = trained(plan)
    assert run.inputs["train.jsonl"] == file_sha256(ROOT / RELEASED)
    assert evaluated(plan).finished and not (tmp_path / "collect").exists()


def test_rows_that_are_not_there_are_one_sentence(tmp_path):
    plan = study_of(*SMOKE, f"out={tmp_path}", "+rows=data/none.jsonl")
    with pytest.raises(UserError, match="rows is data/none.jsonl, which does not exist; name a"):
        stages.train_run(plan)


FIRST = read_jsonl(ROOT / RELEASED)[0]
SECOND = FIRST | {"id": "f" * 16}
NO_DOMAIN = {name: value for name, value in FIRST.items() if name != "domain"}


@pytest.mark.parametrize(
    "rows, words",
    [
        ([], "rows.jsonl has no rows to train on; mend .* experiment=traces"),
        ([FIRST, SECOND | {"gold": 7}], "row 2: gold is of type int, but must be text; mend"),
        ([FIRST | {"think": None}], "row 1: think is of type NoneType, but must be text"),
        ([FIRST | {"correct": 1}], "correct is of type int, but must be true or false; .*=traces"),
        ([NO_DOMAIN], "row 1 has no domain, which must be text; mend .* experiment=traces"),
        ([FIRST, SECOND, FIRST], "rows 1 and 3 have one id, .*; keep one of them"),
        ([FIRST | {"wrong": [[5, 9999]]}], r"row 1: wrong has \[5, 9999\].*mend the span"),
        ([FIRST | {"wrong": [[3, 3]]}], r"wrong has \[3, 3\], but must hold \[start, end\)"),
        ([FIRST | {"wrong": [[-2, 3]]}], r"wrong has \[-2, 3\]"),
        ([FIRST | {"wrong": ["ab"]}], "wrong has 'ab'"),
        ([FIRST | {"think": "a\ud83d"}], "row 1: think has half a surrogate pair"),
        ([FIRST | {"wrong": [[0, 1.5]]}], r"wrong has \[0, 1.5\]"),
    ],
)
def test_rows_of_ones_own_that_cannot_be_trained_on_are_told_before_a_model_is_made(
    rows, words, tmp_path
):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    plan = study_of(*SMOKE, f"out={tmp_path}", f"+rows={tmp_path / 'rows.jsonl'}")
    with pytest.raises(UserError, match=words) as error:
        stages.train_run(plan)
    assert "\n" not in str(error.value) and "git" not in str(error.value)
    assert not (tmp_path / "models").exists()


def test_a_line_of_ones_own_rows_that_is_no_json_is_mended_and_not_restored(tmp_path):
    (tmp_path / "rows.jsonl").write_text(dump(FIRST) + "{")
    plan = study_of(*SMOKE, f"out={tmp_path}", f"+rows={tmp_path / 'rows.jsonl'}")
    with pytest.raises(UserError, match="line 2 is not whole JSON; mend the file"):
        stages.train_run(plan)
