"""What a server's process holds, read from Linux' /proc."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from bench.messages import FORMATS, connected
from tabserve.client.local_server import Server

CONNECTIONS = 1_000

READY = b"GET /v2/models/xgboost-model/ready HTTP/1.1\r\nHost: localhost\r\n\r\n"


def resident(process: int) -> int:
    """Bytes that are in memory."""
    return int(Path(f"/proc/{process}/smaps_rollup").read_text().split("\nRss:")[1].split()[0]) * 1024


def peak(process: int) -> int:
    """Bytes that were in memory at most, since the start or since `forget_peak`."""
    return int(Path(f"/proc/{process}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


def forget_peak(process: int) -> None:
    """Begin to look for the peak anew."""
    Path(f"/proc/{process}/clear_refs").write_text("5")


def descriptors(process: int) -> int:
    """Files and sockets that are open."""
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def threads(process: int) -> int:
    """Threads that run or wait."""
    return len(list(Path(f"/proc/{process}/task").iterdir()))


def by_program(process: int) -> Counter[str]:
    """Bytes of a process and of those below it, by their programs without version; what they share is counted once."""
    found: Counter[str] = Counter()
    for each in _family(process):
        with suppress(OSError):  # it has ended meanwhile
            shared = Path(f"/proc/{each}/smaps_rollup").read_text().split("\nPss:")[1].split()[0]
            found[Path(f"/proc/{each}/comm").read_text().strip().rstrip(".0123456789")] += int(shared) * 1024
    return found


def _family(process: int) -> Iterator[int]:
    yield process
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            for child in children.read_text().split():
                yield from _family(int(child))


def per_connection(server: Server) -> float:
    """Bytes that one idle connection takes, as the mean of many."""
    address = FORMATS["json"].address(server)
    before = resident(server.process.pid)
    with ExitStack() as opened:
        for _ in range(CONNECTIONS):
            connection = opened.enter_context(connected(address))
        connection.sendall(READY)  # the last one's answer comes once all before it are accepted
        connection.recv(1)
        return (resident(server.process.pid) - before) / CONNECTIONS
