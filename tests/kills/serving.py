"""An evaluation by vLLM whose client and server are killed with kill -9 at random moments.

    # 20 kills, five of them of the server, whose start takes longest
    PYTHONPATH=tests python tests/kills/serving.py outputs/merged
    PYTHONPATH=tests python tests/kills/serving.py outputs/merged --kills 4 --servers 2 --limit 1

The folder is a model that `python -m ponder.release.merge` wrote; vLLM is started on it by
`python -m ponder.serve_vllm`. A sweep of free, cap16 and wait1 on the first dev questions of each
family, once undisturbed, once with kills that are spread over its answers. After one of the client
the same command is given again; after one of the server the client must end by itself, with a
sentence, and then both are started again. Every file that a run promises to make again must be the
bytes of the undisturbed run, and nothing else may be left. Exits with 1 unless all are.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from conftest import ROOT
from kills.evaluation import answers_in, kept, until
from servers import free_port, vllm_serve

SETTINGS = (
    "experiment=cpu",
    "subject.adapter=data/cpu/cpu/adapter",
    "sweep=[free,cap16,wait1]",
    "client.concurrency=2",  # at most so many answers are lost at a kill
    "client.attempts=1",  # a server that is gone is told at once
)
LOST = "see that it runs, and the same command goes on from what is kept"


class Server:
    """vLLM on a folder at one port, which can be killed and started again."""

    def __init__(self, folder, log):
        self.folder, self.log, self.port = folder, log, free_port()
        self.stack = contextlib.ExitStack()

    def start(self):
        """Start it and wait until it answers."""
        serving = vllm_serve(self.folder, self.log, port=self.port)
        self.process, self.url, self.name = self.stack.enter_context(serving)

    def kill(self):
        """Kill all its processes."""
        self.stack.close()


def client(server, out, words):
    """Start the evaluation as a process of its own, with some words of its command line."""
    engine = ("engine=server", f"engine.url={server.url}", f"engine.model={server.name}")
    words = (*words, *engine, "wandb=disabled", f"out={out}")
    return subprocess.Popen(
        [sys.executable, "evaluate.py", *words],
        cwd=ROOT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def ended(process, *codes):
    """Return what a process told when it ended; raises RuntimeError for another exit code."""
    _, told = process.communicate(timeout=600)
    if process.returncode not in codes:
        raise RuntimeError(f"the client left with {process.returncode}:\n{told[-2000:]}")
    return told


def undisturbed(server, out, words):
    """Return ({name: bytes} of the files of an evaluation without kills, its answers)."""
    ended(client(server, out, words), 0)
    files = kept(out)
    samples = [data for name, data in files.items() if name.endswith("/samples.jsonl")]
    return files, sum(data.count(b"\n") for data in samples)


def prepared(base, name):
    """Return a new folder for runs under `base` that shares this checkout's base models."""
    out = base / name
    out.mkdir()
    (out / "models").symlink_to(ROOT / "outputs" / "models")
    return out


def killed(server, out, words, answers, victims, rng, say=lambda text: None):
    """Evaluate with a kill of each of the victims in turn; return how many starts went on."""
    process, resumed = client(server, out, words), 0
    for number, victim in enumerate(victims, start=1):
        # What was under way is lost, so that the next kill comes some answers later.
        wanted = max(answers * number // (len(victims) + 1), sum(answers_in(out)[0]) + 1)
        until(process, lambda wanted=wanted: sum(answers_in(out)[0]) >= wanted, 0.02)
        time.sleep(rng.random() / 2)
        if process.poll() is not None:
            raise RuntimeError(f"it was finished before kill {number}: ask more questions")
        if victim == "client":
            process.kill()
            ended(process, -signal.SIGKILL)
        else:
            server.kill()
            told = ended(process, 2)
            assert LOST in told, told
            server.start()
        here = sum(answers_in(out)[0])
        resumed += here > 0
        say(f"kill {number} of {len(victims)}, the {victim}: {here} of {answers} answers kept")
        process = client(server, out, words)
    ended(process, 0)
    return resumed


def differences(whole, found):
    """Return (names of files that differ, samples that differ, samples) of two runs' files."""
    names = sorted(name for name in whole | found if whole.get(name) != found.get(name))
    samples = [name for name in whole if name.endswith("/samples.jsonl")]
    rows = [(whole[name].splitlines(), found.get(name, b"").splitlines()) for name in samples]
    apart = sum(one != other for pair in rows for one, other in zip(*pair))
    return names, apart, sum(len(one) for one, _ in rows)


def main():
    """Print what became of each kill; return 1 unless all files are as without kills."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a model that ponder.release.merge wrote")
    parser.add_argument("--kills", type=int, default=20, help="of client and server together (20)")
    parser.add_argument("--servers", type=int, default=5, help="of these, of the server (5)")
    parser.add_argument("--limit", type=int, default=4, help="questions of each family (4)")
    parser.add_argument("--seed", type=int, default=0, help="draws the moments and the order")
    asked = parser.parse_args()
    rng = random.Random(f"kill serving/{asked.seed}")
    victims = ["server"] * asked.servers + ["client"] * (asked.kills - asked.servers)
    rng.shuffle(victims)
    began = time.monotonic()

    def say(text):
        print(f"{time.monotonic() - began:.0f} s: {text}", flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch)
        server = Server(asked.folder, base / "log")
        with contextlib.closing(server.stack):
            server.start()
            say(f"{server.name} answers")
            words = (*SETTINGS, f"benchmark.limit={asked.limit}")
            whole, answers = undisturbed(server, prepared(base, "straight"), words)
            say(f"undisturbed: {answers} answers")
            out = prepared(base, "killed")
            resumed = killed(server, out, words, answers, victims, rng, say)
            names, apart, count = differences(whole, kept(out))
    say(
        f"{asked.kills} kills, {asked.servers} of the server; {resumed} starts went on from answers"
    )
    say(f"{count - apart} of {count} samples are those of the undisturbed run")
    say(f"files that differ: {json.dumps(names)}")
    return int(bool(names))


if __name__ == "__main__":
    sys.exit(main())
