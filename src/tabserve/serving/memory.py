"""Tune memory allocation and garbage collection of a server."""

import ctypes
import gc
from contextlib import suppress

KEPT_BYTES = 64 * 2**20
"""Freed memory that the process keeps: twice the largest block that is allocated from it."""

ARENAS = 2
"""Arenas of malloc; glibc's default of one per thread kept 40 MiB more after ten minutes of load."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # as malloc.h has them


def tune_malloc() -> None:
    """Keep the memory of a large request for the next one, in few arenas; call it before there are threads.

    Getting memory from the kernel takes longer than the model does. See mallopt(3).
    """
    with suppress(AttributeError):  # not glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES // 2)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(M_ARENA_MAX, ARENAS)


def freeze_gc() -> None:
    """Exclude loaded objects from garbage collections, which then need not walk through them."""
    gc.unfreeze()  # so that replaced models are collected
    gc.collect()
    gc.freeze()
