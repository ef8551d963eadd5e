"""Small models over numbers, categories and dates, with missing cells, trained by the real training code."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from tests.serving.wire import DEPLOY
from xgboost import XGBClassifier, XGBRegressor

from tabserve.encoding.encoder import Encoder
from tabserve.model.model import Model, save, versions
from tabserve.model.reference import Reference
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression, Task
from tabserve.table.frame_reader import read
from tabserve.training.one_hot_linear import OneHotLogistic, OneHotRidge
from tabserve.training.selection import Candidate, select
from tabserve.training.split import hold_out

COLUMNS = (
    Column("income"),
    Column("age", missing=True),
    Column("city", "category"),
    Column("plan", "category", missing=True, unseen="refused"),
    Column("rooms", "category", missing=True),
    Column("owner", "category", missing=True),
    Column("since", "date", missing=True),
    Column("seen", "date"),
)
"""Columns of each kind. The levels of `rooms` are whole numbers, one beyond a float's; `owner` has booleans."""

LARGE = 2**53 + 1

TASKS: dict[str, tuple[Task, Any]] = {
    "two": (Binary(("no", "yes")), XGBClassifier),
    "three": (Multiclass(("low", "mid", "high")), XGBClassifier),
    "amount": (Regression("USD"), XGBRegressor),
}
"""By model name: the task, and the class of its estimator."""

ROWS = 600


def table() -> pd.DataFrame:
    """A table with a signal to learn, and a target column for each task."""
    rng = np.random.default_rng(0)
    days = pd.to_timedelta(rng.integers(0, 900, ROWS), "D")
    since, seen = (pd.Timestamp(start) + days for start in ("2020-01-01", "2022-01-01 08:30"))
    age = rng.normal(40, 10, ROWS).round(1)
    city = rng.choice(["Recife", "Olinda", "São Paulo", "007"], ROWS)
    weight = (age - 40) / 10 + 2 * (city == "Olinda") + since.month / 6
    return pd.DataFrame(
        {
            "income": rng.lognormal(8, 1, ROWS).round(2),
            "age": np.where(rng.random(ROWS) < 0.1, np.nan, age),
            "city": city,
            "plan": rng.choice(["a", "b", ""], ROWS),
            "rooms": rng.choice(["1", "2", str(LARGE), ""], ROWS),
            "owner": rng.choice(["true", "false", ""], ROWS),
            "since": np.where(rng.random(ROWS) < 0.1, "", since.strftime("%Y-%m-%d")),
            "seen": seen.strftime("%Y-%m-%d %H:%M"),
            "two": np.where(weight + rng.normal(0, 1, ROWS) > 2, "yes", "no"),
            "three": pd.cut(weight, [-np.inf, 1, 2, np.inf], labels=["low", "mid", "high"]),
            "amount": (100 * weight + rng.normal(0, 30, ROWS)).round(2),
        }
    )


def problem(name: str) -> Problem:
    """The problem of a task."""
    return Problem(name, COLUMNS, name, TASKS[name][0], folds=2)


Make = Callable[[str, Encoder], BaseEstimator]
"""Makes an unfitted estimator for a task, by name, over the features of an encoder."""


def trees(name: str, encoder: Encoder) -> BaseEstimator:
    """A small XGBoost model."""
    options = {"enable_categorical": True, "feature_types": [*encoder.types]}
    return TASKS[name][1](n_estimators=12, max_depth=3, n_jobs=1, **options)


def linear(name: str, encoder: Encoder) -> BaseEstimator:
    """A linear model."""
    return (OneHotLogistic if TASKS[name][0].labels else OneHotRidge)(encoder.types)


def train(folder: Path, name: str, make: Make = trees) -> Path:
    """Train a model on the table, save it in `folder` and the table beside it, and return `folder`."""
    path = folder.with_suffix(".csv")
    table()[[*problem(name).features, name]].to_csv(path, index=False)
    frame = read(path, problem(name))
    development, holdout = hold_out(frame)
    selection = select(development, [Candidate("small", make(name, frame.encoder))])
    predictor, decision = selection.refit(), selection.decision
    watched = decision.watched(decision.scores(predictor.raw(holdout.features)))
    reference = Reference.of(holdout.problem, holdout.encoder, holdout.features, watched).to_json()
    model = Model(holdout.problem, holdout.encoder, predictor, decision, {}, reference, versions("xgboost"))
    save(folder, model, predictor.examples(development.features), "# A small model over columns of several kinds\n")
    return folder


def write_settings(folder: Path, models: dict[str, Path]) -> Path:
    """Write the settings of a server with these models, given by name and folder, and return `folder`."""
    shutil.copy(DEPLOY / "settings.json", folder)
    for name, path in models.items():
        (folder / name).mkdir()
        runtime = "tabserve.serving.mlserver.runtime.FolderModel"
        settings = {"name": name, "implementation": runtime, "parameters": {"uri": str(path), "version": "v1"}}
        (folder / name / "model-settings.json").write_text(json.dumps(settings))
    return folder
