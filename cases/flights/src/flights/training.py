"""Learn how late flights arrive: the candidates, what else the model is measured by, and the words of its card."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.metrics import (
    average_precision_score,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from flights.from_delay import FromDelay, from_delay
from flights.problem import DEP_DELAY
from tabserve.errors import UsageError
from tabserve.model.model import Model
from tabserve.predictors.predictor import Predictor
from tabserve.problem.problem import Problem
from tabserve.reports.card import Words, markdown_table
from tabserve.reports.tables import TITLES, figure
from tabserve.stations import TrainingData
from tabserve.table.frame import Frame
from tabserve.training.bootstrap import every_class, intervals
from tabserve.training.candidate import Candidate
from tabserve.training.default_candidates import default_candidates
from tabserve.training.folds import measured_folds
from tabserve.training.interval import cross_fitted
from tabserve.training.selection import Selection
from tabserve.training.split import hold_out
from tabserve.training.task_training import training_of

LATE = 15
"""Minutes above which the US Department of Transportation calls an arrival late."""

MODEL, SUBTRACTION, RANDOM = "the model", "subtraction", "the model, random split"

LINEAR = "linear"

Measure = Mapping[str, float]
"""A value and the ends of its interval, by `value`, `low` and `high`."""


class Subtraction(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """No model: the departure delay minus the minutes that flights make up for on average."""

    def __init__(self, column: int) -> None:
        """Set the position of the departure delay among the features."""
        self.column = column

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> Self:  # noqa: N803 (scikit-learn's name)
        """Find the mean of what flights make up for."""
        self.made_up_ = float(np.mean(X[:, self.column] - y))
        return self

    def predict(self, X: NDArray[Any]) -> NDArray[np.float64]:  # noqa: N803
        """The arrival delay, in minutes, shape (rows,)."""
        return np.asarray(X[:, self.column] - self.made_up_, np.float64)


def candidates(rows: Frame, jobs: int | None = None, device: str = "cpu") -> dict[str, Candidate]:
    """The core's default candidates by name and, if the departure delay is known, those that start from it.

    The linear one is left out: on all flights of 2013 its fit takes three minutes and more, and it predicts November
    and December worse than any of the trees, as it draws the line of the months on.
    """
    defaults = default_candidates(rows.problem, rows.encoder, len(rows), jobs, device)
    known = [candidate for candidate in defaults if candidate.name != LINEAR]
    boosted = [candidate for candidate in known if hasattr(candidate.estimator, "get_booster")]
    starting = [from_delay(candidate, position) for position in _delay(rows) for candidate in boosted]
    return {candidate.name: candidate for candidate in [*known, *starting, *_subtraction(rows)]}


def for_spark(candidate: Candidate) -> Candidate:
    """The same boosted trees with splits by the levels themselves: Spark fits no means of the target for airports.

    Raises:
        UsageError: they start from the departure delay, which Spark cannot fit.
    """
    trees = getattr(candidate.estimator, "estimator", candidate.estimator)
    if isinstance(trees, FromDelay):
        raise UsageError(f"Spark cannot fit {candidate.name!r}, whose first tree is given; compare it on one machine.")
    return replace(candidate, estimator=trees)


def figures(target: NDArray[np.float64], prediction: NDArray[np.float64], seed: int) -> dict[str, Measure]:
    """Errors in minutes, R², and how well predictions rank the flights that are more than `LATE` late."""
    late = (target > LATE).astype(np.int8)

    def measure(rows: NDArray[np.int64]) -> dict[str, float]:
        return {
            "mae": float(mean_absolute_error(target[rows], prediction[rows])),
            "rmse": float(root_mean_squared_error(target[rows], prediction[rows])),
            "r2": float(r2_score(target[rows], prediction[rows])),
            "roc_auc": float(roc_auc_score(late[rows], prediction[rows])),
            "average_precision": float(average_precision_score(late[rows], prediction[rows])),
        }

    usable = every_class(late)
    return {name: interval._asdict() for name, interval in intervals(len(target), measure, seed, usable).items()}


def beside(data: TrainingData, predictor: Predictor) -> dict[str, dict[str, Measure]]:
    """The figures of the model on the hold-out, and of what needs none: constants and the subtraction."""
    development, holdout = data.development, data.holdout
    rules = {name: DummyRegressor(strategy=name) for name in ("median", "mean")}
    rules |= {candidate.name: candidate.estimator for candidate in _subtraction(holdout)}
    predictions = {MODEL: training_of(holdout.problem).from_raw(predictor.raw(holdout.features))}
    for name, rule in rules.items():
        predictions[name] = rule.fit(development.features, development.target).predict(holdout.features)
    seed = holdout.problem.seed
    return {name: figures(holdout.target, prediction, seed) for name, prediction in predictions.items()}


def by_random_split(frame: Frame, candidate: Candidate) -> dict[str, Measure]:
    """The figures of a candidate on rows held out by chance, on whose days it has seen other flights."""
    problem = replace(frame.problem, time=None)
    development, holdout = hold_out(replace(frame, problem=problem, moment=None))
    prediction = training_of(problem).predict(candidate.fit(development), holdout.features)
    return figures(holdout.target, prediction, problem.seed)


def coverage_by_month(selection: Selection, holdout: Frame, predictor: Predictor) -> pd.DataFrame:
    """How often the interval holds the true delay in each month: by folds forward in time, and on the hold-out.

    Args:
        selection: whose winner is measured, on the folds whose interval earlier ones chose.
        holdout: rows later than these.
        predictor: the winner, fitted on all development rows.

    Returns:
        Indexed by month and by `folds` or `hold-out`: the rows, the coverage, the mean width in minutes.
    """
    rows, fold, prediction = selection.frame, selection.fold, selection.winner.prediction
    tables = [_held("hold-out", holdout, selection.decision.scores(predictor.raw(holdout.features)))]
    for number, amount in zip(measured_folds(fold), cross_fitted(rows.target, prediction, fold), strict=True):
        part = np.flatnonzero(fold == number)
        tables.append(_held("folds", rows.take(part), amount.scores(prediction[part, np.newaxis])))
    months = pd.concat(tables).groupby(["month", "measured"])
    return months.agg(rows=("held", "size"), coverage=("held", "mean"), width=("width", "mean"))


def further(data: TrainingData, selection: Selection, predictor: Predictor, frame: Frame | None) -> dict[str, Any]:
    """The case's own measures of a model, for the manifest's metrics.

    Args:
        data: the split rows.
        selection: of the candidates.
        predictor: the winner, fitted on all development rows.
        frame: all rows; None if they are on Spark, and only the coverage is measured.
    """
    months = coverage_by_month(selection, data.holdout, predictor).reset_index()
    coverage = {"coverage_by_month": months.to_dict("records")}
    if frame is None:
        return coverage
    random = by_random_split(frame, selection.winner.candidate)
    return coverage | {"beside": {**beside(data, predictor), RANDOM: random}}


def sections(model: Model) -> list[str]:
    """The sections of the model card for the case's own measures."""
    parts = []
    if measured := model.metrics.get("beside"):
        parts.append(BESIDE.format(late=LATE, table=_beside_table(measured)))
    if months := model.metrics.get("coverage_by_month"):
        parts.append(MONTHS.format(table=_months_table(months)))
    return parts


def _delay(rows: Frame) -> list[int]:
    """The position of the departure delay among the features, if it is one of them."""
    return [position for position, name in enumerate(rows.encoder.names) if name == DEP_DELAY.name]


def _subtraction(rows: Frame) -> list[Candidate]:
    """The subtraction, if the departure delay is among the features."""
    return [Candidate(SUBTRACTION, Subtraction(position)) for position in _delay(rows)]


def _held(measured: str, rows: Frame, amounts: Any) -> pd.DataFrame:  # noqa: ANN401  Amounts, as a decision gives them
    """Of each row its month, whether its interval holds its delay, and the interval's width."""
    assert rows.moment is not None
    return pd.DataFrame(
        {
            "month": np.datetime_as_string(rows.moment, "M"),
            "measured": measured,
            "held": (amounts.low <= rows.target) & (rows.target <= amounts.high),
            "width": amounts.high.astype(np.float64) - amounts.low,
        }
    )


def _beside_table(measured: Mapping[str, Mapping[str, Measure]]) -> str:
    cells = {
        name: {TITLES[key]: "{value} ({low} to {high})".format(**_digits(each)) for key, each in measures.items()}
        for name, measures in measured.items()
    }
    return markdown_table("prediction", pd.DataFrame(cells).T)


def _digits(measure: Measure) -> dict[str, str]:
    return {name: figure(value, max(map(abs, measure.values()))) for name, value in measure.items()}


def _months_table(months: list[dict[str, Any]]) -> str:
    rows = {
        month["month"]: [month["measured"], f"{month['rows']:,}", f"{month['coverage']:.1%}", f"{month['width']:.0f}"]
        for month in months
    }
    columns = ["measured on", "flights", "in the interval", "mean width, minutes"]
    return markdown_table("month", pd.DataFrame.from_dict(rows, orient="index", columns=columns))


BESIDE = """## Beside simpler predictions

On the hold-out, with 95 % bootstrap intervals; average precision and ROC AUC are those of ranking the flights that
arrive more than {late} minutes late. `the model, random split` is the same candidate, fitted and measured on rows
parted by chance: flights of one hour are then on both sides, and the model recognises how that hour went. Most
published figures are of this kind; none of them holds for flights to come.

{table}"""

MONTHS = """## The interval in each month

By folds forward in time, and on the hold-out; the interval was chosen on earlier flights, to hold nine in ten.

{table}"""

LIMITS = """- Flights from elsewhere than New York (EWR, JFK, LGA), airlines and airports that it has not seen, and
  other years: it knows nothing of them.
- Whether a flight is cancelled or diverted: it learned from flights that arrived.
- Decisions about passengers, crews or compensation: most of a delay is not foreseeable from these columns.
- Causes: weather that goes with a delay need not be its reason. Weather was measured in the scheduled hour; before
  departure a forecast takes its place, and the figures become worse by the forecast's error."""

PURPOSES = {
    False: """To say **before departure**, by timetable, route and weather at the origin, how many minutes late a flight
from New York will arrive. Little of that can be foreseen: see how near the figures are to those of a constant.""",
    True: """To say **after departure**, when it is known how late a flight left New York, how many minutes late it will
arrive. It cannot be asked before; and subtracting a constant from the departure delay is almost as good.""",
}
"""By whether the departure delay is known."""


def words(problem: Problem) -> Words:
    """The texts of the model card."""
    return Words(purpose=PURPOSES[DEP_DELAY.name in problem.features], limits=LIMITS, sections=sections)
