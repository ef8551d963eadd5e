"""The model folder: saved whole or not at all, and verified whenever it is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from tabserve.errors import ArtifactError
from tabserve.model import folder as folders
from tabserve.model import golden
from tabserve.model.folder import CARD, GOLDEN, MANIFEST, check_card, opened, placed, seal
from tabserve.model.manifest import MEASURED_AT, Manifest, content
from tabserve.model.scoring import Scores, score
from tabserve.predictors import booster
from tabserve.problem.problem import Problem

__all__ = ["CARD", "GOLDEN", "MANIFEST", "MODEL", "Model", "amend", "check_place", "load", "save", "versions"]

MODEL = "model.ubj"


@dataclass(frozen=True, eq=False)
class Model:
    """A model and all that its folder says about it.

    Attributes:
        booster: gives the probability of the positive class; objective `binary:logistic`.
        problem: the problem it answers, its features in the order the booster sees them.
        threshold: the label is 1 where the probability reaches it; in [0, 1], or `MAX_THRESHOLD`.
        metrics: what the evaluation found; no times, so that the same run gives the same bytes.
        data: what the model was trained on.
        versions: of the libraries that made it.
    """

    booster: xgb.Booster
    problem: Problem
    threshold: float
    metrics: Mapping[str, Any]
    data: Mapping[str, Any]
    versions: Mapping[str, str]

    @property
    def measured_at(self) -> float:
        """The threshold that the metrics were measured at; another than `threshold` where that was moved since."""
        return float(self.metrics.get(MEASURED_AT, self.threshold))

    def score(self, features: NDArray[np.float32]) -> Scores:
        """Probabilities and labels for float32 features of shape (rows, features)."""
        return score(self.booster, self.threshold, features)


def save(folder: Path, model: Model, rows: NDArray[np.float32], card: str) -> Model:
    """Write a model folder beside its place, verify it there, then move it in.

    Args:
        folder: where it goes, or a link to there; an earlier model folder is replaced, anything else is left alone.
        model: what to write.
        rows: golden rows, float32 of shape (rows, features), scored again at every load.
        card: the model card, in Markdown.

    Returns:
        The model as loaded from the new folder.

    Raises:
        ArtifactError: the folder cannot be written, or holds something that is not a model folder.
    """
    return placed(folder, MODEL, lambda fresh: _write(fresh, model, rows, card), load)


def amend(folder: Path, model: Model, card: str) -> Model:
    """Write what a model folder says anew, in the way of `save`; the model file and the golden rows stay as they are.

    Args:
        folder: a model folder, or a link to one.
        model: the folder's own, with another threshold or other metrics.
        card: the model card, in Markdown.

    Returns:
        The model as loaded from the new folder.

    Raises:
        ArtifactError: the folder cannot be written, or holds another model.
    """
    return placed(folder, MODEL, lambda fresh: _rewrite(folder, fresh, model, card), load)


def check_place(folder: Path) -> None:
    """Refuse a place where a model folder could not be moved in; see `folder.check_place`."""
    folders.check_place(folder, MODEL)


def versions() -> dict[str, str]:
    """Versions of Python, this package and the libraries that make a model."""
    return folders.versions("scikit-learn", "numpy") | {"xgboost": xgb.__version__}  # its package may be xgboost-cpu


def load(folder: Path) -> Model:
    """Read a model folder and verify it: format, checksums, objective, features, threshold and golden rows.

    Raises:
        ArtifactError: naming the file that is missing, damaged or foreign.
    """
    manifest = Manifest.read(folder / MANIFEST)
    threshold = manifest.threshold
    if threshold is None or len(manifest.problem.labels) != 2:
        raise ArtifactError(
            f"{folder / MANIFEST} names no threshold between two labels; expected a model over numbers."
        )
    model, rows = (opened(folder, manifest, name) for name in (MODEL, GOLDEN))
    answering = booster.read(folder / MODEL, model, manifest.problem.features)
    golden.check(folder / GOLDEN, rows, answering)
    check_card(folder, manifest)
    return Model(answering, manifest.problem, threshold, manifest.metrics, manifest.data, manifest.versions)


def _write(folder: Path, model: Model, rows: NDArray[np.float32], card: str) -> None:
    folder.mkdir()
    model.booster.feature_names = list(model.problem.features)
    classifier = xgb.XGBClassifier()
    classifier.load_model(model.booster.save_raw("ubj"))
    try:
        classifier.save_model(folder / MODEL)
    except xgb.core.XGBoostError as error:
        raise OSError(None, f"XGBoost could not write {MODEL}, as on a full disk") from error
    (folder / GOLDEN).write_text(golden.written(rows, model.booster), encoding="utf-8")
    _seal(folder, model, card)


def _rewrite(folder: Path, fresh: Path, model: Model, card: str) -> None:
    fresh.mkdir()
    for name in (MODEL, GOLDEN):
        (fresh / name).write_bytes(content(folder / name))
    _seal(fresh, model, card)


def _seal(folder: Path, model: Model, card: str) -> None:
    seal(folder, MODEL, Manifest(model.problem, model.threshold, model.metrics, model.data, model.versions), card)
