"""Titles a second by the API of product categories and by V2, against Flask and scikit-learn under gunicorn."""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import orjson

from bench.load import client, measure
from categories.candidates import candidates
from categories.dataset import ROWS, dataset
from categories.problem import PROBLEM
from categories.sample import products
from tabserve.cli import options
from tabserve.client.local_server import free_ports, running, running_process
from tabserve.model.decision import MostProbable
from tabserve.model.model import Model, save, versions

CASE = Path(__file__).parents[1] / "cases/categories"

CATEGORIZE = "/v1/categorize"

LOADS = ((1, 1), (1, 32), (32, 32), (1_000, 4))
"""Titles in a request, and number of clients."""

READY = "/v2/models/categories/ready"

GUNICORN = ("-m", "gunicorn", "--workers", "2", "--preload", "bench.obvious:app")


class Contender(NamedTuple):
    """A running server of titles: its address, path, and the request document of titles."""

    address: str
    path: str
    document: Callable[[list[str]], object]


def _products(titles: list[str]) -> object:
    return {"products": [{"title": title} for title in titles]}


def _tensor(titles: list[str]) -> object:
    """A V2 request for labels alone, as the other servers answer them."""
    tensor = {"name": "title", "datatype": "BYTES", "shape": [len(titles)], "data": titles}
    return {"inputs": [tensor], "outputs": [{"name": "predict"}]}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `titles`."""
    parser.add_argument(
        "--seconds", type=options.seconds, default=3.0, help="seconds of each load (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Measure three servers of the same kind of model, one at a time, and print titles a second and ratios."""
    print(f"clients: {client('http')}\n")
    rates: dict[str, list[float]] = {}
    starts: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        model = _train(Path(scratch, "model"))
        for name, serve in {"obvious": _obvious, "api": _api, "v2": _v2}.items():
            began = perf_counter()
            with serve(model) as contender:
                starts[name] = perf_counter() - began
                rates[name] = [_rate(contender, *load, arguments.seconds) for load in LOADS]
    print(f"{'titles/s':<34}" + "".join(f"{name:>12}" for name in rates) + f"{'api':>8} × obvious")
    for index, (titles, clients) in enumerate(LOADS):
        row = [own[index] for own in rates.values()]
        line = f"{titles:>5,} a request, {clients:>2} connections"
        print(f"{line:<34}" + "".join(f"{rate:>12,.0f}" for rate in row) + f"{row[1] / row[0]:>8.2f}")
    print(f"{'ready after, s (obvious fits first)':<34}" + "".join(f"{start:>12.2f}" for start in starts.values()))


def _train(folder: Path) -> Path:
    """Train a model on the synthetic sample and save its folder."""
    data = dataset().products
    fitted = candidates(PROBLEM.seed, 1)["linear-svm-words-and-parts"].fit(data)
    linear = fitted.get_predictor()
    model = Model(PROBLEM, data.encoder, linear, MostProbable(), {}, {"synthetic": True}, versions())
    save(folder, model, linear.examples(), "# Synthetic\n")
    return folder


def _rate(contender: Contender, titles: int, clients: int, seconds: float) -> float:
    drawn = products(ROWS, seed=1)["title"].tolist()[:titles]
    body = orjson.dumps(contender.document(drawn))
    head = f"POST {contender.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    return titles * measure("http", contender.address, request, clients, seconds).rate


@contextmanager
def _obvious(_model: Path) -> Iterator[Contender]:
    (port,) = free_ports(1)
    command = [sys.executable, *GUNICORN, "--bind", f"127.0.0.1:{port}"]
    with running_process(command, os.environ, f"http://127.0.0.1:{port}/ready"):
        yield Contender(f"127.0.0.1:{port}", CATEGORIZE, _products)


@contextmanager
def _api(model: Path) -> Iterator[Contender]:
    (port,) = free_ports(1)
    variables = {**os.environ, "MODEL_PATH": str(model), "PORT": str(port)}
    with running_process([sys.executable, str(CASE / "api.py")], variables, f"http://127.0.0.1:{port}/ready"):
        yield Contender(f"127.0.0.1:{port}", CATEGORIZE, _products)


@contextmanager
def _v2(model: Path) -> Iterator[Contender]:
    variables = {"TABSERVE_MODEL": str(model)}
    with running(CASE / "deploy", variables, ready=READY) as server:
        yield Contender(server.url.removeprefix("http://"), "/v2/models/categories/infer", _tensor)
