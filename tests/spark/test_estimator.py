"""What Spark fits is what the candidate's own estimator is: the same parameters, and the same model where it can be."""

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
from tabserve.spark import estimator
from tabserve.spark.estimator import DistributedEstimator, check, distribute, worker_count
from tabserve.spark.source import files
from tabserve.spark.training_table import TrainingTable, load_table
from tabserve.table.frame import Frame
from tabserve.training import proof
from tabserve.training.selection import Candidate

KNOWN = {name: each for name, each in candidates(seed=3, jobs=1).items() if name.startswith("xgboost")}


@pytest.fixture(scope="module")
def frame(sample_frame: Frame) -> Frame:
    """So few rows that XGBoost's sketch of a column, joined from two workers, keeps every value."""
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


def described(booster: xgb.Booster) -> dict[str, Any]:
    """What a booster was fitted with, but for threads."""
    learner = json.loads(booster.save_config())["learner"]
    generic = {key: value for key, value in learner["generic_param"].items() if key not in {"nthread", "n_jobs"}}
    return {"generic": generic, "trees": learner["gradient_booster"]["tree_train_param"], "goal": learner["objective"]}


def test_the_same_rows_make_the_same_model(table: TrainingTable, frame: Frame) -> None:
    """Where nothing is drawn at random and no value of a column is rounded: nothing but the sums' order differs."""
    rows, others = np.arange(0, 1_500, 2), np.arange(1, 1_500, 2)
    here = short("xgboost-defaults-weighted").fit(frame.features[rows], frame.target[rows])
    there = DistributedEstimator(short("xgboost-defaults-weighted"), table).fit(rows, frame.target[rows])
    expected = here.predict_proba(frame.features[others])
    assert there.predict_proba(others) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", ["xgboost-depth-2", "xgboost-averaged-stumps"])
def test_every_parameter_is_the_candidates(name: str, table: TrainingTable, frame: Frame) -> None:
    """Depth, rates, shares and seeds: what XGBoost says of both boosters is the same."""
    there, here = short(name), short(name)
    members = getattr(here, "members", lambda: [here])()
    for member in members:
        found = estimator._fit_booster(member, table.select_rows(np.arange(1_500)))
        assert described(found) == described(clone(member).fit(frame.features, frame.target).get_booster())
    assert DistributedEstimator(there, table).get_params() == here.get_params()


def test_stumps_are_folded_into_one_tree_for_each_feature(table: TrainingTable, frame: Frame) -> None:
    """Whose cover counts every row, and which learned; a second fit gives the same bytes."""
    stumps, rows = DistributedEstimator(short("xgboost-averaged-stumps", 60), table), np.arange(1_500)
    booster = stumps.fit(rows, frame.target).get_booster()
    model = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]
    assert len({tree["split_indices"][0] for tree in model["trees"][:-1]}) == len(model["trees"]) - 1
    assert {tree["sum_hessian"][0] for tree in model["trees"]} == {1_500.0}
    probability = predict(booster, frame.features)
    assert np.median(probability[frame.target == 1]) > np.median(probability[frame.target == 0])
    assert clone(stumps).fit(rows, frame.target).get_booster().save_raw() == booster.save_raw()


def test_a_grid_is_chosen_where_the_rows_are(table: TrainingTable) -> None:
    """By the same names as on one machine."""
    candidate = Candidate("grid", short("xgboost-defaults"), {"max_depth": [1, 2]})
    fitted = distribute(candidate, table).fit(table.frame)
    assert fitted.get_params()["max_depth"] in {1, 2}


# What is served is what was judged.


def test_the_workers_answers_are_those_of_the_model_that_is_saved(
    table: TrainingTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen on rows whose features come here; where they come apart, the candidate is named."""
    rows = table.frame.take(np.arange(0, 1_500, 3))
    fitted = DistributedEstimator(short("xgboost-averaged-stumps"), table).fit(table.frame.features, table.frame.target)
    proof.check("stumps", fitted, rows)
    honest = DistributedEstimator.predict_proba
    monkeypatch.setattr(DistributedEstimator, "predict_proba", lambda self, numbers: 0.9 * honest(self, numbers))
    with pytest.raises(UsageError, match=r"^Candidate 'stumps' answers 500 of 500 rows otherwise"):
        proof.check("stumps", fitted, rows)


# A worker that is lost.


def dying(table: TrainingTable, folder: Path, times: int) -> TrainingTable:
    """The table, whose worker dies in a barrier stage so many times."""

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
    rows = np.arange(1_500)
    expected = DistributedEstimator(short("xgboost-depth-2"), table).fit(rows, frame.target).get_booster()
    found = (
        DistributedEstimator(short("xgboost-depth-2"), dying(table, tmp_path, 1)).fit(rows, frame.target).get_booster()
    )
    assert len(list(tmp_path.iterdir())) == 1
    assert found.save_raw() == expected.save_raw()


def test_a_worker_that_is_lost_each_time_is_one_sentence(
    table: TrainingTable, frame: Frame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After as many attempts as there may be."""
    monkeypatch.setattr(estimator, "ATTEMPTS", 2)
    with pytest.raises(JobError, match=r"^A worker was lost each of the 2 times that a booster was fitted") as failed:
        DistributedEstimator(short("xgboost-depth-2"), dying(table, tmp_path, 9)).fit(np.arange(1_500), frame.target)
    assert len(list(tmp_path.iterdir())) == 2
    assert "\n" not in str(failed.value)


# What is refused.


def test_more_workers_than_can_run_at_a_time_are_refused(spark: SparkSession) -> None:
    """They would wait for each other."""
    assert (worker_count(spark, None), worker_count(spark, 1)) == (2, 1)
    with pytest.raises(UsageError, match=r"^3 workers would fit a booster together, and Spark can run 2 tasks at a"):
        worker_count(spark, 3)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("missing", -999.0), ("booster", "dart"), ("objective", "binary:hinge"), ("early_stopping_rounds", 5)],
)
def test_what_a_folder_cannot_hold_is_refused_before_spark_starts(parameter: str, value: object) -> None:
    """Spark would fit some of it as something else, without a word; by its name, and as a value of a grid."""
    usual = xgb.XGBClassifier().get_params()[parameter]
    wrong = xgb.XGBClassifier(**{parameter: value})
    for candidate in (
        Candidate("wrong", wrong),
        Candidate("wrong", xgb.XGBClassifier(), {parameter: [usual, value]}),
    ):
        with pytest.raises(UsageError, match="Candidate 'wrong'"):
            check([candidate], PROBLEM)


def test_what_is_no_model_of_xgboost_is_refused() -> None:
    """By its name."""
    check([*KNOWN.values()], PROBLEM)
    with pytest.raises(UsageError, match="Spark cannot fit 'regression', as it is no model of XGBoost"):
        check([KNOWN["xgboost-stumps"], Candidate("regression", LogisticRegression())], PROBLEM)
