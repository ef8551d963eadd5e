"""The tables of flights and weather in Spark, and their join."""

from collections.abc import Iterable

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812  the name that every reader of Spark knows

from tabserve.errors import DataError

NUMBERS = {
    **dict.fromkeys(("id", "year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time"), "int"),
    **dict.fromkeys(("sched_arr_time", "arr_delay", "flight", "air_time", "distance", "hour", "minute"), "int"),
}

TEXTS = ("carrier", "tailnum", "origin", "dest", "name")

HOUR = ("origin", "year", "month", "day", "hour")
"""The columns that name an hour at an airport, in flights (as scheduled) and in weather."""

MEASURED = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib")
"""°F, °F, %, degrees, mph, inches, millibars, miles."""

IMPOSSIBLE_MPH = 200
"""No wind of an hour at an airport reaches it; the weather of 12 February has 1,048."""

MS_PER_MPH = 0.44704
"""Metres a second in a mile an hour."""


def read_flights(spark: SparkSession, path: str) -> DataFrame:
    """The flights of a .csv, .csv.gz or .parquet; an empty cell or NA is missing.

    `time_hour` is made of the local date and hour, because tables disagree about its zone.

    Raises:
        DataError: a column is missing.
    """
    rows = _read(spark, path, (*NUMBERS, *TEXTS))
    kinds = {**NUMBERS, **dict.fromkeys(TEXTS, "string")}
    nothing = F.lit(0)
    time_hour = F.make_timestamp_ntz("year", "month", "day", "hour", nothing, nothing)
    return rows.select(*(_cell(name, kind) for name, kind in kinds.items())).withColumn("time_hour", time_hour)


def read_weather(spark: SparkSession, path: str) -> DataFrame:
    """One row for each hour at each origin, in the units of `MEASURED`.

    The hour from 01:00 of 3 November comes twice, as clocks were put back; the first is kept. A wind of
    `IMPOSSIBLE_MPH` or more is missing.

    Raises:
        DataError: a column is missing.
    """
    rows = _read(spark, path, (*HOUR, *MEASURED, "time_hour"))
    order = F.row_number().over(Window.partitionBy(*HOUR).orderBy("time_hour"))
    first = rows.withColumn("order", order).where("order = 1")
    kinds = {**dict.fromkeys(HOUR, "int"), "origin": "string", **dict.fromkeys(MEASURED, "double")}
    weather = first.select(*(_cell(name, kind) for name, kind in kinds.items()))
    return weather.withColumn("wind_speed", F.when(F.col("wind_speed") < IMPOSSIBLE_MPH, F.col("wind_speed")))


def with_weather(flights: DataFrame, weather: DataFrame) -> DataFrame:
    """All flights, with the weather at their origin in the scheduled hour; missing where there is none."""
    return flights.join(weather, [*HOUR], "left")


def _read(spark: SparkSession, path: str, needed: Iterable[str]) -> DataFrame:
    """The rows of a file, those of a csv as text."""
    csv = path.lower().endswith((".csv", ".csv.gz"))
    rows = spark.read.csv(path, header=True) if csv else spark.read.parquet(path)
    if missing := {*needed} - {*rows.columns}:
        raise DataError(f"{path} lacks {len(missing)} expected columns, {min(missing)!r} among them.")
    return rows


def _cell(name: str, kind: str) -> Column:
    """A column of this type; a whole number may be written as 517.0, and a missing one as NA."""
    text = F.nullif(F.col(name).cast("string"), F.lit("NA"))
    return (text if kind == "string" else text.cast("double").cast(kind)).alias(name)
