"""The flights' model, trained on Spark, is the same kind of folder as one that was trained on one machine."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession
from sklearn.base import clone

from flights import dataset, training
from flights.problem import DEPARTED
from flights.table import Derived, read_table
from tabserve.model.model import CARD, load
from tabserve.spark import source as sources
from tabserve.spark.training_data import training_data
from tabserve.stations import TrainingData
from tabserve.training import bootstrap
from tabserve.training.candidate import Candidate

ROWS = 2_000


@pytest.fixture(scope="module")
def derived() -> Derived:
    """The rows of the extract."""
    return read_table(dataset.EXTRACT, dataset.HOURLY)


def few_trees(data: TrainingData) -> Candidate:
    """The shallowest of the case's candidates, with few trees that see all rows and columns, as Spark fits it."""
    candidate = training.for_spark(training.candidates(data.development, 1)["xgboost-depth-2"])
    options = {"n_estimators": 8, "learning_rate": 0.5, "subsample": 1.0, "colsample_bytree": 1.0}
    return replace(candidate, estimator=clone(candidate.estimator).set_params(**options))


def test_spark_and_one_machine_train_the_same_kind_of_folder(
    spark: SparkSession, derived: Derived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both hold out the same days, err alike, and are served alike; the card says which engine was used."""
    assert spark  # the session that the training finds and uses
    monkeypatch.setattr(bootstrap, "RESAMPLES", 5)
    problem = replace(DEPARTED, folds=2)
    frame, origin = dataset.dataset(problem, rows=ROWS)
    local = TrainingData.of(frame, origin)
    fitted = local.select([few_trees(local)]).refit()
    said = partial(dataset.source, dataset.EXTRACT, dataset.HOURLY, derived)
    with (
        dataset.derived_file(derived) as path,
        training_data(sources.files(str(path)), problem, said, rows=ROWS, workers=2) as data,
    ):
        selection = data.select([few_trees(data)])
        predictor = selection.refit()
        further = training.further(data, selection, predictor, None)
        data.save(data.evaluate(selection, predictor, further), tmp_path / "model", training.words(problem))
    model = load(tmp_path / "model")
    assert model.problem == problem
    assert (model.data["rows"], model.data["source"]) == (ROWS, origin)
    assert model.data["periods"] == local.provenance["periods"]
    assert model.data["engine"].startswith("Spark")
    assert "## The interval in each month" in (tmp_path / "model" / CARD).read_text()
    target, features = local.holdout.target, local.holdout.features
    ours, theirs = (
        float(np.sqrt(np.mean((each.raw(features)[:, 0] - target) ** 2))) for each in (fitted, model.predictor)
    )
    assert theirs == pytest.approx(ours, rel=0.05)
    assert theirs == pytest.approx(model.metrics["holdout"]["rmse"]["value"], rel=0.001)
