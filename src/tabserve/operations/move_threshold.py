"""A model folder's threshold moved without training, and what that does to precision, recall and flagged share."""

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


def moved(model: Model, threshold: float) -> Model:
    """The model with another threshold, in [0, 1]; its metrics then say at which one they were measured.

    Raises:
        UsageError: it has none.
    """
    threshold_of(model.decision)
    decision = Threshold(threshold)
    metrics = {key: value for key, value in model.metrics.items() if key != MEASURED_WITH}
    if decision != model.measured_with:
        metrics[MEASURED_WITH] = asdict(model.measured_with)
    return replace(model, decision=decision, metrics=metrics)


def move(folder: Path, threshold: float) -> Model:
    """Move a folder's threshold; its manifest and card say so, and moving it back gives the same bytes again.

    Raises:
        ArtifactError: the folder is not whole, or cannot be written.
        UsageError: the model has no threshold.
    """
    model = moved(load(folder), threshold)
    text = content(folder / CARD).decode(errors="replace")
    return amend(folder, model, card.noted(text, model))


def measured(model: Model, threshold: float, frame: Frame) -> Iterator[str]:
    """Lines: what labelled rows say at both thresholds, and of the change, each with its 95 % bootstrap interval."""
    now = threshold_of(model.decision)
    model_features = frame.encoder.recode(frame.features, model.encoder)
    probability = model.score(model_features).probability.astype(np.float64)

    def at(cut: float, rows: NDArray[np.int64]) -> dict[str, float]:
        return threshold_measures(frame.target[rows], probability[rows], cut)

    def change(rows: NDArray[np.int64]) -> dict[str, float]:
        before, after = at(now, rows), at(threshold, rows)
        return {name: after[name] - before[name] for name in MEASURES}

    asked, usable = (partial(at, now), partial(at, threshold), change), every_class(frame.target)
    sides = [intervals(len(frame), each, usable=usable) for each in asked]
    yield _line("", f"at {now:.4f}", f"at {threshold:.4f}", "change")
    for name in MEASURES:
        before, after, difference = (side[name] for side in sides)
        yield _line(TITLES[name], _spread(before), _spread(after), _spread(difference, "+"))


def known(model: Model, threshold: float) -> Iterator[str]:
    """Lines: what the folder alone can say, which keeps the hold-out's figures, also at each hundredth."""
    measured_at = threshold_of(model.measured_with)
    near, curve = _nearest(model.metrics, threshold)
    if threshold == measured_at:
        near, curve = threshold, {name: _holdout(model.metrics, name) for name in MEASURES}
    yield _line("", f"at {measured_at:.4f}", f"at {near:.4f}")
    for name in MEASURES:
        yield _line(TITLES[name], _shown(_holdout(model.metrics, name)), _shown(curve.get(name)))


def _nearest(metrics: Mapping[str, Any], threshold: float) -> tuple[float, Mapping[str, float | None]]:
    """The threshold of the folder's curve that is nearest, and the figures there; none where it keeps no curve."""
    try:
        curve = metrics["curve"]
        place = int(np.argmin(np.abs(np.array(curve["threshold"], dtype=np.float64) - threshold)))
        return float(curve["threshold"][place]), {name: float(curve[name][place]) for name in MEASURES}
    except (KeyError, TypeError, ValueError, IndexError):
        return threshold, {}


def _holdout(metrics: Mapping[str, Any], name: str) -> float | None:
    """A figure of the evaluation, where the folder has it as `report.metrics` writes it."""
    try:
        return float(metrics["holdout"][name]["value"])
    except (KeyError, TypeError, ValueError):
        return None


def _shown(value: float | None) -> str:
    return "not kept" if value is None else f"{value:.4f}"


def _spread(found: Interval, sign: str = "") -> str:
    return f"{found.value:{sign}.4f} ({found.low:{sign}.4f} to {found.high:{sign}.4f})"


def _line(title: str, *cells: str) -> str:
    return "  ".join([f"  {title:<13}", *(f"{cell:<29}" for cell in cells)]).rstrip()
