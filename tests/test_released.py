"""What is committed under logs/ and data/ names no machine, and follows from calls and weights: what audit.py does not look at."""

import json
from pathlib import Path

import pytest
from conftest import ROOT

from ponder.hashing import file_sha256
from ponder.release import release
from ponder.runs import read_jsonl

RUNS = sorted(path.parent for path in ROOT.glob("logs/*/*/status.json"))
EVALUATIONS = [run for run in RUNS if run.parent.name == "evaluate"]


def named(folders):
    return pytest.mark.parametrize("folder", folders, ids=lambda folder: folder.name)


def value(path):
    return json.loads(Path(path).read_text())


def moved(folder):
    """What released.json says: where files went that are not here, and which weights were too large to be released."""
    path = folder / "released.json"
    record = value(path) if path.exists() else {"moved": {}}
    return record["moved"], record.get("left_out", {})  # a field since the train issue


@named(RUNS)
def test_no_released_file_names_a_machine_or_a_key(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            assert not release.PRIVATE.search(path.read_text(encoding="utf-8")), path.name


@named([run for run in EVALUATIONS if "-trained-" in run.name])
def test_an_evaluation_used_the_released_weights(folder):
    experiment, name = folder.name.split("-trained-")[0], "adapter/adapter_model.safetensors"
    trainings = [
        run
        for run in RUNS
        if run.parent.name == "train" and run.name.rsplit("-", 1)[0] == experiment
    ]
    known = {value(run / "manifest.json")["files"][name]["sha256"]: run for run in trainings}
    training = known[value(folder / "status.json")["inputs"]["adapter_model.safetensors"]]
    if (
        name not in moved(training)[1]
    ):  # else they are too large, and their hash is all that is released
        assert file_sha256(ROOT / "data" / "cpu" / experiment / name) in known


@named([run for run in RUNS if (run / "teacher.json").exists()])
def test_released_traces_follow_from_the_released_calls(folder):
    import gzip
    from types import SimpleNamespace

    from ponder.chat import Delimiters
    from ponder.collect.traces import trace_of
    from ponder.questions import pools

    data = ROOT / "data" / "cpu" / folder.name.rsplit("-", 1)[0]
    import yaml

    config = yaml.safe_load((folder / "config.yaml").read_text())
    chat = SimpleNamespace(
        delimiters=Delimiters(**config["model"]["delimiters"]), encode=lambda text: []
    )
    teacher = SimpleNamespace(**{"reasoning_ends": None} | config["teacher"])
    calls = {row["id"]: row for row in map(json.loads, gzip.open(data / "calls.jsonl.gz", "rt"))}
    traces = read_jsonl(data / "traces.jsonl")
    asked = {q.id: q for q in pools.read(SimpleNamespace(**config["questions"]))[0]}
    assert list(asked) == [trace["id"] for trace in traces] and asked.keys() == calls.keys()
    for trace in traces:
        call = calls[trace["id"]]
        call = call | {
            "request": json.loads(call["request"]),
            "response": json.loads(call["response"]),
        }
        made = trace_of(asked[trace["id"]], call, teacher, chat)
        assert made | {"tokens": trace["tokens"], "domain": trace["domain"]} == trace
