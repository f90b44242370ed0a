"""A busy machine is told of in a sentence when training or decoding starts."""

import os

import pytest

from ponder.terminal import load


@pytest.mark.parametrize(
    ("now", "cores", "warned"), [(2.0, 2, False), (2.4, 2, True), (9, 16, False)]
)
def test_more_load_than_cores_is_told(now, cores, warned, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))
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
