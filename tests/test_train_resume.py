"""Training twice, or killed and started again, gives the same bytes."""

import json
import os
import resource
import shutil

import pytest
from conftest import ROOT, SMOKE, collected, command, composed, script, study_of, trained

from ponder import stages
from ponder.errors import UserError
from ponder.runs import read_jsonl, write_jsonl
from ponder.train import sft

FILES = (
    "metrics.jsonl",
    "batches.jsonl",
    "adapter/adapter_model.safetensors",
    "adapter/adapter_config.json",
)


def bytes_of(run):
    return {name: (run.folder / name).read_bytes() for name in FILES}


class Killed(BaseException):
    """What stops a run in this process without giving it time to tidy up."""


def stopped(plan, after, monkeypatch):
    """Train and stop within the step that follows step `after`; return the run as it is then."""
    real, run = sft.check_finite, stages.train_run(plan)

    def stop(loss, norm, step):
        if step == after + 1:
            raise Killed
        real(loss, norm, step)

    monkeypatch.setattr(sft, "check_finite", stop)
    with pytest.raises(Killed):
        trained(plan)
    monkeypatch.undo()
    monkeypatch.chdir(ROOT)
    return run


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The smoke training, run straight through."""
    os.chdir(ROOT)
    return trained(collected(tmp_path_factory.mktemp("straight")))


@pytest.fixture
def plan(tmp_path):
    return collected(tmp_path)


def test_two_runs_give_the_same_bytes(straight, plan):
    again = trained(plan)
    assert again.name == straight.name and again.folder != straight.folder
    assert bytes_of(again) == bytes_of(straight)


def test_training_writes_a_row_per_step_and_leaves_no_checkpoint(straight):
    steps = read_jsonl(straight.folder / "metrics.jsonl")
    assert [row["step"] for row in steps] == [1, 2, 3]
    assert [len(row["ids"]) for row in read_jsonl(straight.folder / "batches.jsonl")] == [8, 8, 8]
    assert not list(straight.folder.glob("checkpoint*"))


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_run_stopped_after_any_step_goes_on_to_the_same_bytes(straight, plan, monkeypatch, after):
    run = stopped(plan, after, monkeypatch)
    assert [place.name for place in run.folder.glob("checkpoint*")] == (
        [f"checkpoint-{after}"] if after else []
    )
    assert bytes_of(trained(plan)) == bytes_of(straight)


def test_a_run_stopped_between_checkpoints_repeats_the_steps_since(
    plan, tmp_path_factory, monkeypatch
):
    os.chdir(ROOT)
    changed = ("train.checkpoint_steps=2",)
    rare = study_of(*SMOKE, f"out={plan.out}", *changed)
    other = collected(tmp_path_factory.mktemp("rare"), *changed)
    run = stopped(rare, 1, monkeypatch)
    assert len(read_jsonl(run.folder / "metrics.jsonl")) == 1
    assert not list(run.folder.glob("checkpoint*"))
    assert bytes_of(trained(rare)) == bytes_of(trained(other))


@pytest.mark.parametrize(
    "tail", [b'{"step": 2, "lo', b'{"step": 2, "loss": 1.0}\n{"st', b'{"step": 2, "loss": 1.0}\n']
)
def test_a_cut_last_line_of_metrics_is_recovered(straight, plan, monkeypatch, tail):
    run = stopped(plan, 1, monkeypatch)
    with open(run.folder / "metrics.jsonl", "ab") as file:
        file.write(tail)
    assert bytes_of(trained(plan)) == bytes_of(straight)


def test_a_cut_last_line_of_timing_is_recovered(straight, plan, monkeypatch):
    run = stopped(plan, 1, monkeypatch)
    with open(run.folder / "timing.jsonl", "ab") as file:
        file.write(b'{"seconds": 0.1, "st')
    assert bytes_of(trained(plan)) == bytes_of(straight)


def test_a_damaged_checkpoint_is_told_and_deleting_it_starts_again(straight, plan, monkeypatch):
    run = stopped(plan, 2, monkeypatch)
    folder = run.folder / "checkpoint-2"
    path = folder / "shard-0-of-1.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        UserError,
        match="shard-0-of-1.safetensors cannot be read.*delete .*checkpoint-2 to start again",
    ):
        trained(plan)
    shutil.rmtree(folder)
    assert bytes_of(trained(plan)) == bytes_of(straight)


def test_a_checkpoint_of_another_run_is_told(plan, monkeypatch):
    other = study_of(*SMOKE, f"out={plan.out}", "train.lr=1e-4")
    foreign, run = stopped(other, 1, monkeypatch), stopped(plan, 1, monkeypatch)
    shutil.rmtree(run.folder / "checkpoint-1")
    (foreign.folder / "checkpoint-1").rename(run.folder / "checkpoint-1")
    sentence = f"belongs to run '{foreign.name}', not '{run.name}'; delete"
    with pytest.raises(UserError, match=sentence):
        trained(plan)


def test_what_a_kill_left_half_written_is_no_checkpoint_and_goes_away(straight, plan, monkeypatch):
    run = stopped(plan, 1, monkeypatch)
    shutil.copytree(run.folder / "checkpoint-1", run.folder / "checkpoint-2.part")
    (run.folder / "adapter/part").mkdir(parents=True)
    (run.folder / "adapter/part/.tmp").write_bytes(b"half")
    assert bytes_of(trained(plan)) == bytes_of(straight)
    left = {place.relative_to(run.folder).as_posix() for place in run.folder.rglob("*")}
    assert not [name for name in left if "part" in name or "checkpoint" in name]
    assert left - {"adapter", "manifest.json"} == set(
        json.loads((run.folder / "manifest.json").read_text())["files"]
    )


def test_a_checkpoint_whose_metrics_are_lost_is_told(plan, monkeypatch):
    run = stopped(plan, 2, monkeypatch)
    metrics = run.folder / "metrics.jsonl"
    rows = read_jsonl(metrics)
    for left in (rows[1:], rows[:1], []):
        write_jsonl(metrics, left)
        with pytest.raises(
            UserError,
            match="has not one row for each of the 2 steps.*delete .*checkpoint-2 to start again",
        ):
            trained(plan)
        assert read_jsonl(metrics) == left


def test_a_disk_that_fills_up_is_one_sentence_and_the_same_command_goes_on(straight, plan):
    run = stages.train_run(plan)

    def limit_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))

    result = command("train", *SMOKE, f"out={plan.out}", preexec_fn=limit_files)
    assert result.returncode == 2, result.stderr
    assert result.stderr.endswith(
        f"error: the checkpoint after step 1 cannot be written to {run.folder} (File too large); "
        "free some space, and the same command goes on from the start\n"
    )
    assert "Traceback" not in result.stderr and not list(run.folder.glob("checkpoint*"))
    assert bytes_of(trained(plan)) == bytes_of(straight)


def test_the_seed_changes_the_training(straight, plan):
    other = collected(plan.out, "seed=1")
    run = trained(other)
    assert run.name != straight.name
    assert bytes_of(run)["metrics.jsonl"] != bytes_of(straight)["metrics.jsonl"]


def test_a_training_without_collected_rows_is_told_what_to_run(tmp_path):
    with pytest.raises(
        UserError,
        match="train.jsonl is missing or not finished; make it with: python collect.py experiment=",
    ):
        stages.train_run(study_of(*SMOKE, f"out={tmp_path}"))


def test_a_script_turns_a_user_error_into_exit_code_2(tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        script("train").main(composed(*SMOKE, f"out={tmp_path}"))
    assert left.value.code == 2 and capsys.readouterr().err.startswith("error: ")


def test_what_a_kill_left_beside_a_manifest_goes_when_the_finished_run_is_asked_for_again(
    straight, plan
):
    again = trained(plan)
    left = again.folder / "checkpoint-2"
    left.mkdir()
    (left / "shard-0-of-1.safetensors").write_bytes(b"x")
    script("train").main(composed(*SMOKE, f"out={plan.out}"))
    assert not left.exists() and bytes_of(again) == bytes_of(straight)
