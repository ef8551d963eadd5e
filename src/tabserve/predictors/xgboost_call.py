"""XGBoost's prediction for a dense array, without what its Python wrapper and a fresh proxy add to each call.

For one row that is several times what the model itself takes: XGBoost makes a context for every new proxy, for which it
compiles regular expressions and reads the control group's files.
"""

import ctypes
import math
import threading
from typing import Any, Literal, get_args

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

LIBRARY: Any = getattr(xgb.core, "_LIB", None)
"""XGBoost's own library (ctypes.CDLL), whose C functions are public (https://xgboost.readthedocs.io/en/stable/c.html)."""

ARRAY = b'{"data": [%d, true], "shape": [%d, %d], "typestr": "<f4", "version": 3}'
"""Numpy's array interface (https://numpy.org/doc/stable/reference/arrays.interface.html): address, rows, columns."""

Kind = Literal["value", "margin"]

ASKED: dict[Kind, bytes] = {
    kind: b'{"type": %d, "training": false, "iteration_begin": 0, "iteration_end": 0, "missing": NaN,'
    b' "strict_shape": false, "cache_id": 0}' % number
    for number, kind in enumerate(get_args(Kind))
}
"""What `Booster.inplace_predict` asks for, by its `predict_type`."""


def _check(failed: int) -> None:
    if failed:
        raise xgb.core.XGBoostError(LIBRARY.XGBGetLastError().decode())


class Call(threading.local):
    """What a call needs beside its input, made once for each thread."""

    def __init__(self) -> None:
        """Make a proxy, which stands for the input, and the places that the output is written to."""
        self.proxy, self.dimensions = ctypes.c_void_p(), ctypes.c_uint64()
        self.shape = ctypes.POINTER(ctypes.c_uint64)()
        self.found = ctypes.c_void_p()
        self.places = (ctypes.byref(self.shape), ctypes.byref(self.dimensions), ctypes.byref(self.found))
        _check(LIBRARY.XGProxyDMatrixCreate(ctypes.byref(self.proxy)))


CALL = Call() if LIBRARY else None


def predict(booster: xgb.Booster, features: NDArray[np.float32], kind: Kind = "value") -> NDArray[np.float32]:
    """What `booster.inplace_predict(features, predict_type=kind)` gives, to the bit.

    Args:
        booster: the model.
        features: shape (rows, features), at least one row.
        kind: what is asked for: what the objective makes of the margins, or the margins.

    Returns:
        Shape (rows,), or (rows, outputs) where there are several.

    Raises:
        XGBoostError: the booster takes another number of features.
    """
    if CALL is None:  # an XGBoost that keeps its library elsewhere: slower, and the same
        found = booster.inplace_predict(features, predict_type=kind, validate_features=False)
        return np.asarray(found, dtype=np.float32)
    features = np.require(features, np.float32, ["C_CONTIGUOUS", "ALIGNED"])
    array = ARRAY % (features.ctypes.data, *features.shape)
    _check(LIBRARY.XGBoosterPredictFromDense(booster.handle, array, ASKED[kind], CALL.proxy, *CALL.places))
    assert CALL.found.value is not None
    if CALL.dimensions.value == 1:
        return np.frombuffer(
            ctypes.string_at(CALL.found.value, 4 * len(features)), np.float32
        )  # it is written to again
    shape = len(features), CALL.shape[1]
    return np.frombuffer(ctypes.string_at(CALL.found.value, 4 * math.prod(shape)), np.float32).reshape(shape)
