"""The allocator keeps its heap, in huge pages where the system has them."""

import os
import platform
import subprocess
import sys

import pytest
from conftest import ROOT

from ponder.train import memory

PROGRAM = """
import ctypes, sys
sys.path.insert(0, {root!r})
from ponder.train import memory
accepted = memory.keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
def heap_end():
    heap = [line for line in open("/proc/self/maps") if "[heap]" in line][-1]
    return heap.split()[0].split("-")[1]
before = heap_end()
block = libc.malloc(2**28)
ctypes.memset(block, 1, 2**28)
libc.free(block)
flags = [line for line in open("/proc/self/smaps") if line.startswith("VmFlags")]
print(accepted, heap_end() == before, any(" hg" in line for line in flags))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_a_large_block_comes_from_a_heap_that_does_not_shrink():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(root=str(ROOT))],
        capture_output=True,
        text=True,
        check=True,
    )
    accepted, same_end, huge = done.stdout.split()
    assert (accepted, same_end) == ("True", "True")
    if os.path.exists("/sys/kernel/mm/transparent_hugepage/enabled"):
        assert huge == "True"


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))
    monkeypatch.setattr(
        memory.ctypes, "CDLL", lambda name: pytest.fail("nothing of it may be called")
    )
    assert memory.keep_freed_memory() is False
