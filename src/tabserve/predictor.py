"""XGBoost's prediction for a dense array, without the Python wrapper that costs more than one row's prediction."""

import ctypes

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

LIBRARY: ctypes.CDLL | None = getattr(xgb.core, "_LIB", None)
"""XGBoost's own library, whose C functions are public (https://xgboost.readthedocs.io/en/stable/c.html)."""

ARRAY = b'{"data": [%d, true], "shape": [%d, %d], "typestr": "<f4", "version": 3}'
"""Numpy's array interface (https://numpy.org/doc/stable/reference/arrays.interface.html): address, rows, columns."""

DEFAULTS = (
    b'{"type": 0, "training": false, "iteration_begin": 0, "iteration_end": 0, "missing": NaN, "strict_shape": false,'
    b' "cache_id": 0}'
)
"""What `Booster.inplace_predict` asks for."""


def predict(booster: xgb.Booster, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """What `booster.inplace_predict(features)` gives, to the bit, where the booster has one output for each row.

    Args:
        booster: the model.
        features: shape (rows, features), at least one row.

    Returns:
        Shape (rows,).

    Raises:
        XGBoostError: the booster takes another number of features.
    """
    if LIBRARY is None:  # an XGBoost that keeps it elsewhere: slower, and the same
        return np.asarray(booster.inplace_predict(features, validate_features=False), dtype=np.float32)
    features = np.ascontiguousarray(features, dtype=np.float32)
    shape, dimensions, found = ctypes.c_void_p(), ctypes.c_uint64(), ctypes.c_void_p()
    failed = LIBRARY.XGBoosterPredictFromDense(
        booster.handle,
        ARRAY % (features.ctypes.data, *features.shape),
        DEFAULTS,
        None,
        ctypes.byref(shape),
        ctypes.byref(dimensions),
        ctypes.byref(found),
    )
    if failed:
        raise xgb.core.XGBoostError(LIBRARY.XGBGetLastError().decode())
    assert found.value is not None
    return np.frombuffer(ctypes.string_at(found.value, 4 * len(features)), np.float32)  # XGBoost writes there again
