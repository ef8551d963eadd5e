"""Golden rows: what a model must answer, at every load, as it did when it was saved."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tabserve.errors import ArtifactError
from tabserve.model.manifest import parsed
from tabserve.model.scoring import probabilities

if TYPE_CHECKING:
    import xgboost as xgb

TOLERANCE = 1e-6
"""How far an answer may be from the saved one."""


def drawn(features: NDArray[np.float32], rows: int = 8, seed: int = 0) -> NDArray[np.float32]:
    """Golden rows for a table: each cell is drawn on its own, so that no row of the table leaves it."""
    places = np.random.default_rng(seed).integers(len(features), size=(rows, features.shape[1]))
    return np.take_along_axis(features, places, axis=0)


def written(rows: NDArray[np.float32], booster: "xgb.Booster") -> str:
    """The rows with their probabilities, as JSON; a missing value is null."""
    cells = np.where(np.isnan(rows), None, rows)  # type: ignore[call-overload]
    return json.dumps({"features": cells.tolist(), "probability": probabilities(booster, rows).tolist()}) + "\n"


def check(path: Path, text: bytes, booster: "xgb.Booster") -> None:
    """Score the rows of a file again.

    Raises:
        ArtifactError: it does not hold rows for this booster, or they are answered differently.
    """
    rows, expected = _read(path, parsed(path, text), booster.num_features())
    worst = float(np.max(np.abs(probabilities(booster, rows) - expected)))
    if not worst <= TOLERANCE:
        raise ArtifactError(
            f"The model answers {path} differently than when it was saved: off by {worst:.3g},"
            f" at most {TOLERANCE:g} expected; its files do not belong together, or XGBoost changed."
        )


def _read(path: Path, document: Mapping[str, Any], width: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The rows, shape (rows, width), NaN where a value is missing; and their probabilities, shape (rows,)."""
    try:
        with np.errstate(over="ignore"):
            rows = np.array(document["features"], dtype=np.float32)
        expected = np.array(document["probability"], dtype=np.float64)
    except (KeyError, OverflowError, TypeError, ValueError):
        rows, expected = np.empty(0, dtype=np.float32), np.empty(0)
    if rows.shape != (expected.size, width) or expected.ndim != 1 or not expected.size or np.isinf(rows).any():
        raise ArtifactError(f"{path} does not hold rows of {width} features with their probabilities.")
    return rows, expected
