"""What Ctrl-C and SIGTERM do: SLURM, `kill` and a machine that shuts down send the second.

Before a run is open nothing is lost, and the process leaves at once, whatever it imports. Later
Ctrl-C raises KeyboardInterrupt and SIGTERM raises Terminated, so that the run is marked; a training
defers SIGTERM to the end of its step.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

GOES_ON = "the same command goes on from here"
MESSAGES = {
    signal.SIGINT: f"interrupted: {GOES_ON}",
    signal.SIGTERM: f"terminated (SIGTERM): {GOES_ON}",
}


class Terminated(SystemExit):
    """SIGTERM came. Uncaught it is exit code 143, as of a program that the signal ended."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


@dataclass
class _State:
    """What the handler knows: whether a run was opened, a step defers, SIGTERM came before."""

    run_opened: bool = False
    deferred: bool = False
    terminated: bool = False


_state = _State()


def install() -> None:
    """Let this module handle both signals, in place of Python's own handlers.

    A signal that whoever started the process lets it ignore stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _handle)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _handle)


def run_opened() -> None:
    """Say that a run is open: from now on a signal is an exception, for the run must be marked."""
    _state.run_opened = True


@contextlib.contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Defer SIGTERM, and yield what says whether it came; it is raised at the end."""
    _state.deferred = True
    try:
        yield lambda: _state.terminated
    finally:
        _state.deferred = False
    if _state.terminated:
        raise Terminated


def _handle(number: int, frame: FrameType | None) -> None:
    if not _state.run_opened:
        os.write(2, MESSAGES[signal.Signals(number)].encode() + b"\n")
        os._exit(128 + number)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    if _state.terminated:
        return  # torchrun sends again what its workers had from SLURM
    _state.terminated = True
    if not _state.deferred:
        raise Terminated
