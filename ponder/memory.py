"""Tell glibc's malloc to keep freed memory: page faults are the hidden cost of training on a CPU (decision 0006)."""
import ctypes
import platform

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4    # <malloc.h>: M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX


def keep_freed_memory():
    """Return True when malloc now serves large blocks from its own heap and gives nothing back to the system.

    Returns False, and changes nothing, where the C library is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return all((libc.mallopt(MMAP_MAX, 0), libc.mallopt(TRIM_THRESHOLD, 2**31 - 1), libc.mallopt(TOP_PAD, 512 * 2**20)))
