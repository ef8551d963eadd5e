"""The rows to learn from: none is added or lost by the way, and none knows what came later."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flights.clock import minutes
from flights.dataset import EXTRACT, HOURLY
from flights.problem import BEFORE, DEPARTED, WEATHER
from flights.table import FASTEST_WIND, Derived, derive, read_table
from tabserve.errors import DataError

LATER = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]
"""Columns that exist only once a flight has left."""

NAMES = [column.name for column in WEATHER]


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    """The extract; read-only."""
    return pd.read_parquet(EXTRACT)


@pytest.fixture(scope="module")
def weather() -> pd.DataFrame:
    """The weather of the year; read-only."""
    return pd.read_parquet(HOURLY)


@pytest.fixture(scope="module")
def derived() -> Derived:
    """The rows of the extract; read-only."""
    return read_table(EXTRACT, HOURLY)


def one(flights: pd.DataFrame, **cells: Any) -> pd.DataFrame:  # noqa: ANN401  of any type
    """The extract's first flight, with other cells."""
    return flights.head(1).assign(**cells)


def test_no_flight_is_added_or_lost(flights: pd.DataFrame, derived: Derived) -> None:
    """Each flight with an arrival delay is one row, in the table's order, and the others are counted."""
    known = flights[flights["arr_delay"].notna()]
    assert derived.rows["id"].astype(int).tolist() == known["id"].tolist()
    assert derived.without_target == len(flights) - len(known) > 0
    for name in ("carrier", "origin", "dest", "distance", "arr_delay", "dep_delay"):
        assert derived.rows[name].tolist() == known[name].tolist(), name


def test_every_column_of_both_problems_is_there_and_no_other(derived: Derived) -> None:
    """The columns are those of the problem after departure, with the row's id, date and target."""
    assert [*derived.rows] == ["id", "date", "arr_delay", *DEPARTED.features]
    assert {*DEPARTED.features} - {*BEFORE.features} == {"dep_delay"}
    may_be_missing = {column.name for column in DEPARTED.columns if column.missing}
    assert {name for name in derived.rows if derived.rows[name].isna().any()} == may_be_missing == {*NAMES}


def test_nothing_that_is_known_later_is_a_feature(flights: pd.DataFrame, weather: pd.DataFrame) -> None:
    """Whatever happens after the timetable was made, the features before departure stay the same."""
    known = flights[flights["arr_delay"].notna()].head(500)
    other = known.assign(**{name: known[name].to_numpy()[::-1] + 1 for name in LATER}, sched_dep_src="imputed_mode")
    features = [*BEFORE.features]
    before, after = (derive(table, weather).rows for table in (known, other))
    pd.testing.assert_frame_equal(before[features], after[features])
    assert (before["dep_delay"] != after["dep_delay"]).any()
    assert not {*LATER} & {*features}


def test_the_day_of_the_month_is_no_feature(flights: pd.DataFrame, weather: pd.DataFrame) -> None:
    """Two days of the same month and weekday differ in nothing but the weather."""
    days = pd.concat([one(flights, year=2013, month=5, day=day) for day in (6, 13)])
    rows = derive(days, weather).rows.drop(columns=["id", "date", *NAMES])
    assert rows.iloc[0].equals(rows.iloc[1])


def test_weather_is_that_of_the_origin_in_the_scheduled_hour(weather: pd.DataFrame, derived: Derived) -> None:
    """Rows drawn by chance have the very cells of the table of weather."""
    parts = (weather[name].astype(str) for name in ("origin", "month", "day", "hour"))
    hours = weather.assign(key=[" ".join(key) for key in zip(*parts, strict=True)]).drop_duplicates("key")
    found = 0
    for row in derived.rows.sample(200, random_state=1).to_dict("records"):
        _, month, day = map(int, row["date"].split("-"))
        hour = hours[hours["key"] == f"{row['origin']} {month} {day} {int(row['sched_dep']) // 60}"]
        found += len(hour)
        expected = hour[NAMES].to_numpy(float) if len(hour) else np.full((1, len(NAMES)), np.nan)
        np.testing.assert_array_equal([[row[name] for name in NAMES]], expected)
    assert found > 180


def test_a_flight_at_midnight_has_the_weather_of_the_next_day(flights: pd.DataFrame, weather: pd.DataFrame) -> None:
    """2400 of 3 January is 0 o'clock of the 4th."""
    late = derive(one(flights, month=1, day=3, origin="JFK", sched_dep_time=2400), weather).rows
    next_day = weather.query("origin == 'JFK' and month == 1 and day == 4 and hour == 0")
    assert late["sched_dep"].tolist() == [1440]
    assert late["date"].tolist() == ["2013-01-03"]
    assert late["temp"].tolist() == next_day["temp"].tolist()


def test_the_hour_that_comes_twice_adds_no_row(flights: pd.DataFrame, weather: pd.DataFrame) -> None:
    """Clocks were set back on 3 November: each origin has two rows for one hour, and a flight gets the first."""
    twice = weather.query("month == 11 and day == 3 and hour == 1")
    assert twice["origin"].value_counts().tolist() == [2, 2, 2]
    for origin in ("EWR", "JFK", "LGA"):
        rows = derive(one(flights, month=11, day=3, origin=origin, sched_dep_time=130), weather).rows
        first = twice[twice["origin"] == origin].iloc[0]
        assert rows["temp"].tolist() == [first["temp"]]


def test_an_impossible_wind_is_missing(flights: pd.DataFrame, weather: pd.DataFrame) -> None:
    """The rest of that hour's weather stays."""
    hour = weather.sort_values("wind_speed").dropna(subset=["wind_speed"]).iloc[-1]
    assert hour["wind_speed"] > 1_000
    when = {name: hour[name] for name in ("origin", "year", "month", "day")}
    rows = derive(one(flights, **when, sched_dep_time=100 * hour["hour"]), weather).rows
    assert rows["wind_speed"].isna().tolist() == [True]
    assert rows["temp"].tolist() == [hour["temp"]]
    assert (weather["wind_speed"] > FASTEST_WIND).sum() == 1


def test_a_csv_gives_the_same_rows_as_parquet(flights: pd.DataFrame, tmp_path: Path) -> None:
    """NA marks an empty cell in a csv, as R writes it."""
    few = flights.head(300)
    few.to_parquet(tmp_path / "few.parquet")
    few.to_csv(tmp_path / "few.csv.gz", index=False, na_rep="NA")
    parquet, csv = (read_table(tmp_path / name, HOURLY) for name in ("few.parquet", "few.csv.gz"))
    assert parquet.without_target == csv.without_target > 0
    pd.testing.assert_frame_equal(parquet.rows, csv.rows)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"sched_dep_time": 2461}, "row 1, column sched_dep_time: expected a time of day as hhmm"),
        ({"sched_arr_time": 2500}, "row 1, column sched_arr_time: expected a time of day as hhmm"),
        ({"sched_arr_time": np.nan}, "found nan"),
        ({"month": 2, "day": 31}, "row 1, column year, month, day: expected a real date, found 2013, 2, 31"),
        ({"arr_delay": np.nan}, "has no flight with an arrival delay"),
    ],
)
def test_a_flight_that_cannot_be_is_refused(
    flights: pd.DataFrame, weather: pd.DataFrame, cells: dict[str, object], message: str
) -> None:
    """One sentence names the row and the column."""
    with pytest.raises(DataError, match=message):
        derive(one(flights, **cells), weather)


def test_a_table_without_a_column_is_refused(flights: pd.DataFrame, tmp_path: Path) -> None:
    """The sentence names the column."""
    flights.head(5).drop(columns="sched_dep_time").to_csv(tmp_path / "few.csv", index=False)
    with pytest.raises(DataError, match="lacks 'sched_dep_time'"):
        read_table(tmp_path / "few.csv", HOURLY)


def test_minutes_are_counted_from_midnight(flights: pd.DataFrame, derived: Derived) -> None:
    """The times are those of the timetable."""
    known = flights[flights["arr_delay"].notna()]
    for name, hhmm in (("sched_dep", "sched_dep_time"), ("sched_arr", "sched_arr_time")):
        assert derived.rows[name].tolist() == [minutes(time) for time in known[hhmm].tolist()]
