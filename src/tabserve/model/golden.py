"""Golden rows: a predictor must answer them at every load as it did when it was saved."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabserve.errors import ArtifactError
from tabserve.model.manifest import parsed
from tabserve.predictors.predictor import Predictor

TOLERANCE = 1e-6
"""Largest absolute difference between a raw output and the saved one."""


def to_json(rows: NDArray[Any], predictor: Predictor) -> str:
    """The rows' features and raw outputs as JSON; a missing value is null."""
    cells = rows if rows.dtype == np.object_ else np.where(np.isnan(rows), None, rows)  # type: ignore[call-overload]
    document = {"features": cells.tolist(), "outputs": predictor.raw(rows).tolist()}
    return json.dumps(document, ensure_ascii=False) + "\n"


def check(path: Path, text: bytes, predictor: Predictor) -> None:
    """Compare the predictor's raw outputs for the golden rows with the saved ones.

    Raises:
        ArtifactError: the file does not hold rows for this predictor, or the raw outputs differ.
    """
    try:
        features, expected = _rows_and_outputs(parsed(path, text), predictor)
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} does not hold rows for this model, with their raw outputs.") from error
    worst = float(np.max(np.abs(predictor.raw(features) - expected)))
    if not worst <= TOLERANCE:
        raise ArtifactError(
            f"The model answers {path} differently than when it was saved: off by {worst:.3g},"
            f" at most {TOLERANCE:g} expected; its files do not belong together, or a library changed."
        )


def _rows_and_outputs(document: Mapping[str, Any], predictor: Predictor) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The rows' features, and their saved raw outputs, shape (rows, outputs)."""
    rows, expected = document["features"], np.array(document["outputs"], dtype=np.float64)
    if not isinstance(rows, list) or not rows or expected.shape != (len(rows), predictor.outputs):
        raise ValueError(f"{predictor.outputs} raw outputs of each row are expected")
    return predictor.from_json(rows), expected
