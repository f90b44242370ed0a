"""Jobs of -m in processes of Hydra's launchers: they finish, and fail aloud."""

import importlib.util
import os
import subprocess
import sys

import pytest
from conftest import ROOT

from ponder.terminal import cli

FOLDER = "hydra.launcher.submitit_folder={}/.submitit"


def ran(out, launcher, *words):
    """Return what collect.py -m of the smoke experiment did under a launcher."""
    name = f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher"
    if not importlib.util.find_spec("hydra_plugins") or not importlib.util.find_spec(name):
        pytest.skip("Hydra's launchers are not installed: make launch")
    command = [sys.executable, "collect.py", "-m", "experiment=smoke", f"out={out}"]
    command += ["wandb=disabled", f"hydra/launcher={launcher}", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_both_jobs_finish_side_by_side(launcher, tmp_path):
    words = [FOLDER.format(tmp_path)] if launcher == "submitit_local" else []
    ended = ran(tmp_path, launcher, "name=one,two", *words)
    assert ended.returncode == 0, ended.stderr
    assert sorted(path.name[:3] for path in (tmp_path / "collect").iterdir()) == ["one", "two"]
    assert not list(tmp_path.rglob("*%j*"))


def test_a_job_that_fails_in_its_process_fails_the_command(tmp_path):
    ended = ran(tmp_path, "submitit_local", "name=one,a/b", FOLDER.format(tmp_path))
    assert ended.returncode != 0 and "a/b" in ended.stderr


def test_in_a_process_of_a_launcher_an_error_is_raised(monkeypatch):
    def fails(cfg):
        raise ValueError("no")

    jobs = cli._Jobs(fails, None)
    monkeypatch.setattr(os, "getpid", lambda: jobs.process + 1)
    with pytest.raises(ValueError, match="no"):
        jobs._run({})
    assert not jobs.failures and jobs.error is None
