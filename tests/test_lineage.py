"""What two configs differ in, and which released run a new one descends from."""

import json

import pytest
import yaml

from ponder import lineage, runs
from ponder.errors import RecordError


def released(logs, name, config, inputs, status="completed"):
    """Put a released train run into `logs`."""
    folder = logs / "train" / name
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "status.json").write_text(json.dumps({"inputs": inputs, "status": status}))


CONFIG = {"model": {"name": "m"}, "train": {"lr": 0.1, "betas": [0.9, 0.95]}, "seed": 0}


def test_changed_names_each_leaf_that_differs_with_both_values():
    other = {"model": {"name": "m"}, "train": {"lr": 0.2, "betas": [0.9, 0.99], "clip": 1}}
    assert lineage.changed(CONFIG, other) == {
        "train.lr": [0.1, 0.2],
        "train.betas.1": [0.95, 0.99],
        "train.clip": [None, 1],
        "seed": [0, None],
    }


def test_a_fork_descends_from_the_released_run_that_it_differs_least_from(tmp_path):
    released(tmp_path, "a-00000000", CONFIG, {"train.jsonl": "x"})
    released(tmp_path, "b-00000000", CONFIG | {"seed": 5, "train": {"lr": 3}}, {"train.jsonl": "x"})
    released(
        tmp_path,
        "c-00000000",
        CONFIG | {"model": {"name": "another"}, "seed": 1},
        {"train.jsonl": "x"},
    )
    released(tmp_path, "d-00000000", CONFIG | {"seed": 1}, {"train.jsonl": "y"}, status="failed")
    parent = lineage.parent("train", "fork-1", CONFIG | {"seed": 1}, {"train.jsonl": "y"}, tmp_path)
    assert parent == {
        "run": "train/a-00000000",
        "changed": {"seed": [0, 1], "inputs.train.jsonl": ["x", "y"]},
    }


def test_keys_that_older_runs_lack_count_less_than_values_that_differ(tmp_path):
    released(tmp_path, "a-00000000", CONFIG, {})
    released(tmp_path, "b-00000000", CONFIG | {"new": 1, "newer": 2, "seed": 9}, {})
    parent = lineage.parent("train", "fork-1", CONFIG | {"new": 1, "newer": 2}, {}, tmp_path)
    assert parent == {"run": "train/a-00000000", "changed": {"new": [None, 1], "newer": [None, 2]}}


def test_a_released_run_and_the_first_of_its_model_have_no_parent(tmp_path):
    released(tmp_path, "a-00000000", CONFIG, {})
    assert lineage.parent("train", "a-00000000", CONFIG, {}, tmp_path) is None
    another = CONFIG | {"model": {"name": "another"}}
    assert lineage.parent("train", "fork-1", another, {}, tmp_path) is None


def test_a_damaged_record_is_named(tmp_path):
    released(tmp_path, "a-00000000", CONFIG, {})
    (tmp_path / "train" / "a-00000000" / "config.yaml").write_text("a: [")
    with pytest.raises(RecordError, match="a-00000000 has no readable config.yaml"):
        lineage.parent("train", "fork-1", CONFIG, {}, tmp_path)


def test_a_run_writes_its_parent_into_its_status_from_the_first_second(tmp_path):
    config = yaml.safe_load(next(runs.ROOT.glob("logs/train/cpu-d57f96ff/config.yaml")).read_text())
    inputs = json.loads((runs.ROOT / "logs/train/cpu-d57f96ff/status.json").read_text())["inputs"]
    config["train"]["lr"] *= 2
    with runs.Run("train", "fork", config, inputs, tmp_path, "disabled") as run:
        status = json.loads((run.folder / "status.json").read_text())
    assert status["status"] == "running" and status["parent"]["run"] == "train/cpu-d57f96ff"
    assert list(status["parent"]["changed"]) == ["train.lr"]
