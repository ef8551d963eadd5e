"""The servers that are compared: each serves a model folder over the V2 protocol on the ports of `local_server`."""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import xgboost as xgb

from bench.messages import FORMATS, Format
from bench.work import MODEL
from santander.problem import PROBLEM
from santander.sample import sample
from tabserve.client.local_server import SERVE, Server, running
from tabserve.model.decision import Threshold
from tabserve.model.model import Model, save, versions
from tabserve.predictors.booster import Booster
from tabserve.training.proof import predictor

ROWS, TREES, DEPTH = 20_000, 500, 3

MLSERVER_START = (str(Path(sys.executable).with_name("mlserver")), "start")

STOCK = {
    "MLSERVER_DEBUG": "false",
    "MLSERVER_PARALLEL_WORKERS": "0",  # with newer versions of uvloop, a worker dies at its start
    "MLSERVER_MODEL_NAME": "xgboost-model",
    "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_xgboost.XGBoostModel",
}

BATCHING = {"MLSERVER_MODEL_MAX_BATCH_SIZE": "32", "MLSERVER_MODEL_MAX_BATCH_TIME": "0.005"}


class Contender(NamedTuple):
    """A server: its command, folder and environment variables, the model folder that it serves, and request formats."""

    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    model: Path
    formats: Mapping[str, Format] = FORMATS


def limit(model: Path) -> Contender:
    """Bare uvicorn: the limit of Python."""
    return Contender((sys.executable, "-m", "bench.limit"), model, {}, model)


def fastapi(model: Path) -> Contender:
    """An ordinary FastAPI route."""
    return Contender((sys.executable, "-m", "bench.route"), model, {}, model)


def stock(model: Path) -> Contender:
    """MLServer with its own runtime, batching off, set by variables instead of files."""
    return Contender(MLSERVER_START, model, {**STOCK, "MLSERVER_MODEL_URI": str(model / Booster.FILE)}, model)


def stock_batching(model: Path) -> Contender:
    """MLServer with its own runtime and adaptive batching."""
    return stock(model)._replace(environment={**stock(model).environment, **BATCHING})


def ours(model: Path) -> Contender:
    """`tabserve serve` with the settings of `deploy`."""
    return Contender(SERVE, MODEL.parent, {"TABSERVE_MODEL": str(model)}, model)


def committed(_: Path) -> Contender:
    """`tabserve serve` with the committed model."""
    return ours(MODEL)


@contextmanager
def deployed(
    model: Path, changes: Mapping[str, Mapping[str, float]], environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run our server with changed members of its settings files, keyed by file name, and with other variables."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(shutil.copytree(MODEL.parent, Path(scratch, "deploy"), ignore=shutil.ignore_patterns("model")))
        for name, members in changes.items():
            path = folder / f"{name}.json"
            path.write_text(json.dumps({**json.loads(path.read_text()), **members}))
        with running(folder, {"TABSERVE_MODEL": str(model), **(environment or {})}) as server:
            yield server


CONTENDERS: dict[str, Callable[[Path], Contender]] = {
    "limit": limit,
    "stock": stock,
    "stock-batching": stock_batching,
    "fastapi": fastapi,
    "ours": ours,
    "ours-committed": committed,
}


def train(folder: Path) -> Path:
    """Train an ordinary classifier on the synthetic sample and save its folder."""
    frame = sample(ROWS, 0)
    classifier = xgb.XGBClassifier(n_estimators=TREES, max_depth=DEPTH).fit(frame.features, frame.target)
    served = predictor(classifier, frame.encoder)
    model = Model(PROBLEM, frame.encoder, served, Threshold(0.5), {}, {}, versions("xgboost"))
    save(folder, model, served.examples(frame.features), "For the benchmark alone.\n")
    return folder
