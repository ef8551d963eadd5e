"""A figure of the shifts of new rows."""

from matplotlib.figure import Figure

from tabserve.operations.drift import LARGE, Drift
from tabserve.reports.figures import ACCENT, NEGATIVE, POSITIVE

SHOWN = 20
"""Most shifts in the plot."""


def draw(drift: Drift) -> Figure:
    """The largest shifts by both of their measures; shifts that matter have the color of the positive class."""
    shifts = sorted(drift.shifts, key=lambda shift: shift.psi)[-SHOWN:]
    names, colors = [shift.name for shift in shifts], [POSITIVE if shift.matters else NEGATIVE for shift in shifts]
    figure = Figure((7, 0.9 + 0.24 * len(shifts)), dpi=100, layout="constrained")
    for axes, measure, title in zip(
        figure.subplots(1, 2, sharey=True),
        ("psi", "ks"),
        ("population stability index", "Kolmogorov-Smirnov statistic"),
        strict=True,
    ):
        axes.barh(names, [getattr(shift, measure) for shift in shifts], color=colors)
        axes.axvline(LARGE, color=ACCENT, linestyle=":", label="large")
        axes.set(title=title, xlim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower center", frameon=False)
    return figure
