"""What a process does with memory once its models are loaded."""

import ctypes
import gc
from contextlib import suppress

KEPT_BYTES = 64 * 2**20
"""Of freed memory, that the process keeps: twice the largest piece that glibc takes from what it keeps."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as malloc.h has them


def settle() -> None:
    """Leave what is loaded alone, so that collections need not walk through it; keep what a large request has used.

    The kernel takes longer than the model to give memory. See mallopt(3); glibc would learn as much by itself from one
    larger piece.
    """
    gc.collect()
    gc.freeze()
    with suppress(AttributeError):  # another library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES // 2)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
