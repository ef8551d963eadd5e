"""A server's memory allocation."""

from pathlib import Path

from tabserve.client.local_server import Server
from tabserve.serving.memory import ARENAS

HEAP = 2**26
"""Bytes: glibc aligns each heap of an arena, except the main arena's, to a multiple of this."""


def test_threads_share_a_few_arenas_of_malloc(edge: Server) -> None:
    """An arena per thread would keep the memory of the largest request of each thread."""
    aligned = [line for line in _anonymous(edge.process.pid) if int(line.split("-")[0], 16) % HEAP == 0]
    assert 0 < len(aligned) <= 2 * ARENAS, aligned  # tolerates a second heap, or other memory that is aligned by chance


def _anonymous(process: int) -> list[str]:
    """The lines of /proc/<process>/maps about writable memory without a file; each begins with its addresses."""
    lines = Path(f"/proc/{process}/maps").read_text().splitlines()
    return [line for line in lines if line.split()[1:] == ["rw-p", "00000000", "00:00", "0"]]
