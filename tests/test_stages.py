"""Where the rows and weights of a study come from."""

import pytest
from conftest import ROOT, SMOKE, evaluated, study_of, trained

from ponder import stages
from ponder.errors import UserError
from ponder.hashing import file_sha256

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
