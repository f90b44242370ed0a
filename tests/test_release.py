"""A release refuses what nobody could trust later, and copies the rest unchanged."""

import fcntl
import gzip
import json
import os

import pytest
import yaml

from ponder import runs
from ponder.errors import UserError
from ponder.hashing import file_sha256
from ponder.release import release
from ponder.report import released
from ponder.runs import dump, write_jsonl


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A finished evaluate run in <tmp>/outputs of a repository rooted at <tmp>."""
    monkeypatch.setattr(release, "ROOT", tmp_path)
    folder = tmp_path / "outputs" / "evaluate" / "cpu-trained-free-test-0123abcd"
    folder.mkdir(parents=True)
    (tmp_path / "logs").mkdir()
    write_jsonl(folder / "samples.jsonl", [{"id": "a", "correct": True}])
    status = {
        "schema": 1,
        "stage": "evaluate",
        "name": folder.name,
        "status": "completed",
        "commits": [{"commit": "c", "dirty": False}],
    }
    (folder / "config.yaml").write_text("{}\n")
    (folder / "status.json").write_text(dump(status))
    seal(folder)
    return folder


def seal(folder):
    """Write the manifest that fits the folder's files."""
    files = {
        p.relative_to(folder).as_posix(): {"sha256": file_sha256(p), "bytes": p.stat().st_size}
        for p in folder.rglob("*")
        if p.is_file() and p.name != "manifest.json"
    }
    (folder / "manifest.json").write_text(dump({"schema": 1, "files": files}))


def test_a_finished_run_is_copied_byte_for_byte(finished, tmp_path):
    release.main(str(finished))
    copy = tmp_path / "logs" / "evaluate" / finished.name
    assert {p.name: p.read_bytes() for p in copy.iterdir()} == {
        p.name: p.read_bytes() for p in finished.iterdir()
    }


def test_a_released_folder_never_changes(finished, capsys):
    release.main(str(finished))
    with pytest.raises(SystemExit) as stop:
        release.main(str(finished))
    assert stop.value.code == 2 and "never change" in capsys.readouterr().err


def test_every_reading_of_test_is_released_once(finished, tmp_path):
    readings = finished.parent.parent / "test-readings.jsonl"
    write_jsonl(readings, [{"run": finished.name}, {"run": "cpu-abandoned-00000000"}])
    release.copy_readings(readings)
    release.copy_readings(readings)
    assert len((tmp_path / "logs" / "test-readings.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("status", ["failed", "running"])
def test_a_failed_or_abandoned_run_is_released_with_all_it_wrote_and_a_manifest(
    finished, tmp_path, status
):
    unfinished(finished)
    record = json.loads((finished / "status.json").read_text())
    record |= {"status": status, "reason": "it broke", "inputs": {"a": "b"}}
    (finished / "status.json").write_text(dump(record))
    write_jsonl(finished / "generations.jsonl", [{"scratch": True}])
    release.main(str(finished))
    copy = tmp_path / "logs" / "evaluate" / finished.name
    files = json.loads((copy / "manifest.json").read_text())["files"]
    assert {p.name for p in copy.iterdir()} == {
        "samples.jsonl",
        "config.yaml",
        "status.json",
        "manifest.json",
    }
    assert len(files) == 3
    assert all(file_sha256(copy / name) == entry["sha256"] for name, entry in files.items())


def test_a_run_that_is_being_written_is_not_released(finished):
    lock = os.open(finished, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(UserError, match="being written"):
        release.checked(finished)
    os.close(lock)


# --- what may be passed on -------------------------------------------------------------


TERMS = {
    "licence": "Some API terms",
    "reading": "allowed",
    "text": None,
    "quoted": "do not compete",
    "source": "a page",
    "why": "as read",
}


def collected(tmp_path, reading="allowed", **pool):
    """A finished collect run whose teacher's terms read like this."""
    folder = tmp_path / "outputs" / "collect" / "cpu-0123abcd"
    folder.mkdir(parents=True)
    config = {
        "teacher": {"name": "a model", "terms": TERMS | {"reading": reading}},
        "questions": {"kind": "drawn", "name": "cpu", **pool},
    }
    (folder / "config.yaml").write_text(dump(config))
    write_jsonl(folder / "train.jsonl", [{"id": "a"}])
    (folder / "calls.jsonl.gz").write_bytes(gzip.compress(b"{}\n", mtime=0))
    status = {
        "schema": 1,
        "stage": "collect",
        "name": folder.name,
        "status": "completed",
        "inputs": {},
        "commits": [{"commit": "c", "dirty": False}],
    }
    (folder / "status.json").write_text(dump(status))
    seal(folder)
    return folder


def refused(capsys, *arguments):
    """Return what a release that is refused says."""
    with pytest.raises(SystemExit) as stop:
        release.main(*arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_an_allowed_data_set_is_released_with_its_terms(finished, tmp_path):
    release.main(str(collected(tmp_path)))
    manifest = json.loads((tmp_path / "data/cpu/cpu/manifest.json").read_text())
    assert (
        set(manifest["files"]) == {"train.jsonl", "calls.jsonl.gz"}
        and manifest["terms"] == TERMS
        and "override" not in manifest
    )
    assert {p.name for p in (tmp_path / "logs/collect/cpu-0123abcd").iterdir()} == {
        "config.yaml",
        "manifest.json",
        "released.json",
        "status.json",
    }


@pytest.mark.parametrize("reading", ["restricted", "unclear"])
def test_terms_that_do_not_allow_it_refuse_a_release_and_name_the_clause(
    finished, tmp_path, capsys, reading
):
    message = refused(capsys, str(collected(tmp_path, reading)))
    assert reading in message and '"do not compete"' in message
    assert "OVERRIDE=logs/decisions/" in message
    assert not (tmp_path / "data").exists() and not (tmp_path / "logs/collect").exists()


def test_an_override_leaves_its_decision_record_in_the_manifest(finished, tmp_path, capsys):
    name = "logs/decisions/0099-all-the-same.md"
    folder, record = collected(tmp_path, "restricted"), tmp_path / name
    assert "no decision record" in refused(capsys, str(folder), name)
    record.parent.mkdir()
    record.write_text("why")
    release.main(str(folder), name)
    override = json.loads((tmp_path / "data/cpu/cpu/manifest.json").read_text())["override"]
    assert override["decision"] == name and override["sha256"] == file_sha256(record)
    assert "do not compete" in override["refused"]


def test_sources_whose_revision_nobody_read_are_not_released(finished, tmp_path, capsys):
    web = yaml.safe_load((runs.ROOT / "conf/questions/s1-59k.yaml").read_text())
    message = refused(capsys, str(collected(tmp_path, **web)))
    assert "at a revision nobody has read" in message
    assert "python -m ponder.release.revisions conf/questions/s1-59k.yaml" in message


def test_weights_are_released_after_the_rows_they_were_trained_on(finished, tmp_path, capsys):
    folder = tmp_path / "outputs" / "train" / "cpu-0123abcd"
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
    rows = collected(tmp_path)
    status = json.loads((rows / "status.json").read_text())
    inputs = {"train.jsonl": file_sha256(rows / "train.jsonl")}
    (folder / "status.json").write_text(dump(status | {"stage": "train", "inputs": inputs}))
    (folder / "config.yaml").write_text("{}\n")
    seal(folder)
    assert "release its collect run first" in refused(capsys, str(folder))
    release.main(str(rows))
    release.main(str(folder))
    assert (tmp_path / "data/cpu/cpu/adapter/adapter_model.safetensors").read_bytes() == b"weights"


def test_a_secret_in_a_packed_file_is_found(finished, tmp_path, capsys):
    folder = collected(tmp_path)
    (folder / "calls.jsonl.gz").write_bytes(gzip.compress(b"Authorization: sk-" + b"a" * 30))
    seal(folder)
    assert "names a machine" in refused(capsys, str(folder))


def unfinished(folder):
    (folder / "manifest.json").unlink()


def dirty(folder):
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(
        dump(status | {"commits": [{"commit": "c", "dirty": True}]})
    )
    seal(folder)


def edited(folder):
    (folder / "samples.jsonl").write_text("{}\n")


def too_large(folder):
    (folder / "stdout.log").write_bytes(b"x" * (release.MEGABYTES * 2**20 + 1))
    seal(folder)


def private(folder):
    (folder / "stdout.log").write_text("saved to /home/someone/outputs\n")
    seal(folder)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (unfinished, "killed while its"),
        (dirty, "uncommitted"),
        (edited, "its manifest"),
        (too_large, "at most 5"),
        (private, "names a machine"),
    ],
)
def test_a_run_that_cannot_be_trusted_is_refused(finished, spoil, message):
    spoil(finished)
    with pytest.raises(UserError, match=message):
        release.checked(finished)


def test_a_row_of_the_table_needs_exactly_one_completed_run(finished, tmp_path):
    logs = tmp_path / "outputs"
    assert released.run_folder("evaluate", "cpu-trained-free-test", logs) == finished
    for label in ("cpu-trained-free", "cpu-trained-cap16-test"):
        with pytest.raises(UserError, match="0 times"):
            released.run_folder("evaluate", label, logs)


def test_every_row_of_the_table_is_a_label_of_its_own():
    rows = released.rows()
    assert len({row.label for row in rows}) == len(rows)
    assert len({row.run_label("test") for row in rows}) == len(rows)
    assert sum(row.main for row in rows) >= 8


def test_weights_that_are_too_large_are_left_out_and_said_to_be(finished, tmp_path, capsys):
    folder = collected(tmp_path)
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(
        b"x" * (release.WEIGHT_MEGABYTES * 2**20 + 1)
    )
    seal(folder)
    release.main(str(folder))
    record = json.loads((tmp_path / "logs/collect/cpu-0123abcd/released.json").read_text())
    assert list(record["left_out"]) == ["adapter/adapter_model.safetensors"]
    assert "train.jsonl" in record["moved"]
    assert not list((tmp_path / "data").rglob("*.safetensors"))
    assert "left out adapter/adapter_model" in capsys.readouterr().out
