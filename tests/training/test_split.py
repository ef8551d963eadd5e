"""Splits are stratified, complete, disjoint, and the same for the same seed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabserve.encoding.encoder import Encoder
from tabserve.errors import DataError
from tabserve.problem.columns import numbers
from tabserve.problem.problem import Problem
from tabserve.table.frame import Frame
from tabserve.training.split import fold_numbers, hold_out, subset

PROBLEM = Problem("any", numbers("x"))
ENCODER = Encoder.learn(PROBLEM, {})


@st.composite
def frames(draw: st.DrawFn, fewest: int = 1) -> Frame:
    """A frame of any size, balance and order, whose problem asks for any split."""
    positives, negatives = draw(st.integers(fewest, 30)), draw(st.integers(fewest, 200))
    folds, holdout = draw(st.integers(2, 8)), draw(st.sampled_from([0.1, 0.2, 0.25, 0.3, 1 / 3, 0.5, 0.8]))
    target = np.repeat([1, 0], [positives, negatives]).astype(np.int8)
    np.random.default_rng(draw(st.integers(0, 99))).shuffle(target)
    rows = np.arange(len(target))
    problem = replace(PROBLEM, folds=folds, holdout=holdout, seed=draw(st.integers(0, 99)))
    return Frame(
        rows.astype(np.str_).astype(np.object_), rows[:, np.newaxis].astype(np.float32), target, problem, ENCODER
    )


def named(frame: Frame) -> list[str]:
    """The ids, checked to have stayed with their rows."""
    names = [str(int(value)) for value in frame.features[:, 0]]
    assert frame.ids.tolist() == names
    return names


@given(frames())
def test_every_row_is_either_in_development_or_held_out(frame: Frame) -> None:
    """The split is complete, with enough rows of each class on both sides, or refused."""
    try:
        development, holdout = hold_out(frame)
    except DataError as error:
        assert "The smallest class has" in str(error)  # noqa: PT017  both outcomes are right, each for its tables
        return
    assert sorted(named(development) + named(holdout), key=int) == frame.ids.tolist()
    assert min(np.bincount(development.target, minlength=2)) >= frame.problem.folds
    assert min(np.bincount(holdout.target, minlength=2)) >= 1
    assert abs(holdout.target.sum() - frame.target.sum() * frame.problem.holdout) <= 1
    assert abs(len(holdout) - len(frame) * frame.problem.holdout) < 1


@given(st.integers(1, 40), st.integers(2, 8))
def test_too_few_rows_of_a_class_are_counted(positives: int, folds: int) -> None:
    """Enough rows are accepted; fewer are refused, with the number that is needed."""
    target = np.repeat([0, 1], [500, positives]).astype(np.int8)
    problem = replace(PROBLEM, folds=folds)
    frame = Frame(
        np.arange(len(target)).astype(np.str_).astype(np.object_),
        np.zeros((len(target), 1), np.float32),
        target,
        problem,
        ENCODER,
    )
    needed = max(int(np.ceil(folds / 0.8)), 5)
    if positives >= needed:
        assert hold_out(frame).development.target.sum() >= folds
    else:
        rows = f"{positives} row{'' if positives == 1 else 's'}"
        message = f"has {rows}; {folds} folds beside a hold-out of 20% need at least {needed}; use more rows."
        with pytest.raises(DataError, match=message):
            hold_out(frame)


@given(frames(fewest=8))
def test_folds_divide_every_class_evenly(frame: Frame) -> None:
    """Fold sizes differ by at most one row per class, and every fold is used."""
    fold = fold_numbers(frame)
    assert fold.shape == (len(frame),)
    for label in (0, 1):
        sizes = np.bincount(fold[frame.target == label], minlength=frame.problem.folds)
        assert len(sizes) == frame.problem.folds
        assert max(sizes) - min(sizes) <= 1


@given(frames(fewest=8), st.integers(1, 300))
def test_a_subset_of_any_size_keeps_the_balance(frame: Frame, rows: int) -> None:
    """Rows stay in order, none occurs twice, and the share of positives is kept to within one row."""
    drawn = subset(frame, rows)
    assert len(drawn) == min(rows, len(frame))
    assert sorted(set(named(drawn)), key=int) == named(drawn)
    assert abs(drawn.target.sum() - frame.target.sum() * len(drawn) / len(frame)) <= 1


def test_a_split_depends_on_the_seed_only(sample_frame: Frame) -> None:
    """The same seed gives the same hold-out, folds and subset; another seed gives others."""
    again = replace(sample_frame, problem=replace(sample_frame.problem))
    other = replace(sample_frame, problem=replace(sample_frame.problem, seed=43))

    def drawn(frame: Frame) -> list[list[str]]:
        return [hold_out(frame).holdout.ids.tolist(), subset(frame, 100).ids.tolist()]

    assert drawn(sample_frame) == drawn(again)
    assert np.array_equal(fold_numbers(sample_frame), fold_numbers(again))
    assert all(first != second for first, second in zip(drawn(sample_frame), drawn(other), strict=True))
    assert not np.array_equal(fold_numbers(sample_frame), fold_numbers(other))


def test_a_subset_draws_every_row_equally_often() -> None:
    """Over many seeds, wherever the row is in the table."""
    rows, seeds, size = 50, 400, 10
    target = (np.arange(rows) % 5 == 0).astype(np.int8)
    frame = Frame(
        np.arange(rows).astype(np.str_).astype(np.object_), np.zeros((rows, 1), np.float32), target, PROBLEM, ENCODER
    )
    drawn = [subset(replace(frame, problem=replace(PROBLEM, seed=seed)), size).ids for seed in range(seeds)]
    counts = np.bincount(np.concatenate(drawn).astype(int), minlength=rows)
    share = size / rows
    assert np.abs(counts - seeds * share).max() < 5 * np.sqrt(seeds * share * (1 - share))
