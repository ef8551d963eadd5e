"""The tables of flights and weather in Spark, and their join."""

from collections.abc import Iterable

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812  the name that every reader of Spark knows

from flights.problem import BEFORE, DEPARTED, WEATHER
from flights.table import FASTEST_WIND
from tabserve.errors import DataError

NUMBERS = {
    **dict.fromkeys(("id", "year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time"), "int"),
    **dict.fromkeys(("sched_arr_time", "arr_delay", "flight", "air_time", "distance", "hour", "minute"), "int"),
}

TEXTS = ("carrier", "tailnum", "origin", "dest", "name")

HOUR = ("origin", "year", "month", "day", "hour")
"""The columns that name an hour at an airport, in flights (as scheduled) and in weather."""

MEASURED = tuple(column.name for column in WEATHER)
"""°F, °F, %, degrees, mph, inches, millibars, miles."""

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
    `FASTEST_WIND` or more is missing.

    Raises:
        DataError: a column is missing.
    """
    rows = _read(spark, path, (*HOUR, *MEASURED, "time_hour"))
    order = F.row_number().over(Window.partitionBy(*HOUR).orderBy("time_hour"))
    first = rows.withColumn("order", order).where("order = 1")
    kinds = {**dict.fromkeys(HOUR, "int"), "origin": "string", **dict.fromkeys(MEASURED, "double")}
    weather = first.select(*(_cell(name, kind) for name, kind in kinds.items()))
    return weather.withColumn("wind_speed", F.when(F.col("wind_speed") < FASTEST_WIND, F.col("wind_speed")))


def with_weather(flights: DataFrame, weather: DataFrame) -> DataFrame:
    """All flights, with the weather at their origin in the scheduled hour; missing where there is none."""
    return flights.join(weather, [*HOUR], "left")


def count_missing(flights: DataFrame) -> DataFrame:
    """The number of flights without a value, of each column that has any, the most first."""
    counts = flights.agg(*(F.count_if(F.col(name).isNull()).alias(name) for name in flights.columns))
    pairs = counts.unpivot([], flights.columns, "column", "missing")
    return pairs.where("missing > 0").orderBy(F.desc("missing"), "column")


def learning_rows(flights: DataFrame, weather: DataFrame) -> DataFrame:
    """A row for each flight with an arrival delay, in the order of their ids, in the columns of `flights.table`."""
    made = {
        "id": F.col("id").cast("string"),
        "date": date().cast("string"),
        "sched_dep": minutes("sched_dep_time"),
        "sched_arr": minutes("sched_arr_time"),
        "weekday": weekday(),
    }
    rows = with_weather(flights.where("arr_delay IS NOT NULL"), weather).orderBy("id")
    columns = (str(BEFORE.id), str(BEFORE.time), BEFORE.target, *DEPARTED.features)
    return rows.select(*(made.get(name, F.col(name)).alias(name) for name in columns))


def minutes(column: str) -> Column:
    """Minutes since midnight of a time of day as `hhmm`: 2400 is 1440."""
    return F.floor(F.col(column) / 100) * 60 + F.col(column) % 100


def weekday() -> Column:
    """The day of the week of a flight's scheduled departure, from 1 for Monday to 7 for Sunday."""
    return F.weekday(date()) + 1


def date() -> Column:
    """The date of a flight's scheduled departure."""
    return F.make_date("year", "month", "day")


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
