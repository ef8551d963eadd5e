"""A level that occurs in no training row is a missing one in the rows held out, as it is for the served model."""

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
from tabserve.training.split import fold_numbers, hold_out, narrowed

LEVELS = ("a", "b", "c", "rare")
RARE = LEVELS.index("rare")


def framed(rows: int, task: Task, seed: int = 0) -> Frame:
    """Rows of a number and a category, of whose levels all but the last occur; both tell the target."""
    problem = Problem("drawn", (Column("size"), Column("place", "category")), task=task, folds=3)
    rng = np.random.default_rng(seed)
    place = rng.integers(0, RARE, rows)
    size = rng.normal(size=rows)
    target = (size + place + 0.3 * rng.normal(size=rows)).clip(0.01)
    if problem.labels:
        target = np.argsort(np.argsort(target)) * len(problem.labels) // rows
    ids = np.arange(rows).astype(np.str_).astype(np.object_)
    encoder = Encoder.learn(problem, {"place": list(LEVELS)})
    features = np.column_stack([size, place]).astype(np.float32)
    return Frame(ids, features, target.astype(float if task.AMOUNT else np.int8), problem, encoder)


def placed(frame: Frame, rows: NDArray[Any], code: float | NDArray[Any]) -> Frame:
    """The frame with another code in some rows."""
    features = frame.features.copy()
    features[rows, 1] = code
    return replace(frame, features=features)


def boosted(task: Task) -> Candidate:
    """Trees that split by the category."""
    kind = xgb.XGBRegressor if task.AMOUNT else xgb.XGBClassifier
    options = {"enable_categorical": True, "feature_types": ["q", "c"], "n_jobs": 1}
    return Candidate("boosted", kind(n_estimators=5, max_depth=3, **options))


@pytest.mark.parametrize("task", [Binary(), Multiclass(("x", "y", "z")), Regression()], ids=lambda task: task.KIND)
def test_a_level_of_held_out_rows_alone_is_answered_as_a_missing_one(task: Task) -> None:
    """To the bit; the other rows of its fold are answered as if it were not there."""
    frame = framed(300, task)
    held_out = np.flatnonzero(fold_numbers(frame) == 1)
    rare, missing = (
        select(placed(frame, held_out[:10], code), [boosted(task)]).outcomes["boosted"].prediction
        for code in (RARE, np.nan)
    )
    assert np.array_equal(rare[held_out], missing[held_out])
    known = select(frame, [boosted(task)]).outcomes["boosted"].prediction
    assert np.array_equal(known[held_out[10:]], rare[held_out[10:]])
    assert not np.array_equal(known[held_out[:10]], rare[held_out[:10]])


@st.composite
def few_of_some_levels(draw: st.DrawFn, rows: int) -> list[int]:
    """The code of each row: mostly the first, and of each other level none, one or a few."""
    codes = [0] * rows
    for code in range(1, RARE + 1):
        for row in draw(st.lists(st.integers(0, rows - 1), max_size=3)):
            codes[row] = code
    return codes


class Watching(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Checks that it is never asked about a code that it was not taught."""

    def fit(self, rows: NDArray[Any], _target: object) -> "Watching":
        """Remember the codes."""
        self.codes_ = {*rows[~np.isnan(rows[:, 1]), 1].tolist()}
        assert self.codes_ == {*range(len(self.codes_))}, "a level without a training row has a code"
        return self

    def predict(self, rows: NDArray[Any]) -> NDArray[Any]:
        """How many are missing."""
        asked = rows[~np.isnan(rows[:, 1]), 1]
        assert {*asked.tolist()} <= self.codes_
        missing: NDArray[Any] = np.isnan(rows[:, 1]).astype(float)
        return missing


@limits(max_examples=30)
@given(st.integers(20, 60), st.integers(0, 999), st.data())
def test_no_candidate_is_asked_about_a_level_that_it_was_not_taught(rows: int, seed: int, data: st.DataObject) -> None:
    """Wherever the levels occur, a row held out has a missing one just where no training row has its level."""
    frame = framed(rows, Regression(), seed)
    codes = data.draw(few_of_some_levels(rows))
    frame = narrowed(placed(frame, np.arange(rows), np.array(codes)))
    found = select(frame, [Candidate("watching", Watching())])
    for number in range(3):
        inside, held_out = found.fold != number, found.fold == number
        unknown = ~np.isin(frame.features[held_out, 1], frame.features[inside, 1])
        assert np.array_equal(found.outcomes["watching"].prediction[held_out], unknown)


@given(st.integers(20, 80), st.integers(0, 999), st.data())
def test_the_development_rows_alone_say_which_levels_there_are(rows: int, seed: int, data: st.DataObject) -> None:
    """Every row keeps its level, or has a missing one where no development row has it."""
    frame = framed(rows, Regression(), seed)
    codes = data.draw(few_of_some_levels(rows))
    frame = placed(frame, np.arange(rows), np.array(codes))
    development, holdout = hold_out(frame)
    levels = development.encoder.to_json()["place"]["levels"]
    assert holdout.encoder == development.encoder
    named = dict(zip(frame.ids, (LEVELS[code] for code in codes), strict=True))
    assert {*levels} == {named[name] for name in development.ids}
    for part in (development, holdout):
        for name, code in zip(part.ids, part.features[:, 1], strict=True):
            assert np.isnan(code) if named[name] not in levels else levels[int(code)] == named[name]


def test_without_categories_nothing_is_copied() -> None:
    """The features of the development rows are those that were taken."""
    frame = framed(50, Regression())
    problem = replace(frame.problem, columns=(Column("size"), Column("place")))
    plain = replace(frame, problem=problem, encoder=Encoder.learn(problem, {}))
    assert narrowed(plain) is plain
    assert plain.with_encoder(plain.encoder).features is plain.features
