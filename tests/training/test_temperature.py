"""A temperature calibrates probabilities, and does not change the class of any row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from tabserve.model.decision import softmax
from tabserve.training.temperature import apply_temperature, choose, cross_fitted

RNG = np.random.default_rng(0)
MARGINS = RNG.normal(size=(3_000, 4))
CALIBRATED = softmax(MARGINS)
TARGET = np.array([RNG.choice(4, p=row) for row in CALIBRATED], np.int8)
"""Drawn with these probabilities, so that they are calibrated."""
CHOSEN = choose(TARGET, CALIBRATED)


@given(st.floats(0.2, 5))
def test_the_chosen_temperature_undoes_a_distortion(distortion: float) -> None:
    """Whatever temperature was applied, the chosen one brings the log loss back, but for the smoothing of targets."""
    distorted = apply_temperature(CALIBRATED, distortion)
    chosen = choose(TARGET, distorted)
    assert abs(chosen * distortion - CHOSEN) < 0.05 * max(1, distortion)
    undone = apply_temperature(distorted, chosen)
    assert log_loss(TARGET, undone) <= log_loss(TARGET, distorted) + 1e-3


@given(st.floats(0.05, 20))
def test_no_temperature_changes_the_most_probable_class(temperature: float) -> None:
    """And the probabilities of a row still add up to 1."""
    probability = apply_temperature(CALIBRATED, temperature)
    assert (probability.argmax(axis=1) == CALIBRATED.argmax(axis=1)).all()
    np.testing.assert_allclose(probability.sum(axis=1), 1)


def test_a_probability_of_zero_is_accepted() -> None:
    """It becomes a small one, and all stay finite."""
    probability = apply_temperature(np.array([[1.0, 0.0, 0.0]]), 2.0)
    assert np.isfinite(probability).all()
    assert probability.argmax() == 0


def test_the_temperature_of_a_fold_is_chosen_without_its_rows() -> None:
    """Changed probabilities of a fold change the temperatures of the other folds only."""
    fold = np.arange(len(TARGET)) % 3
    before = cross_fitted(TARGET, CALIBRATED, fold)
    changed = CALIBRATED.copy()
    changed[fold == 1] = apply_temperature(CALIBRATED[fold == 1], 9.0)
    after = cross_fitted(TARGET, changed, fold)
    assert before[1] == after[1]
    assert (before[[0, 2]] != after[[0, 2]]).all()


@pytest.mark.parametrize("rows", [30, 3_000])
def test_rows_that_are_all_predicted_rightly_are_not_taken_for_certain(rows: int) -> None:
    """A new row may be predicted wrongly; the more rows there are, the less likely that is."""
    target = (np.arange(rows) % 3).astype(np.int8)
    probability = np.eye(3)[target] * 0.7 + 0.1
    surest = apply_temperature(probability, choose(target, probability)).max()
    assert 1 - 3 / (rows / 3) < surest < 1 - 1 / (rows / 3 + 3)
