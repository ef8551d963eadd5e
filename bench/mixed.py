"""One row of 20 mixed columns a request, each a named input: against the limit of Python and the obvious API."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
from numpy.typing import NDArray

from bench import obvious_mixed, results, serving, targets
from bench.load import client
from bench.messages import FORMATS, OUTPUT, post
from bench.mixed_table import PROBLEM, TARGET, table, train
from bench.servers import Contender, limit, ours
from bench.turn import Load, Turn, measure_server, probabilities
from tabserve.cli import options
from tabserve.model.model import load

LOADS = (Load("columns", 1, 1), Load("columns", 1, 32))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `mixed`."""
    parser.add_argument("--seconds", type=options.seconds, default=3.0, help="of each load (default: %(default)s)")
    parser.add_argument("--repeats", type=options.count, default=2, help="turns of each server (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Train, measure the servers in turns, and print rows a second and the targets."""
    rows = table(1, 1).drop(columns=TARGET)
    with tempfile.TemporaryDirectory() as scratch:
        model = train(Path(scratch, "model"))
        turns = serving.take_turns(
            [*SERVERS], arguments.repeats, lambda name: _turn(name, model, rows, arguments.seconds)
        )
    print(f"clients: {client('http')}\n")
    print(results.tables(turns, LOADS), targets.table(turns, targets.MIXED), sep="\n\n")


def _turn(name: str, model: Path, rows: pd.DataFrame, seconds: float) -> Turn:
    contender, expected = SERVERS[name]
    return measure_server(contender(model), LOADS, rows, expected(model, rows), seconds)


def _by_model(model: Path, rows: pd.DataFrame) -> NDArray[np.float32]:
    """The probabilities of the model folder itself."""
    features = load(model).encoder.encode([rows[name].tolist() for name in PROBLEM.features]).features
    return probabilities(model, features)


def _by_pipeline(_model: Path, rows: pd.DataFrame) -> NDArray[np.float32]:
    """The probabilities of scikit-learn's pipeline itself."""
    expected: NDArray[np.float32] = obvious_mixed.fit().predict_proba(obvious_mixed.with_parts(rows))
    return expected


def _obvious(model: Path) -> Contender:
    return Contender((sys.executable, "-m", obvious_mixed.__name__), model, {}, model, {"columns": RECORD})


def _columns(rows: pd.DataFrame) -> bytes:
    """A V2 request with one input for each column."""
    datatypes = {column.name: "FP64" if column.kind == "number" else "BYTES" for column in PROBLEM.columns}
    inputs = [
        {"name": name, "datatype": datatype, "shape": [len(rows)], "data": rows[name].tolist()}
        for name, datatype in datatypes.items()
    ]
    return post(orjson.dumps({"inputs": inputs, "outputs": [{"name": OUTPUT}]}), "Content-Type: application/json")


def _record(rows: pd.DataFrame) -> bytes:
    """The one row as a JSON object."""
    (row,) = rows.to_dict("records")
    return post(orjson.dumps(row), "Content-Type: application/json")


def _probabilities(answer: bytes, _rows: int) -> NDArray[np.float32]:
    return np.array(orjson.loads(answer)["probabilities"], np.float32)


RECORD = FORMATS["json"]._replace(encode=_record, decode=_probabilities)

COLUMNS = {"columns": FORMATS["json"]._replace(encode=_columns)}

SERVERS: dict[str, tuple[Callable[[Path], Contender], Callable[[Path, pd.DataFrame], NDArray[np.float32]]]] = {
    "limit": (lambda model: limit(model)._replace(formats=COLUMNS), _by_model),
    "obvious": (_obvious, _by_pipeline),
    "ours": (lambda model: ours(model)._replace(formats=COLUMNS), _by_model),
}
"""How each server is started, and the probabilities that it must answer."""
