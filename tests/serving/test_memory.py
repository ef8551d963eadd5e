"""A server's memory allocation."""

from itertools import pairwise
from pathlib import Path

from tabserve.client.local_server import Server
from tabserve.serving.memory import ARENAS

HEAP = 2**26
"""Bytes: glibc aligns each heap of an arena, except the main arena's, to a multiple of this, and reserves as much."""


def test_threads_share_a_few_arenas_of_malloc(edge: Server) -> None:
    """An arena per thread would keep the memory of the largest request of each thread."""
    heaps = _heaps(edge.process.pid)
    assert 0 < len(heaps) <= 2 * ARENAS, heaps  # tolerates a second heap


def _heaps(process: int) -> list[str]:
    """The addresses of heaps in /proc/<process>/maps: writable from a multiple of HEAP on, reserved up to the next."""
    areas = [line.split()[:2] for line in Path(f"/proc/{process}/maps").read_text().splitlines()]
    return [
        used
        for (used, access), (rest, of_rest) in pairwise(areas)
        if (access, of_rest) == ("rw-p", "---p")
        and _bounds(used)[0] % HEAP == 0
        and _bounds(rest) == (_bounds(used)[1], _bounds(used)[0] + HEAP)
    ]


def _bounds(addresses: str) -> tuple[int, int]:
    """The first address of an area and the first one after it."""
    start, end = addresses.split("-")
    return int(start, 16), int(end, 16)
