"""Malloc of glibc, set to keep freed memory and to ask for huge pages.

Giving memory back to the system and fetching it again is the hidden cost of training on a CPU
(decisions 0006 and 0017).
"""

import ctypes
import os
import platform
from pathlib import Path

# <malloc.h>: M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
TOP_PAD_BYTES = 512 * 2**20
ADVISE_HUGE = 14  # <sys/mman.h>: MADV_HUGEPAGE
HUGE_PAGE = 2**21  # bytes


def keep_freed_memory() -> bool:
    """Return True when malloc now serves large blocks from its own heap and gives none back.

    Half of the machine's memory is then reserved as heap, in huge pages where the system has them;
    memory that is never written is never used. Returns False, and changes nothing, where the C
    library is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    options = ((MMAP_MAX, 0), (TRIM_THRESHOLD, -1), (TOP_PAD, TOP_PAD_BYTES))
    accepted = [libc.mallopt(option, value) for option, value in options]
    if not all(accepted):
        return False
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.free(libc.malloc(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2))
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith("[heap]"):
            first, last = (int(edge, 16) for edge in line.split()[0].split("-"))
            first = -(-first // HUGE_PAGE) * HUGE_PAGE
            libc.madvise(first, last - first, ADVISE_HUGE)  # an error means that there are none
    return True
