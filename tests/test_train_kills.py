"""The short form of tests/kills/training.py.

Trainings killed with kill -9 at random moments end in identical weights.
"""

from kills.training import STEPS, kept, kill_all

from ponder.runs import dump


def test_trainings_killed_at_random_moments_end_in_the_files_of_a_straight_run(tmp_path):
    results = kill_all(tmp_path, runs=1)
    assert [result["differs"] for result in results] == [[]]
    assert all(result["moments"] for result in results), "a run was never killed"


def test_what_a_kill_leaves_behind_counts_as_a_difference(tmp_path):
    (tmp_path / "status.json").write_text(dump({"status": "completed"}))
    (tmp_path / "metrics.jsonl").write_text("a\n")
    whole = kept(tmp_path)
    assert whole == {"metrics.jsonl": b"a\n"}
    (tmp_path / f"checkpoint-{STEPS}.part").mkdir()
    assert kept(tmp_path) != whole
