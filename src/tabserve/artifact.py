"""The model folder: saved whole or not at all, and verified whenever it is loaded."""

import hashlib
import logging
import os
import platform
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from tabserve import booster, golden
from tabserve.errors import ArtifactError
from tabserve.manifest import MEASURED_AT, Manifest, content
from tabserve.problem import Problem
from tabserve.scoring import Scores, score

MODEL, GOLDEN, MANIFEST, CARD = "model.ubj", "golden.json", "manifest.json", "MODEL_CARD.md"

log = logging.getLogger(__name__)


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
    return _placed(folder, lambda fresh: _write(fresh, model, rows, card))


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
    return _placed(folder, lambda fresh: _rewrite(folder, fresh, model, card))


def _placed(folder: Path, write: Callable[[Path], None]) -> Model:
    check_place(folder)
    place = _followed(folder)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _beside(place, place.parent) as beside:
            fresh = Path(beside, "fresh")
            write(fresh)
            saved = load(fresh)
            _swap(fresh, place, Path(beside, "replaced"))
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be written: {error.strerror}; nothing was changed there.") from error
    except ArtifactError as error:
        raise ArtifactError(f"{folder} was not written, as it could not be loaded again: {error}") from error
    except xgb.core.XGBoostError as error:
        raise ArtifactError(
            f"{folder} cannot be written: XGBoost could not write {MODEL}; is the disk full?"
        ) from error
    return saved


def check_place(folder: Path) -> None:
    """Refuse a place where a model folder could not be moved in, before any work is done for it.

    Raises:
        ArtifactError: something that is not a model folder is there, or the nearest existing parent is no folder that
            can be written to.
    """
    place = _followed(folder)
    try:
        found = {path.name for path in place.iterdir()} if place.exists() else set()
        parent = next(parent for parent in place.parents if parent.exists())
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be written: {error.strerror}.") from error
    if found and not {MANIFEST} <= found <= {MODEL, GOLDEN, MANIFEST, CARD}:
        raise ArtifactError(f"{folder} holds something other than a model; name another place, or remove it first.")
    try:
        _beside(place, parent).cleanup()
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be written: {parent} is not a folder that can be written to.") from error


def _beside(place: Path, parent: Path) -> "tempfile.TemporaryDirectory[str]":
    """A folder for what is not whole yet, with a name that fits wherever the place's does."""
    return tempfile.TemporaryDirectory(prefix=f".{place.name[:50]}-", dir=parent)


def versions() -> dict[str, str]:
    """Versions of Python, this package and the libraries that make a model."""
    found = {name: metadata.version(name) for name in ("tabserve", "xgboost", "scikit-learn", "numpy")}
    return {"python": platform.python_version(), **found}


def load(folder: Path) -> Model:
    """Read a model folder and verify it: format, checksums, objective, features, threshold and golden rows.

    Raises:
        ArtifactError: naming the file that is missing, damaged or foreign.
    """
    manifest = Manifest.read(folder / MANIFEST)
    model, rows = (_checked(folder / name, manifest.files) for name in (MODEL, GOLDEN))
    answering = booster.read(folder / MODEL, model, manifest.problem.features)
    golden.check(folder / GOLDEN, rows, answering)
    try:
        _checked(folder / CARD, manifest.files)
    except ArtifactError:
        log.warning("%s is missing or was changed after the model was saved.", folder / CARD)
    return Model(answering, manifest.problem, manifest.threshold, manifest.metrics, manifest.data, manifest.versions)


def _followed(folder: Path) -> Path:
    """The place itself, where links lead to it."""
    try:
        return folder.resolve()
    except (OSError, RuntimeError) as error:
        raise ArtifactError(f"{folder} cannot be written: its links lead in a circle, or nowhere.") from error


def _write(folder: Path, model: Model, rows: NDArray[np.float32], card: str) -> None:
    folder.mkdir()
    model.booster.feature_names = list(model.problem.features)
    classifier = xgb.XGBClassifier()
    classifier.load_model(model.booster.save_raw("ubj"))
    classifier.save_model(folder / MODEL)
    (folder / GOLDEN).write_text(golden.written(rows, model.booster), encoding="utf-8")
    _seal(folder, model, card)


def _rewrite(folder: Path, fresh: Path, model: Model, card: str) -> None:
    fresh.mkdir()
    for name in (MODEL, GOLDEN):
        (fresh / name).write_bytes(content(folder / name))
    _seal(fresh, model, card)


def _seal(folder: Path, model: Model, card: str) -> None:
    """Put the card and the manifest beside the files that are there."""
    (folder / CARD).write_text(card, encoding="utf-8")
    files = {name: _sha256(content(folder / name)) for name in (MODEL, GOLDEN, CARD)}
    manifest = Manifest(model.problem, model.threshold, model.metrics, model.data, model.versions, files)
    manifest.write(folder / MANIFEST)
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _swap(fresh: Path, folder: Path, aside: Path) -> None:
    """Move `fresh` to `folder`; what was there goes aside, and comes back if the move is interrupted."""
    try:
        if folder.exists():
            folder.rename(aside)
        fresh.rename(folder)
    except BaseException:
        if aside.exists() and not folder.exists():
            aside.rename(folder)
        raise


def _checked(path: Path, checksums: Mapping[str, str]) -> bytes:
    found = content(path)
    if _sha256(found) != checksums.get(path.name):
        raise ArtifactError(
            f"{path} does not have the checksum in {MANIFEST}; it was damaged, or comes from another model."
        )
    return found


def _sha256(found: bytes) -> str:
    return hashlib.sha256(found).hexdigest()
