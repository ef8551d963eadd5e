"""Memory of the server at its limits, each alone and all at once, beside the bound of each."""

import argparse
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from bench import memory
from bench.hostile import HELD, READ, TEXTS, Limit, Size
from bench.servers import deployed
from bench.titles import CASE, READY
from bench.work import MODEL
from tabserve.cli import options
from tabserve.client.local_server import Server, running
from tabserve.serving.limits import MIB, Limits

HOLD_SECONDS = 600
"""How long the queue is not scored, and how long a slow request may take to arrive."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `limits`."""
    parser.add_argument(
        "--mib", type=options.count, default=8, help="size limit of a body and of a message (default: %(default)s)"
    )
    parser.add_argument("--rows", type=options.count, default=10_000, help="most rows that wait (default: %(default)s)")
    parser.add_argument("--model", type=Path, default=MODEL, help="model folder to serve (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Drive the server to each limit, and print its peak memory beside the bound."""
    body = arguments.mib * MIB
    size = Size(body, 4 * body, Limits().max_receiving_messages, arguments.rows)
    print(f"{'MiB beyond idle':<44}{'at most':>10}{'bound':>10}")
    for name, limit in {**HELD, **READ}.items():
        print(line(name, growth(stalled_server(size, arguments.model), size, [limit]), limit.bound(size)), flush=True)
    bound = sum(limit.bound(size) for limit in HELD.values()) + max(limit.bound(size) for limit in READ.values())
    together = [*HELD.values(), *READ.values()]
    print(line("all at once", growth(stalled_server(size, arguments.model), size, together), bound))
    print(line("over texts: the longest", growth(text_server(size), size, [TEXTS]), TEXTS.bound(size)))


def line(name: str, peak: float, bound: float) -> str:
    """A line of the table: the peak beside its bound, both given in bytes."""
    return f"{name:<44}{peak / MIB:>10.0f}{bound / MIB:>10.0f}"


def growth(serving: AbstractContextManager[Server], size: Size, limits: list[Limit]) -> int:
    """Peak memory in bytes of a fresh server's process, beyond its idle memory."""
    with serving as server, ExitStack() as until_end:
        before = memory.resident(server.process.pid)
        for limit in limits:
            limit.drive(server, size, until_end)
        return memory.peak(server.process.pid) - before


def stalled_server(size: Size, model: Path) -> AbstractContextManager[Server]:
    """A server with these limits that scores nothing before its queue is full."""
    changes: dict[str, dict[str, float]] = {
        "settings": {"grpc_max_message_length": size.body},
        "model-settings": {"max_batch_size": size.rows, "max_batch_time": HOLD_SECONDS},
    }
    return deployed(model, changes, variables(size))


def text_server(size: Size) -> AbstractContextManager[Server]:
    """A server with these limits and the committed model of titles, which scores at once."""
    return running(CASE / "deploy", variables(size), ready=READY)


def variables(size: Size) -> dict[str, str]:
    """Environment variables that set a server's limits."""
    values = {"MAX_BODY_BYTES": size.body, "MAX_QUEUE_ROWS": size.rows, "RECEIVE_SECONDS": HOLD_SECONDS}
    values |= {"MAX_RECEIVING_BYTES": size.receiving}
    return {f"TABSERVE_{name}": str(value) for name, value in values.items()}
