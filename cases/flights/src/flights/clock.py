"""Times of day as timetables write them, `hhmm`: 517 is 05:17, and midnight at the end of a day is 2400.

The same functions serve a number and an array of numbers.
"""

from datetime import date
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

EXPECTED = "a time of day as hhmm, from 0 to 2400, such as 517 for 05:17"
"""What `is_time` accepts, for messages."""

Number = TypeVar("Number", int, float, NDArray[np.float64])
Answer = bool | NDArray[np.bool_]


def is_time(hhmm: Number) -> Answer:
    """Whether each number is a time of day; NaN and infinity are none."""
    with np.errstate(invalid="ignore"):  # an infinite number has no remainder
        answer: Answer = (hhmm >= 0) & (hhmm <= 2400) & (hhmm % 100 < 60) & (hhmm % 1 == 0)
    return answer


def minutes(hhmm: Number) -> Number:
    """Minutes since midnight of a time of day: 0 to 1440."""
    return hhmm // 100 * 60 + hhmm % 100


def weekday(year: int, month: int, day: int) -> int:
    """The day of the week, from 1 for Monday to 7 for Sunday.

    Raises:
        ValueError: there is no such date.
    """
    return date(year, month, day).isoweekday()
