"""The candidates beside each other, and the winner's figures beside those of the baselines."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from tabserve.model.model import Model
from tabserve.reports.html import drawing
from tabserve.reports.html.measure import Measure, distinct, ranking_measure
from tabserve.reports.html.page import Panel, Table
from tabserve.reports.html.spelling import count, interval, listed, number, short, spread
from tabserve.reports.tables import ranking
from tabserve.training import baselines
from tabserve.training.bootstrap import Interval
from tabserve.training.selection import Outcome, Selection


def panel(selected: Selection, model: Model) -> Panel:
    """The measure that ranks the candidates, in every fold."""
    outcomes = {name: selected.outcomes[name] for name in ranking(model.metrics["folds"])}
    measure = Measure(ranking_measure(model.metrics))
    winner, known = model.metrics["winner"], baselines.names(model.problem)

    def paint(figure: Figure) -> None:
        axes = drawing.axes_of(figure, x=f"{measure.title}, a dot for each fold", grid="x")
        heights = drawing.rows_of(axes, [*map(short, outcomes)])
        for height, (name, outcome) in zip(heights, outcomes.items(), strict=True):
            color = drawing.MUTED if name in known else drawing.WARM if name == winner else drawing.ACCENT
            values = measure.plain(outcome.measures.iloc[:, 0].to_numpy(np.float64))
            mean, sd = values.mean(), values.std(ddof=1)
            axes.plot(values, np.full(len(values), height), "o", color=color, alpha=0.35, markersize=4, mec="none")
            drawing.whiskers(axes, heights[[int(height)]], [Interval(mean, mean - sd, mean + sd)], color)

    figure = drawing.draw("candidates", 0.9 + 0.3 * len(outcomes), paint)
    return Panel(
        "The candidates, best first", _sentence(outcomes, winner, known, measure) + _left_out(selected), figure
    )


def table(model: Model) -> Table:
    """Mean and standard deviation over folds of every measure, one column for each candidate, the best first."""
    folds = model.metrics["folds"]
    names = ranking(folds)
    rows = [
        [measure.title, *(spread(measure.plain(folds[name][key]["mean"]), folds[name][key]["sd"]) for name in names)]
        for key, measure in distinct(folds[names[0]]).items()
    ]
    title = "Mean ± standard deviation over folds"
    return Table(title, ["measure", *names], rows, frozenset({model.metrics["winner"]}))


def holdout_table(model: Model) -> Table:
    """Every measure on the hold-out with its interval, and that of each baseline."""
    beside, measured = model.metrics.get("baselines", {}), model.metrics["holdout"]
    rows = []
    for name, measure in distinct(measured).items():
        value = measure.interval(measured[name])
        others = [number(measure.plain(figures[name])) for figures in beside.values()]
        rows.append([measure.title, number(value.value), interval(value), *others])
    return Table(
        "On the hold-out", ["measure", "model", "95 % interval", *(f"baseline: {name}" for name in beside)], rows
    )


def _sentence(outcomes: Mapping[str, Outcome], winner: str, known: set[str], measure: Measure) -> str:
    means = {name: measure.plain(float(outcome.measures.iloc[:, 0].mean())) for name, outcome in outcomes.items()}
    sd = float(outcomes[winner].measures.iloc[:, 0].std())
    close = [name for name in means if name != winner and abs(means[name] - means[winner]) <= sd]
    text = f"“{winner}” is saved: {measure.title} {spread(means[winner], sd)} over folds."
    best = next(iter(means))
    if best != winner:
        text += f" “{best}” is better ({number(means[best])}), but cannot be served."
    if close:
        names = listed([f"“{name}”" for name in close])
        text += f" Within one standard deviation of it: {names}."
    if asked := [name for name in means if name in known]:
        text += f" “{asked[0]}”, which knows no column, reaches {number(means[asked[0]])}."
    return f"{count(len(means), 'candidate')} saw the same folds. {text}"


def _left_out(selected: Selection) -> str:
    if not selected.left_out:
        return ""
    names = listed(f"“{name}” (after {progress})" for name, progress in selected.left_out.items())
    return f" The time was over before these were fitted on every fold: {names}."
