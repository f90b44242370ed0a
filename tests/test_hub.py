"""The folders for a hub are opened by the libraries that read them from there."""

import json

import pytest
import torch
import yaml
from conftest import ROOT, SMOKE, collected, study_of, trained

from ponder import models, stages
from ponder.errors import UserError
from ponder.release import hub
from ponder.runs import read_jsonl
from ponder.train import sft


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(collected(tmp_path_factory.mktemp("hub")))


def front_matter(folder):
    return yaml.safe_load((folder / "README.md").read_text().split("---")[1])


def test_peft_opens_a_training_with_the_base_that_it_names(run, monkeypatch):
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    out = run.folder.parent.parent
    folder = hub.folder_of(run.folder, out)
    monkeypatch.chdir(out / "models")  # where a base that is on no hub lies under its name
    opened = AutoPeftModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    monkeypatch.chdir(ROOT)
    plan = study_of(*SMOKE, f"out={out}")
    base = models.base_folder(plan.model, plan.out)
    ours = sft.with_weights(models.load_network(base), stages.adapter_folder(plan))
    ids = tokenizer("What is 2 + 2?", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        theirs = opened.merge_and_unload()(ids).logits
        torch.testing.assert_close(theirs, ours(ids).logits, rtol=1e-4, atol=1e-4)
    assert tokenizer.chat_template == models.template(plan.model.delimiters)
    assert (folder / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert front_matter(folder)["library_name"] == "peft"
    assert "The base `pocket` is on no hub" in (folder / "README.md").read_text()


def test_a_card_without_evaluations_says_so(run):
    status = json.loads((run.folder / "status.json").read_text())
    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    text = hub.model_card(status, config, hub.base_of(config["model"]), [])
    assert "Nothing yet: no completed evaluation" in text and "base_model" not in text
    assert hub.evaluations("0" * 64, (ROOT / "logs",)) == []


def test_a_released_data_set_is_opened_by_its_card(tmp_path):
    import datasets

    folder = hub.folder_of(ROOT / "data" / "cpu" / "smoke", tmp_path)
    for name in ("train", "traces"):
        rows = datasets.load_dataset(
            str(folder), name, split="train", cache_dir=str(tmp_path / "cache")
        )
        assert list(rows) == read_jsonl(ROOT / "data" / "cpu" / "smoke" / f"{name}.jsonl")
    assert front_matter(folder)["license"] == "apache-2.0" and (folder / "LICENSE").exists()
    assert json.loads((folder / "croissant.json").read_text())["name"]


def test_a_released_training_names_its_base_on_the_hub_and_its_evaluations(tmp_path, monkeypatch):
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / "tokenizer.json").write_text("{}")
    monkeypatch.setattr(models, "tokenizer_folder", lambda *_: tokenizer)
    folder = hub.folder_of(ROOT / "logs" / "train" / "cpu-d57f96ff", tmp_path)
    base = "HuggingFaceTB/SmolLM2-135M-Instruct"
    description = json.loads((folder / "adapter_config.json").read_text())
    assert description["base_model_name_or_path"] == front_matter(folder)["base_model"] == base
    text = (folder / "README.md").read_text()
    assert "| `cpu-trained-free-test-43c273eb` | 49.6% [45.1, 54.0] | 480 | 25.6 |" in text
    weights = ROOT / "data" / "cpu" / "cpu" / "adapter" / "adapter_model.safetensors"
    assert (folder / weights.name).read_bytes() == weights.read_bytes()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "is no run and no data set with a card; name a training"),
        ("data/licenses", "is no run and no data set"),
        ("logs/evaluate/cpu-trained-free-test-43c273eb", "only a completed training has weights"),
        ("logs/train/cpu-block64-17918dca", "is of the stage train and failed"),
        ("logs/train/cpu-full-8478ba71", "released without its weights .203 MB"),
    ],
)
def test_what_is_no_training_and_no_data_set_is_one_sentence(name, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence):
        hub.folder_of(ROOT / name, tmp_path)
    assert not list(tmp_path.glob("hub/*"))


def test_a_text_that_must_not_be_passed_on_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(hub.leaks, "text_of", lambda path: "/home/somebody/secret")
    with pytest.raises(UserError, match="holds"):
        hub.folder_of(ROOT / "data" / "cpu" / "smoke", tmp_path)
    assert not list(tmp_path.glob("hub/*"))
