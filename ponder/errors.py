"""What can go wrong, by whose doing, and how a script says it: in one sentence, no traceback."""

import contextlib
import errno
import functools
import os
import re
import select
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

from ponder.terminal.signals import MESSAGES, Terminated

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
NO_FOLDER = (errno.ENOTDIR, errno.EEXIST)


class UserError(ValueError):
    """A user's mistake, in one sentence: the value, the rule, the way out."""


class ServerError(UserError):
    """A server that cannot be reached, refuses, or sends what cannot be used; with the way out."""


class RecordError(UserError):
    """A file of a run or a data set that is missing, cut short or damaged; with the way out."""


def message(error: BaseException) -> str | None:
    """Return the line that tells a user what ended a script, or None for a mistake of ours."""
    if isinstance(error, UserError):
        return f"error: {error}"
    if isinstance(error, KeyboardInterrupt):
        return MESSAGES[signal.SIGINT]
    if isinstance(error, Terminated):
        return MESSAGES[error.number]
    if reason := no_room(error):
        return (
            f"error: the disk is full ({reason}); free some space, and the same command goes on "
            "from here"
        )
    if isinstance(error, FileNotFoundError) and "usable temporary directory" in str(error):
        return "error: nothing can be written to /tmp; free some space, or set TMPDIR to a folder"
    if isinstance(error, OSError) and error.filename is not None:
        return _place_message(error)
    return None


def _place_message(error: OSError) -> str | None:
    """Return the line for a path that cannot be what a script needs it to be, or None."""
    path, way_out = error.filename, "or name another folder with out=..."
    if error.errno in NOT_ALLOWED:
        return (
            f"error: {path} may not be used ({error.strerror}); change its permissions, {way_out}"
        )
    files = [place for place in (Path(path), *Path(path).parents) if place.is_file()]
    if error.errno in NO_FOLDER and files:
        return f"error: {files[0]} is a file, but must be a folder; move the file, {way_out}"
    if error.errno == errno.ENAMETOOLONG:
        return f"error: {path} is too long a name for this disk; shorten it, {way_out}"
    return None


def no_room(error: BaseException) -> str | None:
    """Return why a disk or quota has no room, where that is behind an error, or None.

    Libraries hide it: safetensors and tokenizers in a text, datasets in an error without a number.
    """
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in NO_ROOM:
            return cause.strerror or os.strerror(cause.errno)
        hidden = re.search(r"\(os error (\d+)\)", str(cause))
        if hidden and int(hidden[1]) in NO_ROOM:
            return os.strerror(int(hidden[1]))
        if isinstance(cause, OSError) and "disk space" in str(cause):
            return os.strerror(errno.ENOSPC)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it was raised from or while handling."""
    causes: list[BaseException] = []
    while error is not None and error not in causes:
        causes.append(error)
        error = error.__cause__ or error.__context__
    yield from causes


def exit_code(error: BaseException) -> int:
    """Return a script's exit code for what ended it: 2 where a user can mend it, else 1.

    That of a signal is 128 and its number.
    """
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return 2 if message(error) else 1


def user_errors(main: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Return a script's `main` as it is run from the repository root.

    What `message` has a line for is that line on stderr and `exit_code`. A reader of the output who
    leaves, such as head, ends the script in silence, with the exit code of SIGPIPE.
    """

    @functools.wraps(main)
    def wrapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        # Every relative path of conf/ and of the tasks starts at the root.
        os.chdir(Path(__file__).resolve().parent.parent)
        try:
            try:
                return main(*args, **kwargs)
            finally:
                if sys.stdout:
                    sys.stdout.flush()  # while a pipe that is closed can still be told
        except BaseException as error:
            if isinstance(error, BrokenPipeError) and _reader_left():
                sys.exit(128 + signal.SIGPIPE)
            line = message(error)
            if line is None:
                raise
            with contextlib.suppress(BrokenPipeError):
                print(line, file=sys.stderr)
            sys.exit(exit_code(error))

    return wrapped


def _reader_left() -> bool:
    """Return whether nobody reads stdout or stderr; what is still to be written is dropped then."""
    left = False
    for stream in filter(None, (sys.stdout, sys.stderr)):
        poll = select.poll()
        poll.register(stream, select.POLLOUT)
        if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
            left = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return left
