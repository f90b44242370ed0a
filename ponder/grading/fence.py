"""The worker in which two LaTeX answers are read and compared by libraries, seen from inside.

latex2sympy2_extended reads, sympy compares numbers and expressions exactly, and math-verify what
else there is: relations, sets, matrices. Each comparison has a child process of its own, with
limits on processor time and memory, which ends with it.
"""

import gc
import json
import os
import select
import sys
from itertools import count
from pathlib import Path
from typing import Any

# Digits to which numbers are computed, and to which they must agree, relative to the larger one.
DIGITS, AGREE = 80, 50
# Values for letters at which expressions are compared: of both signs, none of them special.
POINTS = (("7/3", "-11/5"), ("-13/7", "17/11"), ("19/5", "23/13"))
WARM = (
    ("x^2+\\sqrt{2}", "\\sqrt{2}+x^2"),
    ("\\frac{1}{2}", "2\\pi"),
    ("(0,1) \\cup (2,\\infty)", "(2,\\infty) \\cup (0,1)"),
    ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix} 1 \\\\ 3 \\end{pmatrix}"),
    ("y = 2x", "2x - y = 0"),
    ("x + y < 3", "\\sin x"),
)


def serve(cpu_seconds: int, wall_seconds: float, memory: int) -> None:
    """Answer lines [gold, answer] on stdin with a verdict on stdout, until stdin ends.

    Each verdict is found by a child process of its own, within the limits of a verify.Worker.
    """
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is no verdict
    for gold, answer in WARM:
        equal(gold, answer)  # loads what is loaded when first used, so that no child has to
    # A child is too short-lived to collect, and looking would copy the pages that it shares.
    gc.disable()
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        gold, answer = json.loads(line)
        verdict = in_a_child(gold, answer, cpu_seconds, wall_seconds, memory)
        print(verdict, file=out, flush=True)


def in_a_child(gold: str, answer: str, cpu_seconds: int, wall_seconds: float, memory: int) -> str:
    """Return "equal", "different" or "limit", found by a process that ends with it."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _limit(cpu_seconds, memory)
            os.write(write, b"equal" if equal(gold, answer) else b"different")
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


# --- comparing ---------------------------------------------------------------------------


def equal(gold: str, answer: str) -> bool:
    """Return whether two LaTeX texts say the same; one that cannot be read equals nothing."""
    import sympy
    from math_verify import verify

    first, second = _parsed(gold), _parsed(answer)
    if first is None or second is None:
        return False
    if isinstance(first, sympy.Expr) and isinstance(second, sympy.Expr):
        values = _values(first, second)
        if values is not None:
            return all(_agree(one, other) for one, other in values)
    if isinstance(first, sympy.Eq) and isinstance(second, sympy.Eq):
        values = _values(first.lhs - first.rhs, second.lhs - second.rhs)
        if values is not None and _proportional(values):
            return True
    return bool(verify([first], [second], allow_set_relation_comp=True, timeout_seconds=None))


def _parsed(text: str) -> Any:
    """Return what a LaTeX text says as an object of sympy, None where it cannot be read.

    Only LaTeX is read: the form of math-verify for other texts ends in sympy's parse_expr, which
    evaluates.
    """
    from latex2sympy2_extended import NormalizationConfig, latex2sympy, normalize_latex
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig
    from math_verify.grader import should_treat_as_complex

    clean = NormalizationConfig(basic_latex=True, malformed_operators=True, nits=True, boxed="none")
    try:
        return latex2sympy(
            normalize_latex(text, clean),
            is_real=not should_treat_as_complex(text),
            normalization_config=None,
            conversion_config=ConversionConfig(lowercase_symbols=False),
        )
    except Exception:  # the library raises bare ones for what it cannot read
        return None


def _values(first: Any, second: Any) -> list[tuple[Any, Any]] | None:
    """Return the numbers that two expressions are at each of POINTS, None where one is no number.

    The letter i is the imaginary unit. A number without letters has one value.
    """
    import sympy

    letters = sorted(first.free_symbols | second.free_symbols, key=str)
    values = []
    for point in POINTS if any(str(letter) != "i" for letter in letters) else POINTS[:1]:
        places = {}
        for letter, at in zip(letters, count(), strict=False):
            place = sympy.Rational(point[at % 2]) + at // 2
            places[letter] = sympy.I if str(letter) == "i" else place
        pair = tuple(_number(expression, places) for expression in (first, second))
        if None in pair:
            return None
        values.append(pair)
    return values


def _number(expression: Any, places: dict[Any, Any]) -> Any:
    """Return an expression as an exact rational where it is one, or else to DIGITS digits."""
    import sympy

    value = expression.xreplace(places).doit()
    if isinstance(value, sympy.Rational):
        return value
    value = sympy.N(value, DIGITS, maxn=4 * DIGITS)
    return value if value.is_number and value.is_finite else None


def _agree(one: Any, other: Any) -> bool:
    """Return whether two numbers are equal: rational ones exactly, others to AGREE digits."""
    import sympy

    if isinstance(one, sympy.Rational) and isinstance(other, sympy.Rational):
        return bool(one == other)
    size = max(abs(one), abs(other))
    return bool(abs(sympy.N(one - other, DIGITS)) <= size * sympy.Float(10, DIGITS) ** -AGREE)


def _proportional(values: list[tuple[Any, Any]]) -> bool:
    """Return whether one number is the same multiple, not zero, of the other in all pairs."""
    one, other = values[0]
    if one == 0 or other == 0:
        return False
    return all(_agree(a * other, b * one) for a, b in values)
