"""A run's folder: its name, its states, its manifest, and what must not be in it."""

import getpass
import json
import os
import platform
import re
from pathlib import Path

import pytest
from conftest import ROOT, SMOKE, collected, composed, evaluated, script, study_of, trained

from ponder import runs, stages
from ponder.errors import RecordError
from ponder.hashing import file_sha256
from ponder.runs import NOT_REPRODUCED, Run, dump, read_jsonl, write_jsonl


def run_of(out, config=(("seed", 0),), inputs=(("a", "b"),), label="test", stage="collect"):
    return Run(stage, label, dict(config), dict(inputs), out, "disabled", 1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of each stage, and their Study."""
    os.chdir(ROOT)
    plan = collected(tmp_path_factory.mktemp("elsewhere"), "benchmark.tasks=[coin]")
    return plan, [stages.collect_run(plan), trained(plan), evaluated(plan)]


def test_one_config_has_one_folder_and_any_change_another(tmp_path):
    name = run_of(tmp_path).name
    assert re.fullmatch(r"test-[0-9a-f]{8}", name) and run_of(tmp_path / "other").name == name
    assert run_of(tmp_path, [("seed", 1)]).name != name
    assert run_of(tmp_path, inputs=[("a", "c")]).name != name
    assert run_of(tmp_path, stage="train").name != name
    config = [("b", 1), ("a", 2)]
    assert run_of(tmp_path, config).name == run_of(tmp_path, config[::-1]).name


@pytest.mark.parametrize(
    "override, moved",
    [
        ("seed=1", "train"),
        ("data_seed=1", "collect train"),
        ("selection.size=20", "collect train"),
        ("train.lr=1", "train"),
        ("budget=cap16", "evaluate"),
        ("benchmark.limit=1", "evaluate"),
        ("hardware.threads=2", "train evaluate"),
        ("wandb=offline", ""),
        ("subject=base", "evaluate"),
    ],
)
def test_a_stage_is_named_by_what_it_reads(finished, override, moved):
    plan, runs = finished
    other = study_of(*SMOKE, f"out={plan.out}", "benchmark.tasks=[coin]", override)
    if stages.collect_run(other).name != runs[0].name:
        assert moved.startswith("collect")
        return
    train_moved = stages.train_run(other).name != runs[1].name
    assert train_moved == ("train" in moved)
    if not train_moved:
        assert (stages.evaluate_run(other).name != runs[2].name) == ("evaluate" in moved)


def stamps(folder):
    """Return {path: (when it was written, its size)} of what is in a folder."""
    return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*")}


def test_a_finished_run_is_found_and_nothing_is_redone(finished, capsys):
    plan, runs = finished
    for name, run in zip(("collect", "train", "evaluate"), runs):
        before = stamps(run.folder)
        script(name).main(
            composed(*SMOKE, f"out={plan.out}", "benchmark.tasks=[coin]", script=name)
        )
        assert "finished before, nothing to do" in capsys.readouterr().out
        assert stamps(run.folder) == before


def test_a_finished_run_is_completed_and_its_manifest_verifies(finished):
    for run in finished[1]:
        status = json.loads((run.folder / "status.json").read_text())
        assert (status["status"], status["reason"]) == ("completed", None)
        assert status["inputs"] == run.inputs
        files = json.loads((run.folder / "manifest.json").read_text())["files"]
        assert set(files) == {
            p.relative_to(run.folder).as_posix()
            for p in run.folder.rglob("*")
            if p.is_file() and p.name != "manifest.json"
        }
        for name, entry in files.items():
            path = run.folder / name
            assert (entry["sha256"], entry["bytes"]) == (file_sha256(path), path.stat().st_size)
            assert entry["reproducible"] == (path.name not in NOT_REPRODUCED)


def test_the_resolved_config_is_in_the_folder(finished):
    from omegaconf import OmegaConf

    for run in finished[1]:
        config = OmegaConf.to_container(OmegaConf.load(run.folder / "config.yaml"))
        assert json.loads(dump(config)) == json.loads(dump(run.config))


def words_in(folder, words):
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    return [(p.name, word) for p in files for word in words if word.encode() in p.read_bytes()]


def test_no_file_of_a_run_names_the_place_it_was_made(finished):
    plan, runs = finished
    places = [
        str(Path.home()) + "/",
        str(ROOT),
        platform.node(),
        str(Path(plan.out).resolve()),
        f"of-{getpass.getuser()}",
    ]
    for run in runs:
        assert not words_in(run.folder, [place for place in places if len(place) > 3])


def test_a_failed_run_names_no_place_either(tmp_path):
    run = run_of(tmp_path)
    with pytest.raises(RecordError), run:
        read_jsonl(tmp_path / "missing.jsonl")
    with pytest.raises(RecordError), run_of(tmp_path, [("seed", 1)]) as other:
        read_jsonl(ROOT / "missing.jsonl")
    assert not words_in(other.folder, [str(ROOT)])
    assert not words_in(run.folder, [str(tmp_path)])


def test_a_failing_run_has_failed_with_a_reason_and_no_manifest(tmp_path):
    run = run_of(tmp_path)
    with pytest.raises(RuntimeError), run:
        raise RuntimeError("the cause\nand its details")
    status = json.loads((run.folder / "status.json").read_text())
    assert (status["status"], status["reason"]) == ("failed", "RuntimeError: the cause")
    assert not run.finished
    with run:
        assert json.loads((run.folder / "status.json").read_text())["status"] == "running"
    status = json.loads((run.folder / "status.json").read_text())
    assert (status["status"], status["reason"], len(status["commits"])) == ("completed", None, 2)
    assert run.finished


def test_an_interrupted_run_has_failed_too(tmp_path):
    run = run_of(tmp_path)
    with pytest.raises(KeyboardInterrupt), run:
        raise KeyboardInterrupt
    assert json.loads((run.folder / "status.json").read_text())["status"] == "failed"
    assert not run.finished


def test_what_is_said_is_printed_and_kept(tmp_path, capsys):
    with run_of(tmp_path) as run:
        run.say(f"a table in {ROOT}/logs")
        run.metric(step=1, loss=0.5)
    assert capsys.readouterr().out == f"a table in {ROOT}/logs\n"
    assert (run.folder / "stdout.log").read_text() == "a table in ./logs\n"
    assert read_jsonl(run.folder / "metrics.jsonl") == [{"loss": 0.5, "step": 1}]


def test_rows_round_trip(tmp_path):
    rows = [{"b": "caf\u00e9 \u2028 \x00 \n", "a": [1, None]}, {}]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    assert read_jsonl(tmp_path / "rows.jsonl") == rows
    assert (tmp_path / "rows.jsonl").read_bytes().count(b"\n") == 2
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    "data, line",
    [
        (b'{"a": 1}\n{"a"\n{"a": 2}\n', 2),
        (b'{"a": 1}\n{"a": 2', 2),
        (b"\n", 1),
        (b'{"a": 1}\n\n{"a": 2}\n', 2),
    ],
)
def test_an_unreadable_row_is_told_by_its_line(tmp_path, data, line):
    (tmp_path / "rows.jsonl").write_bytes(data)
    with pytest.raises(RecordError, match=rf"rows.jsonl line {line} is not whole JSON"):
        read_jsonl(tmp_path / "rows.jsonl")


def test_a_row_that_is_no_text_is_told_by_its_line_as_well(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(b'{"a": 1}\n{"a": "\xff"}\n')
    with pytest.raises(RecordError, match="rows.jsonl line 2"):
        read_jsonl(tmp_path / "rows.jsonl")


def test_a_missing_file_of_rows_is_told(tmp_path):
    with pytest.raises(RecordError, match="rows.jsonl is missing"):
        read_jsonl(tmp_path / "rows.jsonl")


LAST = dump({"a": "\u2212\U0001f600"}).encode()


@pytest.mark.parametrize("cut", range(len(LAST)))
def test_a_last_row_cut_at_any_byte_is_left_out_where_that_is_tolerated(tmp_path, cut):
    (tmp_path / "rows.jsonl").write_bytes(b'{"a": 1}\n' + LAST[:cut])
    assert read_jsonl(tmp_path / "rows.jsonl", tolerate_cut=True) == [{"a": 1}]


def test_a_damaged_row_in_the_middle_is_not_tolerated(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(b'{"a"\n{"a": 1}\n{"a')
    with pytest.raises(RecordError, match="line 1"):
        read_jsonl(tmp_path / "rows.jsonl", tolerate_cut=True)


def test_a_machine_without_git_names_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert runs.commit() == {"commit": None, "dirty": None}
