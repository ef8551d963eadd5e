"""The contributions of a booster are XGBoost's SHAP values, and add up to the margin of each output."""

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.predictors.mutations import LOGARITHM
from tests.predictors.small_boosters import ALL, LEVELS, NAMES, Trained, table, train

from tabserve.predictors import ubjson
from tabserve.predictors.booster import Booster

ROWS = table(200, seed=5)

KINDS = pytest.mark.parametrize(("objective", "way"), ALL)

CELLS = st.sampled_from([np.nan, -1.0, -0.0, 0.5, 1.0, 2.0, 4.0, 5.0, 31.0, 39.0, 40.0, 1e6, -1e30])
"""Values of quantities and codes: missing, known and unknown."""


def margins(model: Trained, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The margins of a booster, shape (rows, outputs)."""
    return np.asarray(model.trees.inplace_predict(rows, predict_type="margin")).reshape(len(rows), -1)


@KINDS
@settings(max_examples=20, deadline=None)
@given(rows=st.lists(st.tuples(*[CELLS] * 4), min_size=1, max_size=4))
def test_contributions_add_up_to_the_margin(objective: str, way: str, rows: list[tuple[float, ...]]) -> None:
    """With the base value, for any cells, and the base value is that of every row."""
    model, cells = train(objective, way), np.array(rows, np.float32)
    booster = model.read(model.file)
    contributions = booster.contributions(cells)
    assert contributions.dtype == np.float32
    assert contributions.shape == (len(cells), booster.outputs, len(NAMES) + 1)
    np.testing.assert_allclose(contributions.sum(axis=2), margins(model, cells), rtol=1e-5, atol=1e-5)
    assert np.array_equal(contributions[..., -1], np.repeat(contributions[:1, :, -1], len(cells), axis=0))


@KINDS
def test_contributions_are_those_of_xgboosts_wrapper(objective: str, way: str) -> None:
    """To the bit, for many rows and for one, whatever the number of threads."""
    model = train(objective, way)
    booster = model.read(model.file)
    data = xgb.DMatrix(
        ROWS, feature_names=list(NAMES), feature_types=model.trees.feature_types, enable_categorical=True
    )
    expected = model.trees.predict(data, pred_contribs=True).reshape(len(ROWS), booster.outputs, -1)
    assert booster.contributions(ROWS).tobytes() == expected.tobytes()
    booster.on_one_thread()
    assert booster.contributions(ROWS[7:8]).tobytes() == expected[7:8].tobytes()
    assert booster.contributions(np.asfortranarray(ROWS)).tobytes() == expected.tobytes()


@KINDS
def test_contributions_add_up_to_the_answer_or_to_its_log(objective: str, way: str) -> None:
    """The log odds of two classes, the margins of several, the amount, or its logarithm for three objectives."""
    booster = train(objective, way).read(train(objective, way).file)
    total, answers = booster.contributions(ROWS).sum(axis=2), booster.raw(ROWS)
    if objective == "binary:logistic":
        total = 1 / (1 + np.exp(-total))
    np.testing.assert_allclose(np.exp(total) if objective in LOGARITHM else total, answers, rtol=1e-5, atol=1e-5)


def expected_leaf(tree: dict[str, Any], row: NDArray[np.float32], known: tuple[int, ...], node: int = 0) -> float:
    """The mean leaf of a tree if only some features of a row are known; by the numbers of training rows elsewhere."""
    left, right = int(tree["left_children"][node]), int(tree["right_children"][node])
    if left == -1:
        return float(tree["split_conditions"][node])
    below = [expected_leaf(tree, row, known, child) for child in (left, right)]
    if (feature := int(tree["split_indices"][node])) in known:
        value = row[feature]
        goes_left = tree["default_left"][node] if np.isnan(value) else value < tree["split_conditions"][node]
        return below[0 if goes_left else 1]
    return float(np.average(below, weights=tree["sum_hessian"][[left, right]]))


def test_contributions_are_shapley_values() -> None:
    """By the definition: a feature's mean gain over all orders in which features become known."""
    model = train("binary:logistic")
    trees = ubjson.loads(model.file)["learner"]["gradient_booster"]["model"]["trees"]
    contributions = Booster(model.trees).contributions(ROWS[:10])[:, 0]
    count = len(NAMES)
    for row, found in zip(ROWS[:10], contributions, strict=True):
        values = {
            known: sum(expected_leaf(tree, row, known) for tree in trees)
            for size in range(count + 1)
            for known in combinations(range(count), size)
        }
        for feature in range(count):
            share = sum(
                (values[tuple(sorted((*known, feature)))] - value) / count / math.comb(count - 1, len(known))
                for known, value in values.items()
                if feature not in known
            )
            assert found[feature] == pytest.approx(share, abs=1e-5)


def test_threads_may_ask_one_booster_for_contributions() -> None:
    """Beside each other, and beside its answers."""
    booster = Booster(train("multi:softprob", "sets of categories").trees)
    pieces = [ROWS[start : start + size] for start in range(0, 60, 3) for size in (1, 2, 16)]
    expected = [booster.contributions(piece).tobytes() for piece in pieces]
    raw = booster.raw(ROWS).tobytes()
    with ThreadPoolExecutor(4) as threads:
        found = threads.map(lambda piece: (booster.contributions(piece).tobytes(), booster.raw(ROWS).tobytes()), pieces)
        assert [*found] == [(each, raw) for each in expected]


def test_a_column_on_which_no_tree_splits_contributes_nothing() -> None:
    """Its contributions are 0."""
    rows = table()
    rows[:, 2] = 1
    data = xgb.DMatrix(rows, np.arange(300) % 2, feature_types=["c" if count else "q" for count in LEVELS])
    booster = Booster(xgb.train({"objective": "binary:logistic"}, data, 3))
    contributions = booster.contributions(rows)
    assert not contributions[:, 0, 2].any()
    assert contributions[:, 0, 0].any()


def test_a_wrong_number_of_features_is_refused() -> None:
    """XGBoost does not read beyond the rows."""
    with pytest.raises((ValueError, xgb.core.XGBoostError), match="feature"):
        Booster(train("binary:logistic").trees).contributions(ROWS[:, :-1])
