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


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["experiment=cpuu"], "experiment=cpuu names no option of experiment; did you mean cpu?"),
        (["experiment=smoke", "budgt=free"], "there is no budgt; did you mean budget=free?"),
        (["experiment=smoke", "subject.adaptor=x"], "did you mean subject.adapter?"),
        (["experiment=smoke", "out=${oot}"], "out=${oot} refers to oot"),
        (["experiment=smoke", "out=${out}"], "out=${out} cannot be resolved"),
        (["experiment=smoke", "sweep=[a"], "sweep=[a cannot be read"),
        (["experiment=smoke", "seed=1,2"], "seed=1,2 gives several values"),
        (["smoke"], "did you mean experiment=smoke?"),
        ([], "name is missing"),
    ],
)
def test_a_mistake_in_its_overrides_is_one_sentence(words, sentence, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        merge.main(str(tmp_path / "merged"), *words)
    told = capsys.readouterr().err
    assert end.value.code == 2 and told.startswith("error: ") and told.count("\n") == 1
    assert sentence in told and not list(tmp_path.iterdir())


def test_a_disk_that_is_full_leaves_no_half_of_a_folder(plan, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise Exception("No space left on device (os error 28)")

    monkeypatch.setattr("transformers.PreTrainedTokenizerBase.save_pretrained", full)
    with pytest.raises(Exception, match="os error 28"):
        merge.merge(plan, tmp_path / "merged")
    assert not list(tmp_path.iterdir())


def test_a_forgotten_folder_is_told_in_one_sentence(capsys):
    with pytest.raises(SystemExit) as end:
        merge.main("experiment=cpu")
    assert end.value.code == 2 and "name it first" in capsys.readouterr().err
