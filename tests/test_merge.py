"""Trained weights put on their base as one folder that a server opens."""

import json

import pytest
import torch
from conftest import SMOKE, collected, study_of, trained

from ponder import models, stages
from ponder.errors import UserError
from ponder.release import merge
from ponder.train import sft


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    out = tmp_path_factory.mktemp("merge")
    trained(collected(out))
    return study_of(*SMOKE, f"out={out}")


def test_the_folder_gives_the_logits_of_the_trained_model(plan, tmp_path):
    merge.merge(plan, tmp_path / "merged")
    network, chat = models.load(tmp_path / "merged", plan.model.delimiters)
    ours = sft.with_weights(
        models.load_network(models.base_folder(plan.model, plan.out)), stages.adapter_folder(plan)
    )
    ids = torch.tensor([chat.prompt("What is 2 + 2?")])
    with torch.inference_mode():
        assert torch.equal(network.eval()(ids).logits, ours(ids).logits)
    assert "weights sha256" in json.loads((tmp_path / "merged" / "source.json").read_text())


def test_a_folder_that_exists_and_a_subject_without_weights_are_refused(plan, tmp_path):
    with pytest.raises(UserError, match="exists"):
        merge.merge(plan, tmp_path)
    with pytest.raises(UserError, match="subject=base has no trained weights"):
        merge.merge(study_of(*SMOKE, f"out={plan.out}", "subject=base"), tmp_path / "new")


def test_a_forgotten_folder_is_told_in_one_sentence(capsys):
    with pytest.raises(SystemExit) as end:
        merge.main("experiment=cpu")
    assert end.value.code == 2 and "name it first" in capsys.readouterr().err
