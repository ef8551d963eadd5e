"""The pieces of work that are measured, each in a fresh process, so that its peak memory is its own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from santander.problem import PROBLEM
from santander.sample import sample
from tabserve.model.model import load
from tabserve.score import score_file
from tabserve.table.frame_reader import read, stream

MODEL = Path("deploy/model")


def draw(rows: int, _: Path) -> None:
    """Draw the synthetic sample."""
    sample(rows, 0)


def read_by_tabserve(_: int, csv: Path) -> None:
    """Read and validate a labelled csv with this project."""
    read(csv, PROBLEM)


def read_by_pandas(_: int, csv: Path) -> None:
    """Read the same csv with pandas' defaults, without validation."""
    pd.read_csv(csv)


def score_bulk(_: int, csv: Path) -> None:
    """Score the csv into another, as `scripts/score.py` does."""
    score_file(load(MODEL), csv, csv.with_suffix(".scores.csv"))


def score_at_once(_: int, csv: Path) -> None:
    """Read the csv's features and predict them as one big array on all cores, without writing."""
    model = load(MODEL)
    features = np.concatenate([rows.features for rows in stream(csv, model.problem, model.encoder)])
    model.predictor.raw(features)


WORK: dict[str, Callable[[int, Path], None]] = {
    "sample": draw,
    "csv to validated frame": read_by_tabserve,
    "csv by pandas.read_csv": read_by_pandas,
    "bulk scoring, csv to csv": score_bulk,
    "read, then one big predict": score_at_once,
}

RATIOS = {
    "csv to validated frame": "csv by pandas.read_csv",
    "bulk scoring, csv to csv": "read, then one big predict",
}
"""The speed of each key is divided by the speed of its value."""
