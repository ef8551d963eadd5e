"""A table with a time is split by it: nothing is fitted or chosen on later rows, and a moment stays together."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import xgboost as xgb
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyRegressor

from tabserve.encoding.encoder import Encoder
from tabserve.errors import DataError
from tabserve.problem.columns import Column, numbers
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression, Task
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import read, stream
from tabserve.training import forward
from tabserve.training.folds import NOT_HELD_OUT, choosing_rows, measured_folds, training_rows
from tabserve.training.inner_split import inner_split
from tabserve.training.selection import Candidate, select
from tabserve.training.split import describe_split, fold_numbers, hold_out, periods
from tabserve.training.task_training import training_of

START = np.datetime64("2020-01-01")

TASKS: list[Task] = [Binary(), Multiclass(("x", "y", "z")), Regression()]


def dated(days: NDArray[np.int64], task: Task | None = None, seed: int = 0, **options: Any) -> Frame:  # noqa: ANN401
    """Rows of these days, whose feature is their index, with a random target."""
    task, rng, rows = task or Regression(), np.random.default_rng(seed), len(days)
    problem = Problem("drawn", numbers("x"), task=task, time="day", **options)
    target = rng.integers(0, len(task.labels), rows).astype(np.int8) if task.labels else rng.normal(size=rows)
    ids = np.arange(rows).astype(np.str_).astype(np.object_)
    features = np.arange(rows, dtype=np.float32)[:, np.newaxis]
    return Frame(ids, features, target, problem, Encoder.learn(problem, {}), moment=START + days)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    """Frames of any task, in any order of time, with repeated moments, some of them frequent."""
    rows, span, seed = draw(st.integers(1, 300)), draw(st.integers(1, 120)), draw(st.integers(0, 999))
    days = np.random.default_rng(seed).integers(0, span, rows)
    days[: draw(st.integers(0, rows // 3))] = draw(st.integers(0, span))
    options = {"folds": draw(st.integers(2, 6)), "holdout": draw(st.sampled_from([0.1, 0.2, 1 / 3, 0.5]))}
    return dated(days, draw(st.sampled_from(TASKS)), seed, **options)


def times(frame: Frame) -> NDArray[np.datetime64]:
    """The moments of a frame that has them."""
    assert frame.moment is not None
    return frame.moment


@limits(max_examples=300)
@given(frames())
def test_the_hold_out_is_later_than_the_development_rows(frame: Frame) -> None:
    """Every row is on one side, no moment is on both, and the share is about the one asked for."""
    try:
        development, holdout = hold_out(frame)
    except DataError as error:
        assert str(error).count(";") == 1  # noqa: PT017  both outcomes are right, each for its tables
        return
    assert sorted([*development.ids, *holdout.ids], key=int) == frame.ids.tolist()
    assert times(development).max() < times(holdout).min()
    wanted = frame.problem.holdout
    assert abs(len(holdout) / len(frame) - wanted) <= 0.5 * wanted
    assert periods(frame) == {
        name: [str(times(part).min()), str(times(part).max())]
        for name, part in (("development", development), ("holdout", holdout))
    }
    if frame.problem.labels:
        assert {*development.target} == {*holdout.target}


@limits(max_examples=300)
@given(frames())
def test_a_fold_is_fitted_and_its_decision_chosen_on_earlier_rows(frame: Frame) -> None:
    """Every row is held out once, or never if it is among the earliest; the wanted number of folds is measured."""
    try:
        fold = fold_numbers(frame)
    except DataError:
        return
    moment, folds = times(frame), frame.problem.folds
    assert {*fold.tolist()} == {*range(NOT_HELD_OUT, folds + 1)}
    assert measured_folds(fold) == [*range(1, folds + 1)]
    for number in range(folds + 1):
        held_out, fitted, choosing = fold == number, training_rows(fold, number), choosing_rows(fold, number)
        assert moment[fitted].max() < moment[held_out].min()
        assert fitted.sum() == (moment < moment[held_out].min()).sum()  # all earlier rows
        assert not (choosing & ~fitted).any()
        assert {*fold[choosing].tolist()} == {*range(number // 2, number)}  # models of earlier folds saw few rows
    assert all(len({*fold[moment == each]}) == 1 for each in np.unique(moment))


@limits(max_examples=100)
@given(frames())
def test_the_points_of_a_grid_are_compared_on_later_rows_than_they_are_fitted_on(frame: Frame) -> None:
    """Both sides have every class, or the split is refused."""
    try:
        fitted, compared = inner_split(frame)
    except DataError as error:
        assert "leave grids out" in str(error)  # noqa: PT017  both outcomes are right, each for its tables
        return
    assert times(fitted).max() < times(compared).min()
    assert times(compared).max() == times(frame).max()
    if frame.problem.labels:
        assert {*frame.target} == {*fitted.target} == {*compared.target}


class Seen(NamedTuple):
    """The indices of the rows that an estimator was fitted on and predicted."""

    fitted: list[float]
    predicted: list[float]


class Watching(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Notes the rows that it is given."""

    def __init__(self, log: list[Seen] | None = None, level: float = 0.0) -> None:
        self.log = log
        self.level = level

    def __sklearn_clone__(self) -> "Watching":
        """A clone that notes in the same list."""
        return Watching(self.log, self.level)

    def fit(self, rows: NDArray[Any], _target: object) -> "Watching":
        """Remember the rows."""
        self.fitted_ = rows[:, 0].tolist()
        return self

    def predict(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Note the rows, and answer with the level."""
        assert self.log is not None
        self.log.append(Seen(self.fitted_, rows[:, 0].tolist()))
        return np.full(len(rows), self.level)


@limits(max_examples=20)
@given(st.integers(0, 99), st.sampled_from([{}, {"level": [1.0, 2.0]}]))
def test_no_fit_uses_a_later_row(seed: int, grid: Mapping[str, Sequence[Any]]) -> None:
    """Neither in a fold nor in choosing from a grid; rows that no fold holds out have no prediction."""
    frame, log = dated(np.random.default_rng(seed).permutation(160), folds=3), list[Seen]()
    selection = select(frame, [Candidate("watching", Watching(log), grid)])
    assert len(log) == 4 * (3 if grid else 1)
    moment = times(frame)
    for fitted, predicted in log:
        assert moment[np.array(fitted, int)].max() < moment[np.array(predicted, int)].min()
    prediction = selection.outcomes["watching"].prediction
    assert np.array_equal(np.isnan(prediction), selection.fold == NOT_HELD_OUT)
    assert [*selection.outcomes["watching"].measures.index] == [1, 2, 3]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.KIND)
def test_a_later_fold_does_not_change_the_measures_of_earlier_ones(task: Task) -> None:
    """Other targets in the last fold change the measures of that fold only."""
    rng = np.random.default_rng(0)
    frame = dated(np.arange(400), task)
    fold, training = fold_numbers(frame), training_of(frame.problem)
    width = len(task.labels) if len(task.labels) > 2 else 1
    prediction = rng.uniform(0.1, 0.9, (400, width))
    prediction = (prediction / prediction.sum(axis=1, keepdims=True)) if width > 1 else prediction[:, 0]
    prediction[fold == NOT_HELD_OUT] = np.nan
    last = fold == 5
    other = frame.target.copy()
    other[last] = other[last][::-1]
    before, after = (training.fold_measures(target, prediction, fold) for target in (frame.target, other))
    assert [*before.index] == [1, 2, 3, 4, 5]
    assert before.notna().all(axis=None)
    pd.testing.assert_frame_equal(before.loc[:4], after.loc[:4])
    assert not np.array_equal(before.loc[5], after.loc[5])


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.KIND)
def test_every_task_is_selected_and_refitted_forward_in_time(task: Task) -> None:
    """The decision is chosen on the later half of the folds, and the winner is fitted on all development rows."""
    frame = dated(np.random.default_rng(1).permutation(500), task, folds=3)
    development, holdout = hold_out(frame)
    kind = xgb.XGBRegressor if task.AMOUNT else xgb.XGBClassifier
    selection = select(development, [Candidate("boosted", kind(n_estimators=4, n_jobs=1), {"max_depth": [1, 2]})])
    late = selection.fold >= 2
    prediction = selection.winner.prediction
    expected = training_of(frame.problem).choose_decision(development.target[late], prediction[late])
    assert selection.decision == expected
    answers = selection.decision.scores(selection.refit().raw(holdout.features))
    evaluation = training_of(frame.problem).evaluate(holdout.target, answers, selection.decision)
    assert all(np.isfinite(measure.value) for measure in evaluation.values())


def test_errors_of_models_that_saw_few_seasons_do_not_widen_intervals() -> None:
    """Nine in ten later amounts are meant, though the first folds know nothing of most of the year."""
    days = np.arange(3 * 365)
    frame, rng = dated(days, Regression()), np.random.default_rng(0)
    season = 20 * np.sin(2 * np.pi * days / 365)
    other = rng.normal(size=len(days))
    problem = replace(frame.problem, columns=numbers("month", "other"))
    features = np.column_stack([days % 365 // 30, other]).astype(np.float32)
    frame = replace(
        frame,
        features=features,
        target=season + 5 * other + rng.normal(size=len(days)),
        problem=problem,
        encoder=Encoder.learn(problem, {}),
    )
    development, holdout = hold_out(frame)
    selection = select(development, [Candidate("boosted", xgb.XGBRegressor(n_estimators=60, max_depth=3, n_jobs=1))])
    training, raw, known = training_of(frame.problem), selection.refit().raw(holdout.features), selection.fold >= 0
    by_all = training.choose_decision(development.target[known], selection.winner.prediction[known])
    covered, too_often = (
        training.measures(holdout.target, decision.scores(raw), decision)["coverage"]
        for decision in (selection.decision, by_all)
    )
    assert 0.85 < covered < 0.96 < too_often


def test_a_trend_that_random_folds_hide_is_seen() -> None:
    """If amounts rise with time, later ones are predicted worse than random ones."""
    days = np.arange(600)
    frame = replace(dated(days), target=days.astype(np.float64))
    mixed = replace(frame, problem=replace(frame.problem, time=None), moment=None)
    candidate = Candidate("boosted", xgb.XGBRegressor(n_estimators=30, n_jobs=1))
    ahead, random = (select(rows, [candidate]).best.measures["rmse"].mean() for rows in (frame, mixed))
    assert ahead > 5 * random


@pytest.mark.parametrize(
    ("days", "message"),
    [
        (np.zeros(100, int), "1 different moments make no 2 blocks of rows one after another"),
        (np.repeat([0, 1], [5, 95]), "Whole moments make a hold-out of 95.0% of the rows in place of 20.0%"),
    ],
    ids=["one moment", "a large moment"],
)
def test_moments_too_large_for_a_hold_out_are_refused(days: NDArray[np.int64], message: str) -> None:
    """The message says which share they make, or how many there are."""
    with pytest.raises(DataError, match=message):
        hold_out(dated(days))


def test_a_class_that_comes_late_is_refused() -> None:
    """The message has the period of the rows without it."""
    frame = dated(np.arange(200), Binary())
    late = replace(frame, target=(np.arange(200) >= 170).astype(np.int8))
    with pytest.raises(DataError, match="No row from 2020-01-01 to 2020-01-29 has '1' in column 'target'"):
        fold_numbers(late)


def test_a_warning_says_that_moments_make_folds_uneven(caplog: pytest.LogCaptureFixture) -> None:
    """As for groups."""
    days = np.arange(140)
    days[40:69] = 40
    with caplog.at_level(logging.WARNING):
        fold_numbers(dated(days))
    assert "Whole moments make a fold of" in caplog.text


def test_a_split_by_time_is_described_with_its_periods() -> None:
    """And as folds that go forward in time."""
    problem = replace(dated(np.arange(10)).problem, folds=3)
    held_out = {"development": ["2020-01-01", "2020-04-01"], "holdout": ["2020-04-02", "2020-05-01"]}
    how, share, folds = describe_split(problem, 1_000, [160] * 5, held_out)
    assert how == "by the time `day`"
    assert share == "the latest 20%, 2020-04-02 to 2020-05-01,"
    assert folds == "3 folds forward in time, from 2020-01-01 to 2020-04-01,"


# Reading the column.


def table(folder: Path, cells: Sequence[Any], *, parquet: bool = False) -> Path:
    """Write a labelled table whose rows have these times."""
    rows = {"x": np.arange(len(cells), dtype=float), "target": [str(row % 2) for row in range(len(cells))]}
    columns = pa.table({**rows, "at": cells})
    path = folder / ("t.parquet" if parquet else "t.csv")
    if parquet:
        pyarrow.parquet.write_table(columns, path)
    else:
        columns.to_pandas().to_csv(path, index=False)
    return path


PROBLEM = Problem("timed", numbers("x"), time="at")

KINDS: dict[str, Callable[[list[str]], Any]] = {
    "date": lambda days: pa.array(days).cast(pa.date32()),
    "seconds": lambda days: pa.array(days).cast(pa.timestamp("s")),
    "nanoseconds": lambda days: pa.array(days).cast(pa.timestamp("ns")),
}


@pytest.mark.parametrize("feature", [False, True], ids=["split alone", "a feature too"])
@pytest.mark.parametrize("kind", [None, *KINDS])
def test_the_column_is_read_from_csv_and_parquet(kind: str | None, feature: bool, tmp_path: Path) -> None:
    """As ISO 8601, or as a type of parquet; scoring needs it only if it is a feature."""
    days = ["2020-02-29", "2019-12-31", "2021-01-01"]
    path = table(tmp_path, KINDS[kind](days) if kind else days, parquet=bool(kind))
    columns = (*PROBLEM.columns, Column("at", "date")) if feature else PROBLEM.columns
    problem = replace(PROBLEM, columns=columns)
    frame = read(path, problem)
    assert times(frame).astype("M8[D]").astype(str).tolist() == days
    assert frame.features.shape[1] == len(frame.encoder.names)
    (scored,) = stream(path, problem, frame.encoder)
    assert np.array_equal(scored.features, frame.features)


def test_times_of_a_day_are_ordered(tmp_path: Path) -> None:
    """To the second."""
    cells = ["2020-01-01 08:30:00", "2020-01-01T08:30:01", "2020-01-01 08:29"]
    assert np.argsort(times(read(table(tmp_path, cells), PROBLEM))).tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["2020-01-01", "", "2020-01-03"], "row 2, column 'at': expected a date, found an empty cell"),
        (["2020-01-01", "2020-02-30"], "row 2, column 'at': expected a day that the calendar has"),
        (["2020-01-01", "2020-01-02 10:00"], "row 2, column 'at': expected a date without a time"),
        (["yesterday", "2020-01-02"], "row 1, column 'at': expected a date such as 2020-12-31, found 'yesterday'"),
    ],
    ids=["empty", "no day", "two formats", "no date"],
)
def test_a_cell_that_is_no_time_is_refused(cells: list[str], message: str, tmp_path: Path) -> None:
    """The message has its row and column."""
    with pytest.raises(DataError, match=message):
        read(table(tmp_path, cells), PROBLEM)


def test_formats_that_differ_between_batches_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though each batch of rows has one format."""
    monkeypatch.setattr("tabserve.table.csv_blocks.BLOCK_BYTES", 40)
    path = table(tmp_path, ["2020-01-01"] * 20 + ["2020-01-02 10:00"] * 20)
    with pytest.raises(DataError, match=r"dates with and without a time|expected a date without a time"):
        read(path, PROBLEM)


# Grids of problems without a time.


def test_the_points_of_a_grid_are_compared_on_other_groups_than_they_are_fitted_on() -> None:
    """Each part has about a quarter of the rows."""
    group = np.repeat(np.arange(30), 10).astype(np.str_).astype(np.object_)
    frame = dated(np.arange(300), Binary())
    frame = replace(frame, problem=replace(frame.problem, time=None, group="seller"), moment=None, group=group)
    fitted, compared = inner_split(frame)
    assert fitted.group is not None
    assert compared.group is not None
    assert not {*fitted.group} & {*compared.group}
    assert len(fitted) / len(frame) == pytest.approx(0.25, abs=0.05)


def test_a_point_of_a_grid_does_not_know_levels_of_the_rows_it_is_compared_on() -> None:
    """Such a level is a missing value there."""
    problem = Problem("levels", (Column("town", "category"),), task=Regression())
    codes = np.arange(200, dtype=np.float32)[:, np.newaxis]
    encoder = Encoder.learn(problem, {"town": [f"level {row:03}" for row in range(200)]})
    ids = np.arange(200).astype(np.str_).astype(np.object_)
    frame = Frame(ids, codes, np.arange(200.0), problem, encoder)
    fitted, compared = inner_split(frame)
    assert sorted(fitted.features[:, 0].tolist()) == [*range(50)]
    assert np.isnan(compared.features).all()
    select(frame, [Candidate("mean", DummyRegressor(), {"strategy": ["mean", "median"]})])


def test_blocks_are_cut_at_the_nearest_moment() -> None:
    """Shares are as near to those asked for as whole moments allow."""
    moment = START + np.repeat([0, 1, 2], [5, 4, 1])
    assert np.bincount(forward.block_numbers(moment, (0.5, 0.5))).tolist() == [5, 5]
    assert np.bincount(forward.block_numbers(moment, (0.8, 0.2))).tolist() == [9, 1]
