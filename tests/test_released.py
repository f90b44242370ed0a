"""What audit.py does not look at: what is committed names no machine, and follows from its sources.

Traces follow from calls, evaluations from weights, and logs/README.md describes the rows there are.
"""

import dataclasses
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from conftest import ROOT

from ponder import rows
from ponder.chat import Delimiters
from ponder.collect.traces import trace_of
from ponder.hashing import file_sha256
from ponder.questions import pools
from ponder.record import leaks

RUNS = sorted(path.parent for path in ROOT.glob("logs/*/*/status.json"))
COMPLETED = [
    run for run in RUNS if json.loads((run / "status.json").read_text())["status"] == "completed"
]
EVALUATIONS = [run for run in RUNS if run.parent.name == "evaluate"]


def named(folders):
    return pytest.mark.parametrize("folder", folders, ids=lambda folder: folder.name)


def value(path):
    return json.loads(Path(path).read_text())


def weights_left_out(folder):
    """Return the weights that were too large to be released, as released.json has them."""
    path = folder / "released.json"
    return value(path).get("left_out", {}) if path.exists() else {}  # older records have none


RELEASED = [path for path in ROOT.glob("logs/*/*") if path.is_dir()]
RELEASED += [path for path in ROOT.glob("data/*") if path.is_dir()]


@named(RELEASED)
def test_no_released_file_names_a_machine_or_a_key(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            assert leaks.found_in(leaks.text_of(path)) is None, path.name


@named([run for run in EVALUATIONS if "-trained-" in run.name])
def test_an_evaluation_used_the_released_weights(folder):
    experiment, name = folder.name.split("-trained-")[0], "adapter/adapter_model.safetensors"
    trainings = {
        value(run / "manifest.json")["files"][name]["sha256"]: run
        for run in RUNS
        if run.parent.name == "train" and run.name.rsplit("-", 1)[0] == experiment
    }
    training = trainings[value(folder / "status.json")["inputs"]["adapter_model.safetensors"]]
    # Of weights that are too large their hash is all that is released.
    if name not in weights_left_out(training):
        (data,) = (ROOT / "data").glob(f"*/{experiment}")
        assert file_sha256(data / name) in trainings


@named([run for run in COMPLETED if (run / "teacher.json").exists()])
def test_released_traces_follow_from_the_released_calls(folder):
    (data,) = (ROOT / "data").glob(f"*/{folder.name.rsplit('-', 1)[0]}")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    delimiters = Delimiters(**config["model"]["delimiters"])
    special = [delimiters.turn_start, delimiters.turn_end]  # the tokenizer's others end no reply
    chat = SimpleNamespace(
        delimiters=delimiters,
        encode=lambda text: [],
        tokenizer=SimpleNamespace(all_special_tokens=special),
    )
    teacher = SimpleNamespace(**{"reasoning_ends": None} | config["teacher"])
    calls = {call.id: call for call in rows.read(rows.Call, data / "calls.jsonl.gz")}
    traces = rows.read(rows.Trace, data / "traces.jsonl")
    later = {"left_out": (), "wrong_in": None}  # what older runs do not say
    pool = SimpleNamespace(**later | config["questions"])
    questions = {q.id: q for q in pools.read(pool)[0]}
    assert list(questions) == [trace.id for trace in traces] and questions.keys() == calls.keys()
    for trace in traces:
        again = trace_of(questions[trace.id], calls[trace.id], teacher, chat)
        # A tokenizer and a classifier gave these two, which are not here.
        assert dataclasses.replace(again, tokens=trace.tokens, domain=trace.domain) == trace


def glossary(title):
    """Return the keys of the table of logs/README.md that stands under a line, in their order."""
    lines = (ROOT / "logs" / "README.md").read_text(encoding="utf-8").split("\n")
    table = lines[lines.index(title) + 4 :]
    table = table[: table.index("")]
    return [key for line in table for key in re.findall(r"`([^`]+)`", line.split("|")[1])]


def test_the_glossary_names_the_keys_of_samples_and_claims():
    assert sorted(glossary("`samples.jsonl` (evaluate)")) == sorted(rows.meanings(rows.SampleRow))
    assert sorted(glossary("`claims.jsonl`")) == sorted(rows.meanings(rows.Claim))
