"""The engine `openvino`: rows of Requests (ponder/decode/budget.py) decoded by openvino-genai.

On the CPU, greedily, in float32: arithmetic, keys and values. OpenVINO needs another transformers
than we have, so it stays in an environment of its own (`make openvino`), and a process of it
(ponder/decode/openvino_ids.py) is asked by lines of JSON: a part of a row, as a server is asked
for it (ponder/decode/server.py), each with its own limit, stops and barred tokens. What it says is
read as numbers and checked. The process ends with whoever asks, for then its input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import itertools
import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, NoReturn, TypeVar

from ponder.config import Name, at_least
from ponder.decode import server
from ponder.decode.server import Row
from ponder.errors import ServerError, UserError

VENV = "outputs/openvino-venv"
PACKAGES = ("openvino-genai", "openvino", "openvino-tokenizers", "optimum-intel", "torch")
PROGRAM = Path(__file__).with_name("openvino_ids.py")
# optimum-cli, ended when its input ends: it must not write on for somebody who was killed.
EXPORT = """
import os, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
from optimum.commands.optimum_cli import main
main()
"""
LINE = 2**24  # bytes of a reply at most: a token takes eight of them
TOLD = 200  # characters of what a process said at its end
LEAVE = 30  # seconds that a process may take to end once its output is closed
Said = TypeVar("Said")


@dataclass(frozen=True)
class OpenVinoEngine:
    """openvino-genai in a process of its own on this machine's CPU (conf/engine)."""

    kind: Literal["openvino"]
    name: Name
    precision: Literal["f32"]
    kv_precision: Literal["f32"]
    batched_tokens: int
    cache_gib: int
    prefix_caching: bool

    def __post_init__(self) -> None:
        at_least(1, "engine", self, "batched_tokens", "cache_gib")


# --- its environment, and a model in its form --------------------------------------------


def python_of(venv: str | None) -> Path:
    """Return the Python of OpenVINO's environment, VENV where none is named.

    Raises UserError where there is none, or not all of PACKAGES.
    """
    folder = Path(venv or VENV)
    python = folder / "bin" / "python"
    found = versions(python)
    missing = [name for name in PACKAGES if name not in found]
    if missing or not python.exists():
        raise UserError(
            f"{folder} has no {(*missing, 'bin/python')[0]} in it; `make openvino` makes {VENV}, "
            "and PONDER_OPENVINO_VENV names another environment"
        )
    return python


def versions(python: Path) -> dict[str, str]:
    """Return {package: version} of PACKAGES in that Python's environment, of which nothing runs."""
    places = map(str, python.parent.parent.glob("lib/python*/site-packages"))
    found = {
        distribution.metadata["Name"].lower().replace("_", "-"): distribution.version
        for distribution in importlib.metadata.distributions(path=list(places))
    }
    return {name: found[name] for name in PACKAGES if name in found}


def check_cache(engine: OpenVinoEngine, shape: Any, context: int) -> None:
    """Raise UserError where a row of `context` tokens has no room: it would be waited for in vain.

    `shape` is what transformers reads of the model's config.json. Several rows may have less room
    than they need: then some begin again later.
    """
    head = getattr(shape, "head_dim", None) or shape.hidden_size // shape.num_attention_heads
    kv_heads = getattr(shape, "num_key_value_heads", None) or shape.num_attention_heads
    of_token = 2 * 4 * head * kv_heads * shape.num_hidden_layers
    need = -(-of_token * context // 2**30)
    if need > engine.cache_gib:
        raise UserError(
            f"engine.cache_gib={engine.cache_gib} has no room for the keys and values of "
            f"model.context={context} tokens; give at least {need}"
        )


def export(python: Path, model: Path, folder: Path) -> None:
    """Write a folder of safetensors as a folder of OpenVINO's form, in float32.

    Raises UserError where optimum-intel cannot.
    """
    words = ["export", "openvino", "--model", str(model), "--task", "text-generation-with-past"]
    words += ["--weight-format", "fp32", str(folder)]
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile() as said:
        # OpenVINO's tools tell what they are used for unless this file says 0
        # (openvino_telemetry/utils/opt_in_checker.py).
        (Path(home) / "intel").mkdir()
        (Path(home) / "intel" / "openvino_telemetry").write_text("0")
        process = subprocess.Popen(
            [python, "-I", "-c", EXPORT, *words],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "HOME": home},
            start_new_session=True,  # Ctrl-C is for us
        )
        with process:
            code = process.wait()
        if code:
            raise UserError(
                f"optimum-intel cannot write this model for OpenVINO: it {_ending(code, said)}; "
                "take engine=hf"
            )


def command(
    python: Path, folder: Path, engine: OpenVinoEngine, at_once: int, threads: int
) -> list[str]:
    """Return the words that start the process on a folder that `export` wrote."""
    settings = {
        "scheduler": {
            "max_num_seqs": at_once,
            "max_num_batched_tokens": engine.batched_tokens,
            "cache_size": engine.cache_gib,
            "enable_prefix_caching": engine.prefix_caching,
        },
        "properties": {
            "INFERENCE_PRECISION_HINT": engine.precision,
            "KV_CACHE_PRECISION": engine.kv_precision,
            "INFERENCE_NUM_THREADS": threads,
        },
    }
    return [str(python), "-I", str(PROGRAM), str(folder), json.dumps(settings)]


# --- its process -----------------------------------------------------------------------


@contextlib.contextmanager
def opened(
    command: Sequence[str], vocabulary: int, at_once: int, timeout: float
) -> Iterator[Child]:
    """Yield the Child that a command starts, once it can be asked; it ends with the context.

    `vocabulary`: ids from there on are none of the tokenizer; `at_once`: rows that are asked for
    together; `timeout`: seconds that a reply may take. Raises ServerError where it does not start.
    """
    with tempfile.TemporaryFile() as said, asyncio.Runner() as runner:
        process = runner.run(
            asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=said,
                limit=LINE,
                start_new_session=True,  # Ctrl-C is for us
            )
        )
        child = Child(runner, process, said, vocabulary, at_once, timeout)
        try:
            runner.run(child.begin())
            yield child
        finally:
            runner.run(child.end())


def run(child: Child, prompts: Sequence[list[int]], rows: Sequence[Row]) -> Iterator:
    """Yield (index, what the row returned) of each row as it is finished; see hf.run.

    Raises ServerError where the process ends, or replies what does not fit what it was asked.
    """
    results = server.decode_rows(prompts, rows, child.at_once, lambda index: child.call)
    return server.in_turn(child.runner, results)


class Child:
    """A process that gives token ids for token ids."""

    def __init__(
        self,
        runner: asyncio.Runner,
        process: asyncio.subprocess.Process,
        said: IO[bytes],
        vocabulary: int,
        at_once: int,
        timeout: float,
    ) -> None:
        """`said` is the file of what the process writes to stderr."""
        self.runner, self.process, self.said = runner, process, said
        self.vocabulary, self.at_once, self.timeout = vocabulary, at_once, timeout
        self.numbers = itertools.count()
        # {number of a request: its ids, None where none come any more, for `problem` then says why}
        self.waiting: dict[int, asyncio.Future[list[Any] | None]] = {}
        self.problem = ""
        self.reading: asyncio.Future[None] | None = None

    async def begin(self) -> None:
        """Wait until the process can be asked, and read its replies from then on."""
        assert self.process.stdout is not None
        line = await self._in_time(self.process.stdout.readline())
        if line != b"ready\n":
            _fail("says something else before it is ready" if line else await self._end_of_it())
        self.reading = asyncio.ensure_future(self._read())

    async def end(self) -> None:
        """End the process, and all that waits for it."""
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        if self.reading and self.reading.done() and not self.reading.cancelled():
            self.reading.exception()  # a signal that came while it read is told by whoever asks

    async def call(
        self, number: int, prompt: list[int], limit: int, stops: list[int], barred: list[int]
    ) -> tuple[int, ...]:
        """Return the ids of one completion; see server.Call. `barred` goes with a limit of 1."""
        assert self.process.stdin is not None and (limit == 1 or not barred)
        key = next(self.numbers)
        request = {"id": key, "prompt": prompt, "limit": limit, "stops": stops, "barred": barred}
        if not self.problem:
            reply = self.waiting[key] = asyncio.get_running_loop().create_future()
            if not self.process.stdin.is_closing():  # else the reader is told soon
                self.process.stdin.write(json.dumps(request).encode() + b"\n")
            ids = await self._in_time(reply)
        if self.problem or ids is None:
            _fail(self.problem)
        finish = "stop" if ids and ids[-1] in stops else "length"
        problem = server.problem_of_ids(ids, self.vocabulary)
        problem = problem or server.problem_of_end(ids, finish, limit, stops)
        if not problem and ids[-1] in barred:
            problem = "samples a token that was barred"
        if problem:
            _fail(problem)
        return tuple(ids)

    async def _in_time(self, reply: Awaitable[Said]) -> Said:
        try:
            return await asyncio.wait_for(reply, self.timeout)
        except TimeoutError:
            _fail(f"gives no reply for {self.timeout:g} seconds, which is client.timeout")

    async def _read(self) -> None:
        """Hand each reply to what waits for it, until there are no more."""
        assert self.process.stdout is not None
        try:
            while line := await self.process.stdout.readline():
                self._take(line)
            self.problem = await self._end_of_it()
        except (ValueError, RecursionError, KeyError, TypeError):
            self.problem = "says a line that replies to nothing it was asked"
        for reply in self.waiting.values():
            if not reply.done():
                reply.set_result(None)

    def _take(self, line: bytes) -> None:
        """Hand one reply on; raises ValueError, RecursionError, KeyError or TypeError for none."""
        said = json.loads(line)
        key, ids = said["id"], said["ids"]
        if type(key) is not int or not isinstance(ids, list):
            raise TypeError("no number and list")
        reply = self.waiting.pop(key)
        if not reply.done():
            reply.set_result(ids)

    async def _end_of_it(self) -> str:
        """Return how the process ended, which has closed its output."""
        with contextlib.suppress(TimeoutError):
            return _ending(await asyncio.wait_for(self.process.wait(), LEAVE), self.said)
        return "says no more"


def _fail(problem: str) -> NoReturn:
    raise ServerError(
        f"OpenVINO's process {problem}; the same command goes on from what is kept, and engine=hf "
        "does without it"
    )


def _ending(code: int, said: IO[bytes]) -> str:
    """Return how a process ended, with the last line that it wrote."""
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
    said.seek(0)
    lines = said.read().decode(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "")
    return f"{how} ({re.sub('[^ -~]', '?', last.strip())[:TOLD]})" if last else how
