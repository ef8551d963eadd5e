"""A figure of the shifts of new rows."""

from matplotlib.figure import Figure

from tabserve.operations.drift import LARGE, Drift, Shift
from tabserve.reports.figures import ACCENT, NEGATIVE, POSITIVE
from tabserve.wording import one_line

SHOWN = 20
"""Most shifts in the plot."""

MEASURES = {
    "psi": "population stability index",
    "ks": "Kolmogorov-Smirnov statistic",
    "chi2": "chi-squared distance",
}
"""The measures of a shift, by attribute, as the plot calls them."""

TESTED = ("psi", "ks")
"""Those that make a shift matter where they are large."""


def draw(drift: Drift) -> Figure:
    """The largest shifts by each of their measures; shifts that matter have the color of the positive class.

    Levels have no order and so no Kolmogorov-Smirnov statistic. The number of new levels stands beside a column's name.
    """
    shifts = sorted(drift.shifts, key=lambda shift: shift.psi)[-SHOWN:]
    colors = [POSITIVE if shift.matters else NEGATIVE for shift in shifts]
    figure = Figure((10, 0.9 + 0.24 * len(shifts)), dpi=100, layout="constrained")
    for axes, (measure, title) in zip(figure.subplots(1, len(MEASURES), sharey=True), MEASURES.items(), strict=True):
        axes.barh(range(len(shifts)), [getattr(shift, measure) for shift in shifts], color=colors)
        axes.set(title=title, xlim=(0, None))
        axes.set_yticks(range(len(shifts)), [*map(_label, shifts)])
        axes.spines[["top", "right"]].set_visible(False)
        if measure in TESTED:
            axes.axvline(LARGE, color=ACCENT, linestyle=":", label="large")
            axes.legend(loc="lower right", frameon=False)
    return figure


def _label(shift: Shift) -> str:
    """The name of a shift's column, and how many rows have a level that training did not see."""
    name = one_line(shift.name).replace("$", r"\$")  # which would begin a formula
    return f"{name} ({shift.new_levels.rows:,} rows of new levels)" if shift.new_levels.rows else name
