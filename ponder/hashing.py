"""Hashes that name things: the content of a file, and the seed of a purpose."""

import hashlib


def purpose_seed(purpose):
    """Return the 63-bit seed named by a purpose, e.g. "adapter/0": equal purposes, equal seeds, on every platform."""
    return int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "big") >> 1


def file_sha256(path):
    """Return the sha256 of a file as hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
