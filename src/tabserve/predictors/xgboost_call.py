"""Call XGBoost's prediction for a dense array without its Python wrapper, and with one proxy matrix per thread.

For one row, the wrapper and a new proxy cost several times what the model does: for every new proxy XGBoost makes a
context, for which it compiles regular expressions and reads the control group's files.
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

CONFIG: dict[Kind, bytes] = {
    kind: b'{"type": %d, "training": false, "iteration_begin": 0, "iteration_end": 0, "missing": NaN,'
    b' "strict_shape": false, "cache_id": 0}' % number
    for number, kind in enumerate(get_args(Kind))
}
"""The configuration that `Booster.inplace_predict` passes for each `predict_type`."""


def _check(failed: int) -> None:
    if failed:
        raise xgb.core.XGBoostError(LIBRARY.XGBGetLastError().decode())


class Call(threading.local):
    """The proxy matrix and output pointers of one thread."""

    def __init__(self) -> None:
        """Create the proxy, which stands for the input, and the pointers that XGBoost sets to its output."""
        self.proxy, self.dimensions = ctypes.c_void_p(), ctypes.c_uint64()
        self.shape = ctypes.POINTER(ctypes.c_uint64)()
        self.output = ctypes.c_void_p()
        self.pointers = (ctypes.byref(self.shape), ctypes.byref(self.dimensions), ctypes.byref(self.output))
        _check(LIBRARY.XGProxyDMatrixCreate(ctypes.byref(self.proxy)))


CALL = Call() if LIBRARY else None


def predict(booster: xgb.Booster, features: NDArray[np.float32], kind: Kind = "value") -> NDArray[np.float32]:
    """The result of `booster.inplace_predict(features, predict_type=kind)`, to the bit.

    Args:
        booster: the model.
        features: shape (rows, features), at least one row.
        kind: `value`, the objective's transform of the margins, or `margin`.

    Returns:
        Shape (rows,), or (rows, outputs) if there are several outputs.

    Raises:
        XGBoostError: the booster takes another number of features.
    """
    if CALL is None:  # this XGBoost keeps its library elsewhere: slower, same result
        output = booster.inplace_predict(features, predict_type=kind, validate_features=False)
        return np.asarray(output, dtype=np.float32)
    features = np.require(features, np.float32, ["C_CONTIGUOUS", "ALIGNED"])
    array = ARRAY % (features.ctypes.data, *features.shape)
    _check(LIBRARY.XGBoosterPredictFromDense(booster.handle, array, CONFIG[kind], CALL.proxy, *CALL.pointers))
    assert CALL.output.value is not None
    if CALL.dimensions.value == 1:
        return np.frombuffer(
            ctypes.string_at(CALL.output.value, 4 * len(features)), np.float32
        )  # a copy, as XGBoost reuses the buffer
    shape = len(features), CALL.shape[1]
    return np.frombuffer(ctypes.string_at(CALL.output.value, 4 * math.prod(shape)), np.float32).reshape(shape)
