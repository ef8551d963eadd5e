"""An answer depends on its own row alone, to the bit, and a label is 1 where the probability reaches the threshold."""

from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from tabserve.model.model import Model, load
from tabserve.model.scoring import label, probabilities, score
from tabserve.table.frame import Frame


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Model:
    """The shared model."""
    return load(model_folder)


@pytest.fixture(scope="module")
def boosters(model: Model, sample_frame: Frame) -> list[xgb.Booster]:
    """The shared model's booster, and a deep one, which adds up many leaves for a row; on one thread."""
    deep = xgb.XGBClassifier(n_estimators=30, max_depth=6, n_jobs=1).fit(sample_frame.features, sample_frame.target)
    model.booster.set_param({"nthread": 1})
    return [model.booster, deep.get_booster()]


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 600), batch=st.integers(1, 600))
def test_permuted_rows_have_permuted_answers_to_the_bit(
    boosters: list[xgb.Booster], sample_frame: Frame, seed: int, rows: int, batch: int
) -> None:
    """In any order and batches of any size."""
    order = np.random.default_rng(seed).permutation(len(sample_frame))[:rows]
    features = sample_frame.features[order]
    for booster in boosters:
        batches = [probabilities(booster, features[start : start + batch]) for start in range(0, rows, batch)]
        assert np.array_equal(np.concatenate(batches), probabilities(booster, sample_frame.features)[order])


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_nothing(boosters: list[xgb.Booster], sample_frame: Frame, threads: int) -> None:
    """Not a bit, in batches of any size."""
    for booster in boosters:
        expected = probabilities(booster, sample_frame.features)
        booster.set_param({"nthread": threads})
        found = [probabilities(booster, sample_frame.features[:rows]) for rows in (1, 7, 64, len(sample_frame))]
        booster.set_param({"nthread": 1})
        assert all(np.array_equal(answers, expected[: len(answers)]) for answers in found)


def test_the_layout_in_memory_changes_nothing(model: Model, sample_frame: Frame) -> None:
    """Rows that are cut out of a larger array, or lie column by column, get the same answers."""
    features = sample_frame.features[:50]
    wider = np.hstack([features, features])[:, : features.shape[1]]
    for same in (np.asfortranarray(features), wider, features.copy()):
        assert np.array_equal(probabilities(model.booster, same), probabilities(model.booster, features))


def test_every_interface_of_xgboost_answers_the_same(model: Model, sample_frame: Frame) -> None:
    """What is served is what XGBoost itself predicts."""
    names = list(model.problem.features)
    expected = model.booster.predict(xgb.DMatrix(sample_frame.features, feature_names=names))
    assert np.array_equal(probabilities(model.booster, sample_frame.features), expected)


def test_a_score_is_a_probability_and_a_label(model: Model, sample_frame: Frame) -> None:
    """One of each for every row, of the types the protocol answers with."""
    found = score(model.booster, model.threshold, sample_frame.features)
    assert [str(array.dtype) for array in found] == ["float32", "int64"]
    assert found.probability.shape == found.label.shape == (len(sample_frame),)
    assert ((found.probability > 0) & (found.probability < 1)).all()
    assert 0 < found.label.mean() < 1
    assert np.array_equal(model.score(sample_frame.features), found)


@given(npst.arrays(np.float32, st.integers(0, 20), elements=st.floats(0, 1, width=32)), st.floats(0, 1))
def test_a_label_is_one_exactly_where_the_probability_reaches_the_threshold(
    probability: NDArray[np.float32], threshold: float
) -> None:
    """As anyone sees who compares the two numbers in an answer."""
    for limit in (threshold, *probability.tolist()):
        assert label(probability, limit).tolist() == [int(value >= limit) for value in probability.tolist()]
