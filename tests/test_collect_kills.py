"""The collect stage, killed with kill -9 at random moments, ends in a straight run's bytes."""

import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, SMOKE
from servers import Misbehaving, answer

from ponder.runs import NOT_REPRODUCED, read_jsonl

KILLS = 20
QUESTIONS = 120
SOLVER = (*SMOKE, "wandb=disabled", "questions.limit=600")
SERVER = (
    *SMOKE,
    "wandb=disabled",
    "teacher=openai",
    f"questions.limit={QUESTIONS}",
    "selection=server",
    "selection.keep_wrong=true",
    "client.concurrency=4",
)


def start(out, *overrides):
    """Start collect.py as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "collect.py", *overrides, f"out={out}"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def finish(out, *overrides):
    """Run collect.py to its end; return its folder."""
    process = start(out, *overrides)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-2000:]
    return folder_of(out)


def folder_of(out):
    (folder,) = (out / "collect").iterdir()
    return folder


def bytes_of(folder):
    """Return {file: bytes} of what a run promises to make again."""
    assert json.loads((folder / "status.json").read_text())["status"] == "completed"
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.name not in (*NOT_REPRODUCED, "manifest.json")
    }


@pytest.fixture
def outs(tmp_path, pocket_folder):
    """Two folders for runs, the base model ready in both."""
    folders = []
    for name in ("straight", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "models").symlink_to(pocket_folder.parent)
        folders.append(tmp_path / name)
    return folders


@pytest.mark.slow
def test_programs_killed_at_random_moments_write_the_bytes_of_a_straight_run(outs):
    straight, killed = outs
    began = time.monotonic()
    whole = bytes_of(finish(straight, *SOLVER))
    length, rng, caught = time.monotonic() - began, random.Random("kills/solver"), 0
    for _ in range(10 * KILLS):
        process = start(killed, *SOLVER)
        time.sleep(length * rng.uniform(0.4, 1.0))
        process.kill()
        process.communicate()
        caught += process.returncode == -signal.SIGKILL and (killed / "collect").exists()
        if caught == KILLS:
            break
        if process.returncode == 0:
            shutil.rmtree(folder_of(killed))  # it was faster than the kill
    assert caught == KILLS
    assert bytes_of(finish(killed, *SOLVER)) == whole


def reply(text):
    """Return what the model of these tests says to a text, always the same."""
    rng = random.Random(text)
    return answer(
        content=f"Final Answer: {rng.choice(['north', 'True', '3'])}",
        reasoning="so " * rng.randrange(1, 30),
        wait=0.02,
    )


@pytest.mark.slow
def test_calls_killed_at_random_moments_are_made_once_and_give_the_bytes_of_a_straight_run(outs):
    straight, killed = outs
    rng, process, moment, settled = random.Random("kills/openai"), None, None, {}

    def script(text, nth):
        if moment is not None and len(server.requests) >= moment:
            process.kill()
        return reply(text)

    with Misbehaving(script) as server:
        whole = bytes_of(finish(straight, *SERVER, f"teacher.url={server.url}"))
        assert len(server.counts) == len(server.requests) == QUESTIONS
        server.counts.clear()
        server.requests.clear()
        for _ in range(KILLS):
            moment = len(server.requests) + rng.randrange(1, 9)
            process = start(killed, *SERVER, f"teacher.url={server.url}")
            process.communicate(timeout=300)
            assert process.returncode == -signal.SIGKILL
            for path in (killed / "calls").glob("*.jsonl"):
                for row in read_jsonl(path, tolerate_cut=True):
                    text = row["request"]["messages"][-1]["content"]
                    settled.setdefault(text, server.counts[text])
        moment = None
        assert bytes_of(finish(killed, *SERVER, f"teacher.url={server.url}")) == whole
        assert settled and all(server.counts[text] == count for text, count in settled.items()), (
            "a call that was kept was made again"
        )
        assert set(server.counts) == {
            json.loads(json.loads(line)["request"])["messages"][-1]["content"]
            for line in lines(whole["calls.jsonl.gz"])
        }


def lines(packed):
    """Return the lines of a packed file."""
    return gzip.decompress(packed).decode().splitlines()
