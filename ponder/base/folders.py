"""Folders that are made once: each under a lock, verified when it is used, and linked by a name."""

import contextlib
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ponder.errors import RecordError
from ponder.hashing import files_sha256
from ponder.runs import STAMPS, dump, put_in_place, write_atomic

# Fills a folder, with an empty one for what it needs meanwhile, and returns where that came from.
Write = Callable[[Path, Path], dict[str, str]]


def made_once(out: Path, name: str, write: Write) -> Path:
    """Return the folder `out`/models/`name` that `write` fills once, after a look at its files.

    Of two processes one makes it and the other waits. Raises RecordError for a folder whose files
    are not those that were written.
    """
    folder = out / "models" / name
    if not (folder / "source.json").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _lock(folder.with_name(f"{name}.lock"), name):
            if not (folder / "source.json").exists():
                _make(folder, out / STAMPS, write)
    _verify(folder, out / STAMPS)
    return folder


def source_of(folder: Path | str) -> dict[str, str]:
    """Return what source.json says of a base folder: where it came from, and hashes of its files.

    Raises RecordError for a file that cannot be read.
    """
    path = Path(folder) / "source.json"
    try:
        source = json.loads(path.read_text())
        if isinstance(source, dict) and isinstance(source["source"], str):
            return source
    except (OSError, ValueError, KeyError):
        pass
    raise RecordError(f"{path} cannot be read; delete {folder}, and it is made again")


def files_of(folder: Path) -> dict[str, str]:
    """Return {name: sha256} of the files of a base folder, from its source.json."""
    ends = " sha256"
    source = source_of(folder)
    return {key.removesuffix(ends): source[key] for key in sorted(source) if key.endswith(ends)}


@contextlib.contextmanager
def _lock(path: Path, name: str) -> Iterator[None]:
    """Keep other processes from making the same folder; wait while one does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"another process makes {name}; waiting for it", file=sys.stderr)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make(folder: Path, stamps: Path, write: Write) -> None:
    """Write a folder under another name, with the hashes of its files, and rename it last."""
    part, scratch = (folder.with_name(folder.name + end) for end in (".part", ".scratch"))
    for left in (part, scratch, folder):  # by a kill
        shutil.rmtree(left, ignore_errors=True)
    try:
        part.mkdir()
        scratch.mkdir()
        source = write(part, scratch)
        for path, digest in files_sha256(sorted(part.iterdir()), stamps).items():
            source[f"{path.name} sha256"] = digest
        write_atomic(part / "source.json", dump(source, indent=1).encode())
        put_in_place(part, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.rmtree(part, ignore_errors=True)


def _verify(folder: Path, stamps: Path) -> None:
    """Raise RecordError unless a base folder holds the files that source.json lists, and no more.

    transformers would read other files too, such as an adapter.
    """
    listed = files_of(folder)
    names = {path.name for path in folder.iterdir()} - {"source.json"}
    if wrong := sorted(names ^ set(listed)):
        what = "was added to it" if wrong[0] in names else "is missing"
        raise RecordError(f"{folder / wrong[0]} {what}; delete {folder}, and it is made again")
    for path, digest in files_sha256([folder / name for name in listed], stamps).items():
        if digest != listed[path.name]:
            raise RecordError(
                f"{path} has sha256 {digest}, but {listed[path.name]} was written; delete "
                f"{folder}, and it is made again"
            )


def link(name: Path, folder: Path) -> None:
    """Let a name beside a folder lead to it, unless that is a folder of its own."""
    if name.is_symlink() and os.readlink(name) == folder.name:
        return
    if name.exists() and not name.is_symlink():
        return  # somebody's own folder
    part = name.with_name(f".{name.name}.{os.getpid()}.part")
    with contextlib.suppress(OSError):  # a file system without links
        part.unlink(missing_ok=True)
        part.symlink_to(folder.name)
        os.replace(part, name)
