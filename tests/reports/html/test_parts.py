"""The parts of a report: bins, intervals, levels, shuffles, numbers and drawings."""

import math
import re
from collections.abc import Sequence
from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markupsafe import Markup
from matplotlib.figure import Figure
from scipy.stats import binomtest
from tests.reports.html.parsed import Page
from tests.reports.html.small_run import Run

from tabserve.predictors.booster import Booster
from tabserve.reports.html import confusion, contributions, drawing, importance, levels, spelling
from tabserve.reports.html.holdout import HoldOut, equal_bins, wilson
from tabserve.reports.html.page import Panel, Section, Table


@given(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 7.5]) | st.floats(0, 1, width=32), min_size=1), st.integers(1, 12)
)
def test_bins_hold_every_row_once_by_rising_value(values: list[float], bins: int) -> None:
    """Rows of equal values are in one bin."""
    array = np.array(values)
    parts = [array[rows] for rows in equal_bins(array, bins)]
    assert len(parts) <= bins
    assert sorted(np.concatenate(parts).tolist()) == sorted(values)
    assert all(low.max() < high.min() for low, high in pairwise(parts))


@given(st.integers(1, 500).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows))))
def test_the_interval_of_a_share_is_wilsons(pair: tuple[int, int]) -> None:
    """SciPy computes the same."""
    (value,) = wilson(np.array([pair[0]]), np.array([pair[1]]))
    expected = binomtest(*pair).proportion_ci(0.95, method="wilson")
    assert (value.low, value.high) == pytest.approx((expected.low, expected.high), abs=1e-4)


@given(
    st.lists(st.sampled_from(["", "a", "b", "(missing)", "(1 other level)"]) | st.text(max_size=2)), st.integers(1, 9)
)
def test_levels_are_frequent_or_pooled(cells: list[str], fewest: int) -> None:
    """No row is in two of them; a level by itself has enough rows, and all rows of that level."""
    groups = levels.group(cells, fewest)
    rows = [row for level in groups for row in level.rows.tolist()]
    assert len(rows) == len({*rows})
    assert len(groups) <= levels.MOST
    for level in groups:
        held = {cells[row] for row in level.rows}
        assert len(level.rows) >= (fewest if len(held) == 1 and "other level" not in level.name else fewest / 3)
        assert all(sum(cell == each for cell in cells) <= len(level.rows) for each in held)


def test_a_confusion_counts_every_row_once() -> None:
    """Rare labels are pooled, and their rows kept."""
    rng = np.random.default_rng(0)
    target, predicted = rng.integers(40, size=500) ** 2 // 40, rng.integers(40, size=500)
    labels = [f"label {code}" for code in range(40)]
    matrix = confusion.counts(target, predicted, 40)
    pooled, names = confusion.pooled(matrix, labels)
    assert matrix.sum() == pooled.sum() == 500
    assert matrix[target[0], predicted[0]] >= 1
    assert len(names) == confusion.MOST == len(pooled)
    assert names[-1] == "29 others"


def test_all_features_of_a_date_are_shuffled_together(run: Run) -> None:
    """Every day keeps its month and hour, and every other column stays as it is."""
    holdout = HoldOut(run.model, run.data.holdout)
    features, sources = holdout.frame.features, np.array(holdout.frame.encoder.sources)
    (changed,) = importance._shuffled(holdout, features, "when", np.random.default_rng(0), 1)
    date = sources == "when"
    assert np.array_equal(changed[:, ~date], features[:, ~date], equal_nan=True)
    assert not np.array_equal(changed[:, date], features[:, date])
    assert sorted(map(tuple, changed[:, date].tolist())) == sorted(map(tuple, features[:, date].tolist()))


def test_no_more_than_so_many_columns_are_shuffled(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that move the predictions most are."""
    monkeypatch.setattr(importance, "MAX_COLUMNS", 2)
    found = importance.losses(HoldOut(run.model, run.data.holdout))
    assert {loss.column for loss in found} == {"size", "city"}


def test_contributions_of_a_column_are_those_of_all_its_features(run: Run) -> None:
    """With the base value they add up to what the model's margins are made of."""
    holdout = HoldOut(run.model, run.data.holdout)
    explained = contributions.explain(holdout)
    assert explained is not None
    assert explained.columns == ["size", "noise", "city", "when"]
    assert isinstance(run.model.predictor, Booster)
    whole = run.model.predictor.contributions(explained.features)
    assert explained.values.sum(axis=2) == pytest.approx(whole[:, :, :-1].sum(axis=2), abs=1e-4)


@given(st.floats(-1e300, 1e300) | st.sampled_from([math.nan, math.inf]), st.integers(1, 6))
@example(0.9999, 3)
@example(-0.0, 3)
def test_a_number_is_spelled_so_that_it_reads_back(value: float, digits: int) -> None:
    """To as many digits as were asked for."""
    text = spelling.number(value, digits)
    if not math.isfinite(value):
        assert text == "–"
    else:
        assert float(text.replace(",", "").replace("−", "-")) == pytest.approx(value, rel=0.5 * 10 ** (1 - digits))
    assert Table("", ["", ""], [("a", text)]).numeric == [False, True]


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9))
def test_a_spread_is_spelled(mean: float, sd: float) -> None:
    """Neither is too small or too large."""
    text = spelling.spread(mean, sd)
    assert Table("", ["", ""], [("a", text)]).numeric == [False, True]


@pytest.mark.parametrize("names", [["$x$", "<b>&", "東京", 'a"b'], ["\ttab\n"], ["x" * 500]])
def test_a_drawing_takes_any_name(names: Sequence[str]) -> None:
    """It has the page's colours and font, and no text is markup."""

    def paint(figure: Figure) -> None:
        axes = drawing.axes_of(figure, x=names[0])
        axes.plot([0, 1], [0, 1], "o", color=drawing.ACCENT)
        drawing.rows_of(axes, [*map(spelling.short, names)])

    svg = drawing.draw("any", 2, paint)
    page = Page(svg)
    assert page.tags.count("b") == 0
    assert all(spelling.short(name) in page.text for name in names)
    assert "var(--accent)" in svg
    assert not re.search(r"DejaVu|#0[1-5]0|http|metadata", svg)
    assert drawing.draw("any", 2, paint) == svg


FIGURE = Panel("", "", Markup(""))
SMALL, BROAD = Table("", ["", ""], [("a", "1")]), Table("", ["", ""], [("a" * 99, "1")])


@given(st.lists(st.sampled_from([FIGURE, SMALL, BROAD])))
def test_no_block_of_a_section_leaves_half_a_row_empty(blocks: list[Panel | Table]) -> None:
    """Narrow ones are in pairs, and one that is left over has the whole width, as a broad one has."""
    placed = Section("", "", blocks=blocks).placed
    assert [block for block, _ in placed] == blocks
    assert all(wide for block, wide in placed if not block.narrow)
    runs = [len([*run]) for wide, run in groupby(wide for _, wide in placed) if not wide]
    assert all(run % 2 == 0 for run in runs)
    assert not any(one[1] and other[1] and one[0].narrow and other[0].narrow for one, other in pairwise(placed))


def test_the_classes_of_cells_say_what_they_hold() -> None:
    """Numbers are set flush right, and a column is marked by its title."""
    assert Table("", ["", "x", "y"], [("1", "2", "word")], frozenset({"x"})).classes == ["", "number marked", ""]
