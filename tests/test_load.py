"""A busy machine is told of in a sentence when training or decoding starts."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

from ponder.terminal import load


@pytest.mark.parametrize(
    ("now", "cores", "warned"), [(2.0, 2, False), (2.4, 2, True), (9, 16, False)]
)
def test_more_load_than_cores_is_told(now, cores, warned, monkeypatch):
    monkeypatch.setattr(load, "CORES", cores)
    monkeypatch.setattr(os, "getloadavg", lambda: (now, 0.0, 0.0))
    sentence = load.warning()
    assert bool(sentence) == warned
    if warned:
        assert "load of this machine is 2.4 on 2 cores" in sentence and "\n" not in sentence


def test_a_system_that_does_not_say_is_no_reason_to_warn(monkeypatch):
    def unknown():
        raise OSError

    monkeypatch.setattr(os, "getloadavg", unknown)
    assert load.warning() == ""


@pytest.mark.parametrize(
    ("environment", "spins"),
    [
        ({}, str(load.SPINS)),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "active"}, None),
        ({"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "7"}, "7"),
    ],
)
def test_threads_sleep_soon_unless_the_environment_says_how(environment, spins, monkeypatch):
    monkeypatch.setattr(os, "environ", dict(environment))
    load.wait_briefly()
    assert os.environ.get("GOMP_SPINCOUNT") == spins


def test_a_script_says_so_before_torch_is_imported():
    code = (
        "import sys; from ponder.terminal import cli, load; "
        "load.wait_briefly = lambda: print('torch' in sys.modules); "
        "sys.argv = ['train.py', '--cfg', 'job']; cli.command('train')(lambda cfg: None)()"
    )
    environment = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT
    )
    assert done.stdout.startswith("False\n"), done.stderr
