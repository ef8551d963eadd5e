"""Tables are read alike from csv and parquet, and weather neither adds nor loses a flight."""

from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  the name that every reader of Spark knows
from tests.spark.flights.conftest import DATA

from flights.spark_table import HOUR, count_missing, learning_rows, read_flights, read_weather, with_weather
from flights.table import FASTEST_WIND, read_table
from tabserve.errors import DataError


@pytest.mark.parametrize("missing", ["", "NA"])
def test_a_csv_gives_the_same_rows_as_parquet(missing: str, spark: SparkSession, tmp_path: Path) -> None:
    """Whole numbers with gaps are written as 517.0, and missing cells as nothing or NA."""
    flights = pd.read_parquet(DATA / "flights_extract.parquet").iloc[::20]
    flights.to_csv(tmp_path / "flights.csv.gz", index=False, na_rep=missing)
    flights.to_parquet(tmp_path / "flights.parquet", index=False)
    csv, parquet = (read_flights(spark, str(tmp_path / f"flights.{kind}")) for kind in ("csv.gz", "parquet"))
    assert csv.schema == parquet.schema
    assert sorted(csv.collect()) == sorted(parquet.collect())
    assert csv.where("dep_time IS NULL").count() == flights["dep_time"].isna().sum() > 0


def test_times_are_local_in_any_zone_of_the_session(extract: DataFrame) -> None:
    """The date and hour of `time_hour` are those of the columns."""
    parts = [F.year("time_hour"), F.month("time_hour"), F.day("time_hour"), F.hour("time_hour")]
    wrong = [part != F.col(name) for part, name in zip(parts, HOUR[1:], strict=True)]
    assert extract.where(wrong[0] | wrong[1] | wrong[2] | wrong[3]).count() == 0


def test_midnight_stays_2400(extract: DataFrame) -> None:
    """A flight that leaves at midnight is neither lost nor moved to 00:00."""
    assert extract.where("dep_time = 2400").count() == 4
    assert extract.where("dep_time = 0").count() == 0


def test_a_flight_keeps_one_row_with_weather(extract: DataFrame, weather: DataFrame) -> None:
    """Flights without an hour of weather stay too."""
    joined = with_weather(extract, weather)
    ids = sorted(row.id for row in joined.select("id").collect())
    assert ids == sorted(row.id for row in extract.select("id").collect())
    assert 0 < joined.where("visib IS NULL").count() < 0.01 * len(ids)


def test_the_doubled_hour_keeps_its_first_row(spark: SparkSession, weather: DataFrame) -> None:
    """The published weather has the hour from 01:00 of 3 November twice at each origin."""
    published = spark.read.parquet(str(DATA / "weather.parquet"))
    hour = "month = 11 AND day = 3 AND hour = 1"
    assert published.count() - weather.count() == 3
    doubled = published.where(hour).orderBy("time_hour").limit(3)
    assert _pressures(doubled) == _pressures(weather.where(hour))


def test_an_impossible_wind_is_missing(spark: SparkSession, weather: DataFrame) -> None:
    """Its hour and the other measurements stay."""
    published = spark.read.parquet(str(DATA / "weather.parquet"))
    assert published.where(f"wind_speed >= {FASTEST_WIND}").count() == 1
    (row,) = weather.where("origin = 'EWR' AND month = 2 AND day = 12 AND hour = 3").collect()
    assert (row.wind_speed, row.temp) == (None, 39.02)


def test_missing_values_are_counted(extract: DataFrame) -> None:
    """Every column with a missing value has its number."""
    missing = pd.read_parquet(DATA / "flights_extract.parquet").isna().sum()
    assert {row.column: row.missing for row in count_missing(extract).collect()} == missing[missing > 0].to_dict()


def test_spark_makes_the_rows_that_the_core_learns_from(extract: DataFrame, weather: DataFrame) -> None:
    """The same flights in the same order, cell by cell, as training without Spark derives them."""
    ours = learning_rows(extract, weather).toPandas()
    theirs = read_table(DATA / "flights_extract.parquet", DATA / "weather.parquet").rows
    pd.testing.assert_frame_equal(ours, theirs, check_dtype=False)


def test_a_table_of_other_columns_is_refused(spark: SparkSession) -> None:
    """The message names a missing column."""
    with pytest.raises(DataError, match=r"weather\.parquet lacks \d+ expected columns, 'air_time' among them\."):
        read_flights(spark, str(DATA / "weather.parquet"))
    with pytest.raises(DataError, match="'dewp' among them"):
        read_weather(spark, str(DATA / "flights_extract.parquet"))


def _pressures(hours: DataFrame) -> list[tuple[str, float]]:
    """The pressure at each origin."""
    return sorted((row.origin, row.pressure) for row in hours.collect())
