"""Measures of amounts equal their definitions, and their intervals are as wide as they scatter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from tabserve.model.decision import Amount, Amounts
from tabserve.problem.criterion import MAE, RMSE
from tabserve.reports.tables import TITLES
from tabserve.training import bootstrap
from tabserve.training.regression import evaluate, measures

FloatArray = NDArray[np.float64]

amounts = st.integers(-1000, 1000).map(lambda number: number / 4)


def predicted(prediction: FloatArray, width: float = 2.0) -> Amounts:
    """Predictions with intervals of a single width."""
    return Amount((), (width,)).scores(prediction[:, np.newaxis])


def drawn(rows: int, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Amounts and their predictions."""
    rng = np.random.default_rng(seed)
    prediction = rng.normal(50, 10, rows)
    return prediction + rng.normal(0, 2, rows), prediction


@given(npst.arrays(np.float64, st.integers(2, 30), elements=amounts, unique=True), st.data())
def test_measures_equal_their_definitions(target: FloatArray, data: st.DataObject) -> None:
    """Each is computed again by its definition."""
    prediction = data.draw(npst.arrays(np.float64, len(target), elements=amounts))
    values, errors = measures(target, predicted(prediction), RMSE()), (target - prediction).tolist()
    mean = target.mean()
    assert values["rmse"] == pytest.approx((sum(error**2 for error in errors) / len(errors)) ** 0.5)
    assert values["mae"] == pytest.approx(sum(map(abs, errors)) / len(errors))
    assert values["median_absolute_error"] == pytest.approx(np.median(np.abs(errors)))
    assert values["r2"] == pytest.approx(1 - sum(e**2 for e in errors) / sum((t - mean) ** 2 for t in target))
    assert values["coverage"] == pytest.approx(sum(abs(error) <= 2 for error in errors) / len(errors))
    assert values["interval_width"] == pytest.approx(4)
    assert values["minus_rmse"] == pytest.approx(-values["rmse"])


@pytest.mark.parametrize(
    ("criterion", "first", "positive"), [(RMSE(), "minus_rmse", "rmse"), (MAE(), "minus_mae", "mae")]
)
def test_the_criterion_comes_first_and_is_larger_the_better(criterion: RMSE | MAE, first: str, positive: str) -> None:
    """It has its own name, the error itself follows, and every measure has a title."""
    target, prediction = drawn(50)
    better, worse = (measures(target, predicted(values), criterion) for values in (prediction, prediction + 3))
    assert next(iter(better)) == first
    assert better[first] > worse[first]
    assert better[first] == -better[positive]
    assert better.keys() <= TITLES.keys()


def test_equal_amounts_and_a_single_row_are_measured() -> None:
    """Every measure is finite if all targets are equal."""
    for rows in (1, 5):
        values = measures(np.full(rows, 3.0), predicted(np.full(rows, 4.0)), RMSE())
        assert np.isfinite([*values.values()]).all()
        assert (values["r2"], measures(np.full(rows, 3.0), predicted(np.full(rows, 3.0)), RMSE())["r2"]) == (0, 1)


def test_an_interval_surrounds_its_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The values are those without resampling, each between its bounds; the seed determines the bounds."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 50)
    target, prediction = drawn(400)
    estimates = evaluate(target, predicted(prediction), RMSE(), seed=1)
    assert {name: interval.value for name, interval in estimates.items()} == measures(
        target, predicted(prediction), RMSE()
    )
    assert all(
        estimates[name].low < estimates[name].value < estimates[name].high
        for name in estimates
        if name != "interval_width"
    )
    assert estimates == evaluate(target, predicted(prediction), RMSE(), seed=1)
    assert estimates != evaluate(target, predicted(prediction), RMSE(), seed=2)


def test_an_interval_is_as_wide_as_its_measure_scatters() -> None:
    """Its half width is about two standard deviations of the measure over fresh tables."""

    def measure(seed: int) -> dict[str, float]:
        target, prediction = drawn(400, seed)
        return measures(target, predicted(prediction), RMSE())

    fresh, target_and_prediction = [measure(seed) for seed in range(200)], drawn(400)
    estimates = evaluate(target_and_prediction[0], predicted(target_and_prediction[1]), RMSE())
    for name in ("rmse", "mae", "r2", "coverage"):
        scatter = np.std([values[name] for values in fresh])
        assert (estimates[name].high - estimates[name].low) / 2 == pytest.approx(1.96 * scatter, rel=0.35), name
