"""Collections of the pocket model's rows, killed with kill -9 at random moments and started again,
against a straight run.

    # each of the two teachers, killed 20 times
    PYTHONPATH=tests python tests/kills/collection.py
    # a few
    PYTHONPATH=tests python tests/kills/collection.py --kills 3

Once the teacher is the programs that solve, once a server, which is killed for by the number of its
calls: a call that was kept must not be made again. Every file that a run promises to make again
must be the bytes of the straight run; an AssertionError says which teacher's are not.
"""

import argparse
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from conftest import ROOT, SMOKE
from servers import Misbehaving, answer

from ponder.runs import NOT_REPRODUCED, read_jsonl

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
    """Return the folder of the one collect run under `out`."""
    (folder,) = (out / "collect").iterdir()
    return folder


def kept(folder):
    """Return {file: bytes} of what a run promises to make again."""
    assert json.loads((folder / "status.json").read_text())["status"] == "completed"
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.name not in (*NOT_REPRODUCED, "manifest.json")
    }


def prepared(base):
    """Return two new folders for runs under `base`, which share its folder `models`."""
    folders = base / "straight", base / "killed"
    (base / "models").mkdir(exist_ok=True)  # or a link to them
    for folder in folders:
        folder.mkdir()
        (folder / "models").symlink_to(base / "models")
    return folders


def programs_killed(base, kills):
    """Collect from programs, killed `kills` times before it is finished."""
    straight, killed = prepared(base)
    began = time.monotonic()
    whole = kept(finish(straight, *SOLVER))
    length, rng, caught = time.monotonic() - began, random.Random("kills/solver"), 0
    for _ in range(10 * kills):
        process = start(killed, *SOLVER)
        time.sleep(length * rng.uniform(0.4, 1.0))
        process.kill()
        process.communicate()
        caught += process.returncode == -signal.SIGKILL and (killed / "collect").exists()
        if caught == kills:
            break
        if process.returncode == 0:
            shutil.rmtree(folder_of(killed))  # it was faster than the kill
    assert caught == kills, f"{caught} of {kills} kills came before the end of a run"
    assert kept(finish(killed, *SOLVER)) == whole, "programs: other bytes than a straight run's"


def reply(text):
    """Return what the model of the server says to a text, always the same."""
    rng = random.Random(text)
    return answer(
        content=f"Final Answer: {rng.choice(['north', 'True', '3'])}",
        reasoning="so " * rng.randrange(1, 30),
        wait=0.02,
    )


def calls_killed(base, kills):
    """Collect from a server, killed `kills` times after one to eight calls more."""
    straight, killed = prepared(base)
    rng, process, moment, settled = random.Random("kills/openai"), None, None, {}

    def script(text, nth):
        if moment is not None and len(server.requests) >= moment:
            process.kill()
        return reply(text)

    with Misbehaving(script) as server:
        asked = (*SERVER, f"teacher.url={server.url}")
        whole = kept(finish(straight, *asked))
        assert len(server.counts) == len(server.requests) == QUESTIONS
        server.counts.clear()
        server.requests.clear()
        for _ in range(kills):
            moment = len(server.requests) + rng.randrange(1, 9)
            process = start(killed, *asked)
            process.communicate(timeout=300)
            assert process.returncode == -signal.SIGKILL
            for path in (killed / "calls").glob("*.jsonl"):
                for row in read_jsonl(path, tolerate_cut=True):
                    text = row["request"]["messages"][-1]["content"]
                    settled.setdefault(text, server.counts[text])
        moment = None
        assert kept(finish(killed, *asked)) == whole, "calls: other bytes than a straight run's"
        assert settled and all(server.counts[text] == count for text, count in settled.items()), (
            "a call that was kept was made again"
        )
        made = gzip.decompress(whole["calls.jsonl.gz"]).decode().splitlines()
        assert set(server.counts) == {
            json.loads(json.loads(line)["request"])["messages"][-1]["content"] for line in made
        }


def main():
    """Print how long each teacher's kills took; an AssertionError ends it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--kills",
        type=int,
        default=20,
        help="of each teacher's collection; 25 at most, for each lets some of 120 calls through",
    )
    asked = parser.parse_args()
    for kill in (programs_killed, calls_killed):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as base:
            kill(Path(base), asked.kills)
        seconds = time.monotonic() - began
        print(f"{kill.__name__}: {asked.kills} kills, {seconds:.0f} s, identical", flush=True)


if __name__ == "__main__":
    sys.exit(main())
