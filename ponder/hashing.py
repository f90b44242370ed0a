"""Hashes that name things: the content of a file, and the seed of a purpose."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

STAMPED = 2**20  # bytes; smaller files are hashed each time
# Nanoseconds: a younger file may change once more without another time, so it gets no stamp yet.
SETTLED = 2 * 10**9


def purpose_seed(purpose: str) -> int:
    """Return the 63-bit seed that a purpose names, e.g. "adapter/0".

    Equal purposes have equal seeds, on every platform.
    """
    return int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "big") >> 1


def file_sha256(path: Path | str) -> str:
    """Return the sha256 of a file as hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_sha256(paths: Iterable[Path], stamps: Path) -> dict[Path, str]:
    """Return {path: sha256} of some files; a large one is read again only when it was touched.

    `stamps` is a JSON file that keeps, for each large file, its hash beside its size, inode and
    times as they were when it was read. The time of the last change of status is among them, which
    a program cannot set back.
    """
    stamped = _read_stamps(stamps)
    digests, is_new = {}, False
    for path in paths:
        key, stamp = str(path.resolve()), _stamp(path)
        if stamped.get(key, [])[:-1] == stamp:
            digests[path] = stamped[key][-1]
            continue
        digests[path] = file_sha256(path)
        settled = time.time_ns() - max(stamp[2:]) > SETTLED
        if stamp[0] >= STAMPED and settled and _stamp(path) == stamp:
            stamped[key], is_new = [*stamp, digests[path]], True
    if is_new:
        _write_stamps(stamps, {key: stamp for key, stamp in stamped.items() if os.path.exists(key)})
    return digests


def _stamp(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]


def _read_stamps(path: Path) -> dict[str, list]:
    with contextlib.suppress(OSError, ValueError):
        stamps = json.loads(path.read_text())
        if isinstance(stamps, dict) and all(isinstance(stamp, list) for stamp in stamps.values()):
            return stamps
    return {}


def _write_stamps(path: Path, stamps: dict[str, list]) -> None:
    """Replace the file of stamps; where two processes do, one of them hashes once more."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with contextlib.suppress(OSError):  # without stamps files are read again, no more
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(stamps, indent=1, sort_keys=True))
        os.replace(part, path)
    with contextlib.suppress(OSError):  # half of it, where the disk is full
        part.unlink()
