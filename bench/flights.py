"""Flights a second by the API of delays, with its history and without, against an obvious FastAPI app."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import orjson

from bench import obvious_flights
from bench.load import client, measure
from tabserve.cli import options
from tabserve.client.local_server import free_ports, running_process

CASE = Path(__file__).parents[1] / "cases/flights"

PREDICT = "/model/predict/"

LOADS = ((1, 32), (1_000, 4))
"""Flights in a request, and number of clients."""


class Contender(NamedTuple):
    """A server: its command, and its variables."""

    command: Sequence[str]
    variables: Mapping[str, str]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `flights`."""
    parser.add_argument("--seconds", type=options.seconds, default=3.0, help="of each load (default: %(default)s)")
    parser.add_argument("--repeats", type=options.count, default=2, help="turns of each server (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Measure the servers in turns, and print flights a second and their ratios."""
    rates: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        contenders = _contenders(Path(scratch))
        for _ in range(arguments.repeats):
            for name, contender in contenders.items():
                rates.setdefault(name, []).append(_turn(contender, arguments.seconds))
    best = {name: [max(turns) for turns in zip(*measured, strict=True)] for name, measured in rates.items()}
    print(f"clients: {client('http')}\n")
    print(f"{'flights/s, best of the turns':<34}" + "".join(f"{name:>14}" for name in best))
    for index, (flights, clients) in enumerate(LOADS):
        line = f"{flights:>5,} a request, {clients:>2} connections"
        print(f"{line:<34}" + "".join(f"{rate[index]:>14,.0f}" for rate in best.values()))
    print()
    for sentence, ratio, target in _ratios(best):
        print(f"{sentence:<66} {ratio:>7.2f} (target {target:g})")


def _ratios(best: Mapping[str, Sequence[float]]) -> Iterator[tuple[str, float, float]]:
    """Each ratio of two servers, with what it should reach."""
    obvious, plain, kept = (best[name] for name in ("obvious", "no history", "history"))
    yield "one flight, with the history, against the obvious app", kept[0] / obvious[0], 5
    yield "one flight, with the history, against without it", kept[0] / plain[0], 0.8
    yield "1,000 flights a request, with the history, against the obvious", kept[1] / obvious[1], 3


def _contenders(scratch: Path) -> dict[str, Contender]:
    pickled, api = scratch / "pipeline.pkl", (sys.executable, str(CASE / "api.py"))
    obvious_flights.fit(pickled)
    obvious = (sys.executable, "-m", obvious_flights.__name__)
    plain = {"MODEL_PATH": str(CASE / "deploy/model"), "TABSERVE_LOAD": "off", "TABSERVE_HISTORY": ""}
    return {
        "obvious": Contender(obvious, {obvious_flights.MODEL: str(pickled)}),
        "no history": Contender(api, plain),
        "history": Contender(api, {**plain, "TABSERVE_HISTORY": str(scratch / "history.db")}),
    }


def _turn(contender: Contender, seconds: float) -> list[float]:
    """Start a server; the flights a second that it answers under each load."""
    with _running(contender) as address:
        return [
            flights * measure("http", address, _request(flights), clients, seconds).rate for flights, clients in LOADS
        ]


@contextmanager
def _running(contender: Contender) -> Iterator[str]:
    (port,) = free_ports(1)
    variables = {**os.environ, **contender.variables, "PORT": str(port)}
    with running_process([*contender.command], variables, f"http://127.0.0.1:{port}/ready"):
        yield f"127.0.0.1:{port}"


def _request(flights: int) -> bytes:
    """A request for so many flights, each at another minute of the day."""
    own = orjson.loads((CASE / "scripts/flights.json").read_bytes())[0]
    body = orjson.dumps(
        [{**own, "sched_dep_time": minute % 1_440 // 60 * 100 + minute % 60} for minute in range(flights)]
    )
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
