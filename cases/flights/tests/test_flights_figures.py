"""On all flights of 2013 the models reach what is known of them, and simpler predictions have the known figures."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from flights.dataset import HOURLY, dataset
from flights.problem import BEFORE, DEPARTED
from flights.table import Derived, read_table
from flights.training import LATE, candidates
from tabserve.problem.problem import Problem
from tabserve.table.frame import read
from tabserve.training.split import Split, hold_out

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def path(shared: Path) -> Path:
    """The table of all flights."""
    return shared / "data" / "flights" / "flights_336776.parquet"


@pytest.fixture(scope="module")
def derived(path: Path) -> Derived:
    """Its rows with an arrival delay."""
    return read_table(path, HOURLY)


def split(derived: Derived, problem: Problem) -> Split:
    """January to October, and November and December."""
    return hold_out(read(derived.rows, problem))


def errors(rows: Split, name: str) -> dict[str, float]:
    """The errors on the hold-out of a candidate that was fitted on the development rows."""
    candidate, target = candidates(rows.development, 2)[name], rows.holdout.target
    prediction = np.asarray(candidate.fit(rows.development).predict(rows.holdout.features), np.float64)
    return measured(target, prediction)


def measured(target: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """Errors in minutes, R², and how well late flights are ranked."""
    missed, late = target - prediction, target > LATE
    return {
        "mae": float(np.abs(missed).mean()),
        "rmse": float(np.sqrt((missed**2).mean())),
        "r2": float(1 - (missed**2).sum() / ((target - target.mean()) ** 2).sum()),
        "roc_auc": float(roc_auc_score(late, prediction)),
        "average_precision": float(average_precision_score(late, prediction)),
    }


def test_the_flights_of_the_year_are_all_there(path: Path, derived: Derived) -> None:
    """327,346 of 336,776 have an arrival delay, and November and December are held out."""
    assert (len(derived.rows), derived.without_target) == (327_346, 9_430)
    assert derived.rows["temp"].isna().sum() < 1_636
    frame, _ = dataset(BEFORE, path)
    development, holdout = hold_out(frame)
    assert development.moment is not None
    assert holdout.moment is not None
    assert (development.moment.max(), holdout.moment.min()) == (
        np.datetime64("2013-10-31"),
        np.datetime64("2013-11-01"),
    )
    assert (len(development), len(holdout)) == (273_355, 53_991)


def test_simpler_predictions_have_the_known_errors(derived: Derived) -> None:
    """Constants, and the departure delay minus 6.13 minutes."""
    rows = split(derived, DEPARTED)
    target = rows.holdout.target
    constants = {
        name: measured(target, np.full(len(target), getattr(np, name)(rows.development.target)))
        for name in ("mean", "median")
    }
    assert constants["mean"]["rmse"] == pytest.approx(40.12, abs=0.01)
    assert constants["median"]["mae"] == pytest.approx(23.35, abs=0.01)
    subtraction = errors(rows, "subtraction")
    assert subtraction["mae"] == pytest.approx(12.36, abs=0.01)
    assert subtraction["rmse"] == pytest.approx(16.93, abs=0.01)
    assert subtraction["r2"] == pytest.approx(0.822, abs=0.001)


def test_before_departure_the_model_beats_the_reference(derived: Derived) -> None:
    """Without the day of the month, it explains more of November and December than with it (R² 0.049)."""
    reached = errors(split(derived, BEFORE), "xgboost-depth-2")
    assert reached["mae"] < 22.84
    assert reached["rmse"] < 39.12
    assert reached["r2"] > 0.08
    assert reached["roc_auc"] > 0.66
    assert reached["average_precision"] > 0.408


def test_after_departure_trees_from_the_delay_beat_the_reference_and_the_subtraction(derived: Derived) -> None:
    """They err less than either (RMSE 16.98 and 16.93), and rank late flights better."""
    reached = errors(split(derived, DEPARTED), "xgboost-depth-2-from-delay")
    assert reached["mae"] < 12.36
    assert reached["rmse"] < 16.6
    assert reached["r2"] > 0.828
    assert reached["roc_auc"] > 0.89
    assert reached["average_precision"] > 0.836
