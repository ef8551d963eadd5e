"""Train on one table by each peer, and measure all on the rows that our training held out."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import log_loss, r2_score, roc_auc_score

from bench.peer import AMOUNT, PACKAGES, TARGET, Job
from bench.peer_own import ROW, Own, answer_times, train
from bench.peer_tables import Table
from bench.process import in_fresh_process

if TYPE_CHECKING:
    from tqdm import tqdm

ROOT = Path(__file__).parents[1]

PYTHON = ROOT / ".venv-peers" / "bin" / "python"

PATIENCE = 900.0
"""Seconds that a peer may take beyond its bound."""


class Scored(NamedTuple):
    """What one library reached on a table.

    Attributes:
        score: of the hold-out.
        seconds: of training, by the wall clock.
        milliseconds: of answering one row in the process that holds the model.
        version: of the library.
    """

    score: float
    seconds: float
    milliseconds: float
    version: str = ""


class Measure(NamedTuple):
    """The metric of a task: its name, its title in tables, and how it is taken of labels or amounts and answers."""

    name: str
    title: str
    score: Callable[["pd.Series[str]", pd.DataFrame], float]


def _auc(truth: "pd.Series[str]", answers: pd.DataFrame) -> float:
    """The ROC AUC of the probability of the last label."""
    return float(roc_auc_score(truth == answers.columns[-1], answers.iloc[:, -1]))


def _log_loss(truth: "pd.Series[str]", answers: pd.DataFrame) -> float:
    labels = sorted(answers.columns)
    probabilities = answers[labels].to_numpy(np.float64)
    return float(log_loss(truth, probabilities / probabilities.sum(axis=1, keepdims=True), labels=labels))


MEASURES = {
    "binary": Measure("roc_auc", "AUC", _auc),
    "multiclass": Measure("log_loss", "log loss", _log_loss),
    "regression": Measure("r2", "R²", lambda truth, answers: float(r2_score(truth.astype(float), answers[AMOUNT]))),
}


class Comparison(NamedTuple):
    """All results of a table.

    Attributes:
        table: its name.
        shape: its rows and columns.
        measure: name of the metric.
        own: our training.
        scored: what each library reached, ours as `tabserve` first.
        rest: milliseconds of one row over REST, from one connection.
        failed: why a peer has no result, by its name.
    """

    table: str
    shape: tuple[int, int]
    measure: str
    own: Own
    scored: dict[str, Scored]
    rest: float
    failed: dict[str, str]


def compare(table: Table, job: Job, peers: list[str], scratch: Path, progress: "tqdm[Any]") -> Comparison:
    """Train all on the rows that our training does not hold out, one after the other.

    Args:
        table: the table.
        job: what all are to do.
        peers: names of `FITS`.
        scratch: an empty folder.
        progress: counts the libraries that are trained.
    """
    csv, model = scratch / "table.csv", scratch / "model"
    table.cells.assign(**{ROW: range(len(table.cells))}).to_csv(csv, index=False)
    progress.set_description(f"{table.name}: tabserve")
    own = in_fresh_process(train, table.name, csv, table.target, job, model)
    progress.update()
    hidden = table.cells.iloc[own.ids]
    write_job(table, own.ids, job, scratch)
    hidden.to_csv(csv, index=False)
    in_process, rest = answer_times(model, csv)
    answers = pd.DataFrame(own.answers, columns=own.labels)
    scored = {"tabserve": Scored(MEASURES[job.task].score(hidden[table.target], answers), own.seconds, in_process)}
    failed = {}
    for name in peers:
        progress.set_description(f"{table.name}: {name}")
        try:
            scored[name] = run_peer(name, job, scratch, hidden[table.target], own.labels)
        except PeerError as error:
            failed[name] = str(error)
        progress.update()
    return Comparison(table.name, table.cells.shape, job.metric, own, scored, rest, failed)


def write_job(table: Table, held_out: NDArray[np.int64], job: Job, folder: Path) -> None:
    """Write what a peer reads; features are numbered, as LightGBM refuses some names."""
    names = table.cells.columns
    cells = table.cells.rename(columns={name: f"column_{i}" for i, name in enumerate(names)} | {table.target: TARGET})
    cells.drop(held_out).to_csv(folder / "train.csv", index=False)
    cells.iloc[held_out].to_csv(folder / "test.csv", index=False)
    (folder / "job.json").write_text(json.dumps(job._asdict()))


class PeerError(Exception):
    """A peer gives no result; the message says why."""


def python() -> Path:
    """The peers' own Python, or this one, which has scikit-learn."""
    return PYTHON if PYTHON.exists() else Path(sys.executable)


def missing(peers: list[str]) -> list[str]:
    """The peers whose package is not installed."""
    code = "import sys, importlib.util as u; print(*[int(u.find_spec(name) is None) for name in sys.argv[1:]])"
    modules = [PACKAGES[name].module.partition(".")[0] for name in peers]
    command = [str(python()), "-P", "-c", code, *modules]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()  # noqa: S603 (our own words)
    return [name for name, absent in zip(peers, found, strict=True) if absent == "1"]


def run_peer(name: str, job: Job, folder: Path, truth: "pd.Series[str]", labels: list[str]) -> Scored:
    """Train a peer in its own Python, and measure its answers.

    Raises:
        PeerError: it fails, takes too long, or does not answer a finite figure for each label.
    """
    command = [str(python()), "-P", "-W", "ignore", str(ROOT / "bench" / "peer.py"), name, str(folder)]
    try:
        done = subprocess.run(  # noqa: S603 (our own words)
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=job.seconds + PATIENCE
        )
    except subprocess.TimeoutExpired as error:
        raise PeerError(f"it did not end within {error.timeout:.0f} s") from error
    if done.returncode:
        raise PeerError((done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1])
    answers = pd.read_csv(folder / "answers.csv")
    if {*answers} != {*labels} or not np.isfinite(answers.to_numpy()).all():
        raise PeerError(
            f"its answers are for {', '.join(answers.columns)}, or not all finite; expected {', '.join(labels)}"
        )
    result = json.loads((folder / "result.json").read_text())
    return Scored(MEASURES[job.task].score(truth, answers[labels]), **result)
