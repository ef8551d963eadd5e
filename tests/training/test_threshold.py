"""A threshold is the best on the rows that it is chosen on, and is chosen without the rows it is scored on."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from tabserve.errors import UsageError
from tabserve.problem.criterion import Costs, Counts, Criterion, f1
from tabserve.training.threshold import choose, cross_fitted, curve


class Scored(NamedTuple):
    """Rows with their target and probability."""

    target: NDArray[np.int8]
    probability: NDArray[np.float64]


NEIGHBOURS = [float(np.nextafter(0.5, 0)), 0.5, float(np.nextafter(0.5, 1))]
PROBABILITIES = st.floats(0, 1) | st.sampled_from([0.0, *NEIGHBOURS, 1.0])
CRITERIA = st.just(f1) | st.builds(Costs, st.integers(1, 9), st.integers(1, 9))


@st.composite
def scored(draw: st.DrawFn, values: st.SearchStrategy[float] = PROBABILITIES) -> Scored:
    """A few rows of both classes, with ties and neighbouring floats."""
    target = draw(npst.arrays(np.int8, st.integers(2, 25), elements=st.integers(0, 1)))
    assume(0 < target.sum() < len(target))
    return Scored(target, draw(npst.arrays(np.float64, len(target), elements=values)))


def thresholds(rows: Scored) -> list[float]:
    """One threshold for every decision that these probabilities allow."""
    return [*rows.probability.tolist(), 1.1]


def value(criterion: Criterion, threshold: float, rows: Scored) -> float:
    """The criterion of a threshold on these rows."""
    return float(criterion(Counts.at(threshold, *rows)))


@given(scored(), CRITERIA)
def test_no_threshold_is_better_than_the_chosen_one(rows: Scored, criterion: Criterion) -> None:
    """Checked against every threshold that makes a difference."""
    best = max(value(criterion, threshold, rows) for threshold in thresholds(rows))
    assert value(criterion, choose(*rows, criterion), rows) == best


@given(scored(), CRITERIA)
def test_the_curve_has_the_counts_of_every_threshold(rows: Scored, criterion: Criterion) -> None:
    """One entry per distinct probability, and one above the largest."""
    points = curve(*rows)
    assert list(zip(*points.counts, strict=True)) == [Counts.at(threshold, *rows) for threshold in points.thresholds]
    assert (np.diff(points.thresholds) > 0).all()
    assert len(points.thresholds) == len(np.unique(rows.probability)) + 1
    assert float(criterion(points.counts).max()) == value(criterion, choose(*rows, criterion), rows)


@given(scored(st.integers(0, 10).map(lambda tenths: tenths / 10)), CRITERIA)
def test_a_monotone_transform_of_the_probabilities_changes_no_label(rows: Scored, criterion: Criterion) -> None:
    """Only the order of the probabilities matters."""
    transformed = Scored(rows.target, 0.1 + rows.probability**3 / 2)
    assert list(map(int, Counts.at(choose(*rows, criterion), *rows))) == list(
        map(int, Counts.at(choose(*transformed, criterion), *transformed))
    )


@given(scored(st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)), CRITERIA)
def test_the_last_bit_of_a_probability_changes_no_label(rows: Scored, criterion: Criterion) -> None:
    """The threshold is not close to any probability, so another machine's rounding gives the same labels."""
    threshold = choose(*rows, criterion)
    above_zero = rows.probability > 0
    for direction in (0.0, 1.0):
        moved = np.where(
            above_zero & (rows.probability < 1), np.nextafter(rows.probability, direction), rows.probability
        )
        assert ((moved >= threshold) == (rows.probability >= threshold)).all()


@given(scored(), PROBABILITIES)
def test_f1_equals_that_of_scikit_learn(rows: Scored, threshold: float) -> None:
    """Also if no row is flagged."""
    expected = f1_score(rows.target, rows.probability >= threshold, zero_division=0)
    assert value(f1, threshold, rows) == pytest.approx(expected)


def test_the_threshold_follows_the_costs() -> None:
    """Expensive misses flag all positives, expensive false alarms flag no row, similar costs some."""
    target = np.array([0, 1, 0, 0, 1, 0], dtype=np.int8)
    probability = np.array([0.1, 0.2, 0.3, 0.4, 0.8, 0.9])
    rows = Scored(target, probability)

    def flagged(costs: Costs) -> int:
        return int((probability >= choose(*rows, costs)).sum())

    assert flagged(Costs(false_positive=1, false_negative=100)) == 5, (
        "all positives, at the price of three false alarms"
    )
    assert flagged(Costs(false_positive=100, false_negative=1)) == 0, "no row, as the largest probability is a negative"
    assert flagged(Costs(false_positive=1, false_negative=1.5)) == 2, "one of both mistakes"
    assert value(Costs(2, 3), 0.5, rows) == pytest.approx(-(2 + 3) / 6), "minus the mean cost per row"


@pytest.mark.parametrize("largest", [0.3, 0.999, 1.0])
def test_no_row_is_flagged_if_that_is_cheapest(largest: float) -> None:
    """Also if the largest probability is close to 1, or 1."""
    target, probability = np.array([1, 0], dtype=np.int8), np.array([0.1, largest])
    assert not (probability >= choose(target, probability, Costs(100, 1))).any()


@pytest.mark.parametrize("wrong", [0, -1, float("inf"), float("nan")])
def test_costs_that_are_not_positive_and_finite_are_refused(wrong: float) -> None:
    """Of either mistake."""
    for costs in ((wrong, 1), (1, wrong)):
        with pytest.raises(UsageError, match="Both costs must be numbers above 0"):
            Costs(*costs)


def test_the_criteria_have_different_names() -> None:
    """Tables and manifests show the criterion of the threshold by its name."""
    assert (f1.name, Costs(1, 1).name) == ("f1", "minus_cost")


@st.composite
def folded(draw: st.DrawFn) -> tuple[Scored, NDArray[np.int64]]:
    """Rows in three folds."""
    rows = draw(scored())
    fold = draw(npst.arrays(np.int64, len(rows.target), elements=st.integers(0, 2)))
    assume(set(fold) == {0, 1, 2})
    return rows, fold


@given(folded(), CRITERIA)
def test_the_threshold_of_a_fold_is_chosen_without_its_rows(
    drawn: tuple[Scored, NDArray[np.int64]], criterion: Criterion
) -> None:
    """Flipping every label and probability of a fold does not change its threshold."""
    (target, probability), fold = drawn
    before = cross_fitted(target, probability, fold, criterion)
    for number in range(3):
        scored_on = fold == number
        flipped = np.where(scored_on, 1 - target, target).astype(np.int8)
        after = cross_fitted(flipped, np.where(scored_on, 1 - probability, probability), fold, criterion)
        assert after[number] == before[number]


@given(folded())
def test_the_threshold_of_a_fold_is_chosen_on_all_other_folds(drawn: tuple[Scored, NDArray[np.int64]]) -> None:
    """The cross-fitted threshold equals the one chosen on these rows."""
    (target, probability), fold = drawn
    cross_fit = cross_fitted(target, probability, fold)
    assert cross_fit.tolist() == [choose(target[fold != number], probability[fold != number]) for number in range(3)]
