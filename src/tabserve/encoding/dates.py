"""Encode dates as day, month and weekday, and the hour if the column has times."""

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.cells import Cells, Encoding, first_refusal, is_missing, to_python
from tabserve.errors import DataError, UsageError
from tabserve.problem.columns import Column
from tabserve.wording import shown

DAY = r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
TIME = r"[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?"

MIDNIGHT = r"[T ]00:00(?::00(?:\.0{1,9})?)?"

FORMATS = {False: re.compile(rf"{DAY}(?:{MIDNIGHT})?"), True: re.compile(DAY + TIME)}
"""ISO 8601 dates of a column without times, where midnight is the day, as pandas keeps days; and with times."""

EXAMPLE = {False: "a date such as 2020-12-31", True: "a date with a time, such as 2020-12-31 08:30"}
OTHER_FORMAT = {False: "a date without a time, such as 2020-12-31", True: EXAMPLE[True]}
CALENDAR = "a day that the calendar has"

NEAR_DATES = {
    re.compile(rf"{DAY}[T ][0-9:.]+ ?(?:Z|[+-][0-9:]+)"): "a time without a zone, such as 2020-12-31 08:30",
    re.compile(r"(?:[+-].*|0000|[0-9]{1,3}|[0-9]{5,})-[0-9]+-[0-9]+(?:[T ].*)?"): "a year from 0001 to 9999",
    re.compile(rf"{DAY}[T ][0-9]{{2}}:[0-9]{{2}}.*"): "a time from 00:00 to 23:59:59",
    re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:{TIME})?"): CALENDAR,
}
"""Patterns of texts that are nearly dates, in the order in which they are tried, with what is expected instead."""

MAX_CHARACTERS = 40
"""Most characters of a text that is compared with `NEAR_DATES`; a date has at most 29."""

EPOCH = date(1970, 1, 1).toordinal()

DATE_UNITS = {"Y", "M", "W", "D"}
"""Units of a datetime64 that has no time."""


@dataclass(frozen=True)
class Dates(Encoding):
    """A column of dates.

    Attributes:
        missing: whether a cell may be empty.
        hours: whether all cells have a time, or none has.
    """

    LEARNED: ClassVar[bool] = True

    missing: bool
    hours: bool

    @classmethod
    def learn(cls, column: Column, cells: Cells) -> "Dates":
        """Learn whether the column has times; midnight throughout is none, as files of timestamps hold days so."""
        written = cls.as_written(column, cells)
        texts = _texts(cells, hours=_has_times(cells))
        is_day = FORMATS[False].fullmatch
        return replace(written, hours=written.hours and not all(is_day(str(text)) for text in texts if text))

    @classmethod
    def as_written(cls, column: Column, cells: Cells) -> "Dates":
        """Learn from the first cell that is not missing whether the cells have times; encoding validates the others."""
        texts = _texts(cells, hours=_has_times(cells))
        first = next((text for text in texts if not is_missing(text)), None)
        if first is None:
            raise DataError(f"Column {column.name!r} is empty throughout; leave it out.")
        return cls(column.missing, isinstance(first, str) and bool(FORMATS[True].fullmatch(first)))

    @classmethod
    def from_json(cls, column: Column, document: Any) -> "Dates":  # noqa: ANN401  any JSON
        """The encoding whose `to_json` is this document."""
        if not isinstance(document, dict) or document.keys() != {"hours"} or type(document["hours"]) is not bool:
            raise UsageError(f'A date needs {{"hours": true}} or {{"hours": false}}, not {shown(document)}.')
        return cls(column.missing, document["hours"])

    def to_json(self) -> dict[str, Any]:
        """Whether the column has hours."""
        return {"hours": self.hours}

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The suffixes of the features of a date."""
        return (".day", ".month", ".weekday", *([".hour"] if self.hours else []))

    def encode(self, cells: Cells) -> NDArray[np.float32]:
        """Encode days since 1970-01-01, month 1-12, weekday 0-6 from Monday on and, with `hours`, the hour 0-23.

        Returns:
            Shape (rows, 3) or (rows, 4); NaN throughout where a cell is missing.

        Raises:
            BadCell: a cell is not a date, or has another format than the column.
        """
        moments = self.moments(cells)
        days = moments.astype("M8[D]").astype(np.int64)
        features = np.empty((len(days), len(self.suffixes)), np.float32)
        features[:, 0], features[:, 2] = days, (days + 3) % 7  # 1970-01-01 was a Thursday
        features[:, 1] = moments.astype("M8[M]").astype(np.int64) % 12 + 1
        if self.hours:
            features[:, 3] = moments.astype(np.int64) // 3600 % 24
        features[np.isnat(moments)] = np.nan
        return features

    raw = encode

    def decode(self, features: NDArray[Any]) -> list[str]:
        """The days, and the hours if the column has them; empty if missing."""
        days = np.where(np.isnan(features[:, 0]), np.nan, features[:, 0]).astype("M8[D]")
        hours = [f" {hour:02.0f}:00" if self.hours else "" for hour in features[:, -1]]
        return ["" if np.isnat(day) else f"{day}{hour}" for day, hour in zip(days, hours, strict=True)]

    def encode_quickly(self, cells: list[Any]) -> list[tuple[int | None, ...]]:
        """The features of texts in the format of the column."""
        return [*zip(*map(self._features, cells), strict=True)]

    def _features(self, cell: Any) -> tuple[int | None, ...]:  # noqa: ANN401  any JSON
        if self.missing and not cell and (cell is None or type(cell) is str):
            return (None,) * len(self.suffixes)
        if not FORMATS[self.hours].fullmatch(cell):
            raise ValueError("another format")
        day = date.fromisoformat(cell[:10])
        features = day.toordinal() - EPOCH, day.month, day.weekday()
        return (*features, int(cell[11:13])) if self.hours else features

    def moments(self, cells: Cells) -> NDArray[np.datetime64]:
        """The cells as datetime64[s], cut to seconds, NaT if missing; cells are checked one by one only if one is bad.

        Raises:
            BadCell: a cell is not a date, or has another format than the column.
        """
        texts = _texts(cells, hours=self.hours or _has_times(cells))
        texts_only = {*map(type, texts)} <= {str, type(None)} and (self.missing or all(texts))
        if texts_only and all(map(FORMATS[self.hours].fullmatch, filter(None, texts))):
            with suppress(ValueError):  # 30 February
                return np.array([text[:19] if text else "" for text in texts], "M8[s]")
        bad = first_refusal(texts, self._expected)
        assert bad
        raise bad

    def _expected(self, cell: object) -> str:
        """What is expected in place of a cell, or the empty text if the cell is accepted."""
        if is_missing(cell):
            return "" if self.missing else EXAMPLE[self.hours]
        if not isinstance(cell, str) or len(cell) > MAX_CHARACTERS:
            return EXAMPLE[self.hours]
        if any(pattern.fullmatch(cell) for pattern in FORMATS.values()):
            return self._expected_format(cell)
        return next((words for pattern, words in NEAR_DATES.items() if pattern.fullmatch(cell)), EXAMPLE[self.hours])

    def _expected_format(self, cell: str) -> str:
        """As `_expected`, for a text in one of the two formats."""
        try:
            date.fromisoformat(cell[:10])
        except ValueError:
            return CALENDAR
        return "" if FORMATS[self.hours].fullmatch(cell) else OTHER_FORMAT[self.hours]


def _has_times(cells: Cells) -> bool:
    """Whether an array of datetime64 holds a time other than midnight."""
    if not isinstance(cells, np.ndarray) or cells.dtype.kind != "M" or np.datetime_data(cells.dtype)[0] in DATE_UNITS:
        return False
    present = cells[~np.isnat(cells)]
    return bool((present.astype("M8[D]") != present).any())


def _texts(cells: Cells, *, hours: bool) -> list[Any]:
    """The cells as ISO 8601 texts, None if missing; a cell that is not a date stays as it is.

    A datetime64 gets a time only with `hours`, and if its unit has times.
    """
    if type(cells) is list and {*map(type, cells)} <= {str, type(None)}:
        return cells
    if isinstance(cells, np.ndarray) and cells.dtype.kind == "M":
        unit = "s" if hours and np.datetime_data(cells.dtype)[0] not in DATE_UNITS else "D"
        cells = np.datetime_as_string(cells.astype(f"M8[{unit}]"))
        return [None if text == "NaT" else text for text in cells.tolist()]
    return [None if is_missing(cell) else cell for cell in to_python(cells)]
