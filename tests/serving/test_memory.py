"""What a server keeps of memory."""

from pathlib import Path

from tabserve.client.local_server import Server
from tabserve.serving.memory import ARENAS

HEAP = 2**26
"""Bytes to whose multiples glibc aligns each heap of an arena, but for the main arena's."""


def test_threads_share_the_allocators_arenas(edge: Server) -> None:
    """Threads have no arena each, which would keep what the largest request has used there."""
    aligned = [line for line in _anonymous(edge.process.pid) if int(line.split("-")[0], 16) % HEAP == 0]
    assert 0 < len(aligned) <= 2 * ARENAS, aligned  # there may be a heap too many, and another's memory by accident


def _anonymous(process: int) -> list[str]:
    """Memory of no file that can be written, as /proc says it: its addresses come first."""
    lines = Path(f"/proc/{process}/maps").read_text().splitlines()
    return [line for line in lines if line.split()[1:] == ["rw-p", "00000000", "00:00", "0"]]
