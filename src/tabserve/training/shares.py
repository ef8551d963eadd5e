"""Parts of rows, larger or smaller than asked for because groups, or moments, stay whole: said, or refused."""

import logging
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.errors import DataError
from tabserve.table.frame import Frame

WARN_ABOVE, REFUSE_ABOVE = 0.25, 0.5
"""How far a share of the rows is from the one asked for, as a part of that, when it is said, and when it is refused."""

log = logging.getLogger(__name__)


class KeptTogether(NamedTuple):
    """What no split parts.

    Attributes:
        noun: what it is called.
        value: of each row, shape (rows,).
        advice: what to do where it makes too unequal parts.
    """

    noun: str
    value: NDArray[Any]
    advice: str


def check_even(number: NDArray[np.int64], frame: Frame) -> None:
    """Say that whole groups, or moments, make uneven folds of the rows of these numbers, or refuse them.

    Raises:
        DataError: the folds are too uneven.
    """
    shares = np.bincount(number) / len(frame)
    asked = 1 / len(shares)
    check_share("a fold", float(shares[np.abs(shares - asked).argmax()]), asked, frame)


def check_share(part: str, found: float, asked: float, frame: Frame) -> None:
    """Say that what stays whole makes a part of the rows other than was asked for, or refuse it.

    Raises:
        DataError: the part is too large or too small.
    """
    if not is_off(found, asked):
        return
    whole = _kept_together(frame)
    largest = np.unique(whole.value.astype(np.str_), return_counts=True)[1].max() / len(frame)
    sentence = (
        f"Whole {whole.noun}s make {part} of {found:.1%} of the rows in place of {asked:.1%}, as the largest"
        f" {whole.noun} has {largest:.1%} of them"
    )
    if is_off(found, asked, REFUSE_ABOVE):
        raise DataError(f"{sentence}; {whole.advice}.")
    log.warning("%s.", sentence)


def is_off(found: float, asked: float, most: float = WARN_ABOVE) -> bool:
    """Whether a share differs from the one asked for by more than a part of that."""
    return abs(found - asked) > most * asked


def _kept_together(frame: Frame) -> KeptTogether:
    if frame.group is not None:
        return KeptTogether("group", frame.group, "use more groups, or divide the largest")
    assert frame.moment is not None
    return KeptTogether("moment", frame.moment, "use finer times, or another share")
