"""Tables of columns, candidates and measures for the terminal and the notebook, and metrics for the manifest."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tabserve.problem.metric import distinct, goodness, plain
from tabserve.reports.task_report import report_of
from tabserve.table.frame import Frame
from tabserve.training.bootstrap import Interval
from tabserve.training.selection import Candidate, Outcome, Selection
from tabserve.training.split import count_copies, periods

TITLES = {
    "f1": "F1",
    "macro_f1": "macro F1",
    "macro_minus_cost": "macro cost per row",
    "accuracy": "accuracy",
    "minus_cost": "cost per row",
    "f1_at_half": "F1 at 0.5",
    "precision": "precision",
    "recall": "recall",
    "flagged": "flagged share",
    "average_precision": "average precision",
    "roc_auc": "ROC AUC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "balanced_accuracy": "balanced accuracy",
    "minus_rmse": "RMSE",
    "minus_mae": "mean absolute error",
    "rmse": "RMSE",
    "mae": "mean absolute error",
    "median_absolute_error": "median absolute error",
    "r2": "R²",
    "coverage": "interval coverage",
    "coverage_dearest_tenth": "coverage, dearest tenth",
    "interval_width": "mean interval width",
}
"""Title of each measure, as people know it (`plain`)."""

AT_THRESHOLD = ("f1", "minus_cost", "accuracy", "balanced_accuracy")
"""The measures of two classes that can rank, and that need a threshold."""

Statistics = Mapping[str, Mapping[str, float]]
"""Mean (`mean`) and standard deviation (`sd`) over folds by measure; the one that ranks comes first."""


def columns_table(frame: Frame) -> pd.DataFrame:
    """One row per feature: missing cells, distinct values, count of the most frequent value, relation to the target.

    The relation is, for two classes, `shift` (the difference of their means over the standard deviation of all rows);
    for several classes their means; for a regression the correlation. It is NaN for codes of categories.
    """
    values = pd.DataFrame(frame.features, columns=list(frame.encoder.names))
    quantities = values.mask(np.broadcast_to(np.array(frame.encoder.levels) > 0, values.shape))
    return pd.DataFrame(
        {
            "missing": values.isna().sum(),
            "distinct": values.nunique(),
            "most repeated": values.apply(lambda column: column.value_counts().max()),
            **report_of(frame.problem).columns(quantities, frame.target),
        }
    )


def selection_table(selection: Selection) -> pd.DataFrame:
    """Mean ± standard deviation of every measure over folds, seconds per fit and trees; best candidate first.

    Candidates that were left out when the time was over follow, with the number of folds that they were fitted on.
    """
    outcomes = selection.outcomes
    table = statistics_table({name: statistics(outcome) for name, outcome in outcomes.items()})
    table["fit s"] = [f"{np.mean(outcome.seconds):.1f}" for outcome in outcomes.values()]
    table["trees"] = [f"{np.mean(outcome.trees):.0f}" if outcome.trees else "–" for outcome in outcomes.values()]
    table = table.loc[ranking({name: statistics(outcome) for name, outcome in outcomes.items()})]
    for name, progress in selection.left_out.items():
        table.loc[name] = [f"left out after {progress}", *["–"] * (table.shape[1] - 1)]
    return table


def statistics_table(statistics: Mapping[str, Statistics]) -> pd.DataFrame:
    """Mean ± standard deviation of every measure, one row per name."""
    sizes = {
        measure: max(abs(measures[measure]["mean"]) for measures in statistics.values())
        for measure in distinct(next(iter(statistics.values()), ()))
    }
    rows = {
        name: {
            TITLES[measure]: f"{figure(plain(measure, measures[measure]['mean']), size)} ±"
            f" {figure(measures[measure]['sd'], size)}"
            for measure, size in sizes.items()
        }
        for name, measures in statistics.items()
    }
    return pd.DataFrame(rows).T


def figure(value: float, size: float) -> str:
    """A figure for people beside one of this size: four decimals, fewer if it is large, up to six if it is tiny."""
    magnitude = math.floor(math.log10(abs(size))) if size and np.isfinite(size) else 0
    return f"{value:,.{max(4 - max(magnitude, 0), min(2 - magnitude, 6), 0)}f}"


def ranking(statistics: Mapping[str, Statistics]) -> list[str]:
    """The names in the order of the mean of their first measure, the best first."""

    def rank(name: str) -> float:
        measure, figures = next(iter(statistics[name].items()))
        return -goodness(measure, figures["mean"])

    return sorted(statistics, key=rank)


def evaluation_table(
    holdout: Mapping[str, Mapping[str, float]], baselines: Mapping[str, Mapping[str, float]] | None = None
) -> pd.DataFrame:
    """Hold-out measures with their 95 % bootstrap intervals and those of the baselines, from the manifest's metrics."""
    rows = {
        TITLES[name]: [
            *_interval(name, holdout[name]),
            *(figure(plain(name, values[name]), holdout[name]["value"]) for values in (baselines or {}).values()),
        ]
        for name in distinct(holdout)
    }
    return pd.DataFrame(rows, index=["hold-out", "95 % interval", *(baselines or {})]).T


def classes_table(classes: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Measures of each class with 95 % bootstrap intervals, and its number of rows, from the manifest's metrics."""
    rows = {
        label: {
            TITLES[name]: "{} ({})".format(*_interval(name, value)) for name, value in values.items() if name != "rows"
        }
        | {"rows": f"{values['rows']:,}"}
        for label, values in classes.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def plain_interval(measure: str, measured: Mapping[str, float]) -> Interval:
    """A measure of the manifest's metrics with its interval, by the sign that people know."""
    return plain(measure, Interval(measured["value"], measured["low"], measured["high"]))


def _interval(measure: str, measured: Mapping[str, float]) -> tuple[str, str]:
    value, low, high = (figure(end, measured["value"]) for end in plain_interval(measure, measured))
    return value, f"{low} to {high}"


def candidates_table(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """One row per candidate: its kind, the grid searched inside the folds, and whether a model folder can hold it."""
    rows = {candidate.name: (_kind(candidate), _grid(candidate), candidate.servable) for candidate in candidates}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["kind", "chosen inside the folds", "servable"])


def models_table(columns: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Measures of several models, one column each."""
    plainly = {name: {each: plain(each, value) for each, value in values.items()} for name, values in columns.items()}
    return pd.DataFrame(plainly).rename(index=TITLES).map("{:.4f}".format)


def metrics(selection: Selection, evaluation: Mapping[str, Interval] | None = None) -> dict[str, Any]:
    """The manifest's metrics: measures over folds and, if evaluated, on the hold-out; no times, which vary."""
    return {
        "winner": selection.winner.candidate.name,
        "best": selection.best.candidate.name,
        "fold_rows": np.bincount(selection.fold - selection.fold.min()).tolist(),  # -1 where split by time
        "folds": {name: statistics(outcome) for name, outcome in selection.outcomes.items()},
        "chosen": {name: list(outcome.grid_choices) for name, outcome in selection.outcomes.items()},
        "trees": {name: list(outcome.trees) for name, outcome in selection.outcomes.items()},
        "holdout": {name: interval._asdict() for name, interval in (evaluation or {}).items()},
        **({"left_out": dict(selection.left_out)} if selection.left_out else {}),
    }


def statistics(outcome: Outcome) -> Statistics:
    """Mean and standard deviation over folds of every measure."""
    columns = outcome.measures.items()
    return {str(name): {"mean": float(values.mean()), "sd": float(values.std())} for name, values in columns}


def provenance(frame: Frame, source: str, *, synthetic: bool) -> dict[str, Any]:
    """The manifest's facts about the data; the checksum covers the features and target that were read."""
    digest = hashlib.sha256(_content(frame.features))
    digest.update(frame.target.tobytes())
    return {
        "source": source,
        "synthetic": synthetic,
        "rows": len(frame),
        **report_of(frame.problem).provenance(frame.target),
        **({} if frame.group is None else {"groups": len({*frame.group})}),
        **({} if frame.moment is None else {"periods": periods(frame)}),
        **({"copies": copied} if (copied := count_copies(frame)) else {}),
        "sha256": digest.hexdigest(),
    }


def _content(features: NDArray[Any]) -> bytes:
    """Bytes for the checksum: numbers as in memory, or texts, each after its length."""
    if features.dtype != np.object_:
        return features.tobytes()
    return b"".join(len(text).to_bytes(8) + text for text in map(str.encode, features))


def _kind(candidate: Candidate) -> str:
    steps = candidate.estimator.steps if hasattr(candidate.estimator, "steps") else [("", candidate.estimator)]
    return " after ".join(type(step).__name__ for _, step in reversed(steps))


def _grid(candidate: Candidate) -> str:
    return ", ".join(f"{name.split('__')[-1]} of {list(values)}" for name, values in candidate.grid.items()) or "–"
