"""Write several files of the repository so that a kill at any moment loses none, and the same
command, run again, finishes.

All are written aside first, in a copy of the tree that holds them alone, and get their names at the
end: a rename happens or does not.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ponder.errors import UserError
from ponder.runs import put_in_place

ASIDE = ".staging"  # beside what is written, for a rename stays on one disk


@contextlib.contextmanager
def aside(root: Path) -> Iterator[Path]:
    """Yield an empty folder <root>/.staging, removed at the end; what a kill left there is gone.

    Raises UserError while another process has it.
    """
    lock = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise UserError(
            f"another release or paper is being written in {root}; let it finish, or stop it"
        ) from None
    try:
        shutil.rmtree(root / ASIDE, ignore_errors=True)
        (root / ASIDE).mkdir()
        yield root / ASIDE
    finally:
        shutil.rmtree(root / ASIDE, ignore_errors=True)
        os.close(lock)


def put(staged: Path, root: Path, name: str) -> None:
    """Give a file or folder that was written aside as `name` that place under `root`.

    An older file is replaced; a folder must be new.
    """
    target = root / name
    target.parent.mkdir(parents=True, exist_ok=True)
    put_in_place(staged / name, target)


def write(staged: Path, name: str, data: bytes | str) -> None:
    """Write a file aside."""
    path = staged / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
