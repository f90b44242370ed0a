"""What Ctrl-C, SIGTERM and SIGUSR1 do: SLURM, `kill` and a machine that shuts down send the second,
and SLURM the third before it takes a job's machine away, where `--signal=USR1@60` asks for it.

Before a run is open nothing is lost, and the process leaves at once, whatever it imports. Later
Ctrl-C raises KeyboardInterrupt and the others raise Terminated, so that the run is marked; a
training defers them to the end of its step. Few imports, for until then Python's own handlers work.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

GOES_ON = "the same command goes on from here"
MESSAGES = {
    signal.SIGINT: f"interrupted: {GOES_ON}",
    signal.SIGTERM: f"terminated (SIGTERM): {GOES_ON}",
    signal.SIGUSR1: f"preempted (SIGUSR1): {GOES_ON}",
}
AGAIN = 0.01  # seconds until a signal comes again that nobody could be told of


class Terminated(SystemExit):
    """SIGTERM or SIGUSR1 came. Uncaught it is the exit code of a program that the signal ended.

    Of the two it is the one that came first to this process, SIGTERM where one came to another
    process of torchrun alone.
    """

    def __init__(self) -> None:
        self.number = _state.ended_by or signal.SIGTERM
        super().__init__(128 + self.number)


class _State:
    """What the handler knows of this process."""

    run_opened = False
    deferred = False  # by a step of a training
    ended_by: signal.Signals | None = None  # SIGTERM or SIGUSR1, which came before


_state = _State()


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Handle the signals here, in place of Python's own handlers, until the end of the context.

    A signal that whoever started the process lets it ignore stays ignored, and one that a launcher
    handles itself stays the launcher's. Where one ended the context its handler stays, for another
    must not cut the end of the process short.
    """
    usual = {number: signal.getsignal(number) for number in MESSAGES}
    ours = [n for n, own in usual.items() if own in (signal.default_int_handler, signal.SIG_DFL)]
    hook, sys.unraisablehook = sys.unraisablehook, _send_again
    ends = False
    try:
        for number in ours:
            signal.signal(number, _handle)
        yield
    except (KeyboardInterrupt, Terminated):
        ends = True
        raise
    finally:
        if not ends:
            for number in ours:
                signal.signal(number, usual[number])
            sys.unraisablehook = hook
            _state.run_opened, _state.ended_by = False, None


def run_opened() -> None:
    """Say that a run is open: from now on a signal is an exception, for the run must be marked."""
    _state.run_opened = True


@contextlib.contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Defer SIGTERM and SIGUSR1, and yield what says whether one came; it is raised at the end."""
    _state.deferred = True
    try:
        yield lambda: _state.ended_by is not None
    finally:
        _state.deferred = False
    if _state.ended_by:
        raise Terminated


def _handle(number: int, frame: FrameType | None) -> None:
    if not _state.run_opened:
        os.write(2, MESSAGES[signal.Signals(number)].encode() + b"\n")
        os._exit(128 + number)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    if _state.ended_by:
        return  # torchrun sends again what its workers had from SLURM, and SLURM the next signal
    _state.ended_by = signal.Signals(number)
    if not _state.deferred:
        raise Terminated


def _send_again(lost: "sys.UnraisableHookArgs") -> None:
    """Send a signal again that came in a __del__ or callback, where Python drops what is raised."""
    import threading

    if isinstance(lost.exc_value, Terminated):
        _state.ended_by, number = None, lost.exc_value.number
    elif isinstance(lost.exc_value, KeyboardInterrupt):
        number = signal.SIGINT
    else:
        return sys.__unraisablehook__(lost)
    threading.Timer(AGAIN, os.kill, (os.getpid(), number)).start()
