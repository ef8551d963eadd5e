"""Times of day and days of the week, as timetables and the calendar have them."""

from datetime import date

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flights.clock import is_time, minutes, weekday


@given(hour=st.integers(0, 23), minute=st.integers(0, 59))
def test_every_minute_of_a_day_is_a_time(hour: int, minute: int) -> None:
    """The last two digits are minutes, those before them hours."""
    hhmm = 100 * hour + minute
    assert is_time(hhmm)
    assert is_time(float(hhmm))
    assert minutes(hhmm) == 60 * hour + minute


def test_midnight_may_end_a_day() -> None:
    """2400 is the minute after 23:59, and 0 the one before 00:01."""
    assert is_time(2400)
    assert (minutes(2359), minutes(2400), minutes(0)) == (1439, 1440, 0)


@given(hhmm=st.integers() | st.floats())
def test_other_numbers_are_no_times(hhmm: float) -> None:
    """A number is a time of day only if it is one of those that a clock shows."""
    shown = {100 * hour + minute for hour in range(24) for minute in range(60)} | {2400}
    assert bool(is_time(hhmm)) == (hhmm in shown)


@given(st.lists(st.integers(-100, 2600) | st.floats(), max_size=20))
@example([np.inf, -np.inf, np.nan, 2400])
def test_an_array_is_treated_as_its_numbers_are(numbers: list[float]) -> None:
    """Each number has the same answer alone and in an array."""
    array = np.array(numbers, np.float64)
    times = np.asarray(is_time(array))
    assert times.tolist() == [bool(is_time(number)) for number in array.tolist()]
    assert minutes(array[times]).tolist() == [minutes(number) for number in array[times].tolist()]


@given(st.dates())
def test_weekdays_follow_each_other(day: date) -> None:
    """Monday is 1, and the number is that of ISO 8601."""
    assert weekday(day.year, day.month, day.day) == int(day.strftime("%u"))


@pytest.mark.parametrize("day", [(2013, 2, 31), (2013, 2, 29), (2013, 13, 1), (2013, 0, 1), (0, 1, 1)])
def test_a_date_that_does_not_exist_is_refused(day: tuple[int, int, int]) -> None:
    """The error is Python's own."""
    with pytest.raises(ValueError, match=r"must be in|out of range|not in range"):
        weekday(*day)
