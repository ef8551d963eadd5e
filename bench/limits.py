"""How large the server's process grows at its limits, each alone and all at once, beside what it may at most."""

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
"""For which the queue is not scored, and for which nothing that arrives slowly is given up."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Its own options."""
    parser.add_argument(
        "--mib", type=options.count, default=8, help="of a body and of a message at most (default: %(default)s)"
    )
    parser.add_argument("--rows", type=options.count, default=10_000, help="that may wait (default: %(default)s)")
    parser.add_argument("--model", type=Path, default=MODEL, help="model folder to serve (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Drive the server to each limit, and print what its process held at most beside what it may."""
    body = arguments.mib * MIB
    size = Size(body, 4 * body, Limits().max_receiving_messages, arguments.rows)
    print(f"{'MiB beyond idle':<44}{'at most':>10}{'bound':>10}")
    for name, limit in {**HELD, **READ}.items():
        print(line(name, grown(held(size, arguments.model), size, [limit]), limit.bound(size)), flush=True)
    bound = sum(limit.bound(size) for limit in HELD.values()) + max(limit.bound(size) for limit in READ.values())
    print(line("all at once", grown(held(size, arguments.model), size, [*HELD.values(), *READ.values()]), bound))
    print(line("over texts: the longest", grown(over_texts(size), size, [TEXTS]), TEXTS.bound(size)))


def line(name: str, most: float, bound: float) -> str:
    """What was found beside what may be, both in bytes."""
    return f"{name:<44}{most / MIB:>10.0f}{bound / MIB:>10.0f}"


def grown(served: AbstractContextManager[Server], size: Size, limits: list[Limit]) -> int:
    """Bytes that a fresh server's process held at most beyond what it holds when idle."""
    with served as server, ExitStack() as until_end:
        before = memory.resident(server.process.pid)
        for limit in limits:
            limit.drive(server, size, until_end)
        return memory.peak(server.process.pid) - before


def held(size: Size, model: Path) -> AbstractContextManager[Server]:
    """A server of these sizes, which scores nothing before its queue is full."""
    changes: dict[str, dict[str, float]] = {
        "settings": {"grpc_max_message_length": size.body},
        "model-settings": {"max_batch_size": size.rows, "max_batch_time": HOLD_SECONDS},
    }
    return deployed(model, changes, variables(size))


def over_texts(size: Size) -> AbstractContextManager[Server]:
    """A server of these sizes with the committed model over titles, which scores at once."""
    return running(CASE / "deploy", variables(size), ready=READY)


def variables(size: Size) -> dict[str, str]:
    """What sets a server to these sizes."""
    values = {"MAX_BODY_BYTES": size.body, "MAX_QUEUE_ROWS": size.rows, "RECEIVE_SECONDS": HOLD_SECONDS}
    values |= {"MAX_RECEIVING_BYTES": size.receiving}
    return {f"TABSERVE_{name}": str(value) for name, value in values.items()}
