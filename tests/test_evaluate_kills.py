"""The short form of tests/kills/evaluation.py: killed evaluations end in the same samples."""

import pytest
from kills.evaluation import ARMS, LATE, Straight, answers_in, kept, kill_all, moment

from ponder.runs import dump


def test_evaluations_killed_at_random_moments_end_in_the_files_of_a_straight_run(tmp_path):
    results = kill_all(tmp_path, runs=1)
    arms = [*ARMS][:1]
    assert [(result["arm"], result["differs"]) for result in results] == [(arm, []) for arm in arms]
    assert all(set(result["moments"]) - {LATE} for result in results), (
        "a run was never killed before it was finished"
    )


def written(out, **files):
    """Make the folder of a finished run under `out`, with an empty manifest, and return `out`."""
    folder = out / "evaluate" / "run"
    folder.mkdir(parents=True)
    usual = {
        "status": dump({"status": "completed"}),
        "manifest": dump({"files": {}}),
        "timing": "1\n",
    }
    for name, text in (usual | files).items():
        suffix = "jsonl" if name in ("samples", "generations", "timing") else "json"
        (folder / f"{name}.{suffix}").write_text(text)
    return out


def test_another_sample_a_file_left_behind_and_another_manifest_count_as_differences(tmp_path):
    whole = kept(written(tmp_path / "whole", samples="a\n"))
    assert whole == {"run/samples.jsonl": b"a\n", "run/manifest.json": b"{}\n"}
    assert kept(written(tmp_path / "clocks", samples="a\n", timing="2\n")) == whole
    entries = {"samples.jsonl": {"sha256": "b", "reproducible": True}}
    for name, files in {
        "other": {"samples": "b\n"},
        "left": {"samples": "a\n", "generations": "a\n"},
        "manifest": {"samples": "a\n", "manifest": dump({"files": entries})},
    }.items():
        assert kept(written(tmp_path / name, **files)) != whole, name
    with pytest.raises(AssertionError):
        kept(written(tmp_path / "running", samples="a\n", status=dump({"status": "running"})))


def test_the_moment_of_a_kill_is_read_from_the_files_that_it_left(tmp_path):
    whole, folders = Straight({}, folders=2, answers=4, start=1, block=1, end=1), []
    assert moment(tmp_path, whole) == "before the first block"
    for name in ("one", "other"):
        folders.append(tmp_path / "evaluate" / name)
        folders[-1].mkdir(parents=True)
        (folders[-1] / "generations.jsonl").write_text("a\n")
        if name == "one":
            assert moment(tmp_path, whole) == "while a block was kept"
    assert moment(tmp_path, whole) == "in a block"
    with open(folders[0] / "generations.jsonl", "a") as file:
        file.write('{"cut')
    assert (
        answers_in(tmp_path) == ([1, 1], True)
        and moment(tmp_path, whole) == "while a block was kept"
    )
    for folder in folders:
        (folder / "generations.jsonl").write_text("a\na\n")
    assert moment(tmp_path, whole) == "after the last block"
    (folders[0] / "samples.jsonl.part").write_text("a")
    assert moment(tmp_path, whole) == "while results were written"
    for folder, word in zip(folders, ("between two manifests", LATE), strict=True):
        (folder / "manifest.json").write_text("{}")
        assert moment(tmp_path, whole) == word
