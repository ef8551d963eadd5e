"""What was found, in tables: for the terminal, the notebook and the manifest."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tabserve.reports.task_report import report_of
from tabserve.table.frame import Frame
from tabserve.training.bootstrap import Interval
from tabserve.training.selection import Candidate, Outcome, Selection
from tabserve.training.split import periods

TITLES = {
    "f1": "F1",
    "macro_f1": "macro F1",
    "macro_minus_cost": "macro minus cost",
    "accuracy": "accuracy",
    "minus_cost": "minus cost",
    "f1_at_half": "F1 at 0.5",
    "precision": "precision",
    "recall": "recall",
    "flagged": "flagged share",
    "average_precision": "average precision",
    "roc_auc": "ROC AUC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "minus_rmse": "minus RMSE",
    "minus_mae": "minus mean absolute error",
    "rmse": "RMSE",
    "mae": "mean absolute error",
    "median_absolute_error": "median absolute error",
    "r2": "R²",
    "coverage": "interval coverage",
    "coverage_dearest_tenth": "coverage, dearest tenth",
    "interval_width": "mean interval width",
}
"""How each measure is written for people."""

Statistics = Mapping[str, Mapping[str, float]]
"""By the measure, its `mean` and standard deviation (`sd`) over folds; the criterion first."""


def columns_table(frame: Frame) -> pd.DataFrame:
    """One row per feature: missing cells, distinct values, the most frequent value's count, and what it tells.

    Of two classes that is `shift`, the difference of their means over the standard deviation of all rows; of several
    their means; of an amount the correlation with it. The codes of categories have none.
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
    """Mean ± standard deviation over folds of every measure, fit seconds and trees, best candidate first."""
    outcomes = selection.outcomes
    table = statistics_table({name: statistics(outcome) for name, outcome in outcomes.items()})
    table["fit s"] = [f"{np.mean(outcome.seconds):.1f}" for outcome in outcomes.values()]
    table["trees"] = [f"{np.mean(outcome.trees):.0f}" if outcome.trees else "–" for outcome in outcomes.values()]
    return table.loc[ranked(metrics(selection)["folds"])]


def statistics_table(statistics: Mapping[str, Statistics]) -> pd.DataFrame:
    """Mean ± standard deviation of every measure, one row for each thing that was measured."""
    rows = {
        name: {TITLES[measure]: f"{found['mean']:.4f} ± {found['sd']:.4f}" for measure, found in measures.items()}
        for name, measures in statistics.items()
    }
    return pd.DataFrame(rows).T


def ranked(statistics: Mapping[str, Statistics]) -> list[str]:
    """The names of what was measured over folds, the best by the first measure first."""
    return sorted(statistics, key=lambda name: -next(iter(statistics[name].values()))["mean"])


def evaluation_table(holdout: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Hold-out measures with their 95 % bootstrap intervals, as the manifest's metrics keep them."""
    rows = {TITLES[name]: _interval(interval) for name, interval in holdout.items()}
    return pd.DataFrame(rows, index=["hold-out", "95 % interval"]).T


def classes_table(classes: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Measures of each class with their 95 % bootstrap intervals, and its rows, as the manifest's metrics keep them."""
    rows = {
        label: {TITLES[name]: "{} ({})".format(*_interval(each)) for name, each in figures.items() if name != "rows"}
        | {"rows": f"{figures['rows']:,}"}
        for label, figures in classes.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _interval(interval: Mapping[str, float]) -> tuple[str, str]:
    return f"{interval['value']:.4f}", f"{interval['low']:.4f} to {interval['high']:.4f}"


def candidates_table(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """One row per candidate: its kind, the grid chosen inside the folds, and whether a model folder can hold it."""
    rows = {candidate.name: (_kind(candidate), _grid(candidate), candidate.servable) for candidate in candidates}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["kind", "chosen inside the folds", "servable"])


def beside(columns: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Measures of several models, one column each."""
    return pd.DataFrame(columns).rename(index=TITLES).map("{:.4f}".format)


def metrics(selection: Selection, evaluation: Mapping[str, Interval] | None = None) -> dict[str, Any]:
    """What the manifest keeps: measures over folds and, once it was opened, on the hold-out; no times."""
    return {
        "winner": selection.winner.candidate.name,
        "best": selection.best.candidate.name,
        "fold_rows": np.bincount(selection.fold - selection.fold.min()).tolist(),  # the first may be held out by none
        "folds": {name: statistics(outcome) for name, outcome in selection.outcomes.items()},
        "chosen": {name: list(outcome.grid_choices) for name, outcome in selection.outcomes.items()},
        "trees": {name: list(outcome.trees) for name, outcome in selection.outcomes.items()},
        "holdout": {name: found._asdict() for name, found in (evaluation or {}).items()},
    }


def statistics(outcome: Outcome) -> Statistics:
    """Mean and standard deviation over folds of every measure."""
    columns = outcome.measures.items()
    return {str(name): {"mean": float(values.mean()), "sd": float(values.std())} for name, values in columns}


def provenance(frame: Frame, source: str, *, synthetic: bool) -> dict[str, Any]:
    """What the manifest says about the data; the checksum covers features and target as they were read."""
    digest = hashlib.sha256(_content(frame.features))
    digest.update(frame.target.tobytes())
    return {
        "source": source,
        "synthetic": synthetic,
        "rows": len(frame),
        **report_of(frame.problem).provenance(frame.target),
        **({} if frame.group is None else {"groups": len({*frame.group})}),
        **({} if frame.moment is None else {"periods": periods(frame)}),
        "sha256": digest.hexdigest(),
    }


def _content(features: NDArray[Any]) -> bytes:
    """Numbers as they lie in memory, or texts, each after its length."""
    if features.dtype != np.object_:
        return features.tobytes()
    return b"".join(len(text).to_bytes(8) + text for text in map(str.encode, features))


def _kind(candidate: Candidate) -> str:
    steps = candidate.estimator.steps if hasattr(candidate.estimator, "steps") else [("", candidate.estimator)]
    return " after ".join(type(step).__name__ for _, step in reversed(steps))


def _grid(candidate: Candidate) -> str:
    return ", ".join(f"{name.split('__')[-1]} of {list(values)}" for name, values in candidate.grid.items()) or "–"
