"""The case's session, its extract and all flights."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame, SparkSession

DATA = Path(__file__).parents[3] / "cases/flights/data"


@pytest.fixture(scope="session")
def spark() -> "Iterator[SparkSession]":
    """The case's session."""
    from flights import spark_session

    with spark_session.session() as started:
        yield started


@pytest.fixture(scope="session")
def extract(spark: "SparkSession") -> "DataFrame":
    """The flights that the repository ships."""
    from flights import spark_table

    return spark_table.read_flights(spark, str(DATA / "flights_extract.parquet")).cache()


@pytest.fixture(scope="session")
def weather(spark: "SparkSession") -> "DataFrame":
    """The weather of the year."""
    from flights import spark_table

    return spark_table.read_weather(spark, str(DATA / "weather.parquet")).cache()


@pytest.fixture(scope="session")
def all_flights(spark: "SparkSession", shared: Path) -> "DataFrame":
    """All flights of the year."""
    from flights import spark_table

    path = shared / "data/flights/flights_336776.parquet"
    return spark_table.read_flights(spark, str(path)).cache()
