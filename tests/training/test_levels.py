"""A level that occurs in no training row is a missing value in the rows held out, as for the served model."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from tabserve.encoding.encoder import Encoder
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression, Task
from tabserve.table.frame import Frame
from tabserve.training.selection import Candidate, select
from tabserve.training.split import fold_numbers, hold_out, narrow_levels

LEVELS = ("a", "b", "c", "rare")
RARE = LEVELS.index("rare")


def framed(rows: int, task: Task, seed: int = 0) -> Frame:
    """Rows of a number and a category, which the target depends on; the last level does not occur."""
    problem = Problem("drawn", (Column("size"), Column("town", "category")), task=task, folds=3)
    rng = np.random.default_rng(seed)
    town = rng.integers(0, RARE, rows)
    size = rng.normal(size=rows)
    target = (size + town + 0.3 * rng.normal(size=rows)).clip(0.01)
    if problem.labels:
        target = np.argsort(np.argsort(target)) * len(problem.labels) // rows
    ids = np.arange(rows).astype(np.str_).astype(np.object_)
    encoder = Encoder.learn(problem, {"town": list(LEVELS)})
    features = np.column_stack([size, town]).astype(np.float32)
    return Frame(ids, features, target.astype(float if task.AMOUNT else np.int8), problem, encoder)


def recoded(frame: Frame, rows: NDArray[Any], code: float | NDArray[Any]) -> Frame:
    """The frame with another code of the category in some rows."""
    features = frame.features.copy()
    features[rows, 1] = code
    return replace(frame, features=features)


def boosted(task: Task) -> Candidate:
    """A booster that splits by the category."""
    kind = xgb.XGBRegressor if task.AMOUNT else xgb.XGBClassifier
    options = {"enable_categorical": True, "feature_types": ["q", "c"], "n_jobs": 1}
    return Candidate("boosted", kind(n_estimators=5, max_depth=3, **options))


@pytest.mark.parametrize("task", [Binary(), Multiclass(("x", "y", "z")), Regression()], ids=lambda task: task.KIND)
def test_a_level_of_held_out_rows_only_is_predicted_as_a_missing_value(task: Task) -> None:
    """Bit for bit; the predictions of the other rows of the fold do not change."""
    frame = framed(300, task)
    held_out = np.flatnonzero(fold_numbers(frame) == 1)
    rare, missing = (
        select(recoded(frame, held_out[:10], code), [boosted(task)]).outcomes["boosted"].prediction
        for code in (RARE, np.nan)
    )
    assert np.array_equal(rare[held_out], missing[held_out])
    known = select(frame, [boosted(task)]).outcomes["boosted"].prediction
    assert np.array_equal(known[held_out[10:]], rare[held_out[10:]])
    assert not np.array_equal(known[held_out[:10]], rare[held_out[:10]])


def test_a_category_that_is_empty_in_all_training_rows_of_a_fold_can_be_served() -> None:
    """The feature stays a category, although the fold has none of its levels."""
    frame = recoded(framed(300, Binary()), np.arange(300), np.nan)
    held_out = np.flatnonzero(fold_numbers(frame) == 0)
    only_there = recoded(frame, held_out[:10], RARE)
    rare, missing = (select(rows, [boosted(Binary())]) for rows in (only_there, frame))
    rare_prediction, missing_prediction = (each.outcomes["boosted"].prediction for each in (rare, missing))
    assert np.array_equal(rare_prediction[held_out], missing_prediction[held_out])


@st.composite
def few_of_some_levels(draw: st.DrawFn, rows: int) -> list[int]:
    """The code of each row: mostly the first level, and up to three rows of each other level."""
    codes = [0] * rows
    for code in range(1, RARE + 1):
        for row in draw(st.lists(st.integers(0, rows - 1), max_size=3)):
            codes[row] = code
    return codes


class Watching(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Checks that it predicts no code that it was not fitted on."""

    def fit(self, rows: NDArray[Any], _target: object) -> "Watching":
        """Remember the codes."""
        self.codes_ = {*rows[~np.isnan(rows[:, 1]), 1].tolist()}
        assert self.codes_ == {*range(len(self.codes_))}, "a level without a training row has a code"
        return self

    def predict(self, rows: NDArray[Any]) -> NDArray[Any]:
        """1 for each row whose code is missing, else 0."""
        codes = rows[~np.isnan(rows[:, 1]), 1]
        assert {*codes.tolist()} <= self.codes_
        missing: NDArray[Any] = np.isnan(rows[:, 1]).astype(float)
        return missing


@limits(max_examples=30)
@given(st.integers(20, 60), st.integers(0, 999), st.data())
def test_no_candidate_predicts_a_level_that_it_was_not_fitted_on(rows: int, seed: int, data: st.DataObject) -> None:
    """A held-out row has a missing value exactly if no training row has its level."""
    frame = framed(rows, Regression(), seed)
    codes = data.draw(few_of_some_levels(rows))
    frame = narrow_levels(recoded(frame, np.arange(rows), np.array(codes)))
    selection = select(frame, [Candidate("watching", Watching())])
    for number in range(3):
        inside, held_out = selection.fold != number, selection.fold == number
        unknown = ~np.isin(frame.features[held_out, 1], frame.features[inside, 1])
        assert np.array_equal(selection.outcomes["watching"].prediction[held_out], unknown)


@given(st.integers(20, 80), st.integers(0, 999), st.data())
def test_the_levels_are_those_of_the_development_rows(rows: int, seed: int, data: st.DataObject) -> None:
    """Every row keeps its level, or has a missing value if no development row has it."""
    frame = framed(rows, Regression(), seed)
    codes = data.draw(few_of_some_levels(rows))
    frame = recoded(frame, np.arange(rows), np.array(codes))
    development, holdout = hold_out(frame)
    levels = development.encoder.to_json()["town"]["levels"]
    assert holdout.encoder == development.encoder
    named = dict(zip(frame.ids, (LEVELS[code] for code in codes), strict=True))
    assert {*levels} == {named[name] for name in development.ids}
    for part in (development, holdout):
        for name, code in zip(part.ids, part.features[:, 1], strict=True):
            assert np.isnan(code) if named[name] not in levels else levels[int(code)] == named[name]


def test_features_without_categories_are_not_copied() -> None:
    """The narrowed frame is the same frame."""
    frame = framed(50, Regression())
    problem = replace(frame.problem, columns=(Column("size"), Column("town")))
    plain = replace(frame, problem=problem, encoder=Encoder.learn(problem, {}))
    assert narrow_levels(plain) is plain
    assert plain.with_encoder(plain.encoder).features is plain.features
