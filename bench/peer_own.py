"""Our side of `peers`: the default training of a table, and the time of answering one row."""

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from bench import clients
from bench.messages import post
from bench.peer import AMOUNT, Job, milliseconds
from tabserve.client import table as client_table
from tabserve.client.cells import to_send
from tabserve.client.local_server import SERVE, running
from tabserve.client.rest import RestClient
from tabserve.errors import ServerError
from tabserve.model.model import load

ROW = "bench_row"
"""The id that says which rows our training held out."""

NO_ANSWERS = {"label", "low", "high"}
"""The columns of a scored file that are neither a probability nor an amount."""

REST_SECONDS = 3.0
"""One row is sent over REST for so long."""


class Own(NamedTuple):
    """Our training of a table.

    Attributes:
        seconds: of looking, selecting, refitting and evaluating, by the wall clock.
        winner: name of the best candidate.
        mean, deviation: of the metric over the folds.
        ids: of the rows held out.
        labels: of the columns of `answers`, the positive one last; `AMOUNT` for an amount.
        answers: to the rows held out: the probability of each label, or the amount; shape (rows, labels).
    """

    seconds: float
    winner: str
    mean: float
    deviation: float
    ids: NDArray[np.int64]
    labels: list[str]
    answers: NDArray[np.float64]


def train(name: str, csv: Path, target: str, job: Job, folder: Path) -> Own:
    """Train by the defaults on the csv of a table, and save the model; run in a fresh process."""
    from tabserve.trained import train as by_defaults  # noqa: PLC0415  other processes need not import it

    start = time.perf_counter()
    trained = by_defaults(csv, target, id=ROW, metric=job.metric, seed=job.seed, name=name)
    seconds = time.perf_counter() - start
    model, holdout, folds = trained.save(folder), trained.data.holdout, trained.selection.winner.measures[job.metric]
    columns = model.decision.table(model.score(holdout.features), model.problem)
    answers = {name: values.astype(np.float64) for name, values in columns.items() if name not in NO_ANSWERS}
    if "probability" in answers:
        answers = {"negative": 1 - answers["probability"], **answers}
    return Own(
        seconds,
        trained.selection.winner.candidate.name,
        float(folds.mean()),
        float(folds.std()),
        holdout.ids.astype(np.int64),
        [*model.problem.labels] or [AMOUNT],
        np.column_stack([*answers.values()]),
    )


def answer_times(folder: Path, csv: Path) -> tuple[float, float]:
    """Milliseconds of the first row of a csv: encoded and scored in this process, and over REST from one connection.

    Raises:
        ServerError: the server does not start, or does not answer the row.
    """
    model = load(folder)
    with running(folder, {}, SERVE, f"/v2/models/{folder.name}/ready") as server:
        client = RestClient(server.url, folder.name, 30.0)
        cells = client_table.read(csv, client.metadata, 1).columns
        timing = clients.measure("http", server.url.removeprefix("http://"), _request(client, cells), 1, REST_SECONDS)
    if timing.errors:
        raise ServerError(f"The server of {folder} refuses the row that it is asked about.")
    model.predictor.on_one_thread()  # as a server has it
    columns = [cells[name].tolist() for name in model.problem.features]
    return milliseconds(lambda: model.score(model.encoder.encode(columns).features)), timing.p50


def _request(client: RestClient, cells: dict[str, NDArray[Any]]) -> bytes:
    """One row as an HTTP request: one tensor of numbers, or one for each column."""
    sent = {column: to_send(column, cells[column.name]).tolist() for column in client.metadata.columns}
    inputs = [
        {"name": column.name, "datatype": column.datatype, "shape": [1, 1], "data": data}
        for column, data in sent.items()
    ]
    if name := client.metadata.tensor:
        data = [value for values in sent.values() for value in values]
        inputs = [{"name": name, "datatype": "FP32", "shape": [1, len(data)], "data": data}]
    return post(orjson.dumps({"inputs": inputs}), "Content-Type: application/json", model=client.model)
