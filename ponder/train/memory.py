"""glibc's malloc, told to keep freed memory and to ask for huge pages: the hidden cost of training on a CPU (0006, 0017)."""

import ctypes
import os
import platform
from pathlib import Path

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = (
    -1,
    -2,
    -4,
)  # <malloc.h>: M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX
ADVISE_HUGE, HUGE_PAGE = 14, 2**21  # <sys/mman.h>: MADV_HUGEPAGE; bytes


def keep_freed_memory():
    """Return True when malloc now serves large blocks from its own heap and gives nothing back to the system.

    Half of the machine's memory is then reserved as heap, in huge pages where the system has them; memory that is never
    written is never used. Returns False, and changes nothing, where the C library is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    if not all(
        (
            libc.mallopt(MMAP_MAX, 0),
            libc.mallopt(TRIM_THRESHOLD, -1),
            libc.mallopt(TOP_PAD, 512 * 2**20),
        )
    ):
        return False
    libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = (
        ctypes.c_void_p,
        [ctypes.c_size_t],
        [ctypes.c_void_p],
    )
    libc.free(libc.malloc(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2))
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith("[heap]"):
            first, last = (int(edge, 16) for edge in line.split()[0].split("-"))
            first = -(-first // HUGE_PAGE) * HUGE_PAGE
            libc.madvise(first, last - first, ADVISE_HUGE)  # an error means that there are none
    return True
