"""One turn of a server: it is started, measured under every load, and stopped."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from bench import memory
from bench.load import measure
from bench.messages import Format
from bench.servers import Contender
from bench.timing import Tally, Timing
from tabserve.client.local_server import running
from tabserve.errors import InvalidRequest, ServerError
from tabserve.model import model as models
from tabserve.predictors.booster import Booster

OURS = "ours"

TOLERANCE = 1e-5


class Load(NamedTuple):
    """The format and rows of a request, and how many clients send it at once."""

    format: str
    rows: int
    clients: int

    @property
    def name(self) -> str:
        """For instance json-1x32: one row as JSON, from each of 32 clients."""
        return f"{self.format}-{self.rows}x{self.clients}"


LOADS = (
    *(Load("json", 1, clients) for clients in (1, 32, 256)),
    *(Load(form, rows, clients) for form in ("json", "binary") for rows in (100, 1_000) for clients in (1, 4)),
    *(Load("grpc", rows, clients) for rows, clients in ((1, 1), (1, 32), (1_000, 1))),
)

PREDICT = {"predict-1-thread": 1, "predict-threads": 0}
"""`inplace_predict` without a server: its number of threads, 0 for all."""


@dataclass(frozen=True)
class Turn:
    """The results of one turn.

    Attributes:
        startup: seconds until the server is ready.
        idle: resident bytes before the first request.
        connection: bytes that one idle connection adds.
        timings: by the load's name.
    """

    startup: float = nan
    idle: float = nan
    connection: float = nan
    timings: dict[str, Timing] = field(default_factory=dict)


def measure_server(
    contender: Contender,
    loads: Iterable[Load],
    rows: Any,  # noqa: ANN401  whatever the formats take
    expected: NDArray[np.float32],
    seconds: float,
) -> Turn:
    """Start a contender and measure it with requests of the first rows.

    Args:
        contender: the server.
        loads: each in one of the contender's formats.
        rows: a request holds the first of them.
        expected: the right probabilities of both classes, shape (rows, 2).
        seconds: duration of each load.

    Raises:
        ServerError: the server does not start, does not answer, or answers other probabilities.
    """
    start = time.perf_counter()
    with running(contender.folder, contender.environment, contender.command) as server:
        startup, idle = time.perf_counter() - start, memory.resident(server.process.pid)
        connection = memory.per_connection(server)
        timings = {}
        for load in loads:
            form = contender.formats[load.format]
            address, request = form.address(server), form.encode(rows[: load.rows])
            refusal = _refusal(form, address, request, expected[: load.rows])
            timings[load.name] = refusal or measure(form.transport, address, request, load.clients, seconds)
    return Turn(startup, idle, connection, timings)


def probabilities(model: Path, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """The probabilities of both classes by a model folder, shape (rows, 2)."""
    positive = models.load(model).score(features).probability
    return np.column_stack([1 - positive, positive])


def measure_predict(
    model: Path, loads: Iterable[Load], features: NDArray[np.float32], seconds: float, threads: int
) -> Turn:
    """Measure `inplace_predict` on the rows that other turns send as binary tensors; 0 threads are all."""
    predictor = models.load(model).predictor
    assert isinstance(predictor, Booster)
    booster = predictor.trees
    booster.set_param({"nthread": threads})
    sizes = [load for load in loads if load.format == "binary" and load.clients == 1]
    return Turn(timings={load.name: _calls(booster, features[: load.rows], seconds) for load in sizes})


def _refusal(form: Format, address: str, request: bytes, expected: NDArray[np.float32]) -> Timing | None:
    """Send one request and check its probabilities; the refusal, if the server refuses it."""
    try:
        answer = form.ask(address, request)
    except InvalidRequest as refusal:
        return Timing(refused=str(refusal))
    values = form.decode(answer, len(expected))
    if not np.allclose(values, expected.ravel(), rtol=0, atol=TOLERANCE):
        raise ServerError(f"{address} answers {values[:4]}…, expected {expected.ravel()[:4]}… of the model it serves.")
    return None


def _calls(booster: xgb.Booster, features: NDArray[np.float32], seconds: float) -> Timing:
    tally = Tally(seconds)
    now = tally.start
    while now < tally.end:
        start = now
        booster.inplace_predict(features, validate_features=False)
        now = time.perf_counter()
        tally.latencies.append(now - start)
    return tally.timing()
