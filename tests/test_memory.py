"""What the allocator is told: a heap that stays, in huge pages where the system has them."""

import os
import platform
import subprocess
import sys

import pytest
from conftest import ROOT

from ponder.train import memory

ASK = """
import ctypes, sys
sys.path.insert(0, {root!r})
from ponder import memory
told = memory.keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def end():
    return [line.split()[0].split("-")[1] for line in open("/proc/self/maps") if "[heap]" in line][-1]
before = end()
place = libc.malloc(2**28)
ctypes.memset(place, 1, 2**28)
libc.free(place)
print(told, end() == before, any(line.startswith("VmFlags") and " hg" in line for line in open("/proc/self/smaps")))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_a_large_block_comes_from_a_heap_that_does_not_shrink():
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(root=str(ROOT))],
        capture_output=True,
        text=True,
        check=True,
    )
    told, kept, huge = done.stdout.split()
    assert (told, kept) == ("True", "True")
    if os.path.exists("/sys/kernel/mm/transparent_hugepage/enabled"):
        assert huge == "True"


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))
    monkeypatch.setattr(
        memory.ctypes, "CDLL", lambda name: pytest.fail("nothing of it may be called")
    )
    assert memory.keep_freed_memory() is False
