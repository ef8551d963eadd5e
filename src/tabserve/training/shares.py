"""Warn about or refuse parts whose share of the rows is off, because groups, or moments, stay whole."""

import logging
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.errors import DataError
from tabserve.table.frame import Frame

WARN_ABOVE, REFUSE_ABOVE = 0.25, 0.5
"""Relative differences between the actual and the wanted share of the rows above which we warn, or refuse."""

log = logging.getLogger(__name__)


class KeptTogether(NamedTuple):
    """Rows that every split keeps together.

    Attributes:
        noun: what messages call them.
        value: of each row, shape (rows,); rows with the same value stay together.
        advice: what to do if the parts are too unequal.
    """

    noun: str
    value: NDArray[Any]
    advice: str


def check_even(number: NDArray[np.int64], frame: Frame) -> None:
    """Warn about or refuse uneven folds, given the number of each row's fold.

    Raises:
        DataError: the folds are too uneven.
    """
    shares = np.bincount(number) / len(frame)
    wanted = 1 / len(shares)
    check_share("a fold", float(shares[np.abs(shares - wanted).argmax()]), wanted, frame)


def check_share(part: str, actual: float, wanted: float, frame: Frame) -> None:
    """Warn about or refuse a part whose share of the rows is far from the wanted one.

    Raises:
        DataError: the part is too large or too small.
    """
    if not is_off(actual, wanted):
        return
    together = _kept_together(frame)
    largest = np.unique(together.value.astype(np.str_), return_counts=True)[1].max() / len(frame)
    sentence = (
        f"Whole {together.noun}s make {part} of {actual:.1%} of the rows in place of {wanted:.1%}, as the largest"
        f" {together.noun} has {largest:.1%} of them"
    )
    if is_off(actual, wanted, REFUSE_ABOVE):
        raise DataError(f"{sentence}; {together.advice}.")
    log.warning("%s.", sentence)


def is_off(actual: float, wanted: float, limit: float = WARN_ABOVE) -> bool:
    """Whether the relative difference between the shares is above the limit."""
    return abs(actual - wanted) > limit * wanted


def _kept_together(frame: Frame) -> KeptTogether:
    if frame.group is not None:
        return KeptTogether("group", frame.group, "use more groups, or divide the largest")
    assert frame.moment is not None
    return KeptTogether("moment", frame.moment, "use finer times, or another share")
