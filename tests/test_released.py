"""What is committed under logs/ and data/ is whole, follows from itself, and names no machine."""
import json
from pathlib import Path

import pytest
from conftest import ROOT

from ponder import batches, release, released, subjects
from ponder.grading import is_correct
from ponder.models import file_sha256
from ponder.runs import read_jsonl, run_hash

RUNS = sorted(path.parent for path in ROOT.glob("logs/*/*/status.json"))
EVALUATIONS = [run for run in RUNS if run.parent.name == "evaluate"]
DATA = sorted(ROOT.glob("data/cpu/*/manifest.json"))


def named(folders):
    return pytest.mark.parametrize("folder", folders, ids=lambda folder: folder.name)


def value(path):
    return json.loads(Path(path).read_text())


def moved(folder):
    """What released.json says: where files went that are not here, and which weights were too large to be released."""
    path = folder / "released.json"
    record = value(path) if path.exists() else {"moved": {}}
    return record["moved"], record.get("left_out", {})    # a field since the train issue


@named(RUNS)
def test_every_file_of_a_released_run_is_what_its_manifest_says(folder):
    manifest, (elsewhere, left_out) = value(folder / "manifest.json"), moved(folder)
    for name, entry in manifest["files"].items():
        if name in left_out:
            assert release.too_heavy(name, entry)
            continue
        path = ROOT / elsewhere[name] if name in elsewhere else folder / name
        assert file_sha256(path) == entry["sha256"], name
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert there - {"manifest.json", "released.json"} == set(manifest["files"]) - set(elsewhere) - set(left_out)


@named(RUNS)
def test_a_released_run_is_named_by_its_config_and_inputs(folder):
    from omegaconf import OmegaConf
    status = value(folder / "status.json")
    config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    assert status["schema"] == 1 and status["name"] == folder.name and status["stage"] == folder.parent.name
    assert folder.name.endswith("-" + run_hash(status["stage"], config, status["inputs"]))
    assert all(entry["commit"] and entry["dirty"] is False for entry in status["commits"])


@named(RUNS)
def test_no_released_file_names_a_machine_or_a_key(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            assert not release.PRIVATE.search(path.read_text(encoding="utf-8")), path.name


@named(EVALUATIONS)
def test_results_follow_from_the_samples_and_samples_from_the_replies(folder):
    samples, results, config = released.samples(folder), value(folder / "results.json"), (folder / "config.yaml").read_text()
    assert all(is_correct(s["reply"], s["gold"]) == s["correct"] for s in samples)
    experiment = folder.name.split("-trained-")[0]
    assert results["all"] == subjects.summary(samples, experiment)
    cap = int(next(line.split(":")[1] for line in config.splitlines() if line.strip().startswith("max_thinking:")))
    for task, said in results["tasks"].items():
        assert said == subjects.summary([s for s in samples if s["task"] == task], experiment)
    assert all(s["num_thinking"] <= cap and max(s["forced"], default=0) < max(1, len(s["ids"])) for s in samples)


@named([run for run in EVALUATIONS if "-trained-" in run.name])
def test_an_evaluation_used_the_released_weights(folder):
    experiment, name = folder.name.split("-trained-")[0], "adapter/adapter_model.safetensors"
    trainings = [run for run in RUNS if run.parent.name == "train" and run.name.rsplit("-", 1)[0] == experiment]
    known = {value(run / "manifest.json")["files"][name]["sha256"]: run for run in trainings}
    training = known[value(folder / "status.json")["inputs"]["adapter_model.safetensors"]]
    if name not in moved(training)[1]:    # else they are too large, and their hash is all that is released
        assert file_sha256(ROOT / "data" / "cpu" / experiment / name) in known


@named([run for run in RUNS if run.parent.name == "train"])
def test_a_training_saw_the_rows_that_its_config_plans(folder):
    rows = batches.planned(folder)[0]
    assert read_jsonl(folder / "batches.jsonl") == rows
    assert [step["step"] for step in read_jsonl(folder / "metrics.jsonl")] == list(range(1, len(rows) + 1))


@named([run for run in RUNS if run.parent.name == "collect"])
def test_released_rows_are_drawn_again_from_the_released_traces(folder):
    import yaml

    from ponder import config, selection
    chosen = yaml.safe_load((folder / "config.yaml").read_text())
    if "method" not in chosen["selection"]:
        pytest.skip("released before the filters had their present form; tests/test_selection.py draws its rows again")
    data = ROOT / "data" / "cpu" / folder.name.rsplit("-", 1)[0]
    rule = config.build(selection.Selection, chosen["selection"])
    rows, funnel = selection.select(read_jsonl(data / "traces.jsonl"), rule, chosen["data_seed"], selection.read_attempts(rule))
    assert rows == read_jsonl(data / "train.jsonl")
    dropped = selection.dropped_rows([], funnel.pop("dropped"))
    assert dropped == [row for row in read_jsonl(data / "dropped.jsonl") if row["step"] != "duplicates"]
    said = value(data / "funnel.json")
    assert {key: said[key] for key in funnel} == funnel


@named([run for run in RUNS if (run / "teacher.json").exists()])
def test_released_traces_follow_from_the_released_calls(folder):
    import gzip
    from types import SimpleNamespace

    from ponder import asking, pools
    from ponder.chat import Delimiters
    data = ROOT / "data" / "cpu" / folder.name.rsplit("-", 1)[0]
    import yaml
    config = yaml.safe_load((folder / "config.yaml").read_text())
    chat = SimpleNamespace(delimiters=Delimiters(**config["model"]["delimiters"]), encode=lambda text: [])
    teacher = SimpleNamespace(**{"reasoning_ends": None} | config["teacher"])
    calls = {row["id"]: row for row in map(json.loads, gzip.open(data / "calls.jsonl.gz", "rt"))}
    traces = read_jsonl(data / "traces.jsonl")
    asked = {q.id: q for q in pools.read(SimpleNamespace(**config["questions"]))[0]}
    assert list(asked) == [trace["id"] for trace in traces] and asked.keys() == calls.keys()
    for trace in traces:
        call = calls[trace["id"]]
        call = call | {"request": json.loads(call["request"]), "response": json.loads(call["response"])}
        made = asking.trace_of(asked[trace["id"]], call, teacher, chat)
        assert made | {"tokens": trace["tokens"], "domain": trace["domain"]} == trace


@pytest.mark.parametrize("path", DATA, ids=lambda path: path.parent.name)
def test_released_data_is_what_its_manifest_says(path):
    files = value(path)["files"]
    for name, entry in files.items():
        found = path.parent / name
        assert (file_sha256(found), found.stat().st_size) == (entry["sha256"], entry["bytes"]), name


def test_every_reading_of_test_that_was_released_is_logged():
    if not EVALUATIONS:
        pytest.skip("no run is released yet")
    logged = {row["run"] for row in read_jsonl(ROOT / "logs" / "test-readings.jsonl")}
    assert {run.name for run in EVALUATIONS if "-test-" in run.name} <= logged


def test_decision_records_are_numbered_without_gaps_and_say_what_would_reopen_them():
    records = sorted((ROOT / "logs" / "decisions").glob("*.md"))
    assert [record.name[:4] for record in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    for record in records:
        text = record.read_text()
        assert text.startswith(f"# {record.name[:4]} ") and "**Revisit when**" in text and "**Question.**" in text, record.name
