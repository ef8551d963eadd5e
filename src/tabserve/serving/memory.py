"""What a process does with memory while it serves."""

import ctypes
import gc
from contextlib import suppress

KEPT_BYTES = 64 * 2**20
"""Of freed memory, that the process keeps: twice the largest piece that glibc takes from what it keeps."""

ARENAS = 2
"""Of the memory allocator: one for each thread, as glibc would have it, kept 40 MiB more after ten minutes of load."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # as malloc.h has them


def reuse() -> None:
    """Keep what a large request has used for the next, in few arenas: those that threads have already stay.

    The kernel takes longer than the model to give memory. See mallopt(3); glibc would learn as much by itself from one
    larger piece.
    """
    with suppress(AttributeError):  # another library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES // 2)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(M_ARENA_MAX, ARENAS)


def settle() -> None:
    """Leave what is loaded alone, so that collections need not walk through it."""
    gc.unfreeze()  # also of the models before, if there were some
    gc.collect()
    gc.freeze()
