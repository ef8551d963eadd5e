"""Spark fits the candidate's own estimator: with the same parameters, and to the same model if no value is rounded."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import xgboost as xgb
from pyspark import BarrierTaskContext, TaskContext
from pyspark.sql import SparkSession
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from santander.candidates import candidates
from santander.problem import PROBLEM
from tabserve.errors import JobError, UsageError
from tabserve.predictors.xgboost_call import predict
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.spark import estimator
from tabserve.spark.estimator import DistributedClassifier, check, distribute, worker_count
from tabserve.spark.load_table import load_table
from tabserve.spark.source import files
from tabserve.spark.training_table import TrainingTable
from tabserve.table.frame import Frame
from tabserve.training import proof
from tabserve.training.selection import Candidate
from tabserve.training.target_encoding import TargetEncodedClassifier

KNOWN = {name: each for name, each in candidates(seed=3, jobs=1).items() if name.startswith("xgboost")}


@pytest.fixture(scope="module")
def frame(sample_frame: Frame) -> Frame:
    """So few rows that XGBoost's sketch of a column, merged from two workers, keeps every value."""
    return sample_frame.take(np.arange(1_500))


@pytest.fixture(scope="module")
def table(spark: SparkSession, frame: Frame, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainingTable]:
    """The same rows in Spark."""
    path = tmp_path_factory.mktemp("estimator") / "rows.parquet"
    columns = [frame.ids, frame.target, *frame.features.T]
    pyarrow.parquet.write_table(pa.table(columns, ["ID_code", "target", *frame.problem.features]), path)
    with load_table(spark, files(str(path)), frame.problem, 2) as table:
        yield table


def short(name: str, rounds: int = 12) -> Any:  # noqa: ANN401 (scikit-learn has no types)
    """A candidate's estimator with few rounds."""
    return clone(KNOWN[name].estimator).set_params(n_estimators=rounds)


def parameters(booster: xgb.Booster) -> dict[str, Any]:
    """The parameters that a booster was fitted with, except threads."""
    learner = json.loads(booster.save_config())["learner"]
    generic = {key: value for key, value in learner["generic_param"].items() if key not in {"nthread", "n_jobs"}}
    return {"generic": generic, "trees": learner["gradient_booster"]["tree_train_param"], "loss": learner["objective"]}


def test_the_same_rows_make_the_same_model(table: TrainingTable, frame: Frame) -> None:
    """Without random draws and rounded values, only the order of sums differs."""
    rows, others = np.arange(0, 1_500, 2), np.arange(1, 1_500, 2)
    local = short("xgboost-defaults-weighted").fit(frame.features[rows], frame.target[rows])
    distributed = DistributedClassifier(short("xgboost-defaults-weighted"), table).fit(rows, frame.target[rows])
    expected = local.predict_proba(frame.features[others])
    assert distributed.predict_proba(others) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", ["xgboost-depth-2", "xgboost-averaged-stumps"])
def test_spark_fits_with_every_parameter_of_the_candidate(name: str, table: TrainingTable, frame: Frame) -> None:
    """XGBoost reports the same depths, rates, sampling and seeds of both boosters."""
    wrapped, local = short(name), short(name)
    members = getattr(local, "members", lambda: [local])()
    for member in members:
        booster = estimator._fit_booster(member, table.select_rows(np.arange(1_500)))
        assert parameters(booster) == parameters(clone(member).fit(frame.features, frame.target).get_booster())
    assert DistributedClassifier(wrapped, table).get_params() == local.get_params()


def test_stumps_are_folded_into_one_tree_for_each_feature(table: TrainingTable, frame: Frame) -> None:
    """Each tree's cover counts every row, the booster has learned, and a second fit gives the same bytes."""
    stumps, rows = DistributedClassifier(short("xgboost-averaged-stumps", 60), table), np.arange(1_500)
    booster = stumps.fit(rows, frame.target).get_booster()
    model = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]
    assert len({tree["split_indices"][0] for tree in model["trees"][:-1]}) == len(model["trees"]) - 1
    assert {tree["sum_hessian"][0] for tree in model["trees"]} == {1_500.0}
    probability = predict(booster, frame.features)
    assert np.median(probability[frame.target == 1]) > np.median(probability[frame.target == 0])
    assert clone(stumps).fit(rows, frame.target).get_booster().save_raw() == booster.save_raw()


def test_a_grid_is_searched_on_spark(table: TrainingTable) -> None:
    """The grid names parameters as on one machine."""
    candidate = Candidate("grid", short("xgboost-defaults"), {"max_depth": [1, 2]})
    fitted = distribute(candidate, table).fit(table.frame)
    assert fitted.get_params()["max_depth"] in {1, 2}


# The served model is the one that was evaluated.


def test_the_workers_probabilities_are_those_of_the_saved_model(
    table: TrainingTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are compared on rows whose features are fetched; a difference is an error that names the candidate."""
    rows = table.frame.take(np.arange(0, 1_500, 3))
    fitted = DistributedClassifier(short("xgboost-averaged-stumps"), table).fit(
        table.frame.features, table.frame.target
    )
    proof.check("stumps", fitted, rows)
    original = DistributedClassifier.predict_proba
    monkeypatch.setattr(DistributedClassifier, "predict_proba", lambda self, numbers: 0.9 * original(self, numbers))
    with pytest.raises(UsageError, match=r"^Candidate 'stumps' answers 500 of 500 rows otherwise"):
        proof.check("stumps", fitted, rows)


# Lost workers.


def dying(table: TrainingTable, folder: Path, times: int) -> TrainingTable:
    """The table, with a worker that is killed in its first `times` barrier stages; the folder counts them."""

    def die(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        if isinstance(context, BarrierTaskContext) and context.partitionId() == 1:
            deaths = len(list(folder.iterdir()))
            if deaths < times:
                (folder / str(deaths)).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        yield from batches

    return replace(table, rows=table.rows.mapInArrow(die, table.rows.schema))


def test_a_lost_worker_is_survived(table: TrainingTable, frame: Frame, tmp_path: Path) -> None:
    """The booster is fitted again, and is the same to the byte."""
    rows, mortal = np.arange(1_500), dying(table, tmp_path, 1)
    expected = DistributedClassifier(short("xgboost-depth-2"), table).fit(rows, frame.target).get_booster()
    booster = DistributedClassifier(short("xgboost-depth-2"), mortal).fit(rows, frame.target).get_booster()
    assert len(list(tmp_path.iterdir())) == 1
    assert booster.save_raw() == expected.save_raw()


def test_a_worker_that_is_lost_each_time_is_one_sentence(
    table: TrainingTable, frame: Frame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error comes after `ATTEMPTS` fits."""
    monkeypatch.setattr(estimator, "ATTEMPTS", 2)
    with pytest.raises(JobError, match=r"^A worker was lost each of the 2 times that a booster was fitted") as failed:
        DistributedClassifier(short("xgboost-depth-2"), dying(table, tmp_path, 9)).fit(np.arange(1_500), frame.target)
    assert len(list(tmp_path.iterdir())) == 2
    assert "\n" not in str(failed.value)


# Refusals.


def test_more_workers_than_can_run_at_a_time_are_refused(spark: SparkSession) -> None:
    """They would wait for each other for ever."""
    assert (worker_count(spark, None), worker_count(spark, 1)) == (2, 1)
    with pytest.raises(UsageError, match=r"^3 workers would fit a booster together, and Spark can run 2 tasks at a"):
        worker_count(spark, 3)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("missing", -999.0), ("booster", "dart"), ("objective", "binary:hinge"), ("early_stopping_rounds", 5)],
)
def test_what_a_folder_cannot_hold_is_refused_before_spark_starts(parameter: str, value: object) -> None:
    """A candidate with such a parameter, or with such a value in its grid; Spark would silently fit another model."""
    usual = xgb.XGBClassifier().get_params()[parameter]
    wrong = xgb.XGBClassifier(**{parameter: value})
    for candidate in (
        Candidate("wrong", wrong),
        Candidate("wrong", xgb.XGBClassifier(), {parameter: [usual, value]}),
    ):
        with pytest.raises(UsageError, match="Candidate 'wrong'"):
            check([candidate], PROBLEM)


def test_an_estimator_that_is_not_xgboosts_is_refused() -> None:
    """The error names the candidate."""
    check([*KNOWN.values()], PROBLEM)
    reason = "as it is no model of XGBoost but a LogisticRegression; compare it on one machine"
    with pytest.raises(UsageError, match=f"Spark cannot fit 'regression', {reason}"):
        check([KNOWN["xgboost-stumps"], Candidate("regression", LogisticRegression())], PROBLEM)


def test_target_encoding_is_refused() -> None:
    """Its means would have to be taken over all workers' rows; the error names the candidate and its kind."""
    encoded = Candidate("means", TargetEncodedClassifier(xgb.XGBClassifier(feature_types=["c"]), [0]))
    problem = Problem("one", (Column("city", "category"),))
    with pytest.raises(
        UsageError, match="'means', as it is no model of XGBoost but a TargetEncodedClassifier; compare"
    ):
        check([encoded], problem)


@pytest.mark.parametrize("objective", ["reg:squarederror", "reg:pseudohubererror"])
def test_a_regressor_is_fitted_with_its_own_objective(objective: str, table: TrainingTable, frame: Frame) -> None:
    """XGBoost reports the parameters of both boosters as the same, and Spark's answers are those of one machine."""
    amounts = xgb.XGBRegressor(n_estimators=4, max_depth=2, objective=objective)
    booster = estimator._fit_booster(amounts, table.select_rows(np.arange(1_500)))
    assert parameters(booster) == parameters(clone(amounts).fit(frame.features, frame.target).get_booster())
    assert np.array_equal(table.score(booster, np.arange(9)), predict(booster, frame.features[:9]))
