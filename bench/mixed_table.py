"""A synthetic table of ten categories, nine numbers and a date, and the model that the core trains on it."""

from pathlib import Path

import numpy as np
import pandas as pd
import xgboost as xgb

from tabserve.model.decision import Threshold
from tabserve.model.model import Model, save, versions
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary
from tabserve.table.frame_reader import read
from tabserve.training.proof import predictor

ROWS, TREES, DEPTH = 5_000, 300, 4

LEVELS = {f"category_{index}": 3 + 3 * index for index in range(10)}
"""The number of levels of each column of categories."""

NUMBERS = tuple(f"number_{index}" for index in range(9))

DATE = "day"

TARGET = "sold"

PROBLEM = Problem(
    "mixed",
    (*(Column(name, "category") for name in LEVELS), *map(Column, NUMBERS), Column(DATE, "date")),
    TARGET,
    Binary(("no", "yes")),
)


def table(rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """Draw rows whose target depends on a column of each kind."""
    rng = np.random.default_rng(seed)
    codes = {name: rng.integers(levels, size=rows) for name, levels in LEVELS.items()}
    numbers = {name: rng.normal(100, 20, rows).round(2) for name in NUMBERS}
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(1_000, size=rows), "D")
    weight = codes["category_9"] % 5 + numbers["number_0"] / 20 + days.month / 4 + rng.normal(0, 1, rows)
    levels = {name: [f"level {code}" for code in column] for name, column in codes.items()}
    target = np.where(weight > np.median(weight), "yes", "no")
    return pd.DataFrame({**levels, **numbers, DATE: days.strftime("%Y-%m-%d"), TARGET: target})


def train(folder: Path) -> Path:
    """Train a model on the table and save its folder."""
    csv = folder.with_suffix(".csv")
    table().to_csv(csv, index=False)
    frame = read(csv, PROBLEM)
    trees = xgb.XGBClassifier(
        n_estimators=TREES, max_depth=DEPTH, enable_categorical=True, feature_types=[*frame.encoder.types]
    )
    served = predictor(trees.fit(frame.features, frame.target), frame.encoder)
    model = Model(PROBLEM, frame.encoder, served, Threshold(0.5), {}, {"synthetic": True}, versions("xgboost"))
    save(folder, model, served.examples(frame.features), "# Synthetic\n")
    return folder
