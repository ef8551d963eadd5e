"""A small table of flats with every kind of column that is no text, as a csv spells it, and a problem for each task."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost as xgb
from numpy.typing import NDArray

from tabserve.encoding.encoder import Encoder
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression, Task

COLUMNS = (
    Column("age", missing=True),
    Column("city", "category", missing=True),
    Column("married", "category"),
    Column("since", "date", missing=True),
)

LABELS = ("low", "mid.dle", "high, `or` so")
"""Labels whose names Spark would read as something else, if they were not quoted."""

TASKS: dict[str, Task] = {"two": Binary(("cheap", "dear")), "several": Multiclass(LABELS), "amount": Regression()}


def problem(task: str) -> Problem:
    """The problem of a task, with further spellings of an empty cell and a column that is not read."""
    return Problem("flats", COLUMNS, "rent", TASKS[task], "key", folds=2, ignored=("note",), blanks=("?",))


def table(task: str, rows: int, seed: int = 8) -> pd.DataFrame:
    """Texts as in a csv; cells are missing, a city is very rare, and some are spelled with spaces around them."""
    rng = np.random.default_rng(seed)
    age, city, married = rng.integers(18, 90, rows), rng.choice(["Bonn", "Ulm", "Jena", "Köln"], rows), rng.random(rows)
    rent = 2 * age + 60 * (city == "Ulm") - 40 * (married > 0.5) + rng.integers(0, 9, rows)
    city[[3, rows // 2]] = ["Worms", " Ulm "]
    days = pd.to_datetime("2020-03-01") + pd.to_timedelta(rng.integers(0, 200, rows), "D")
    columns = {"key": [f"flat {number}" for number in range(rows)], "age": age + 0.5, "city": city}
    flats = pd.DataFrame(columns | {"married": married > 0.5, "since": days.strftime("%Y-%m-%d"), "note": "x"})
    flats = flats.astype(str).assign(rent=_spelled(task, rent))
    for column, blank in (("age", "?"), ("city", ""), ("since", "")):
        flats.loc[rng.random(rows) < 0.1, column] = blank
    return flats


def _spelled(task: str, rent: NDArray[np.int64]) -> Sequence[str]:
    """The rents as the target column spells them: as amounts, or as classes of about equal size."""
    labels = TASKS[task].labels
    bins = np.quantile(rent, np.arange(1, len(labels)) / max(1, len(labels)))
    return [labels[number] for number in np.searchsorted(bins, rent)] if labels else [*map(str, rent)]


def write_german(flats: pd.DataFrame, path: Path) -> Path:
    """Write a csv with semicolons and decimal commas; returns its path."""
    flats.assign(age=flats["age"].str.replace(".", ",")).to_csv(path, sep=";", index=False)
    return path


def trees(problem: Problem, encoder: Encoder) -> xgb.XGBModel:
    """A few trees with native categories, drawn without chance."""
    kind = xgb.XGBClassifier if problem.labels else xgb.XGBRegressor
    types = [*encoder.types]
    return kind(n_estimators=5, max_depth=3, enable_categorical=True, feature_types=types, n_jobs=1)


def with_groups(problem: Problem, flats: pd.DataFrame) -> tuple[Problem, pd.DataFrame]:
    """The flats of a landlord stay together."""
    landlords = np.random.default_rng(3).integers(0, len(flats) // 10, len(flats))
    return replace(problem, group="landlord"), flats.assign(landlord=landlords.astype(str))


def with_time(problem: Problem, flats: pd.DataFrame) -> tuple[Problem, pd.DataFrame]:
    """Split by a time that is no feature."""
    minutes = np.random.default_rng(3).integers(0, 300_000, len(flats))
    at = pd.to_datetime("2020-03-01") + pd.to_timedelta(minutes, "min")
    return replace(problem, time="at"), flats.assign(at=at.strftime("%Y-%m-%d %H:%M"))
