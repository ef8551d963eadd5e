"""The table that a model learns from, made of flights and of the weather at their origins.

Each flight with an arrival delay becomes one row with the columns of `DEPARTED`, its id and its date; the others, which
were cancelled or diverted, have nothing to learn from. Weather is joined by origin and scheduled hour.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from flights.clock import EXPECTED, is_time, minutes, weekday
from flights.problem import BEFORE, DEPARTED, WEATHER
from tabserve.errors import DataError
from tabserve.table.columns import Columns
from tabserve.table.reader import batches
from tabserve.table.source import as_source

FLIGHTS = Columns(
    numbers=("year", "month", "day", "sched_dep_time", "dep_delay", "sched_arr_time", "arr_delay", "distance"),
    texts=("id", "carrier", "origin", "dest"),
    ignored=(
        *("dep_time", "arr_time", "air_time"),  # known only afterwards
        *("sched_dep_src", "sched_arr_src"),  # would give cancelled flights away
        *("flight", "tailnum", "name", "hour", "minute", "time_hour"),
    ),
    blanks=("NA",),
)
"""The columns of a table of flights."""

HOURS = Columns(
    numbers=("year", "month", "day", "hour", *(column.name for column in WEATHER)),
    texts=("origin",),
    ignored=("wind_gust", "time_hour"),
    blanks=("NA",),
)
"""The columns of a table of hourly weather."""

FASTEST_WIND = 200.0
"""mph; the table of 2013 has an hour of 1,048, and no anemometer of an airport has ever shown 200."""

KEY = ["origin", "moment"]
"""What weather is joined by: the airport, and the local hour."""


class Derived(NamedTuple):
    """Rows to learn from.

    Attributes:
        rows: a row for each flight with an arrival delay, in the table's order.
        without_target: the number of flights without an arrival delay, which were left out.
    """

    rows: pd.DataFrame
    without_target: int


def read_table(flights: Path, weather: Path) -> Derived:
    """Read both files (.csv, .csv.gz, .zip or .parquet), and derive the rows to learn from.

    Raises:
        DataError: a file cannot be used; the message names it and, where there is one, the row and the column.
    """
    return derive(_read(flights, FLIGHTS), _read(weather, HOURS), str(flights))


def derive(flights: pd.DataFrame, weather: pd.DataFrame, name: str = "the table of flights") -> Derived:
    """The rows to learn from.

    Args:
        flights: columns as `FLIGHTS` names them.
        weather: columns as `HOURS` names them.
        name: of the table of flights, in messages.

    Raises:
        DataError: a flight has no real date, or no time of day; or no flight has an arrival delay.
    """
    known = flights[flights["arr_delay"].notna()]
    if known.empty:
        raise DataError(f"{name} has no flight with an arrival delay in column 'arr_delay'.")
    date = _dates(known, name)
    departure, arrival = (_minutes(known, column, name) for column in ("sched_dep_time", "sched_arr_time"))
    rows = known.assign(
        date=date.dt.strftime("%Y-%m-%d"),
        weekday=date.map({day: weekday(day.year, day.month, day.day) for day in date.unique()}).astype(np.float64),
        sched_dep=departure,
        sched_arr=arrival,
        moment=date + pd.to_timedelta(departure // 60, unit="h"),
    )
    joined = rows.merge(_hourly(weather), how="left", on=KEY, validate="many_to_one")
    columns = [str(BEFORE.id), str(BEFORE.time), BEFORE.target, *DEPARTED.features]
    return Derived(joined[columns], len(flights) - len(known))


def _read(path: Path, columns: Columns) -> pd.DataFrame:
    read: list[pa.RecordBatch] = [*batches(as_source(path), columns, lambda batch: batch)]
    frame: pd.DataFrame = pa.Table.from_batches(read, columns.schema()).to_pandas()
    return frame


def _hourly(weather: pd.DataFrame) -> pd.DataFrame:
    """One row for each origin and hour: the hour that comes twice when clocks are set back keeps its first row."""
    hours = weather.assign(
        moment=pd.to_datetime(weather[["year", "month", "day"]]) + pd.to_timedelta(weather["hour"], unit="h"),
        wind_speed=weather["wind_speed"].where(weather["wind_speed"] < FASTEST_WIND),
    )
    return hours[[*KEY, *(column.name for column in WEATHER)]].drop_duplicates(KEY)


def _dates(flights: pd.DataFrame, name: str) -> "pd.Series[pd.Timestamp]":
    """The date of each flight's scheduled departure."""
    dates = pd.to_datetime(flights[["year", "month", "day"]], errors="coerce")
    _refuse(flights, dates.isna().to_numpy(), ["year", "month", "day"], "a real date", name)
    return dates


def _minutes(flights: pd.DataFrame, column: str, name: str) -> NDArray[np.float64]:
    """Minutes since midnight of a column of times of day."""
    hhmm = flights[column].to_numpy(np.float64)
    _refuse(flights, ~np.asarray(is_time(hhmm)), [column], EXPECTED, name)
    return minutes(hhmm)


def _refuse(flights: pd.DataFrame, wrong: NDArray[np.bool_], columns: list[str], expected: str, name: str) -> None:
    """Refuse the first flight that is wrong, if there is one."""
    if wrong.any():
        first = flights[wrong].head(1)
        found = ", ".join(f"{value:g}" for value in first[columns].to_numpy()[0])
        raise DataError(
            f"{name}, row {int(first.index[0]) + 1}, column {', '.join(columns)}: expected {expected}, found {found}."
        )
