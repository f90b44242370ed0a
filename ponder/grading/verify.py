"""The grader of the benchmarks: text first, then math-verify in a process of its own.

A model's answer is hostile: `9^{9^{9}}` would compute for ever. So math-verify sees at most 256
characters, in a child of a worker process. The child has its own limits on processor time and
memory, no environment variable but its hash seed, and ends with its one comparison. The limit that
decides is processor time, which does not depend on what else the machine does; wall time is only
the backstop.
"""

import atexit
import contextlib
import functools
import gc
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from ponder.grading import answers, crosscheck
from ponder.grading.answers import MAX_CHARACTERS, Answer

CPU_SECONDS, WALL_SECONDS = 2, 60  # most comparisons take 0.1
MEMORY = 2**30  # bytes that a comparison may add to the address space of the worker
START_SECONDS = 300  # importing sympy takes a second; a busy machine is no failure
# Digits to which math-verify compares decimals with other numbers; its own 6 take 3.141593 for pi.
DIGITS = 12
VERDICTS = ("equal", "different", "limit")
WARM = (
    "x^2+\\sqrt{2}",
    "\\frac{1}{2}",
    "(1,2]",
    "3",
    "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}",
    "(0,1) \\cup (2,\\infty)",
    "2\\pi",
    "y = 2x",
)

Row = TypeVar("Row", bound=Mapping[str, Any])


# --- grading ---------------------------------------------------------------------------


class Grade(TypedDict):
    """What the graders say of one reply.

    `answer` and `how` are those of answers.extract, None for a reply without an answer, which is
    wrong. `choice` is the letter of the option that the answer names, None where it names none or
    there are no options. `by` is what decided: "none" (no answer), "choice", "text", "number",
    "math", or "limit" (math-verify passed a limit, so the text decided: wrong). `second` is the
    verdict of the second grader.
    """

    answer: str | None
    how: str | None
    choice: str | None
    by: str
    correct: bool
    second: bool


def grade(reply: str, gold: str, options: Sequence[str] = ()) -> Grade:
    """Return the Grade of one reply; `options` are the texts of a multiple choice.

    Raises RuntimeError when the worker of math-verify cannot work.
    """
    answer = answers.extract(reply)  # before the gold answer is looked at
    letter = answers.choice(answer.text, options) if answer and options else None
    if answer is None:
        by, correct = "none", False
    elif options:
        by, correct = "choice", letter == gold
    else:
        by, correct = _compare(answer, gold)
    return {
        "answer": answer.text if answer else None,
        "how": answer.how if answer else None,
        "choice": letter,
        "by": by,
        "correct": correct,
        "second": crosscheck.is_correct(reply, gold, options),
    }


def _compare(answer: Answer, gold: str) -> tuple[str, bool]:
    """Return what decided whether an answer equals the gold one, and whether it does."""
    form, gold_form = answers.normal(answer.text), answers.normal(gold)
    if form == gold_form:
        return "text", True
    if answers.number(form) is not None and answers.number(gold_form) is not None:
        return "number", False  # exact: math-verify would round
    a_word = answers.is_word(form) or answers.is_word(gold_form)
    if answer.how == "text" or a_word or len(gold) > MAX_CHARACTERS:
        return "text", False
    verdict = _verdict(answers.tidy(gold), answers.tidy(answer.text))
    return "limit" if verdict == "limit" else "math", verdict == "equal"


def disagreements(rows: Iterable[Row]) -> list[Row]:
    """Return the rows on which the two graders differ or a limit was passed.

    Each row has the keys of a Grade.
    """
    return [row for row in rows if row["correct"] != row["second"] or row["by"] == "limit"]


# --- the worker, seen from outside -----------------------------------------------------


class Worker:
    """A process that compares answers with math-verify.

    It is started when first needed, and again when it died. `cpu_seconds` and `wall_seconds` are
    the limits of one comparison, `memory` the bytes that it may add to the process.
    """

    def __init__(
        self,
        cpu_seconds: int = CPU_SECONDS,
        wall_seconds: float = WALL_SECONDS,
        memory: int = MEMORY,
    ) -> None:
        self.limits = {"cpu_seconds": cpu_seconds, "wall_seconds": wall_seconds, "memory": memory}
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def compare(self, gold: str, answer: str) -> str:
        """Return "equal", "different" or "limit" (time or memory ran out).

        Raises RuntimeError when the worker cannot work, and ValueError for a text that is too long
        for math-verify to see.
        """
        longest = max(len(gold), len(answer))
        if longest > MAX_CHARACTERS:
            raise ValueError(
                f"an answer of {longest} characters; math-verify may see at most {MAX_CHARACTERS}"
            )
        question = json.dumps([gold, answer]).encode() + b"\n"
        for _ in range(2):  # a worker that was killed between two questions is started again, once
            process = self.process or self._start()
            verdict = _reply(process, question, 2 * self.limits["wall_seconds"] + 10)
            if verdict in VERDICTS:
                return verdict
            self.close()
        raise RuntimeError(
            f"the worker of math-verify died twice over {gold!r} and {answer!r}; "
            "try `python -c 'import math_verify'`"
        )

    def _start(self) -> "subprocess.Popen[bytes]":
        code = f"from ponder.grading.verify import serve; serve(**{self.limits!r})"
        # -P: nothing in the current folder is taken for a package of that name.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONHASHSEED": "0"},
            cwd="/",
        )
        if _reply(self.process, b"", START_SECONDS) != "ready":
            self.close()
            raise RuntimeError(
                "the worker of math-verify does not start; run `make setup`, then "
                "`python -c 'import math_verify'`"
            )
        return self.process

    def close(self) -> None:
        """End the process, if there is one."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout):
                assert stream is not None
                with contextlib.suppress(OSError):  # a pipe to a dead process may hold a line
                    stream.close()
            self.process = None


def _reply(process: "subprocess.Popen[bytes]", line: bytes, seconds: float) -> str | None:
    """Return the line that answers `line`, or None from a worker that died or took too long."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(line)
        process.stdin.flush()
    except OSError:
        return None
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    return process.stdout.readline().decode().strip() if ready else None


@functools.cache
def _verdict(gold: str, answer: str) -> str:
    """Return what math-verify says, asked once: near its time limit it could change its mind."""
    return shared().compare(gold, answer)


@functools.cache
def shared() -> Worker:
    """Return the one Worker of this process; it ends with it."""
    worker = Worker()
    atexit.register(worker.close)
    return worker


# --- the worker, seen from inside ------------------------------------------------------


def serve(cpu_seconds: int, wall_seconds: float, memory: int) -> None:
    """Answer lines [gold, answer] on stdin with a verdict on stdout, until stdin ends.

    Each verdict is found by a child process of its own, within the limits of a Worker.
    """
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is no verdict
    for gold in WARM:
        _equal(gold, WARM[0])  # loads what is loaded when first used, so that no child has to
    # A child is too short-lived to collect, and looking would copy the pages that it shares.
    gc.disable()
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        gold, answer = json.loads(line)
        verdict = _in_a_child(gold, answer, cpu_seconds, wall_seconds, memory)
        print(verdict, file=out, flush=True)


def _in_a_child(gold: str, answer: str, cpu_seconds: int, wall_seconds: float, memory: int) -> str:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _limit(cpu_seconds, memory)
            os.write(write, b"equal" if _equal(gold, answer) else b"different")
        finally:
            os._exit(0)  # whatever happened: the parent goes on, the child never does
    os.close(write)
    ready, _, _ = select.select([read], [], [], wall_seconds)
    verdict = os.read(read, 20).decode() if ready else ""
    os.close(read)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return verdict or "limit"


def _limit(cpu_seconds: int, memory: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))  # a child starts at zero
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + memory,) * 2)


def _address_space() -> int:
    """Return the bytes of address space that this process has, 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _equal(gold: str, answer: str) -> bool:
    """Return whether math-verify holds two LaTeX answers for equal.

    One that it cannot read equals nothing.
    """
    from math_verify import verify

    read = _parsed(gold), _parsed(answer)
    return bool(read[0] and read[1] and verify(*read, float_rounding=DIGITS, timeout_seconds=None))


def _parsed(text: str) -> list[Any]:
    """Return what math-verify reads in a LaTeX answer, [] for nothing.

    Only LaTeX is read: the other form ends in sympy's parse_expr, which evaluates. The library's
    time limits are signals, ours are the system's.
    """
    from math_verify import LatexExtractionConfig, parse

    return parse(
        f"\\boxed{{{text}}}",
        [LatexExtractionConfig(boxed_match_priority=0)],
        fallback_mode="no_fallback",
        parsing_timeout=None,
    )
