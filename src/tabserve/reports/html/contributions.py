"""What each column adds to predictions: SHAP values, as XGBoost computes them (Lundberg & Lee, NIPS 2017)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tabserve.reports.html import drawing
from tabserve.reports.html.holdout import HoldOut, equal_bins
from tabserve.reports.html.levels import MISSING, group
from tabserve.reports.html.page import Panel
from tabserve.reports.html.spelling import listed, number, short, tick
from tabserve.reports.html.task_page import page_of

MAX_ROWS = 1_000
"""Most rows that are explained; one takes about 2 ms for 200 trees."""

SHOWN, EXPLAINED = 15, 6
"""Most columns in the figure of strengths, and those that have a figure of their own."""

TICKS = 5
"""Most values that are named below a quantity's figure."""

BINS = 20
"""Number of groups of rows by a quantity; no figure shows the cell of a single row."""


@dataclass(frozen=True, eq=False)
class Contributions:
    """Contributions to the raw outputs of some rows.

    Attributes:
        features: of these rows, shape (rows, features).
        values: by column, shape (rows, outputs, columns).
        columns: their names.
        additive: whether they and the base value add up to the raw outputs, not to something that these are made of.
    """

    features: NDArray[np.float32]
    values: NDArray[np.float64]
    columns: list[str]
    additive: bool

    @property
    def strength(self) -> NDArray[np.float64]:
        """The mean absolute contribution, shape (outputs, columns)."""
        return np.asarray(np.abs(self.values).mean(axis=0))

    @property
    def strongest(self) -> list[int]:
        """The indices of the columns, strongest first."""
        return [int(column) for column in np.argsort(-self.strength.mean(axis=0), kind="stable")]


def explain(holdout: HoldOut) -> Contributions | None:
    """The contributions to the predictions of some rows of the hold-out; None if the predictor is no booster."""
    encoder, predictor = holdout.frame.encoder, holdout.model.predictor
    contributions = getattr(predictor, "contributions", None)
    if contributions is None:
        return None
    features = holdout.frame.features[holdout.sample(MAX_ROWS)]
    values = contributions(features).astype(np.float64)
    columns = [*dict.fromkeys(encoder.sources)]
    member = np.array(encoder.sources)[:, np.newaxis] == np.array(columns)
    additive = np.allclose(values.sum(axis=2), predictor.raw(features), rtol=1e-3, atol=1e-3)
    return Contributions(features, values[:, :, :-1] @ member, columns, additive)


def panels(holdout: HoldOut, explained: Contributions) -> list[Panel]:
    """The strength of the strongest columns, and how the contribution of each depends on its cells."""
    order = [column for column in explained.strongest if explained.strength[:, column].any()]
    if not order:
        return []
    return [
        _strengths(holdout, explained, order),
        *(_direction(holdout, explained, column) for column in order[:EXPLAINED]),
    ]


def _strengths(holdout: HoldOut, explained: Contributions, order: list[int]) -> Panel:
    means = explained.strength.mean(axis=0)
    names = [explained.columns[column] for column in order]
    several = f", mean of {len(explained.strength)} classes" * (len(explained.strength) > 1)
    effect = "margin" if several else page_of(holdout.model.problem).effect(0, additive=explained.additive)

    def paint(figure: Figure) -> None:
        axes = drawing.axes_of(figure, x="mean absolute contribution" + several, grid="x")
        heights = drawing.rows_of(axes, [*map(short, names[:SHOWN])])
        axes.barh(heights, means[order[:SHOWN]], height=0.55, color=drawing.ACCENT, linewidth=0)

    first = listed([f"“{name}” ({number(means[column])})" for name, column in zip(names[:3], order, strict=False)])
    return Panel(
        "Columns that move predictions",
        f"By SHAP values of {len(explained.features):,} rows, {first} move the {effect} most;"
        f" the first of them makes {means[order[0]] / means.sum():.0%} of all movement.".replace("%", " %"),
        drawing.draw("strengths", 0.9 + 0.26 * min(len(order), SHOWN), paint),
    )


def _direction(holdout: HoldOut, explained: Contributions, column: int) -> Panel:
    """How the contribution of a column depends on its cells, for the output that it moves most."""
    encoder, name = holdout.frame.encoder, explained.columns[column]
    output = int(explained.strength[:, column].argmax())
    first = encoder.sources.index(name)
    values, quantity = explained.values[:, output, column], explained.features[:, first]
    effect = page_of(holdout.model.problem).effect(output, additive=explained.additive)
    figure_name = f"direction-{column}"
    if encoder.levels[first]:
        return _by_level(figure_name, name, encoder.decode(explained.features)[name], values, effect)
    dated = any(each.name == name and each.dated for each in encoder.columns)
    return _by_quantity(figure_name, name, quantity, values, effect, dated=dated)


def _by_level(figure_name: str, name: str, cells: list[str], values: NDArray[Any], effect: str) -> Panel:
    groups = group(cells, fewest=1)
    names, means = [level.name for level in groups], [float(values[level.rows].mean()) for level in groups]

    def paint(figure: Figure) -> None:
        axes = drawing.axes_of(figure, x=f"mean contribution to the {effect}", grid="x")
        heights = drawing.rows_of(axes, [*map(short, names)])
        colors = [drawing.ACCENT if mean >= 0 else drawing.WARM for mean in means]
        axes.barh(heights, means, height=0.55, color=colors, linewidth=0)
        axes.axvline(0, color=drawing.MUTED, linewidth=0.8)

    low, high = int(np.argmin(means)), int(np.argmax(means))
    return Panel(
        name,
        f"“{names[high]}” moves the {effect} by {number(means[high])} on average, “{names[low]}” by"
        f" {number(means[low])}.",
        drawing.draw(figure_name, 0.9 + 0.27 * len(means), paint),
    )


def _by_quantity(
    figure_name: str, name: str, quantity: NDArray[Any], values: NDArray[Any], effect: str, *, dated: bool
) -> Panel:
    known = np.flatnonzero(~np.isnan(quantity))
    bins = [known[rows] for rows in equal_bins(quantity[known], BINS)] if len(known) else []
    missing = values[np.isnan(quantity)]
    middles = [float(values[rows].mean()) for rows in bins]
    means = [float(quantity[rows].mean(dtype=np.float64)) for rows in bins]
    titles = [str(np.datetime64(round(mean), "D")) if dated else tick(float(f"{mean:.3g}")) for mean in means]

    def paint(figure: Figure) -> None:
        axes = drawing.axes_of(
            figure,
            x=f"mean of {short(name)} in groups of equally many rows",
            y="contribution",
            grid="both",
        )
        _bands(axes, [values[rows] for rows in bins])
        shown = np.unique(np.linspace(0, max(len(bins) - 1, 0), min(TICKS, len(bins))).astype(int))
        axes.set_xticks(shown, [titles[place] for place in shown])
        if len(missing):
            axes.axhline(missing.mean(), color=drawing.WARM, linestyle=":", label=MISSING)
        axes.legend(loc="best")

    return Panel(name, _movement(middles, missing, effect), drawing.draw(figure_name, 2.9, paint))


def _bands(axes: Axes, values: list[NDArray[Any]]) -> None:
    """The mean contribution in each group, with the range of the middle 80 % of its rows."""
    at = np.arange(len(values))
    low, high = (np.array([np.quantile(group, level) for group in values]) for level in (0.1, 0.9))
    axes.axhline(0, color=drawing.MUTED, linewidth=0.8)
    axes.fill_between(at, low, high, color=drawing.ACCENT, alpha=0.2, linewidth=0, label="8 rows in 10")
    axes.plot(at, [group.mean() for group in values], "o-", color=drawing.ACCENT, markersize=3, label="mean")


def _movement(middles: list[float], missing: NDArray[Any], effect: str) -> str:
    without = f" Where it is missing: {number(float(missing.mean()))}." if len(missing) else ""
    if len(middles) < 2:
        return f"The column holds a single value here.{without}"
    change = middles[-1] - middles[0]
    low, high = min(middles), max(middles)
    steady = abs(change) > 0.8 * (high - low)
    way = f"{'rises' if change > 0 else 'falls'} with it" if steady else "rises and falls"
    ends = {low, high} == {middles[0], middles[-1]}
    between = "" if ends else f", between {number(low)} and {number(high)}"
    return (
        f"The contribution to the {effect} {way}: {number(middles[0])} for the smallest values,"
        f" {number(middles[-1])} for the largest{between}.{without}"
    )
