"""A release refuses what nobody could trust later, and copies the rest unchanged."""
import json

import pytest

from ponder import release, released
from ponder.config import ConfigError
from ponder.models import file_sha256
from ponder.runs import dump, write_jsonl


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A finished evaluate run in <tmp>/outputs of a repository rooted at <tmp>."""
    monkeypatch.setattr(release, "ROOT", tmp_path)
    folder = tmp_path / "outputs" / "evaluate" / "cpu-trained-free-test-0123abcd"
    folder.mkdir(parents=True)
    (tmp_path / "logs").mkdir()
    write_jsonl(folder / "samples.jsonl", [{"id": "a", "correct": True}])
    status = {"schema": 1, "stage": "evaluate", "name": folder.name, "status": "completed",
              "commits": [{"commit": "c", "dirty": False}]}
    (folder / "status.json").write_text(dump(status))
    seal(folder)
    return folder


def seal(folder):
    """Write the manifest that fits the folder's files."""
    files = {p.name: {"sha256": file_sha256(p), "bytes": p.stat().st_size} for p in folder.iterdir() if p.name != "manifest.json"}
    (folder / "manifest.json").write_text(dump({"schema": 1, "files": files}))


def test_a_finished_run_is_copied_byte_for_byte(finished, tmp_path):
    release.main(str(finished))
    copy = tmp_path / "logs" / "evaluate" / finished.name
    assert {p.name: p.read_bytes() for p in copy.iterdir()} == {p.name: p.read_bytes() for p in finished.iterdir()}


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


def unfinished(folder):
    (folder / "manifest.json").unlink()


def dirty(folder):
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(dump(status | {"commits": [{"commit": "c", "dirty": True}]}))
    seal(folder)


def edited(folder):
    (folder / "samples.jsonl").write_text("{}\n")


def too_large(folder):
    (folder / "stdout.log").write_bytes(b"x" * (release.MEGABYTES * 2**20 + 1))
    seal(folder)


def private(folder):
    (folder / "stdout.log").write_text("saved to /home/someone/outputs\n")
    seal(folder)


@pytest.mark.parametrize("spoil, told", [(unfinished, "no finished run"), (dirty, "uncommitted code"), (edited, "its manifest"),
                                         (too_large, "at most 5"), (private, "names a machine")])
def test_a_run_that_cannot_be_trusted_is_refused(finished, spoil, told):
    spoil(finished)
    with pytest.raises(ConfigError, match=told):
        release.checked(finished)


def test_a_row_of_the_table_needs_exactly_one_completed_run(finished, tmp_path):
    logs = tmp_path / "outputs"
    assert released.run_folder("evaluate", "cpu-trained-free-test", logs) == finished
    for label in ("cpu-trained-free", "cpu-trained-cap16-test"):
        with pytest.raises(ConfigError, match="0 times"):
            released.run_folder("evaluate", label, logs)


def test_every_row_of_the_table_is_a_label_of_its_own():
    rows = released.rows()
    assert len({row.label for row in rows}) == len({row.run_label("test") for row in rows}) == len(rows)
    assert sum(row.main for row in rows) >= 8
