"""Intervals hold the true amounts of new rows as often as they say, among the dearest rows as well."""

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from tabserve.model.decision import COVERAGE, Amount, bins
from tabserve.training.interval import MAX_BINS, MIN_ROWS, choose, coverage, cross_fitted

FloatArray = NDArray[np.float64]


class Missed(NamedTuple):
    """True amounts, and what was predicted."""

    target: FloatArray
    prediction: FloatArray


def sales(rows: int, seed: int) -> Missed:
    """Skewed amounts that are missed by more, the larger they are, with heavy tails."""
    rng = np.random.default_rng(seed)
    prediction = rng.lognormal(3, 1, rows).astype(np.float32).astype(np.float64)
    return Missed(prediction * (1 + 0.1 * rng.standard_t(4, rows)), prediction)


@st.composite
def missed(draw: st.DrawFn) -> Missed:
    """Any amounts, with predictions that may repeat."""
    rows = draw(st.integers(1, 12 * MIN_ROWS))
    rng, distinct = np.random.default_rng(draw(st.integers(0, 99))), draw(st.integers(1, 400))
    prediction = rng.integers(0, distinct, rows) * draw(st.sampled_from([1.0, -0.1, 1e6]))
    error = draw(npst.arrays(np.float64, rows, elements=st.floats(-1e3, 1e3)))
    return Missed(prediction + error, prediction.astype(np.float64))


@given(missed())
def test_every_bin_holds_enough_rows_and_its_width_most_of_them(rows: Missed) -> None:
    """However often predictions repeat; where there are few rows at all, one bin has them."""
    found = choose(*rows)
    edges, widths = np.array(found.edges), np.array(found.widths)
    assert len(widths) == len(edges) + 1 <= MAX_BINS
    number, residual = bins(edges, rows.prediction), np.abs(rows.target - rows.prediction)
    for each, width in enumerate(widths):
        inside = residual[number == each]
        assert len(inside) >= min(MIN_ROWS, len(residual))
        assert width in inside
        assert (inside <= width).sum() >= min(len(inside), COVERAGE * (len(inside) + 1))
        assert (inside < width).sum() < math.ceil(COVERAGE * (len(inside) + 1)), "no wider than is needed"


@given(missed(), st.sampled_from([0.25, 2.0, 1024.0]))
def test_another_unit_gives_the_same_intervals_in_it(rows: Missed, factor: float) -> None:
    """Powers of two, by which floats are multiplied exactly."""
    scaled = Missed((rows.target * factor).astype(np.float64), (rows.prediction * factor).astype(np.float64))
    found, other = choose(*rows), choose(scaled.target, scaled.prediction)
    assert other.edges == tuple(edge * factor for edge in found.edges)
    assert other.widths == tuple(width * factor for width in found.widths)


@pytest.mark.parametrize(("rows", "rank"), [(1, 1), (8, 8), (9, 9), (19, 18), (29, 27)])
def test_the_width_is_the_quantile_of_split_conformal_prediction(rows: int, rank: int) -> None:
    """The ⌈0.9 (n + 1)⌉th smallest residual, or the largest where there are fewer."""
    residual = (np.random.default_rng(rows).permutation(rows) + 1).astype(np.float64)
    assert choose(residual + np.full(rows, 5.0), np.full(rows, 5.0)) == Amount((), (rank,))


def test_rows_enough_have_eight_bins() -> None:
    """Of equally many rows each, as no prediction repeats."""
    found = choose(*sales(8 * 100, seed=0))
    assert len(found.widths) == MAX_BINS
    assert set(np.bincount(bins(np.array(found.edges), sales(8 * 100, seed=0).prediction))) == {100}


def test_new_rows_are_held_as_often_as_promised_among_the_dearest_too() -> None:
    """Within four standard errors of both samples, where one width for all holds far fewer of the dearest."""
    known, new = sales(4_000, seed=1), sales(20_000, seed=2)
    found = coverage(new.target, choose(*known).scores(new.prediction[:, np.newaxis]))
    for name, share in (("coverage", 1.0), ("coverage_dearest_tenth", 0.1)):
        error = math.sqrt(COVERAGE * (1 - COVERAGE) * sum(1 / (share * len(rows.target)) for rows in (known, new)))
        bins_error = 0.02 if share < 1 else 0  # the dearest tenth is a part of the last of eight bins
        assert abs(found[name] - COVERAGE) < 4 * error + bins_error, name
    one = Amount((), (float(np.quantile(np.abs(known.target - known.prediction), COVERAGE)),))
    assert coverage(new.target, one.scores(new.prediction[:, np.newaxis]))["coverage_dearest_tenth"] < 0.7


def test_coverage_counts_ends_as_inside() -> None:
    """And takes the rows with the largest predictions for the dearest."""
    prediction = np.arange(20, dtype=np.float64)
    target = prediction + np.repeat([1, -1, 2, 0], 5)
    found = coverage(target, Amount((), (1,)).scores(prediction[:, np.newaxis]))
    assert found == {"coverage": 0.75, "coverage_dearest_tenth": 1.0, "interval_width": 2.0}


def test_a_folds_intervals_are_chosen_without_its_rows() -> None:
    """Its own targets can be anything."""
    rows, fold = sales(500, seed=3), np.arange(500) % 3
    found = cross_fitted(*rows, fold)
    changed = cross_fitted(rows.target + 1e6 * (fold == 1), rows.prediction, fold)
    assert changed[1] == found[1] == choose(rows.target[fold != 1], rows.prediction[fold != 1])
    assert changed[0] != found[0]
    assert changed[2] != found[2]
