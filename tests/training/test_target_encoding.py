"""Means of the target at each level are cross-fitted: no row's own target is among its features."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from tabserve.encoding.encoder import Encoder
from tabserve.predictors.encoded_booster import EncodedBooster
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression, Task
from tabserve.table.frame import Frame
from tabserve.training.inner_split import ENCODING_FOLDS, encoding_folds
from tabserve.training.selection import Candidate, select
from tabserve.training.split import fold_numbers, narrow_levels
from tabserve.training.target_encoding import (
    MIN_ROWS,
    SMOOTHING,
    TargetEncoded,
    TargetEncodedClassifier,
    TargetEncodedRegressor,
)

TASKS: list[Task] = [Binary(), Multiclass(("x", "y", "z")), Regression()]

TYPES = ["q", "c", "c"]

by_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.KIND)


def estimator(task: Task, *columns: int, **options: Any) -> TargetEncoded:  # noqa: ANN401  XGBoost's own
    """A small model that replaces these columns."""
    options = {"n_estimators": 5, "max_depth": 3, "n_jobs": 1, "feature_types": TYPES, **options}
    if task.AMOUNT:
        return TargetEncodedRegressor(xgb.XGBRegressor(**options), columns)
    return TargetEncodedClassifier(xgb.XGBClassifier(**options), columns)


def framed(task: Task, rows: int = 400, levels: int = 40, seed: int = 0, **options: Any) -> Frame:  # noqa: ANN401
    """Rows of a number, a category of many levels and one of four; the target depends on all, and some are missing."""
    columns = (Column("size", missing=True), Column("town", "category", missing=True), Column("shop", "category"))
    problem = Problem("drawn", columns, task=task, folds=3, **options)
    rng = np.random.default_rng(seed)
    town, shop, size = rng.integers(0, levels, rows), rng.integers(0, 4, rows), rng.normal(size=rows)
    target: NDArray[Any] = size + rng.normal(size=levels)[town] + shop + 0.3 * rng.normal(size=rows)
    if task.labels:
        target = np.argsort(np.argsort(target)) * len(task.labels) // rows
    features = np.column_stack([size, town, shop]).astype(np.float32)
    features[rng.random(rows) < 0.1, 1] = np.nan
    names = {"town": [f"town {code}" for code in range(levels)], "shop": [*"abcd"]}
    encoder = Encoder.learn(problem, names)
    features[:, 1] = _in_order(features[:, 1], names["town"], encoder)
    ids = np.arange(rows).astype(np.str_).astype(np.object_)
    return Frame(ids, features, target.astype(float if task.AMOUNT else np.int8), problem, encoder)


def _in_order(codes: NDArray[np.float32], names: list[str], encoder: Encoder) -> NDArray[np.float32]:
    """The codes of the encoder, which sorts the names."""
    order = {name: code for code, name in enumerate(encoder.to_json()["town"]["levels"])}
    table = np.array([*(order[name] for name in names), np.nan], np.float32)
    return np.asarray(table[np.where(np.isnan(codes), len(names), codes).astype(int)])


def features_of_trees(model: TargetEncoded, frame: Frame, target: NDArray[Any], fold: NDArray[Any]) -> NDArray[Any]:
    """What the booster is fitted on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model.estimator), "fit", lambda _, rows, __: rows)
        return np.asarray(model.fit(frame.features, target, fold).estimator_)


@by_task
@limits(max_examples=40)
@given(seed=st.integers(0, 999), row=st.integers(0, 119), other=st.integers(0, 2), folds=st.integers(2, 5))
def test_a_rows_own_target_never_moves_its_own_features(
    task: Task, seed: int, row: int, other: int, folds: int
) -> None:
    """Not in the last bit, however large an amount is; the rows of other folds do see it."""
    frame = framed(task, 120, 12, seed)
    fold, changed = np.random.default_rng(seed).integers(0, folds, 120), frame.target.copy()
    changed[row] = [1e9, -3.7, 0.0][other] if task.AMOUNT else other % len(task.labels)
    model = estimator(task, 1)
    before, after = (features_of_trees(model, frame, target, fold) for target in (frame.target, changed))
    inside = fold == fold[row]
    if not task.AMOUNT and len({*changed.tolist()}) < len(task.labels):
        return
    assert np.array_equal(before[inside], after[inside], equal_nan=True)
    moved = changed[row] != frame.target[row]
    assert (not np.array_equal(before[~inside], after[~inside], equal_nan=True)) == moved


@by_task
def test_a_fitted_model_answers_by_the_means_of_all_rows(task: Task) -> None:
    """Smoothed towards the mean of all rows; rare levels share one mean, and missing cells are a level."""
    frame = framed(task)
    town = frame.features[:, 1]
    town[np.isin(town, (3, 7, 11))] = 2
    town[:4] = [3, 7, 11, 11]
    labels = range(len(task.labels))
    values = (
        [frame.target] if task.AMOUNT else [frame.target == label for label in (labels if len(labels) > 2 else [1])]
    )
    model = estimator(task, 1).fit(frame.features, frame.target)
    slot = np.where(np.isnan(town), -1, town)
    counts = pd.Series(slot).map(pd.Series(slot).value_counts()).to_numpy()
    group = np.where(counts < MIN_ROWS, -2, slot)
    assert (counts < MIN_ROWS).sum() >= 4
    for place, value in enumerate(values):
        means = pd.Series(value.astype(float)).groupby(group).agg(["sum", "size"])
        expected = (means["sum"] + SMOOTHING * value.mean()) / (means["size"] + SMOOTHING)
        replaced = model.table_.replace(frame.features)[:, 2 + place]
        assert np.allclose(replaced, expected.loc[group], rtol=1e-6)


def test_an_unseen_level_has_the_value_of_a_missing_one() -> None:
    """And the mean of all rows, if training saw neither missing cells nor rare levels."""
    rows = np.column_stack([np.zeros(80), np.arange(80) % 4, np.zeros(80)]).astype(np.float32)
    target = (np.arange(80) % 3 == 0).astype(np.int8)
    model = estimator(Binary(), 1).fit(rows, target)
    unknown = np.array([[0, np.nan, 0], [0, 4, 0], [0, 99, 0]], np.float32)
    assert np.allclose(model.table_.replace(unknown)[:, 2], target.mean())


def test_noise_of_many_levels_is_not_learned() -> None:
    """The features of 1,000 random levels say nothing of the training rows' own targets, nor of held-out rows'."""
    rng = np.random.default_rng(4)
    frame = framed(Binary(), 20_000, 1_000, seed=4)
    frame = replace(frame, target=(frame.features[:, 0] + 2 * rng.normal(size=20_000) > 0).astype(np.int8))
    own = features_of_trees(estimator(Binary(), 1), frame, frame.target, encoding_folds(frame))[:, 2]
    assert roc_auc_score(frame.target, own) < 0.51
    naive = estimator(Binary(), 1).fit(frame.features, frame.target).table_.replace(frame.features)[:, 2]
    assert roc_auc_score(frame.target, naive) > 0.55  # what cross-fitting prevents
    candidate = Candidate("encoded", estimator(Binary(), 1, n_estimators=30, max_depth=4))
    empty = frame.features.copy()
    empty[:, 1] = np.nan
    scores = [
        select(rows, [candidate]).winner.measures["roc_auc"].mean() for rows in (frame, replace(frame, features=empty))
    ]
    assert scores[0] < scores[1] + 0.003


@by_task
def test_what_is_served_is_what_was_measured(task: Task) -> None:
    """Every fold has lost some levels, and the refit answers as the estimator (`proof.check`); twice to the bit."""
    frame = framed(task)
    answers = []
    for _ in range(2):
        selection = select(frame, [Candidate("encoded", estimator(task, 1, n_estimators=20))])
        predictor = selection.refit()
        assert isinstance(predictor, EncodedBooster)
        answers.append((selection.winner.prediction, predictor.raw(frame.features)))
    assert all(map(np.array_equal, *answers))
    assert selection.winner.trees == [20] * 3


@by_task
def test_levels_that_help_are_learned(task: Task) -> None:
    """The targets of held-out rows are told better with the means than without."""
    frame = framed(task, 2_000)
    empty = frame.features.copy()
    empty[:, 1] = np.nan
    candidate = Candidate("encoded", estimator(task, 1, n_estimators=40))
    known, unknown = (select(rows, [candidate]).winner for rows in (frame, replace(frame, features=empty)))
    assert known.measures.iloc[:, 0].mean() > unknown.measures.iloc[:, 0].mean()


@by_task
def test_a_category_that_is_empty_in_the_training_rows_of_a_fold_can_be_encoded(task: Task) -> None:
    """All of its rows have one value, and so have levels that are held out."""
    frame = framed(task)
    held_out = fold_numbers(frame) == 0
    features = frame.features.copy()
    features[~held_out, 1] = np.nan
    frame = narrow_levels(replace(frame, features=features))
    selection = select(frame, [Candidate("encoded", estimator(task, 1))])
    assert np.isfinite(selection.winner.prediction).all()
    assert isinstance(selection.refit(), EncodedBooster)


def test_a_predictor_knows_more_levels_than_its_training_rows() -> None:
    """Levels that the training rows lack are answered as missing ones."""
    frame = framed(Regression())
    few = frame.features[:, 1] < 10
    model = estimator(Regression(), 1).fit(frame.features[few], frame.target[few])
    predictor = model.get_predictor(frame.encoder)
    assert predictor.table.levels == frame.encoder.levels
    unknown, missing = frame.features[frame.features[:, 1] >= 10], frame.features[frame.features[:, 1] >= 10].copy()
    missing[:, 1] = np.nan
    assert np.array_equal(predictor.raw(unknown), predictor.raw(missing))


def test_a_negative_code_is_refused() -> None:
    """In training it is an error of the caller, as the encoder makes none."""
    frame = framed(Binary())
    frame.features[5, 1] = -1
    with pytest.raises(ValueError, match="a code of a category is negative"):
        estimator(Binary(), 1).fit(frame.features, frame.target)


def test_an_estimator_is_cloned_with_its_parameters() -> None:
    """A grid can set those of the booster, and a fit leaves the parameters as they are."""
    frame = framed(Binary())
    model = clone(estimator(Binary(), 1)).set_params(estimator__max_depth=2)
    before = model.get_params()["estimator"].get_params()
    model.fit(frame.features, frame.target)
    after = model.get_params()["estimator"].get_params()
    assert (str(before), before["max_depth"], model.columns) == (str(after), 2, (1,))
    grid = {"estimator__max_depth": [1, 4]}
    assert select(frame, [Candidate("grid", estimator(Binary(), 1), grid)]).winner.grid_choices


@given(rows=st.integers(20, 300), seed=st.integers(0, 99))
def test_inner_folds_are_even_in_each_class(rows: int, seed: int) -> None:
    """The numbers of rows of a class differ by one at most."""
    target = np.random.default_rng(seed).integers(0, 3, rows).astype(np.int8)
    frame = replace(framed(Multiclass(("x", "y", "z")), rows, 5), target=target)
    fold = encoding_folds(frame)
    assert np.array_equal(fold, encoding_folds(frame))
    for label in range(3):
        assert np.ptp(np.bincount(fold[target == label], minlength=ENCODING_FOLDS)) <= 1


@given(groups=st.integers(1, 30), seed=st.integers(0, 99))
def test_inner_folds_keep_groups_whole(groups: int, seed: int) -> None:
    """Even of fewer groups than folds."""
    frame = framed(Binary(), 200, group="seller")
    seller = np.random.default_rng(seed).integers(0, groups, 200)
    fold = encoding_folds(replace(frame, group=seller.astype(np.str_).astype(np.object_)))
    assert all(len({*fold[seller == number].tolist()}) <= 1 for number in range(groups))
    assert fold.min() >= 0
    assert fold.max() < ENCODING_FOLDS


@given(days=st.integers(1, 60), seed=st.integers(0, 99))
def test_inner_folds_follow_each_other_in_time(days: int, seed: int) -> None:
    """Rows of one moment are in one fold, and no later row is in an earlier fold."""
    frame = framed(Binary(), 200, time="day")
    day = np.random.default_rng(seed).integers(0, days, 200)
    fold = encoding_folds(replace(frame, moment=day.astype("M8[D]")))
    order = np.argsort(day)
    assert (np.diff(fold[order]) >= 0).all()
    assert all(len({*fold[day == number].tolist()}) <= 1 for number in range(days))


def test_one_group_alone_teaches_nothing_by_its_levels() -> None:
    """There are no rows of other groups to take a mean of, so the means are missing in training."""
    frame = framed(Regression())
    own = features_of_trees(estimator(Regression(), 1), frame, frame.target, np.zeros(400, np.int64))
    assert np.isnan(own[:, 2]).all()
