"""Hashes that name things: the content of a file, and the seed of a purpose."""

import hashlib
from pathlib import Path


def purpose_seed(purpose: str) -> int:
    """Return the 63-bit seed that a purpose names, e.g. "adapter/0".

    Equal purposes have equal seeds, on every platform.
    """
    return int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "big") >> 1


def file_sha256(path: Path | str) -> str:
    """Return the sha256 of a file as hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
