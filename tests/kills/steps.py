"""Work that is killed at a chosen step on the disk, as a power cut or SIGKILL would end it."""

import os
import signal
import sys
from collections.abc import Callable

# C functions that change a disk, by what Python calls them.
STEPS = {"write", "replace", "rename", "mkdir", "rmdir", "unlink", "sendfile"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Do some work in a child that is killed at its step of that number, counted from 0.

    Steps are the moments after each function of STEPS, and after a file is opened to be written:
    then it is empty. Return False when the work ended before that.
    """
    sys.stdout.flush()
    child = os.fork()
    if not child:
        try:
            _count(number)
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0, "the work failed by itself"
    return False


def _count(number: int) -> None:
    """Count the steps of this process, and kill it at one."""
    left, opening = number, False

    def audit(event: str, arguments: tuple) -> None:
        nonlocal opening
        if event == "open":
            opening = bool(arguments[2] & WRITES)

    def profile(frame: object, event: str, function: object) -> None:
        nonlocal left, opening
        name = getattr(function, "__name__", "")
        opened = name == "open" and opening
        if event == "c_return" and (opened or name in STEPS):
            opening = False
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    sys.addaudithook(audit)
    sys.setprofile(profile)
