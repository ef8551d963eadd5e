"""A temperature makes probabilities honest, and leaves every row its class."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from tabserve.model.decision import softmax
from tabserve.training.temperature import apply_temperature, choose, cross_fitted

RNG = np.random.default_rng(0)
MARGINS = RNG.normal(size=(3_000, 4))
HONEST = softmax(MARGINS)
TARGET = np.array([RNG.choice(4, p=row) for row in HONEST], np.int8)
"""Drawn as these probabilities say, so that no others are more honest."""
CHOSEN = choose(TARGET, HONEST)


@given(st.floats(0.2, 5))
def test_a_distortion_is_found_and_undone(distortion: float) -> None:
    """Whatever the probabilities were tempered by, the chosen temperature brings them back."""
    distorted = apply_temperature(HONEST, distortion)
    chosen = choose(TARGET, distorted)
    assert abs(chosen * distortion - CHOSEN) < 0.05 * max(1, distortion)
    undone = apply_temperature(distorted, chosen)
    assert log_loss(TARGET, undone) <= log_loss(TARGET, distorted) + 1e-9


@given(st.floats(0.05, 20))
def test_the_most_probable_class_stays(temperature: float) -> None:
    """At any temperature, and the rows still sum to 1."""
    found = apply_temperature(HONEST, temperature)
    assert (found.argmax(axis=1) == HONEST.argmax(axis=1)).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_a_probability_of_zero_is_borne() -> None:
    """It becomes a small one."""
    found = apply_temperature(np.array([[1.0, 0.0, 0.0]]), 2.0)
    assert np.isfinite(found).all()
    assert found.argmax() == 0


def test_no_temperature_sees_its_own_fold() -> None:
    """What a fold holds may change at will, and its temperature stays."""
    fold = np.arange(len(TARGET)) % 3
    before = cross_fitted(TARGET, HONEST, fold)
    spoilt = HONEST.copy()
    spoilt[fold == 1] = apply_temperature(HONEST[fold == 1], 9.0)
    after = cross_fitted(TARGET, spoilt, fold)
    assert before[1] == after[1]
    assert (before[[0, 2]] != after[[0, 2]]).all()
