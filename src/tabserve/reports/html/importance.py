"""How much the model needs each column: what it loses on the hold-out when the column's cells are shuffled."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tabserve.reports.html import drawing
from tabserve.reports.html.holdout import HoldOut
from tabserve.reports.html.page import Panel
from tabserve.reports.html.spelling import count, listed, short, spread
from tabserve.training.bootstrap import Interval

MAX_ROWS, SCREENED_ROWS = 5_000, 500
"""Most rows that are scored for each shuffle, and to find the columns that are worth it."""

MAX_COLUMNS = 100
"""Most columns that are measured."""

REPEATS = 5
"""Number of shuffles of each column."""

SHOWN = 15
"""Most columns in the figure."""


class Loss(NamedTuple):
    """What the measure loses when a column is shuffled: mean and standard deviation over shuffles."""

    column: str
    mean: float
    sd: float


def losses(holdout: HoldOut) -> list[Loss]:
    """The loss by each column, largest first (Breiman 2001); empty for texts.

    What is lost is the measure that ranked the candidates. All features of a column are shuffled together. If there are
    more than `MAX_COLUMNS` columns, those are measured whose shuffling moves the raw outputs most.
    """
    frame, rows = holdout.frame, holdout.sample(MAX_ROWS)
    features, target = frame.features[rows], frame.target[rows]
    rng = np.random.default_rng(holdout.model.problem.seed)
    names = _most_moving(holdout, rng)
    whole = holdout.score(features, target) if names else 0.0
    found = []
    for name in names:
        scores = [holdout.score(each, target) for each in _shuffled(holdout, features, name, rng, REPEATS)]
        lost = np.array(scores) - whole if holdout.measure.less else whole - np.array(scores)
        found.append(Loss(name, float(np.mean(lost)), float(np.std(lost))))
    return sorted(found, key=lambda loss: -loss.mean)


def panel(holdout: HoldOut, found: list[Loss]) -> Panel:
    """The columns that the model needs most."""
    shown, worse = found[:SHOWN], "added" if holdout.measure.less else "lost"

    def paint(figure: Figure) -> None:
        axes = drawing.axes_of(figure, x=f"{holdout.measure.title} {worse} when shuffled", grid="x")
        heights = drawing.rows_of(axes, [short(loss.column) for loss in shown])
        ends = [Interval(loss.mean, loss.mean - loss.sd, loss.mean + loss.sd) for loss in shown]
        axes.hlines(heights, 0, [loss.mean for loss in shown], color=drawing.GRID, linewidth=4)
        drawing.whiskers(axes, heights, ends)
        axes.axvline(0, color=drawing.MUTED, linewidth=0.8)

    return Panel(
        "Columns that the model needs",
        _sentence(holdout, found),
        drawing.draw("importance", 0.9 + 0.26 * len(shown), paint),
    )


def _sentence(holdout: HoldOut, found: list[Loss]) -> str:
    needed = [loss for loss in found if loss.mean > 2 * loss.sd and loss.mean > 0]
    total = len(set(holdout.frame.encoder.sources))
    measured = f" Of {total:,} columns the {len(found)} that move predictions most were shuffled."
    measured = measured if total > len(found) else ""
    if not needed:
        return f"No column is needed: shuffling any of them costs no more than chance.{measured}"
    strongest = listed([f"“{loss.column}” ({spread(loss.mean, loss.sd)})" for loss in found[:3]])
    many = f"{len(needed)} of {count(len(found), 'column')} cost{'s' * (len(needed) == 1)}"
    return (
        f"Shuffling {strongest} costs most; {many} more than twice the spread over {REPEATS} shuffles.{measured}"
        " Columns that say the same share their loss."
    )


def _most_moving(holdout: HoldOut, rng: np.random.Generator) -> list[str]:
    names = [*dict.fromkeys(holdout.frame.encoder.sources)]
    if len(names) <= MAX_COLUMNS:
        return names
    features, raw = holdout.frame.features[holdout.sample(SCREENED_ROWS)], holdout.model.predictor.raw
    whole = raw(features)
    moved = {
        name: np.abs(raw(each) - whole).mean() for name in names for each in _shuffled(holdout, features, name, rng, 1)
    }
    return sorted(sorted(names, key=lambda name: -moved[name])[:MAX_COLUMNS], key=names.index)


def _shuffled(
    holdout: HoldOut, features: NDArray[np.float32], name: str, rng: np.random.Generator, times: int
) -> Iterator[NDArray[np.float32]]:
    """The features with the cells of one column in another order, several times."""
    columns = np.flatnonzero(np.array(holdout.frame.encoder.sources) == name)
    for _ in range(times):
        changed = features.copy()
        changed[:, columns] = features[np.ix_(rng.permutation(len(features)), columns)]
        yield changed
