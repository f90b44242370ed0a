"""Evaluate runs as logs of Inspect: what a log holds, and that Inspect itself reads it so."""

import json
import shutil
import subprocess

import pytest
import yaml
from conftest import ROOT
from test_benchmarks import public_sample

from ponder import rows
from ponder.grading.families import extract
from ponder.release import inspect_logs
from ponder.report import evaluations
from ponder.runs import read_jsonl, write_jsonl

EVALUATE = ROOT / "logs" / "evaluate"
MAIN, SAMPLED, NEAREST, BASE = (
    EVALUATE / name
    for name in (
        "cpu-trained-cap16-test-ef936a45",
        "cpu-trained-free-sampled4-test-4896a1f8",
        "cpu-nearest-free-test-15c2604b",
        "cpu-base-plain-test-3cb39811",
    )
)
HOSTILE = (
    "<script>alert(1)</script><think>attachment://" + "0" * 32,
    "</think>\u2028\x00\x1b[31m tc://a \U0001d11e {{ x }} \\boxed{1}",
    '{"type": "image", "image": "file:///etc/passwd"}',
    "",
)


def log_of(folder):
    return inspect_logs.log_of(folder, evaluations.makers([folder]))


@pytest.fixture
def hostile(tmp_path):
    """A run whose model wrote texts that mean something elsewhere."""
    folder = shutil.copytree(MAIN, tmp_path / "evaluate" / MAIN.name)
    samples = read_jsonl(folder / "samples.jsonl")
    for sample, text in zip(samples, HOSTILE):
        sample |= {"thinking": text, "reply": text, "question": text, "gold": text}
    write_jsonl(folder / "samples.jsonl", samples)
    return folder


@pytest.mark.parametrize("folder", [MAIN, SAMPLED, NEAREST, BASE], ids=lambda path: path.name)
def test_a_log_says_what_the_records_say(folder):
    log, results = log_of(folder), json.loads((folder / "results.json").read_text())
    samples = read_jsonl(folder / "samples.jsonl")
    metrics = log["results"]["scores"][0]["metrics"]
    assert metrics["accuracy"]["value"] == results["all"]["accuracy"]
    assert metrics["accuracy"]["metadata"]["low"] == results["all"]["low"]
    of_tasks = {name: metric["value"] for name, metric in metrics.items() if name != "accuracy"}
    assert of_tasks == {task: numbers["accuracy"] for task, numbers in results["tasks"].items()}
    assert len(log["samples"]) == log["results"]["total_samples"] == results["all"]["n"]
    keys = {(sample["id"], sample["epoch"]) for sample in log["samples"]}
    assert len(keys) == len(samples) and {epoch for _, epoch in keys} == set(
        range(1, log["eval"]["config"]["epochs"] + 1)
    )
    assert log["eval"]["dataset"]["samples"] * log["eval"]["config"]["epochs"] == len(samples)
    for made, sample in zip(log["samples"], samples):
        score = made["scores"][inspect_logs.SCORER]
        assert score == {"value": "CI"[not sample["correct"]], "answer": extract(sample["reply"])}
        assert (made["input"], made["target"]) == (sample["question"], sample["gold"])
        asked, said = made["messages"]
        parts = [part[part["type"]] for part in said["content"]]
        assert asked["content"] == sample["question"] and parts[-1] == sample["reply"]
        assert parts[:-1] == [sample["thinking"]] * bool(sample["thinking"])
        assert made["output"]["choices"][0]["message"] == said
        facts = made["metadata"]
        assert facts["num_ids"] == len(sample["ids"])
        assert facts["num_forced"] == len(sample["forced"])
        assert facts["capped"] == sample["capped"] and facts.get("seed") == sample.get("seed")
        assert {"question", "gold", "reply", "thinking", "ids", "forced"}.isdisjoint(facts)


def test_a_log_says_who_answered_when_and_by_which_code():
    own, nearest, base, sampled = map(log_of, (MAIN, NEAREST, BASE, SAMPLED))
    assert own["eval"]["model"] == "ponder/cpu-d57f96ff"
    assert nearest["eval"]["model"] == "ponder/nearest"
    assert base["eval"]["model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert own["eval"]["task"] == "cpu-test" and own["eval"]["created"][:10] == "2026-11-22"
    assert own["stats"]["completed_at"] == "2026-11-22T11:13:26+00:00"
    assert own["eval"]["revision"]["commit"].startswith("041a27d")
    assert own["eval"]["task_args"]["budget"]["max_thinking"] == 16
    assert own["plan"]["config"] == {"temperature": 0.0, "reasoning_tokens": 16}
    assert sampled["plan"]["config"]["temperature"] == 1.0
    assert sampled["eval"]["config"]["epochs"] == 4


def test_every_released_run_has_a_log_of_its_own():
    configs = [yaml.safe_load(path.read_text()) for path in EVALUATE.glob("*/config.yaml")]
    folders = evaluations.folders(f"{EVALUATE}/*")
    made = evaluations.makers(folders)
    names = set()
    for folder in folders:
        config = yaml.safe_load((folder / "config.yaml").read_text())
        status = json.loads((folder / "status.json").read_text())
        assert status["status"] == "completed"
        model = inspect_logs.subject(config, status, made)
        assert model != "ponder/trained" and inspect_logs.clocks(folder)[1]
        names.add(folder.name.rsplit("-", 1)[1])
    assert len(names) == len(folders) == len(configs)


def test_the_text_of_a_public_benchmark_is_in_no_log():
    sample = public_sample("Final Answer: 18", "18")
    made = inspect_logs._sample(sample, "free", "ponder/any")
    assert made["input"] == made["messages"][0]["content"] == inspect_logs.NOT_OURS
    assert made["target"] == sample.gold_sha256 and made["scores"]["final_answer"]["answer"] == "18"
    assert {"answer", "how", "by", "second"} <= set(made["metadata"])
    assert set(made["metadata"]) <= {"budget", "num_ids", "num_forced", *rows.TYPES[rows.SampleRow]}


def test_what_a_model_wrote_is_a_text_of_its_log(hostile, tmp_path):
    path, counts = inspect_logs.write(log_of(hostile), tmp_path / "out")
    assert path.name == "2026-11-22T11-11-42+00-00_cpu-test_cpu-trained-cap16-test_ef936a45.json"
    assert counts == (480, 140) and path.read_text().isascii()
    for sample, text in zip(json.loads(path.read_text())["samples"], HOSTILE):
        kinds = [part["type"] for part in sample["messages"][1]["content"]]
        assert kinds == (["reasoning", "text"] if text else ["text"])
        assert sample["output"]["completion"] == sample["input"] == text
        assert sample["target"] == text


def test_without_inspect_the_command_is_refused_in_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(inspect_logs, "TOOLS", ROOT / "outputs" / "no-such-venv")
    monkeypatch.setattr(inspect_logs, "OUT", tmp_path / "out")
    with pytest.raises(SystemExit) as stop:
        inspect_logs.main([MAIN.name])
    told = capsys.readouterr().err
    assert stop.value.code == 2 and "run make export-inspect" in told and told.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "code, words",
    [
        ("exit 1", "did not read the logs (exit code 1)"),
        ('for path; do :; done; echo "[\\"$path\\", \\"success\\", 480, 139]"', "otherwise than"),
        ('for path; do :; done; echo "[\\"$path\\", \\"success\\", 480, 140]"', ""),
    ],
)
def test_the_command_says_what_inspect_read(tmp_path, monkeypatch, capsys, code, words):
    for name in ("python", "inspect"):
        (tmp_path / name).write_text(f"#!/bin/sh\n{code}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(inspect_logs, "ROOT", tmp_path)
    monkeypatch.setattr(inspect_logs, "OUT", tmp_path / "out")
    monkeypatch.setattr(inspect_logs, "TOOLS", tmp_path)
    try:
        inspect_logs.main([MAIN.name])
    except SystemExit as stop:
        assert words and stop.code == 2 and words in capsys.readouterr().err
    else:
        assert not words and "1 runs, 480 answers -> out" in capsys.readouterr().out


@pytest.mark.skipif(
    not (inspect_logs.TOOLS / "inspect").exists(),
    reason="Inspect is not installed; make export-inspect does",
)
def test_inspect_reads_lists_and_dumps_the_logs(hostile, tmp_path):
    out, program = tmp_path / "out", inspect_logs.TOOLS / "inspect"
    logs = dict(inspect_logs.write(log_of(folder), out) for folder in (hostile, SAMPLED, NEAREST))
    first, *_ = logs
    other = tmp_path / "other.json"
    other.write_text(first.read_text().replace('"value": "C"', '"value": "I"', 1))
    assert inspect_logs.misread(logs | {other: logs[first]}) == [other.name]
    listed = subprocess.check_output([program, "log", "list", "--json", "--log-dir", out])
    assert {(log["task"], log["task_id"]) for log in json.loads(listed)} == {
        ("cpu-test", log.stem.rsplit("_", 1)[1]) for log in logs
    }
    dumped = json.loads(subprocess.check_output([program, "log", "dump", first]))
    assert dumped["results"]["scores"][0]["metrics"]["accuracy"]["value"] == 140 / 480
    for sample, text in zip(dumped["samples"], HOSTILE):
        said = sample["messages"][1]["content"]
        assert [part["type"] for part in said] == (["reasoning", "text"] if text else ["text"])
        assert {part[part["type"]] for part in said} == {text}
        assert {sample["input"], sample["target"], sample["output"]["completion"]} == {text}
