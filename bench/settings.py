"""Speed by the settings of batching and by the size of requests: one server for each value."""

import argparse
import socket
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np

from bench import clients
from bench.load import measure
from bench.messages import FORMATS, connect, exchange
from bench.servers import deployed
from bench.work import MODEL
from santander.sample import sample
from tabserve.cli import options
from tabserve.client.local_server import Server

BATCHING: Mapping[str, tuple[float, ...]] = {"max_batch_size": (1, 32, 256, 2048), "max_batch_time": (0.001, 0.005)}
"""Values of each setting, with the other at its default."""

CLIENTS = 32

ROWS = (1, 100, 1_000, 10_000)
"""Rows of the large requests beside which one row waits."""

SHARES = (1.0, 0.8, 0.5)
"""Shares of the queue that large requests may hold."""

CROWD, CROWD_ROWS, SMALL = 16, 5_000, 4
"""Number of gRPC clients, rows in each of their requests, and number of REST clients that send one row beside them."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `settings`."""
    parser.add_argument(
        "--seconds", type=options.seconds, default=3.0, help="of each measurement (default: %(default)s)"
    )
    parser.add_argument("--model", type=Path, default=MODEL, help="model folder to serve (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Measure each setting and print its speed."""
    print(f"{'one row as JSON, from':<26}{'1 client, p50 ms':>18}{f'{CLIENTS}, rows/s':>14}{f'{CLIENTS}, p99 ms':>14}")
    for name, values in BATCHING.items():
        for value in values:
            print(f"{f'{name} {value:g}':<26}{batching(name, value, arguments.model, arguments.seconds)}", flush=True)
    print(f"\n{'one row beside another client':<34}{'p50 ms':>10}{'longest ms':>14}")
    with deployed(arguments.model, {}) as server:
        for form in ("json", "binary"):
            for rows in ROWS:
                print(f"{f'of {rows:,} rows, {form}':<34}{beside(server, form, rows, arguments.seconds)}", flush=True)
    print(
        f"\n{f'one row beside {CROWD} clients of {CROWD_ROWS:,} rows':<44}{'p50 ms':>10}{'p99 ms':>10}{'refused':>10}"
    )
    for share in SHARES:
        print(f"{f'large_share {share:g}':<44}{beside_crowd(share, arguments.model, arguments.seconds)}", flush=True)


def batching(name: str, value: float, model: Path, seconds: float) -> str:
    """Speed with one value of a batching setting."""
    with deployed(model, {"model-settings": {name: value}}) as server:
        form = FORMATS["json"]
        address, request = form.address(server), form.encode(sample(1, 1).features)
        one = measure(form.transport, address, request, 1, seconds)
        many = measure(form.transport, address, request, CLIENTS, seconds)
    return f"{one.p50:>18.2f}{many.rate:>14,.0f}{many.p99:>14.2f}"


def beside(server: Server, name: str, rows: int, seconds: float) -> str:
    """Latency of one row while another client sends requests of `rows` rows one after the other."""
    form, stop, features = FORMATS[name], Event(), sample(rows, 1).features
    large = form.encode(features)

    def other() -> None:
        with connect(form.address(server)) as connection:
            while not stop.is_set():
                exchange(connection, large)

    with ThreadPoolExecutor(1) as pool, connect(form.address(server)) as connection:
        pool.submit(other)
        try:
            waits = list(_waits(connection, FORMATS["json"].encode(features[:1]), seconds))
        finally:
            stop.set()
    return f"{np.median(waits):>10.2f}{max(waits):>14.2f}"


def beside_crowd(share: float, model: Path, seconds: float) -> str:
    """Latency and refusals of one row while large requests overfill the queue."""
    large, small = (
        FORMATS[name].encode(sample(rows, 1).features) for name, rows in (("grpc", CROWD_ROWS), ("json", 1))
    )
    with deployed(model, {}, {"TABSERVE_LARGE_SHARE": str(share)}) as server, ThreadPoolExecutor(1) as pool:
        crowd = pool.submit(clients.measure, "grpc", server.grpc, large, CROWD, 2 * seconds)
        time.sleep(seconds / 2)  # the queue is full by then
        timing = clients.measure("http", FORMATS["json"].address(server), small, SMALL, seconds)
        crowd.result()
    return f"{timing.p50:>10.2f}{timing.p99:>10.2f}{timing.errors:>10}"


def _waits(connection: socket.socket, request: bytes, seconds: float) -> Iterator[float]:
    """Milliseconds of each answer, one request after the other."""
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        exchange(connection, request)
        yield 1_000 * (time.perf_counter() - start)
