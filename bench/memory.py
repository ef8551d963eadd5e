"""Memory, files and threads of a server's process, read from Linux' /proc."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from bench.messages import FORMATS, connect
from tabserve.client.local_server import Server

CONNECTIONS = 1_000

READY = b"GET /v2/models/xgboost-model/ready HTTP/1.1\r\nHost: localhost\r\n\r\n"


def resident(process: int) -> int:
    """Resident memory of a process in bytes."""
    return int(Path(f"/proc/{process}/smaps_rollup").read_text().split("\nRss:")[1].split()[0]) * 1024


def peak(process: int) -> int:
    """Peak resident memory in bytes since the process's start or `forget_peak`."""
    return int(Path(f"/proc/{process}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


def forget_peak(process: int) -> None:
    """Reset the peak to the present memory."""
    Path(f"/proc/{process}/clear_refs").write_text("5")


def descriptors(process: int) -> int:
    """The number of open files and sockets."""
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def threads(process: int) -> int:
    """The number of threads."""
    return len(list(Path(f"/proc/{process}/task").iterdir()))


def by_program(process: int) -> Counter[str]:
    """Bytes of a process and its descendants, by program name without version; shared memory is counted once."""
    sizes: Counter[str] = Counter()
    for member in _family(process):
        with suppress(OSError):  # it has ended since
            proportional = Path(f"/proc/{member}/smaps_rollup").read_text().split("\nPss:")[1].split()[0]
            sizes[Path(f"/proc/{member}/comm").read_text().strip().rstrip(".0123456789")] += int(proportional) * 1024
    return sizes


def _family(process: int) -> Iterator[int]:
    yield process
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            for child in children.read_text().split():
                yield from _family(int(child))


def per_connection(server: Server) -> float:
    """Bytes of one idle connection, the mean over many."""
    address = FORMATS["json"].address(server)
    before = resident(server.process.pid)
    with ExitStack() as connections:
        for _ in range(CONNECTIONS):
            connection = connections.enter_context(connect(address))
        connection.sendall(READY)  # its answer comes once all earlier connections are accepted
        connection.recv(1)
        return (resident(server.process.pid) - before) / CONNECTIONS
