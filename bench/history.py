"""A history of answered requests: what it costs the server, its size, and how long a page takes."""

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from time import perf_counter
from uuid import UUID

from bench.load import client, measure
from bench.messages import FORMATS
from bench.servers import deployed
from bench.work import MODEL
from santander.sample import sample
from tabserve.cli import options
from tabserve.serving.history import pages
from tabserve.serving.history.entry import Entry
from tabserve.serving.history.opening import dialect
from tabserve.serving.history.query import Cursor, Query
from tabserve.serving.history.store import Store

CLIENTS = 32

REPEATS = 3
"""Measurements with and without a history, in turns."""

BATCH = 10_000

READS = 20
"""How often each page is read."""

START = datetime(2026, 1, 1, tzinfo=UTC)

STEP = timedelta(milliseconds=5)
"""Time between two entries."""

INPUT = (
    b'{"carrier": "UA", "origin": "EWR", "dest": "IAH", "sched_dep_time": 515, "sched_arr_time": 819, "year": 2013,'
    b' "month": 1, "day": 1, "distance": 1400}'
)

OUTPUT = b'{"id": "8709bf54-0584-4449-8e97-%012x", "model_version": "d41d8cd98f00", "arr_delay_minutes": [%d.25]}'


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `history`."""
    parser.add_argument(
        "--rows", type=int, default=100_000, help="entries of the file that is read (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=options.seconds, default=3.0, help="of each measurement (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Measure a server with and without a history, then fill a file and read pages of it."""
    print(f"clients: {client('http')}, {CLIENTS} at a time")
    print(f"{'one row a request, requests/s':<32}{'without':>12}{'with':>12}{'ratio':>8}")
    for name in ("json", "binary", "grpc"):
        without, with_history = _rates(name, arguments.seconds)
        print(f"{name:<32}{without:>12,.0f}{with_history:>12,.0f}{with_history / without:>8.2f}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        _read(Path(scratch, "history.db"), arguments.rows)


def _rates(name: str, seconds: float) -> tuple[float, float]:
    """Requests a second of one format without and with a history: medians of measurements in turns."""
    form, features = FORMATS[name], sample(1, 1).features
    rates: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(REPEATS):
        for is_kept, found in rates.items():
            with tempfile.TemporaryDirectory() as scratch:
                variables = {"TABSERVE_HISTORY": str(Path(scratch, "history.db"))} if is_kept else {}
                with deployed(MODEL, {}, variables) as server:
                    request = form.encode(features)
                    found.append(measure(form.transport, form.address(server), request, CLIENTS, seconds).rate)
    return statistics.median(rates[False]), statistics.median(rates[True])


def _read(path: Path, rows: int) -> None:
    """Fill a file with entries, and read pages of 100."""
    store, entries, start = Store(dialect(str(path))), _entries(rows), perf_counter()
    while batch := [*islice(entries, BATCH)]:
        store.write(batch)
    seconds = perf_counter() - start
    store.close()
    size = path.stat().st_size
    print(f"\n{rows:,} entries of one flight, written in {seconds:.1f} s ({rows / seconds:,.0f} a second)")
    print(f"{size / 2**20:,.0f} MiB, {size / rows:.0f} bytes an entry\n")
    print(f"{'a page of 100 as JSON':<32}{'median, ms':>12}{'longest, ms':>12}")
    middle = START + STEP * (rows // 2)
    for name, query in {
        "the newest": Query(),
        "by a cursor in the middle": Query(cursor=Cursor(middle, rows // 2)),
        "by time": Query(since=middle - timedelta(hours=1), until=middle),
        "of a rare model": Query(model="rare"),
        "by a request's id": Query(request=_id(rows // 2)),
        "of nothing": Query(model="none"),
    }.items():
        print(f"{name:<32}{_milliseconds(store, query)}", flush=True)


def _milliseconds(store: Store, query: Query) -> str:
    """Median and longest of several reads, in milliseconds."""
    times = []
    for _ in range(READS):
        start = perf_counter()
        pages.to_json(store.page(query))
        times.append(1_000 * (perf_counter() - start))
    return f"{statistics.median(times):>12.2f}{max(times):>12.2f}"


def _entries(rows: int) -> Iterator[Entry]:
    """Entries of one flight each; one in a thousand is of another model."""
    for number in range(rows):
        model = "flights" if number % 1_000 else "rare"
        output = OUTPUT % (number, number % 100)
        yield Entry(START + STEP * number, _id(number), model, "d41d8cd98f00", "/model/predict", 1, INPUT, output)


def _id(number: int) -> str:
    """An id as clients make them: in no order."""
    return str(UUID(bytes=blake2b(number.to_bytes(8), digest_size=16).digest()))
