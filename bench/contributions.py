"""What contributions cost: a request for them against the same request without, and a row of others beside them."""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from bench import mixed_table
from bench.load import client, measure
from bench.messages import OUTPUT, post
from bench.servers import ours
from bench.work import MODEL
from santander.sample import sample
from tabserve.cli import options
from tabserve.client.local_server import running
from tabserve.serving.protocol.contributions import NAME

ROWS = (1, 100)

OPTIONS = orjson.OPT_SERIALIZE_NUMPY


class Case(NamedTuple):
    """A model folder, and the inputs of a request of some rows."""

    title: str
    folder: Path
    inputs: Callable[[int], list[dict[str, Any]]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `contributions`."""
    parser.add_argument("--seconds", type=options.seconds, default=3.0, help="of each load (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Measure the committed model and one over mixed columns, one client at a time, and print the ratios."""
    print(f"clients: {client('http')}\n")
    print(f"{'p50 in ms, one client':<34}{'rows':>6}{'without':>10}{'with':>10}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as scratch:
        mixed = mixed_table.train(Path(scratch, "model"))
        for case in (Case("committed, 200 numbers", MODEL, _matrix), Case("mixed, 20 columns", mixed, _columns)):
            _measure_case(case, arguments.seconds)


def _measure_case(case: Case, seconds: float) -> None:
    server = ours(case.folder)
    with running(server.folder, server.environment, server.command) as started:
        address = started.url.removeprefix("http://")
        for rows in ROWS:
            without, explained = (
                measure("http", address, _request(case, rows, outputs), 1, seconds).p50
                for outputs in ([OUTPUT], [OUTPUT, NAME])
            )
            ratio = explained / without
            print(f"{case.title:<34}{rows:>6}{without:>10.2f}{explained:>10.2f}{ratio:>8.1f}", flush=True)
        print(f"  one row beside a client that asks for contributions of {ROWS[-1]}: ", end="")
        alone, beside = _beside(case, address, seconds)
        print(
            f"p50 {beside[0]:.2f} ms, p99 {beside[1]:.2f} ms; without it {alone[0]:.2f} and {alone[1]:.2f}", flush=True
        )


def _beside(case: Case, address: str, seconds: float) -> list[tuple[float, float]]:
    """The p50 and p99 of one row without contributions: alone, and beside a client that asks for many."""
    row, many = _request(case, 1, [OUTPUT]), _request(case, ROWS[-1], [NAME])
    with ThreadPoolExecutor(1) as thread:
        timings = [measure("http", address, row, 1, seconds)]
        load = thread.submit(measure, "http", address, many, 1, 2 * seconds)
        timings.append(measure("http", address, row, 1, seconds))
        load.result()
    return [(timing.p50, timing.p99) for timing in timings]


def _request(case: Case, rows: int, outputs: Sequence[str]) -> bytes:
    document = {"inputs": case.inputs(rows), "outputs": [{"name": name} for name in outputs]}
    return post(orjson.dumps(document, option=OPTIONS), "Content-Type: application/json")


def _matrix(rows: int) -> list[dict[str, Any]]:
    """The synthetic sample's rows in one tensor."""
    features = sample(rows, 1).features
    return [{"name": "predict", "datatype": "FP32", "shape": features.shape, "data": features.ravel()}]


def _columns(rows: int) -> list[dict[str, Any]]:
    """Rows of the mixed table, a tensor for each column."""
    table = mixed_table.table(rows, 1)
    datatypes = {column.name: "FP64" if column.kind == "number" else "BYTES" for column in mixed_table.PROBLEM.columns}
    return [
        {"name": name, "datatype": datatype, "shape": [rows], "data": table[name].tolist()}
        for name, datatype in datatypes.items()
    ]
