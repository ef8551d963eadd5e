"""Dates are encoded by Python's own calendar, or refused with the reason."""

import math
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabserve.encoding.cells import BadCell
from tabserve.encoding.dates import Dates
from tabserve.errors import DataError, UsageError
from tabserve.problem.columns import Column

WHEN = Column("when", "date", missing=True)
DAYS, TIMES = Dates(missing=True, hours=False), Dates(missing=True, hours=True)
EPOCH = date(1970, 1, 1).toordinal()

moments = st.datetimes()


def date_features(day: date) -> list[int]:
    """The features of a day by Python's calendar."""
    return [day.toordinal() - EPOCH, day.month, day.weekday()]


def test_every_day_has_the_features_of_pythons_calendar() -> None:
    """From the year 1 to the year 9999, as text and as datetime64."""
    ordinals = np.arange(1, date.max.toordinal() + 1)
    days = [date.fromordinal(ordinal) for ordinal in ordinals.tolist()]
    features = DAYS.encode([day.isoformat() for day in days])
    assert np.array_equal(features[:, 0], ordinals - EPOCH)
    assert np.array_equal(features[:, 1], np.fromiter((day.month for day in days), np.float32))
    assert np.array_equal(features[:, 2], np.fromiter((day.weekday() for day in days), np.float32))
    assert np.array_equal(DAYS.encode(np.array(days[::97], "M8[D]")), features[::97])


@given(
    st.lists(moments | st.none(), min_size=1), st.sampled_from("T "), st.sampled_from(["minutes", "seconds", "auto"])
)
def test_a_time_adds_its_hour(times: list[datetime | None], separator: str, precision: str) -> None:
    """With either separator and any precision; all features are NaN where the cell is missing."""
    texts = [each and each.isoformat(separator, precision) for each in times]
    features = TIMES.encode(texts)
    expected = [[*date_features(each), each.hour] if each else [math.nan] * 4 for each in times]
    np.testing.assert_array_equal(features, np.array(expected, np.float32))
    assert features.dtype == np.float32
    np.testing.assert_array_equal(TIMES.encode(np.array(times, "M8[us]")), features)


@given(st.lists(st.dates() | st.none(), min_size=1))
def test_a_row_is_encoded_alone_as_among_others(days: list[date | None]) -> None:
    """An empty text, None, NaN and NaT are all missing."""
    texts = [day and day.isoformat() for day in days]
    features = DAYS.encode(texts)
    np.testing.assert_array_equal(np.concatenate([DAYS.encode([text]) for text in texts]), features)
    np.testing.assert_array_equal(DAYS.encode([text or "" for text in texts]), features)
    np.testing.assert_array_equal(DAYS.encode([text or math.nan for text in texts]), features)
    np.testing.assert_array_equal(DAYS.encode(np.array(texts, np.object_)), features)
    np.testing.assert_array_equal(DAYS.encode(np.array(days, "M8[D]")), features)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("2023-02-30", "a day that the calendar has"),
        ("2023-02-29", "a day that the calendar has"),
        ("2023-13-01", "a day that the calendar has"),
        ("2023-00-10", "a day that the calendar has"),
        ("2023-01-32", "a day that the calendar has"),
        ("2023-02-30 10:00", "a day that the calendar has"),
        ("2023-01-01 10:00", "a date without a time, such as 2020-12-31"),
        ("2023-01-01T24:00", "a time from 00:00 to 23:59:59"),
        ("2023-01-01 10:60", "a time from 00:00 to 23:59:59"),
        ("2023-01-01 10:00:60", "a time from 00:00 to 23:59:59"),
        ("2023-01-01T10:00Z", "a time without a zone, such as 2020-12-31 08:30"),
        ("2023-01-01T10:00:00.5+01:00", "a time without a zone, such as 2020-12-31 08:30"),
        ("12023-01-01", "a year from 0001 to 9999"),
        ("+2023-01-01", "a year from 0001 to 9999"),
        ("-2023-01-01", "a year from 0001 to 9999"),
        ("0000-01-01", "a year from 0001 to 9999"),
        ("823-01-01", "a year from 0001 to 9999"),
        ("31/12/2020", "a date such as 2020-12-31"),
        ("20201231", "a date such as 2020-12-31"),
        ("2020-W01-1", "a date such as 2020-12-31"),
        ("2020-12", "a date such as 2020-12-31"),
        ("2020-1-1", "a date such as 2020-12-31"),
        ("2020-12-31 ", "a date such as 2020-12-31"),
        (" 2020-12-31", "a date such as 2020-12-31"),
        ("2020-12-31\n", "a date such as 2020-12-31"),
        ("2020-12-31\n2020-12-31", "a date such as 2020-12-31"),
        ("2020-12-31\x00", "a date such as 2020-12-31"),
        ("٢٠٢٠-12-31", "a date such as 2020-12-31"),
        ("\n", "a date such as 2020-12-31"),
        ("NaT", "a date such as 2020-12-31"),
        ("today", "a date such as 2020-12-31"),
        ("\ud800", "a date such as 2020-12-31"),
        ("1" * 2**20, "a date such as 2020-12-31"),
        (20201231, "a date such as 2020-12-31"),
        (1.5, "a date such as 2020-12-31"),
        (True, "a date such as 2020-12-31"),
        (b"2020-12-31", "a date such as 2020-12-31"),
        (["2020-12-31"], "a date such as 2020-12-31"),
        ({}, "a date such as 2020-12-31"),
        (10**5000, "a date such as 2020-12-31"),
    ],
    ids=lambda each: ascii(each)[:30] if isinstance(each, str | bytes | list) else str(type(each)),
)
def test_a_cell_that_is_not_a_date_is_refused(cell: object, expected: str) -> None:
    """Alone, and in every row that holds it."""
    for cells, rows in (([cell], [0]), (["2020-02-29", cell, None, cell], [1, 3])):
        with pytest.raises(BadCell) as refused:
            DAYS.encode(cells)
        assert (refused.value.expected, [*refused.value.rows]) == (expected, rows)
        assert len(refused.value.found) <= 100
        assert refused.value.found.isprintable()


def test_a_date_without_a_time_is_refused_where_training_saw_times() -> None:
    """It is not taken for midnight; a date with a time is refused where training saw none."""
    with pytest.raises(BadCell, match="a date with a time, such as 2020-12-31 08:30, found '2020-01-02'") as refused:
        TIMES.encode(["2020-01-01 00:00", "2020-01-02"])
    assert [*refused.value.rows] == [1]
    with pytest.raises(BadCell):
        TIMES.encode(np.array(["2020-01-02"], "M8[D]"))
    with pytest.raises(BadCell, match="without a time"):
        DAYS.encode(np.array(["2020-01-02T00:00", "2020-01-02T10:00"], "M8[s]"))


@pytest.mark.parametrize("midnight", ["T00:00", " 00:00", " 00:00:00", " 00:00:00.000000", "T00:00:00.000000000"])
def test_midnight_is_the_day_where_training_saw_no_times(midnight: str) -> None:
    """Pandas and parquet keep days as moments; in texts as in arrays, and on the quick path. Another time is none."""
    day = DAYS.encode(["2020-02-29"])
    assert np.array_equal(DAYS.encode([f"2020-02-29{midnight}"]), day)
    assert DAYS.encode_quickly([f"2020-02-29{midnight}"]) == DAYS.encode_quickly(["2020-02-29"])
    with pytest.raises(BadCell, match="without a time"):
        DAYS.encode([f"2020-02-29{midnight}".replace("00:00", "00:01", 1)])


@pytest.mark.parametrize("empty", [None, "", math.nan, np.datetime64("NaT")])
def test_a_missing_cell_is_refused_where_none_is_allowed(empty: object) -> None:
    """The error has its row."""
    array = isinstance(empty, np.datetime64)
    cells = np.array(["2020-01-01", empty], "M8[D]") if array else ["2020-01-01", empty]
    with pytest.raises(BadCell) as refused:
        Dates(missing=False, hours=False).encode(cells)
    assert (refused.value.found, [*refused.value.rows]) == ("an empty cell", [1])


@pytest.mark.parametrize("cells", [["-300-01-01"], ["10000-01-01", None]])
def test_an_array_with_a_year_beyond_four_digits_is_refused(cells: list[str | None]) -> None:
    """Numpy holds such years, Python's dates do not."""
    with pytest.raises(BadCell, match="a year from 0001 to 9999"):
        DAYS.encode(np.array(cells, "M8[D]"))


@given(st.lists(st.text(max_size=30) | st.integers() | st.floats() | st.none() | st.binary() | st.dates().map(str)))
def test_any_cells_are_encoded_or_refused(cells: list[Any]) -> None:
    """No other exception is raised."""
    for encoding in (DAYS, TIMES, Dates(missing=False, hours=False)):
        try:
            assert encoding.encode(cells).shape == (len(cells), len(encoding.suffixes))
        except BadCell as bad:
            assert 0 <= bad.rows[0] <= bad.rows[-1] < len(cells)  # noqa: PT017  of either outcome


@pytest.mark.parametrize(
    ("cells", "hours"),
    [
        (["", "2020-01-01"], False),
        ([None, "2020-01-01T00:00"], False),
        (["2020-01-01T00:00", "2020-01-01T08:30"], True),
        (np.array(["2020-01-01"], "M8[D]"), False),
        (np.array(["2020-01-01", "NaT"], "M8[ns]"), False),
        (np.array(["2020-01-01", "2020-01-01T05:00", "NaT"], "M8[ns]"), True),
    ],
)
def test_learning_detects_whether_dates_have_hours(cells: Any, hours: bool) -> None:  # noqa: ANN401  a list or an array
    """Where a time is not midnight, which is how files of timestamps write a day."""
    learned = Dates.learn(WHEN, cells)
    assert learned == Dates(missing=True, hours=hours)
    assert learned.encode(cells).shape == (len(cells), 3 + hours)
    assert Dates.from_json(WHEN, learned.to_json()) == learned


def test_two_formats_in_one_column_are_refused() -> None:
    """The first date decides the format; a number is not a date."""
    for cells in (["2020-01-01", "2020-01-01 10:00"], ["2020-01-01 10:00", "2020-01-01"], [None, 0]):
        with pytest.raises(BadCell) as refused:
            Dates.learn(WHEN, cells).encode(cells)
        assert [*refused.value.rows] == [1]


@pytest.mark.parametrize("cells", [[], ["", None], np.array(["NaT"], "M8[s]")])
def test_an_empty_column_cannot_be_learned(cells: Any) -> None:  # noqa: ANN401  a list or an array
    """It does not show whether the dates have times."""
    with pytest.raises(DataError, match="'when' is empty throughout"):
        Dates.learn(WHEN, cells)


@pytest.mark.parametrize("document", [None, {}, {"hours": 1}, {"hours": True, "zone": "Z"}, [True]])
def test_an_invalid_document_is_refused(document: object) -> None:
    """The message says what was expected."""
    with pytest.raises(UsageError, match="A date needs"):
        Dates.from_json(WHEN, document)


def test_many_days_keep_their_order() -> None:
    """The features of a long column are in the order of its rows."""
    days = [(date(2000, 1, 1) + timedelta(number)).isoformat() for number in range(10_000)]
    assert np.diff(DAYS.encode(days)[:, 0]).tolist() == [1] * 9_999
