"""What can go wrong, by whose doing, and how a script tells it: one sentence on stderr and an exit code, no traceback."""

import errno
import functools
import os
import sys
from pathlib import Path


class UserError(ValueError):
    """A user's mistake, in one sentence: the value, the rule, the way out."""


class ServerError(UserError):
    """A server that cannot be reached, refuses, or answers what cannot be used; in one sentence, with the way out."""


class RecordError(UserError):
    """A file of a run or a data set that is missing, cut short or not what its manifest says; with the way out."""


def user_errors(main):
    """Return the script's `main`, run from the repository root, with a user's mistake as one line on stderr and exit code 2.

    A mistake is a UserError, of any kind, or a disk without room.
    """

    @functools.wraps(main)
    def wrapped(*args, **kwargs):
        os.chdir(
            Path(__file__).resolve().parent.parent
        )  # where every relative path of conf/ and of the tasks starts
        try:
            return main(*args, **kwargs)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            print(
                f"error: the disk is full ({error.strerror}); free some space, and the same command goes on from here",
                file=sys.stderr,
            )
            sys.exit(2)
        except KeyboardInterrupt:
            print("interrupted: the same command goes on from here", file=sys.stderr)
            sys.exit(130)

    return wrapped
