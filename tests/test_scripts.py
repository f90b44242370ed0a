"""The three real commands, as a user types them."""

from conftest import SMOKE, collected, command, study_of

from ponder import stages


def test_collect_works_without_reasoning_gym_and_says_finished_the_second_time(tmp_path):
    (tmp_path / "stub").mkdir()
    (tmp_path / "stub/reasoning_gym.py").write_text(
        "raise ImportError('this test has no reasoning_gym')\n"
    )
    arguments = (*SMOKE, f"out={tmp_path}/out")
    for words in ("collect smoke-", "finished before, nothing to do"):
        done = command("collect", *arguments, env={"PYTHONPATH": f"{tmp_path}/stub"})
        assert done.returncode == 0, done.stderr
        assert words in done.stdout
    assert stages.collect_run(study_of(*arguments)).finished


def test_a_sweep_over_seeds_makes_a_folder_each_and_says_finished_the_second_time(tmp_path):
    plans = [collected(tmp_path, f"seed={seed}") for seed in (0, 1)]
    for _ in range(2):
        done = command("train", "-m", *SMOKE, "seed=0,1", f"out={tmp_path}")
        assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished before, nothing to do") == 2
    runs = [stages.train_run(plan) for plan in plans]
    assert all(run.finished for run in runs)
    assert sorted(p.name for p in (tmp_path / "train").iterdir()) == sorted(
        run.name for run in runs
    )
    assert (
        len({(run.folder / "adapter/adapter_model.safetensors").read_bytes() for run in runs}) == 2
    )


def test_without_an_experiment_nothing_runs(tmp_path):
    done = command(
        "collect", f"out={tmp_path}", "model=pocket", "wandb=disabled", "selection.max_tokens=400"
    )
    assert done.returncode == 2 and "name is missing" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_stages_name_the_one_that_comes_before(tmp_path):
    done = command("train", *SMOKE, f"out={tmp_path}")
    assert done.returncode == 2
    assert f"make it with: python collect.py {' '.join(SMOKE)} out={tmp_path}" in done.stderr
