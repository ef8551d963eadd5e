"""Move the threshold of a model folder without training, and show the effect on precision, recall, flagged share."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabserve.model.decision import Threshold, threshold_of
from tabserve.model.manifest import MEASURED_WITH, content
from tabserve.model.model import CARD, Model, amend, load
from tabserve.reports import card
from tabserve.reports.tables import TITLES
from tabserve.table.frame import Frame
from tabserve.training.binary import threshold_measures
from tabserve.training.bootstrap import Interval, every_class, intervals

MEASURES = ("precision", "recall", "flagged")


def with_threshold(model: Model, threshold: float) -> Model:
    """The model with another threshold, in [0, 1]; its metrics record the threshold at which they were measured.

    Raises:
        UsageError: the model has no threshold.
    """
    threshold_of(model.decision)
    decision = Threshold(threshold)
    metrics = {key: value for key, value in model.metrics.items() if key != MEASURED_WITH}
    if decision != model.measured_with:
        metrics[MEASURED_WITH] = asdict(model.measured_with)
    return replace(model, decision=decision, metrics=metrics)


def move(folder: Path, threshold: float) -> Model:
    """Move a folder's threshold and note it in manifest and card; moving it back restores the same bytes.

    Raises:
        ArtifactError: the folder is damaged, or cannot be written.
        UsageError: the model has no threshold.
    """
    model = with_threshold(load(folder), threshold)
    text = content(folder / CARD).decode(errors="replace")
    return amend(folder, model, card.with_note(text, model))


def compare_on_rows(model: Model, threshold: float, frame: Frame) -> Iterator[str]:
    """Lines with the measures of labelled rows at both thresholds, and their change, with 95 % bootstrap intervals."""
    now = threshold_of(model.decision)
    model_features = frame.encoder.recode(frame.features, model.encoder)
    probability = model.score(model_features).probability.astype(np.float64)

    def at(cut: float, rows: NDArray[np.int64]) -> dict[str, float]:
        return threshold_measures(frame.target[rows], probability[rows], cut)

    def change(rows: NDArray[np.int64]) -> dict[str, float]:
        before, after = at(now, rows), at(threshold, rows)
        return {name: after[name] - before[name] for name in MEASURES}

    columns, usable = (partial(at, now), partial(at, threshold), change), every_class(frame.target)
    sides = [intervals(len(frame), measure, usable=usable) for measure in columns]
    yield _line("", f"at {now:.4f}", f"at {threshold:.4f}", "change")
    for name in MEASURES:
        before, after, difference = (side[name] for side in sides)
        yield _line(TITLES[name], _with_interval(before), _with_interval(after), _with_interval(difference, "+"))


def compare_on_holdout(model: Model, threshold: float) -> Iterator[str]:
    """Lines with the hold-out's measures in the folder, which stores them for each hundredth of the threshold."""
    measured_at = threshold_of(model.measured_with)
    near, curve = _nearest_point(model.metrics, threshold)
    if threshold == measured_at:
        near, curve = threshold, {name: _holdout(model.metrics, name) for name in MEASURES}
    yield _line("", f"at {measured_at:.4f}", f"at {near:.4f}")
    for name in MEASURES:
        yield _line(TITLES[name], _cell(_holdout(model.metrics, name)), _cell(curve.get(name)))


def _nearest_point(metrics: Mapping[str, Any], threshold: float) -> tuple[float, Mapping[str, float | None]]:
    """The nearest threshold of the folder's curve, and the measures there; none if the folder has no curve."""
    try:
        curve = metrics["curve"]
        index = int(np.argmin(np.abs(np.array(curve["threshold"], dtype=np.float64) - threshold)))
        return float(curve["threshold"][index]), {name: float(curve[name][index]) for name in MEASURES}
    except (KeyError, TypeError, ValueError, IndexError):
        return threshold, {}


def _holdout(metrics: Mapping[str, Any], name: str) -> float | None:
    """A measure of the evaluation, or None if the folder does not have it as `tables.metrics` writes it."""
    try:
        return float(metrics["holdout"][name]["value"])
    except (KeyError, TypeError, ValueError):
        return None


def _cell(value: float | None) -> str:
    return "not kept" if value is None else f"{value:.4f}"


def _with_interval(measure: Interval, sign: str = "") -> str:
    return f"{measure.value:{sign}.4f} ({measure.low:{sign}.4f} to {measure.high:{sign}.4f})"


def _line(title: str, *cells: str) -> str:
    return "  ".join([f"  {title:<13}", *(f"{cell:<29}" for cell in cells)]).rstrip()
