"""Intervals hold the true amounts of new rows as often as promised, among the dearest rows too."""

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


class Predicted(NamedTuple):
    """True amounts, and their predictions."""

    target: FloatArray
    prediction: FloatArray


def sales(rows: int, seed: int) -> Predicted:
    """Skewed amounts whose errors grow with them and have heavy tails."""
    rng = np.random.default_rng(seed)
    prediction = rng.lognormal(3, 1, rows).astype(np.float32).astype(np.float64)
    return Predicted(prediction * (1 + 0.1 * rng.standard_t(4, rows)), prediction)


@st.composite
def predicted(draw: st.DrawFn) -> Predicted:
    """Any amounts, whose predictions may repeat."""
    rows = draw(st.integers(1, 12 * MIN_ROWS))
    rng, distinct = np.random.default_rng(draw(st.integers(0, 99))), draw(st.integers(1, 400))
    prediction = rng.integers(0, distinct, rows) * draw(st.sampled_from([1.0, -0.1, 1e6]))
    error = draw(npst.arrays(np.float64, rows, elements=st.floats(-1e3, 1e3)))
    return Predicted(prediction + error, prediction.astype(np.float64))


@given(predicted())
def test_every_bin_has_enough_rows_and_its_width_covers_most_of_them(rows: Predicted) -> None:
    """However often predictions repeat; few rows are one bin."""
    chosen = choose(*rows)
    edges, widths = np.array(chosen.edges), np.array(chosen.widths)
    assert len(widths) == len(edges) + 1 <= MAX_BINS
    number, residual = bins(edges, rows.prediction), np.abs(rows.target - rows.prediction)
    for index, width in enumerate(widths):
        inside = residual[number == index]
        assert len(inside) >= min(MIN_ROWS, len(residual))
        assert width in inside
        assert (inside <= width).sum() >= min(len(inside), COVERAGE * (len(inside) + 1))
        assert (inside < width).sum() < math.ceil(COVERAGE * (len(inside) + 1)), "no wider than needed"


@given(predicted(), st.sampled_from([0.25, 2.0, 1024.0]))
def test_intervals_scale_with_the_unit_of_the_amount(rows: Predicted, factor: float) -> None:
    """The factors are powers of two, as floats are multiplied by them exactly."""
    scaled = Predicted((rows.target * factor).astype(np.float64), (rows.prediction * factor).astype(np.float64))
    chosen, other = choose(*rows), choose(scaled.target, scaled.prediction)
    assert other.edges == tuple(edge * factor for edge in chosen.edges)
    assert other.widths == tuple(width * factor for width in chosen.widths)


@pytest.mark.parametrize(("rows", "rank"), [(1, 1), (8, 8), (9, 9), (19, 18), (29, 27)])
def test_the_width_is_the_quantile_of_split_conformal_prediction(rows: int, rank: int) -> None:
    """The ⌈0.9 (n + 1)⌉th smallest residual, or the largest if there are fewer."""
    residual = (np.random.default_rng(rows).permutation(rows) + 1).astype(np.float64)
    assert choose(residual + np.full(rows, 5.0), np.full(rows, 5.0)) == Amount((), (rank,))


def test_enough_rows_have_eight_bins() -> None:
    """The bins have equally many rows, as no prediction repeats."""
    chosen = choose(*sales(8 * 100, seed=0))
    assert len(chosen.widths) == MAX_BINS
    assert set(np.bincount(bins(np.array(chosen.edges), sales(8 * 100, seed=0).prediction))) == {100}


def test_intervals_hold_new_rows_as_often_as_promised_the_dearest_too() -> None:
    """Within four standard errors of both samples; a single width holds far fewer of the dearest."""
    known, new = sales(4_000, seed=1), sales(20_000, seed=2)
    measures = coverage(new.target, choose(*known).scores(new.prediction[:, np.newaxis]))
    for name, share in (("coverage", 1.0), ("coverage_dearest_tenth", 0.1)):
        error = math.sqrt(COVERAGE * (1 - COVERAGE) * sum(1 / (share * len(rows.target)) for rows in (known, new)))
        bins_error = 0.02 if share < 1 else 0  # the dearest tenth is a part of the last of eight bins
        assert abs(measures[name] - COVERAGE) < 4 * error + bins_error, name
    single = Amount((), (float(np.quantile(np.abs(known.target - known.prediction), COVERAGE)),))
    assert coverage(new.target, single.scores(new.prediction[:, np.newaxis]))["coverage_dearest_tenth"] < 0.7


def test_coverage_includes_the_ends_of_an_interval() -> None:
    """The dearest rows are those with the largest predictions."""
    prediction = np.arange(20, dtype=np.float64)
    target = prediction + np.repeat([1, -1, 2, 0], 5)
    measures = coverage(target, Amount((), (1,)).scores(prediction[:, np.newaxis]))
    assert measures == {"coverage": 0.75, "coverage_dearest_tenth": 1.0, "interval_width": 2.0}


def test_a_folds_intervals_are_chosen_without_its_rows() -> None:
    """Changed targets of a fold change the intervals of the other folds only."""
    rows, fold = sales(500, seed=3), np.arange(500) % 3
    chosen = cross_fitted(*rows, fold)
    changed = cross_fitted(rows.target + 1e6 * (fold == 1), rows.prediction, fold)
    assert changed[1] == chosen[1] == choose(rows.target[fold != 1], rows.prediction[fold != 1])
    assert changed[0] != chosen[0]
    assert changed[2] != chosen[2]
