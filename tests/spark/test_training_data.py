"""The stations train the model of one machine from rows in Spark: for every task, kind of column and kind of split."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from pyspark.sql import SparkSession

from tabserve.errors import UsageError
from tabserve.model.model import Model
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression
from tabserve.spark import training_data as spark_training
from tabserve.spark.source import files
from tabserve.spark.training_data import training_data
from tabserve.stations import TrainingData, train
from tabserve.table.frame import Frame, read
from tabserve.training import bootstrap
from tabserve.training.candidate import Candidate

pytestmark = pytest.mark.usefixtures("spark")

ROWS = 900
"""So few, of so few different values, that XGBoost rounds none, and only the order of sums differs on Spark."""

COLUMNS = (
    Column("age", missing=True),
    Column("city", "category", missing=True),
    Column("married", "category"),
    Column("since", "date", missing=True),
)

FLATS = Problem("flats", COLUMNS, "rent", folds=2, ignored=("note",), blanks=("?",), id="key")


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals take few resamples."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 20)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Texts as in a csv: numbers and dates with holes, and categories of which one has a level that is very rare."""
    rng = np.random.default_rng(8)
    age, city, married = rng.integers(18, 90, ROWS), rng.choice(["Bonn", "Ulm", "Jena", "Köln"], ROWS), rng.random(ROWS)
    rent = 2 * age + 60 * (city == "Ulm") - 40 * (married > 0.5) + rng.integers(0, 9, ROWS)
    city[[3, 400]] = "Worms"
    days = pd.to_datetime("2020-03-01") + pd.to_timedelta(rng.integers(0, 200, ROWS), "D")
    table = pd.DataFrame({"key": [f"flat {number}" for number in range(ROWS)], "age": age + 0.5, "city": city})
    table = table.assign(married=married > 0.5, since=days.strftime("%Y-%m-%d"), rent=rent, note="x").astype(str)
    for column, blank in (("age", "?"), ("city", ""), ("since", "")):
        table.loc[rng.random(ROWS) < 0.1, column] = blank
    return table.assign(landlord=rng.integers(0, 90, ROWS).astype(str), at=[f"{day} 08:3{day[-1]}" for day in days.astype(str).str[:10]])


def amounts(table: pd.DataFrame) -> tuple[Problem, pd.DataFrame]:
    """Amounts; some rows are copies of others under another id."""
    table.iloc[10:60, 1:] = table.iloc[100:150, 1:].to_numpy()
    return replace(FLATS, task=Regression()), table.drop(columns=["landlord", "at"])


def groups(table: pd.DataFrame) -> tuple[Problem, pd.DataFrame]:
    """Two classes; the flats of a landlord stay together."""
    dear = table["rent"].astype(int) > 130
    return replace(FLATS, task=Binary(("cheap", "dear")), group="landlord"), table.drop(columns="at").assign(
        rent=np.where(dear, "dear", "cheap")
    )


def moments(table: pd.DataFrame) -> tuple[Problem, pd.DataFrame]:
    """Three classes; split by a time that is no feature."""
    classes = pd.cut(table["rent"].astype(int), [-99, 100, 160, 999], labels=["low", "middle", "high"]).astype(str)
    problem = replace(FLATS, task=Multiclass(("low", "middle", "high")), time="at")
    return problem, table.drop(columns="landlord").assign(rent=classes)


def candidate(problem: Problem, frame: Frame) -> Candidate:
    """A few trees with native categories, drawn without chance."""
    kind = xgb.XGBClassifier if problem.labels else xgb.XGBRegressor
    types = list(frame.encoder.types)
    return Candidate("trees", kind(n_estimators=5, max_depth=3, enable_categorical=True, feature_types=types, n_jobs=1))


def numbers(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Flatten nested metrics: every number by the names that lead to it."""
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        flat |= numbers(value, f"{prefix} {name}") if isinstance(value, Mapping) else {f"{prefix} {name}": value}
    return flat


def write_german(table: pd.DataFrame, path: Path) -> None:
    """A csv with semicolons and decimal commas."""
    table.assign(age=table["age"].str.replace(".", ",")).to_csv(path, sep=";", index=False)


KINDS = [amounts, groups, moments]


@pytest.mark.parametrize("kind", KINDS)
def test_the_stations_make_the_model_of_one_machine(
    kind: Callable[[pd.DataFrame], tuple[Problem, pd.DataFrame]], table: pd.DataFrame, tmp_path: Path
) -> None:
    """The same split, levels, folds, figures and decision; the predictions differ by the order of sums alone."""
    problem, rows = kind(table.copy())
    write_german(rows, tmp_path / "flats.csv")
    frame = read(tmp_path / "flats.csv", problem)
    local = train(TrainingData.of(frame, "flats"), [candidate(problem, frame)], tmp_path / "local")
    with training_data(files(f"{tmp_path}/flats.csv"), problem, lambda _kept, _rows: "flats") as data:
        spark = train(data, [candidate(problem, data.development)], tmp_path / "spark")
    assert (spark.problem, spark.encoder) == (local.problem, local.encoder)
    assert numbers(spark.metrics["folds"]) == pytest.approx(numbers(local.metrics["folds"]), abs=1e-3)
    assert numbers(spark.metrics["holdout"]) == pytest.approx(numbers(local.metrics["holdout"]), abs=1e-3)
    different = {"sha256": None, "engine": None, "reference": None}
    assert {**spark.data, **different} == {**local.data, **different}
    assert spark.data["reference"]["columns"] == local.data["reference"]["columns"]
    assert spark.predictor.raw(frame.features) == pytest.approx(local.predictor.raw(frame.features), abs=1e-3)
