"""Copies of a row stay on one side of every split; tables without copies, or of few different rows, split as ever."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold, train_test_split

from tabserve.encoding.encoder import Encoder
from tabserve.model.model import load
from tabserve.problem.columns import Column, numbers
from tabserve.problem.problem import Problem
from tabserve.problem.task import Multiclass, Regression, Task
from tabserve.stations import TrainingData, train
from tabserve.table.frame import Frame
from tabserve.training import copies
from tabserve.training.inner_split import inner_split
from tabserve.training.selection import Candidate
from tabserve.training.split import count_copies, fold_numbers, hold_out, part_numbers
from tabserve.training.stumps import AveragedStumps


def frame_of(features: NDArray[Any], target: NDArray[Any], **options: Any) -> Frame:  # noqa: ANN401  a problem's
    """A frame of numbers, or of texts, whose ids are the row numbers."""
    texts = features.dtype == np.object_
    columns = (Column("x", "text"),) if texts else numbers(*map(str, range(features.shape[1])), missing=True)
    problem = Problem("any", columns, **options)
    return Frame(
        np.arange(len(target)).astype(str).astype(object), features, target, problem, Encoder.learn(problem, {})
    )


@st.composite
def copied(draw: st.DrawFn) -> Frame:
    """A shuffled table of two or three classes, or of amounts, in which some rows stand several times."""
    task: Task = draw(st.sampled_from([Problem("any", numbers("x")).task, Multiclass(("0", "1", "2")), Regression()]))
    different, seed = draw(st.integers(60, 150)), draw(st.integers(0, 99))
    rng = np.random.default_rng(seed)
    extra = rng.choice(different, draw(st.integers(1, different // 2)), p=rng.dirichlet(np.full(different, 0.3)))
    rows = rng.permutation(np.concatenate([np.arange(different), extra]))
    target = rows * 0.5 if task.AMOUNT else (rows % len(task.labels)).astype(np.int8)
    features = np.column_stack([np.where(rows % 7 == 0, np.nan, rows), -rows]).astype(np.float32)
    shares = {"folds": draw(st.integers(2, 6)), "holdout": draw(st.sampled_from([0.15, 0.2, 1 / 3, 0.5, 0.7]))}
    return frame_of(features, target, task=task, seed=seed, **shares)


def contents(frame: Frame) -> list[float]:
    """What tells each different row of `copied` from the others."""
    return [float(value) for value in -frame.features[:, 1]]


def most_copies(frame: Frame) -> int:
    """The number of rows of the largest set of copies."""
    return int(np.unique(contents(frame), return_counts=True)[1].max())


def classes(frame: Frame) -> set[int]:
    """The classes, or strata, that occur."""
    return set() if frame.problem.task.AMOUNT else {*frame.target.tolist()}


@given(copied())
def test_no_copy_is_on_two_sides_of_the_hold_out_and_its_share_is_near(frame: Frame) -> None:
    """Every row is on one side, every class on both, and the share is off by no more than the largest set of copies."""
    development, holdout = hold_out(frame)
    assert {*contents(development)}.isdisjoint(contents(holdout))
    assert sorted([*development.ids, *holdout.ids], key=int) == frame.ids.tolist()
    assert classes(development) == classes(holdout) == classes(frame)
    strata = max(1, len(frame.problem.labels))
    assert abs(len(holdout) - frame.problem.holdout * len(frame)) <= strata * (most_copies(frame) + 1)
    different = len({*contents(holdout)}) - frame.problem.holdout * len({*contents(frame)})
    assert abs(different) <= 0.5 * strata + 1e-6


@given(copied())
def test_no_copy_is_in_two_folds_and_their_sizes_are_near(frame: Frame) -> None:
    """Each fold has every class, and about the same number of rows."""
    fold, folds = fold_numbers(frame), frame.problem.folds
    inside = [frame.take(np.flatnonzero(fold == number)) for number in range(folds)]
    assert sum(map(len, inside)) == len(frame)
    assert sum(len({*contents(part)}) for part in inside) == len({*contents(frame)})
    assert all(classes(part) == classes(frame) for part in inside)
    sizes = [len(part) for part in inside]
    assert max(sizes) - min(sizes) <= max(1, len(frame.problem.labels)) * (most_copies(frame) + 1)


@given(copied())
def test_a_grid_is_chosen_without_copies_on_both_sides(frame: Frame) -> None:
    """The rows to fit on and those to compare on share none."""
    fitted, compared = inner_split(frame)
    assert {*contents(fitted)}.isdisjoint(contents(compared))
    quarter = len({*contents(frame)}) / 4
    assert all(abs(len({*contents(part)}) - quarter) <= 4 for part in (fitted, compared))


@given(copied())
def test_rows_are_compared_once_for_all_splits(frame: Frame) -> None:
    """Any part of compared rows is split without another look at their cells, and as its own rows would be."""
    development = hold_out(copies.compared(frame)).development
    assert development.ids.tolist() == hold_out(frame).development.ids.tolist()
    blank = replace(development, features=np.zeros_like(development.features))
    fold = fold_numbers(blank)
    assert fold.tolist() == fold_numbers(development).tolist()
    for number in (copies.number_rows(development).tolist(), fold.tolist()):
        assert len({*zip(contents(development), number, strict=True)}) == len({*contents(development)})


@given(copied())
def test_copies_are_counted(frame: Frame) -> None:
    """As many as rows beyond the different ones; the same split comes again with the same seed."""
    assert count_copies(frame) == count_copies(copies.compared(frame)) == len(frame) - len({*contents(frame)})
    again = replace(frame, problem=replace(frame.problem))
    assert hold_out(frame).holdout.ids.tolist() == hold_out(again).holdout.ids.tolist()
    assert np.array_equal(fold_numbers(frame), fold_numbers(again))


def as_ever(frame: Frame) -> bool:
    """Whether the hold-out and the folds are those of scikit-learn's own splitters."""
    problem, target = frame.problem, frame.target
    expected = train_test_split(
        np.arange(len(frame)), test_size=problem.holdout, stratify=target, random_state=problem.seed
    )
    kind = StratifiedKFold(problem.folds, shuffle=True, random_state=problem.seed)
    sides = [part.ids.astype(int).tolist() for part in hold_out(frame)]
    return sides == [part.tolist() for part in expected] and np.array_equal(
        fold_numbers(frame), part_numbers(kind, frame)
    )


def unlike() -> dict[str, Frame]:
    """Tables whose equal rows, if they have any, are split as they are."""
    rng = np.random.default_rng(0)
    target = (np.arange(300) % 3 == 0).astype(np.int8)
    one_class = np.where(target[:, np.newaxis] == 1, 7, rng.standard_normal((300, 2))).astype(np.float32)
    equal_features = np.repeat(rng.standard_normal((150, 2)), 2, axis=0).astype(np.float32)
    return {
        "different rows": frame_of(rng.standard_normal((300, 2)).astype(np.float32), target),
        "few different rows": frame_of(rng.integers(0, 5, (300, 2)).astype(np.float32), target),
        "few different rows of a class": frame_of(one_class, target),
        "equal features of other targets": frame_of(equal_features, (np.arange(300) % 2).astype(np.int8)),
    }


@pytest.mark.parametrize("name", unlike())
def test_other_tables_are_split_as_ever(name: str) -> None:
    """By scikit-learn's stratified splitters, row by row."""
    frame = unlike()[name]
    assert as_ever(frame)
    assert count_copies(frame) == 0


def test_equal_numbers_are_equal_rows_whatever_their_bytes() -> None:
    """Zeros of either sign, and NaN of any bits, in features and amounts."""
    nans = np.array([0x7FC00000, 0x7FC00001, 0xFFC00000], np.uint32).view(np.float32)
    features = np.concatenate([nans, [0.0, -0.0, 1.0]]).astype(np.float32)[:, np.newaxis]
    frame = frame_of(features, np.array([0.0, -0.0, 0.0, 5, 5, 5]), task=Regression())
    number = copies.number_rows(frame).tolist()
    assert number[0] == number[1] == number[2]
    assert number[3] == number[4]
    assert len({*number}) == 3
    assert len(frame) - len({*number}) == 3


def test_copies_of_texts_stay_together() -> None:
    """A text and its label are one row."""
    texts = np.array([f"title {row % 80}" for row in range(110)], np.object_)
    frame = frame_of(texts, (np.arange(110) % 80 % 2).astype(np.int8))
    development, holdout = hold_out(frame)
    assert {*development.features}.isdisjoint(holdout.features)
    assert count_copies(frame) == 30


def test_groups_and_times_come_first() -> None:
    """Their splits are the same whether or not rows are copies of each other."""
    rng = np.random.default_rng(0)
    base, group = rng.standard_normal((300, 1)), np.array([f"g{row % 60}" for row in range(300)], object)
    target = (np.arange(300) % 7 < 3).astype(np.int8)
    twice = np.where(np.arange(300)[:, np.newaxis] % 5 == 0, base[:1], base)
    moment = np.datetime64("2024-01-01") + np.arange(300)
    for options in ({"group": group}, {"moment": moment}):
        frames = [replace(frame_of(values.astype(np.float32), target), **options) for values in (base, twice)]
        splits = [[part.ids.tolist() for part in hold_out(frame)] + fold_numbers(frame).tolist() for frame in frames]
        assert splits[0] == splits[1]
        assert len({*copies.number_rows(frames[1])}) < len(base)
        assert count_copies(frames[1]) == 0
        assert copies.compared(frames[1]) is frames[1]


@pytest.mark.usefixtures("few_draws")
def test_card_and_manifest_say_how_many_copies_there_are(tmp_path: Path) -> None:
    """Only where copies are kept on one side."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((200, 2)).astype(np.float32)
    candidates = [Candidate("stumps", AveragedStumps(n_estimators=5, n_jobs=1))]
    for repeated in (0, 40):
        rows = np.concatenate([np.arange(200), np.arange(repeated)])
        frame = frame_of(features[rows], (features[rows, 0] > 0).astype(np.int8))
        train(TrainingData.of(frame, "drawn"), candidates, tmp_path / str(repeated))
        assert load(tmp_path / str(repeated)).data.get("copies") == (repeated or None)
        card = " ".join((tmp_path / str(repeated) / "MODEL_CARD.md").read_text().split())
        assert ("no row on both sides (40 rows are copies of another)" in card) == bool(repeated)
