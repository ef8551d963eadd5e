"""Trees that start from the departure delay follow it beyond what they have seen, and are served as they are."""

import numpy as np
import pytest
import xgboost as xgb
from sklearn.base import clone

from flights import training
from flights.dataset import dataset
from flights.from_delay import FromDelay, from_delay
from flights.problem import DEPARTED
from tabserve.errors import UsageError
from tabserve.table.frame import Frame
from tabserve.training import proof
from tabserve.training.split import hold_out

FEW = {"n_estimators": 20, "max_depth": 2, "n_jobs": 1, "random_state": 1}


@pytest.fixture(scope="module")
def development() -> Frame:
    """Some flights of the extract, asked after departure."""
    return hold_out(dataset(DEPARTED, rows=3_000).frame).development


def test_a_delay_that_no_flight_had_is_followed() -> None:
    """Flights that left up to an hour late say nothing of four hours, and plain trees answer as for one."""
    rng = np.random.default_rng(1)
    features = rng.integers(-20, 60, (2_000, 2)).astype(np.float32)
    arrival = features[:, 1] - 6
    asked = np.array([[0, 240], [0, 33]], np.float32)
    np.testing.assert_allclose(FromDelay(1, **FEW).fit(features, arrival).predict(asked), [234, 27], atol=1)
    assert xgb.XGBRegressor(**FEW).fit(features, arrival).predict(asked)[0] < 60


def test_what_the_delay_misses_is_learned() -> None:
    """Half of the flights arrive ten minutes later than the delay says, by the other feature."""
    rng = np.random.default_rng(2)
    features = np.column_stack([rng.integers(0, 2, 2_000), rng.integers(-20, 200, 2_000)]).astype(np.float32)
    fitted = FromDelay(1, **FEW).fit(features, features[:, 1] + 10 * features[:, 0])
    np.testing.assert_allclose(fitted.predict(np.array([[0, 100], [1, 100]], np.float32)), [100, 110], atol=0.5)


def test_a_clone_has_the_same_parameters() -> None:
    """Each fold fits a clone."""
    model = FromDelay(3, **FEW)
    assert clone(model).get_params() == model.get_params()
    assert model.get_params()["column"] == 3
    assert "column" not in model.get_xgb_params()


def test_the_candidates_are_served_as_they_are_fitted(development: Frame) -> None:
    """With means of the target for airports the delay has another position, and it is still the delay."""
    position = DEPARTED.features.index("dep_delay")
    known = training.candidates(development, 1)
    plain = from_delay(training.for_spark(known["xgboost-depth-2"]), position)
    for candidate in (known["xgboost-depth-2-from-delay"], plain):
        candidate.check(DEPARTED)
        fitted = candidate.fit(development)
        proof.check(candidate.name, fitted, development)
        later = development.features.copy()
        later[:, position] += 30
        moved = np.asarray(fitted.predict(later)) - np.asarray(fitted.predict(development.features))
        assert np.median(moved) == pytest.approx(30, abs=3), candidate.name


def test_spark_refuses_them(development: Frame) -> None:
    """The sentence says what to do; the other trees go to Spark without means of the target."""
    known = training.candidates(development, 1)
    with pytest.raises(UsageError, match="compare it on one machine"):
        training.for_spark(known["xgboost-depth-2-from-delay"])
    assert type(training.for_spark(known["xgboost-depth-2"]).estimator) is xgb.XGBRegressor
