"""The grader of the benchmarks and of pools of one's own: text first, then libraries in a worker.

ponder/grading/parts.py takes an answer apart and compares names, units and order; single values are
compared as texts and exact numbers, and what is neither by ponder/grading/fence.py, which asks
latex2sympy2_extended, sympy and math-verify.

A model's answer is hostile: `9^{9^{9}}` would compute for ever. So the libraries see at most 256
characters, in a child of a worker process. The child has its own limits on processor time and
memory, no environment variable but its hash seed, and ends with its one comparison. The limit that
decides is processor time, which does not depend on what else the machine does; wall time is only
the backstop.
"""

import atexit
import contextlib
import functools
import json
import re
import select
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar

from ponder.grading import answers, crosscheck, parts
from ponder.grading.answers import MAX_CHARACTERS, Answer
from ponder.grading.forms import (
    NO_MATHEMATICS,
    in_prose,
    is_relation,
    is_word,
    latex,
    normal,
    number,
)

CPU_SECONDS, WALL_SECONDS = 2, 60  # most comparisons take 0.1
MEMORY = 2**30  # bytes that a comparison may add to the address space of the worker
START_SECONDS = 300  # importing sympy takes a second; a busy machine is no failure
VERDICTS = ("equal", "different", "limit")
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


def is_right(reply: str, gold: str) -> bool:
    """Return whether `grade` calls a reply without options correct; no second grader is asked.

    Raises RuntimeError as `grade` does.
    """
    answer = answers.extract(reply)
    return answer is not None and _compare(answer, gold)[1]


class Comparison:
    """Whether single values are the same, and what decided: "text", "number", "math", "limit".

    `math` is whether math-verify may be asked.
    """

    def __init__(self, math: bool) -> None:
        self.math = math
        self.by = {"text"}

    def same(self, gold: str, answer: str) -> bool:
        """Return whether two values in plain LaTeX are the same."""
        relations = any(map(is_relation, (gold, answer)))
        forms = [re.sub(r"\s", "", text) if relations else normal(text) for text in (gold, answer)]
        if forms[0] == forms[1] or _same_digits(*forms):
            return True
        if None not in map(number, forms):
            self.by.add("number")
            return False  # exact: an algebra system would round
        longest = max(map(len, (gold, answer)))
        in_words = any(is_word(form) or NO_MATHEMATICS.search(form) for form in forms)
        if not self.math or in_words or longest > MAX_CHARACTERS or "limit" in self.by:
            return False
        texts = latex(gold), latex(answer)
        verdict = _verdict(*texts) if max(map(len, texts)) <= MAX_CHARACTERS else "limit"
        self.by.add("limit" if verdict == "limit" else "math")
        return verdict == "equal"


@functools.cache
def _compare(answer: Answer, gold: str) -> tuple[str, bool]:
    """Return what decided whether an answer equals the gold one, and whether it does."""
    if len(gold) > MAX_CHARACTERS:
        return "text", answer.text == gold.strip()
    comparison = Comparison(math=answer.how != "text")
    correct = parts.same(parts.read(gold), parts.read(answer.text), comparison.same)
    if not correct and answer.how == "line" and number(normal(gold)) is not None:
        stated = in_prose(answer.text)
        if stated is not None:
            correct = parts.same(parts.read(gold), parts.read(stated), comparison.same)
    if correct and comparison.by <= {"text", "number"}:
        return "text", True
    return next(by for by in ("limit", "math", "number", "text") if by in comparison.by), correct


def _same_digits(one: str, other: str) -> bool:
    """Return whether one is the other in a base that it names: 52_8 and 52."""
    return any(
        re.fullmatch(rf"{a}_\{{?\w+\}}?", b) for a, b in ((one, other), (other, one)) if a.isdigit()
    )


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
        code = f"from ponder.grading.fence import serve; serve(**{self.limits!r})"
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
