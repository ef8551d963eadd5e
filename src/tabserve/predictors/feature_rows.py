"""Rows of features beside a model file: read from JSON, and drawn so that they are nobody's row."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def from_json(rows: list[Any], width: int) -> NDArray[np.float32]:
    """Features from one list of numbers per row, with None for a missing one.

    Raises:
        ValueError: the lists do not have `width` numbers each.
    """
    with np.errstate(over="ignore"):
        features = np.array(rows, dtype=np.float32)
    if features.ndim != 2 or features.shape[1] != width or np.isinf(features).any():
        raise ValueError(f"rows of {width} numbers are expected")
    return features


def draw_cells(features: NDArray[np.float32], rows: int = 8, seed: int = 0) -> NDArray[np.float32]:
    """Draw each cell on its own, so that no row of the training table is published."""
    index = np.random.default_rng(seed).integers(len(features), size=(rows, features.shape[1]))
    return np.take_along_axis(features, index, axis=0)
