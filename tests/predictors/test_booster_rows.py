"""The answer of trees depends on the row alone, to the bit."""

from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st

from tabserve.model.model import Model, load
from tabserve.predictors.booster import Booster
from tabserve.table.frame import Frame


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Model:
    """The model that tests share."""
    return load(model_folder)


@pytest.fixture(scope="module")
def trees(model: Model) -> Booster:
    """The predictor of the shared model."""
    assert isinstance(model.predictor, Booster)
    return model.predictor


@pytest.fixture(scope="module")
def boosters(trees: Booster, sample_frame: Frame) -> list[Booster]:
    """The shared model's booster and a deep one, which sums many leaves per row; each on one thread."""
    deep = xgb.XGBClassifier(n_estimators=30, max_depth=6, n_jobs=1).fit(sample_frame.features, sample_frame.target)
    trees.on_one_thread()
    return [trees, Booster(deep.get_booster())]


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 600), batch=st.integers(1, 600))
def test_permuted_rows_have_permuted_answers_to_the_bit(
    boosters: list[Booster], sample_frame: Frame, seed: int, rows: int, batch: int
) -> None:
    """In any order, and in batches of any size."""
    order = np.random.default_rng(seed).permutation(len(sample_frame))[:rows]
    features = sample_frame.features[order]
    for booster in boosters:
        batches = [booster.raw(features[start : start + batch]) for start in range(0, rows, batch)]
        assert np.array_equal(np.concatenate(batches), booster.raw(sample_frame.features)[order])


@pytest.mark.parametrize("threads", [2, 3])
def test_the_number_of_threads_changes_no_answer(boosters: list[Booster], sample_frame: Frame, threads: int) -> None:
    """To the bit, in batches of any size."""
    for booster in boosters:
        expected = booster.raw(sample_frame.features)
        booster.trees.set_param({"nthread": threads})
        results = [booster.raw(sample_frame.features[:rows]) for rows in (1, 7, 64, len(sample_frame))]
        booster.on_one_thread()
        assert all(np.array_equal(answers, expected[: len(answers)]) for answers in results)


def test_the_memory_layout_changes_no_answer(trees: Booster, sample_frame: Frame) -> None:
    """For rows cut out of a larger array, and for columns in order."""
    features = sample_frame.features[:50]
    wider = np.hstack([features, features])[:, : features.shape[1]]
    for same in (np.asfortranarray(features), wider, features.copy()):
        assert np.array_equal(trees.raw(same), trees.raw(features))


def test_every_interface_of_xgboost_answers_the_same(model: Model, trees: Booster, sample_frame: Frame) -> None:
    """The served answers are XGBoost's own predictions."""
    names = list(model.problem.features)
    expected = trees.trees.predict(xgb.DMatrix(sample_frame.features, feature_names=names))
    assert np.array_equal(trees.raw(sample_frame.features)[:, 0], expected)


def test_examples_are_not_rows_of_the_table(trees: Booster, sample_frame: Frame) -> None:
    """Each cell comes from its own column; the seed decides."""
    features = sample_frame.features
    rows = trees.examples(features)
    assert (rows.shape, rows.dtype) == ((8, features.shape[1]), features.dtype)
    assert all(np.isin(rows[:, column], features[:, column]).all() for column in range(features.shape[1]))
    assert not (rows[:, np.newaxis] == features).all(axis=2).any()
    assert np.array_equal(rows, trees.examples(features))
    assert not np.array_equal(rows, trees.examples(features, seed=1))
