"""The grader of the benchmarks: text first, then math-verify in a process of its own. Issue 5.

A model's answer is hostile: `9^{9^{9}}` would compute for ever. So math-verify sees at most 256 characters, in a child of a worker
process that has its own limits on processor time and memory, no environment variable but its hash seed, and dies with what it did.
The limit that decides is processor time, which does not depend on what else the machine does; wall time is only the backstop.
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
from pathlib import Path

from ponder.grading import answers, crosscheck
from ponder.grading.answers import MAX_CHARACTERS

CPU_SECONDS, WALL_SECONDS = 2, 60  # most comparisons take 0.1
MEMORY = 2**30  # bytes that a comparison may add to the address space of the worker
START_SECONDS = 300  # importing sympy takes a second; a busy machine is no failure
ROOT = Path(__file__).resolve().parent.parent.parent
DIGITS = (
    12  # to which math-verify compares decimals with other numbers; its own 6 take 3.141593 for pi
)
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


# --- grading ---------------------------------------------------------------------------


def grade(reply, gold, options=()):
    """Return {"answer", "how", "choice", "by", "correct", "second"} of one reply; `options` are the texts of a multiple choice.

    `answer` and `how` are those of answers.extract, None for a reply without an answer, which is wrong. `choice` is the letter
    of the option that the answer names, None where it names none or there are no options. `by`
    is what decided: "none" (no answer), "choice", "text", "number", "math", or "limit" (math-verify passed a limit, so the text
    decided: wrong).
    `second` is the verdict of the second grader.
    """
    found = answers.extract(reply)  # the gold is not looked at before this line is done
    by, correct = ("none", False) if found is None else _compare(found, gold, options)
    return {
        "answer": found.text if found else None,
        "how": found.how if found else None,
        "choice": answers.choice(found.text, options) if found and options else None,
        "by": by,
        "correct": correct,
        "second": crosscheck.is_correct(reply, gold, options),
    }


def _compare(found, gold, options):
    if options:
        return "choice", answers.choice(found.text, options) == gold
    ours, theirs = answers.normal(found.text), answers.normal(gold)
    if ours == theirs:
        return "text", True
    if answers.number(ours) is not None and answers.number(theirs) is not None:
        return "number", False  # exact: math-verify would round
    if (
        found.how == "text"
        or answers.is_word(ours)
        or answers.is_word(theirs)
        or len(gold) > MAX_CHARACTERS
    ):
        return "text", False
    verdict = _verdict(answers.tidy(gold), answers.tidy(found.text))
    return "limit" if verdict == "limit" else "math", verdict == "equal"


def disagreements(rows):
    """Return those of some rows, each with the keys of `grade`, on which the two graders differ or a limit was passed."""
    return [row for row in rows if row["correct"] != row["second"] or row["by"] == "limit"]


# --- the worker, seen from outside -----------------------------------------------------


class Worker:
    """A process that compares answers with math-verify; started when first needed, and again when it died."""

    def __init__(self, cpu_seconds=CPU_SECONDS, wall_seconds=WALL_SECONDS, memory=MEMORY):
        self.limits = {"cpu_seconds": cpu_seconds, "wall_seconds": wall_seconds, "memory": memory}
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def compare(self, gold, answer):
        """Return "equal", "different" or "limit" (time or memory ran out). Raises RuntimeError when the worker cannot work."""
        if max(len(gold), len(answer)) > MAX_CHARACTERS:
            raise ValueError(
                f"an answer of {max(len(gold), len(answer))} characters; math-verify may see at most {MAX_CHARACTERS}"
            )
        for _ in range(2):  # a worker that was killed between two questions is started again, once
            if self.process is None:
                self._start()
            verdict = self._ask(
                json.dumps([gold, answer]).encode() + b"\n", 2 * self.limits["wall_seconds"] + 10
            )
            if verdict in VERDICTS:
                return verdict
            self.close()
        raise RuntimeError(
            f"the worker of math-verify died twice over {gold!r} and {answer!r}; "
            "try `python -c 'import math_verify'`"
        )

    def _start(self):
        code = f"import sys; sys.path.append({str(ROOT)!r}); from ponder.grading import verify; verify.serve(**{self.limits!r})"
        # -P: the current folder holds an evaluate.py, which must not be found as the package of that name.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONHASHSEED": "0"},
            cwd="/",
        )
        if self._ask(b"", START_SECONDS) != "ready":
            self.close()
            raise RuntimeError(
                "the worker of math-verify does not start; run `make setup`, then `python -c 'import math_verify'`"
            )

    def _ask(self, line, seconds):
        """Return the line that answers `line`, or None when the worker died or said nothing for too long."""
        try:
            self.process.stdin.write(line)
            self.process.stdin.flush()
        except OSError:
            return None
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        return self.process.stdout.readline().decode().strip() if ready else None

    def close(self):
        """End the process, if there is one."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout):
                with contextlib.suppress(OSError):  # a pipe to a dead process may hold a line
                    stream.close()
            self.process = None


@functools.cache
def _verdict(gold, answer):
    """Return what math-verify says, asked once: near its time limit it might say another thing the second time."""
    return shared().compare(gold, answer)


@functools.cache
def shared():
    """Return the one Worker of this process; it ends with it."""
    worker = Worker()
    atexit.register(worker.close)
    return worker


# --- the worker, seen from inside ------------------------------------------------------


def serve(cpu_seconds, wall_seconds, memory):
    """Answer lines [gold, answer] on stdin with a verdict on stdout, each found by a child of its own, until stdin ends."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is no verdict
    for gold in WARM:
        _equal(gold, WARM[0])  # loads what is loaded when first used, so that no child has to
    gc.disable()  # a child is too short-lived to collect, and looking would copy the pages that it shares
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        print(
            _in_a_child(*json.loads(line), cpu_seconds, wall_seconds, memory), file=out, flush=True
        )


def _in_a_child(gold, answer, cpu_seconds, wall_seconds, memory):
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


def _limit(cpu_seconds, memory):
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))  # a child starts at zero
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + memory,) * 2)


def _address_space():
    """Return the bytes of address space that this process has, 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _equal(gold, answer):
    """Return whether math-verify holds two LaTeX answers for equal; one that it cannot read equals nothing."""
    from math_verify import LatexExtractionConfig, parse, verify

    # Only LaTeX: the other form ends in sympy's parse_expr, which evaluates. Their time limits are signals, ours the system's.
    read = [
        parse(
            f"\\boxed{{{text}}}",
            [LatexExtractionConfig(boxed_match_priority=0)],
            fallback_mode="no_fallback",
            parsing_timeout=None,
        )
        for text in (gold, answer)
    ]
    return bool(read[0] and read[1] and verify(*read, float_rounding=DIGITS, timeout_seconds=None))
