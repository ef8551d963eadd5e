"""The answers are the published ones on all flights, and those of pandas on the extract."""

from collections.abc import Mapping

import pandas as pd
import pytest
from pyspark.sql import DataFrame
from tests.spark.flights.answers import Answer, by_pandas, by_spark
from tests.spark.flights.conftest import DATA

from flights.questions import latest_flights

PUBLISHED: Mapping[str, Answer] = {
    "1": 336_776,
    "2": 8_255,
    "3": 12.639070,
    "3 late": 39.37,
    "4": [("ATL", 16_873), ("ORD", 16_607), ("LAX", 16_058), ("BOS", 15_028), ("MCO", 13_979)],
    "4 all": [("ORD", 17_283), ("ATL", 17_215), ("LAX", 16_174), ("BOS", 15_508), ("MCO", 14_082)],
    "4 arrived": [("ATL", 16_837), ("ORD", 16_566), ("LAX", 16_026), ("BOS", 15_022), ("MCO", 13_967)],
    "5": [("JFK", "LAX", 11_262)],
    "6": [("F9", 21.921), ("FL", 20.116), ("EV", 15.796), ("YV", 15.557), ("OO", 11.931)],
    "8": [
        *((1, 12.65, 12.41), (2, 13.43, 12.75), (3, 15.40, 14.94), (4, 16.38, 15.99), (5, 15.64, 15.34)),
        *((6, 20.99, 20.24), (7, 21.67, 20.98), (8, 14.69, 14.45), (9, 8.92, 8.77), (10, 9.41, 9.34)),
        *((11, 8.83, 8.76), (12, 17.97, 17.31)),
    ],
    "9": [("JFK", 2_092), ("EWR", 1_831)],
    "9 landed": [("JFK", 2_079), ("EWR", 1_824)],
    "10": [
        *((4, 16.149, 11.741), (1, 14.779, 9.654), (5, 14.696, 9.070), (3, 11.804, 7.051)),
        *((7, 11.590, 4.820), (2, 10.632, 5.389), (6, 7.651, -1.449)),
    ],
    "11": [("JFK", "HNL", 623.0877)],
    "12": [("EWR", "ORD", 6_100), ("JFK", "LAX", 11_262), ("LGA", "ATL", 10_263)],
    "14": 119.0488,
    "14 from an hour": 117.947,
    "15": [
        *((1, 871.10), (2, 891.11), (3, 930.13), (4, 944.33), (5, 928.90), (6, 941.43)),
        *((7, 949.19), (8, 946.03), (9, 919.13), (10, 931.90), (11, 908.93), (12, 907.58)),
    ],
    "15 departed": [
        *((1, 854.29), (2, 846.07), (3, 902.35), (4, 922.07), (5, 910.74), (6, 907.80)),
        *((7, 918.87), (8, 930.35), (9, 904.07), (10, 924.29), (11, 901.17), (12, 874.52)),
    ],
    "16": [("LGA", "ATL", 1_563), ("JFK", "LAX", 1_286), ("LGA", "ORD", 1_188)],
    "17 landed": [("EWR", "ORD", 5_841), ("JFK", "LAX", 11_182), ("LGA", "ATL", 10_063)],
    "final": [
        *(("HA", 51, "JFK", "HNL", 1_272), ("MQ", 3535, "JFK", "CMH", 1_127), ("MQ", 3695, "EWR", "ORD", 1_109)),
        *(("AA", 177, "JFK", "SFO", 1_007), ("MQ", 3075, "JFK", "CVG", 989)),
    ],
}
"""As published on the challenge's own file, to the digits shown."""

SPREADS: Mapping[str, tuple[int, list[tuple[str, str, float]]]] = {
    "13": (2, [("LGA", "MYR", 25.325), ("EWR", "HNL", 21.266), ("JFK", "HNL", 20.689)]),
    "13 population": (3, [("EWR", "HNL", 21.236), ("LGA", "MYR", 20.677), ("JFK", "HNL", 20.659)]),
    "13 range": (4, [("JFK", "SFO", 189), ("JFK", "LAX", 165), ("JFK", "EGE", 163)]),
}
"""Question 13: the position of the spread in a row, and the routes with it."""


@pytest.fixture(scope="module")
def on_all(all_flights: DataFrame, weather: DataFrame) -> Mapping[str, Answer]:
    """The answers on all flights."""
    return by_spark(all_flights, weather)


@pytest.fixture(scope="module")
def on_extract(extract: DataFrame, weather: DataFrame) -> Mapping[str, Answer]:
    """The answers on the extract."""
    return by_spark(extract, weather)


@pytest.fixture(scope="module")
def expected() -> Mapping[str, Answer]:
    """The answers of pandas on the extract."""
    return by_pandas(pd.read_parquet(DATA / "flights_extract.parquet"))


def to_digits(answer: Answer, published: Answer) -> Answer:
    """An answer rounded to the digits that were published."""
    if isinstance(published, list):
        assert isinstance(answer, list)
        rows = zip(answer, published, strict=True)
        return [tuple(to_digits(*cells) for cells in zip(*pair, strict=True)) for pair in rows]
    if isinstance(published, str):
        return answer
    return round(float(str(answer)), len(str(published).partition(".")[2]))


@pytest.mark.parametrize("question", PUBLISHED)
def test_an_answer_is_the_published_one(question: str, on_all: Mapping[str, Answer]) -> None:
    """On all flights."""
    assert to_digits(on_all[question], PUBLISHED[question]) == PUBLISHED[question]


def test_monday_has_most_flights(on_all: Mapping[str, Answer]) -> None:
    """Question 7, of which one day was published."""
    days = on_all["7"]
    assert isinstance(days, list)
    assert (days[0], len(days), sum(flights for _, flights in days)) == ((1, 50_690), 7, 336_776)


@pytest.mark.parametrize("question", SPREADS)
def test_the_most_variable_routes_are_the_published_ones(question: str, on_all: Mapping[str, Answer]) -> None:
    """Question 13: the sample deviation puts a route of three timed flights first."""
    position, published = SPREADS[question]
    answer = on_all[question]
    assert isinstance(answer, list)
    assert to_digits([(*row[:2], row[position]) for row in answer], published) == published
    assert all(row[5] == 3 for row in answer if row[1] == "MYR")


@pytest.mark.parametrize("question", [*PUBLISHED, "7", *SPREADS])
def test_spark_and_pandas_agree_on_the_extract(
    question: str, on_extract: Mapping[str, Answer], expected: Mapping[str, Answer]
) -> None:
    """Two tools that treat missing values differently give the same answer."""
    assert on_extract[question] == expected[question]


def test_the_wind_of_the_latest_flights_is_the_published_one(all_flights: DataFrame, weather: DataFrame) -> None:
    """In mph, at the origin in the scheduled hour; beside it in m/s."""
    rows = latest_flights(all_flights, weather).collect()
    dated = [(row.month, row.day, round(row.wind_speed, 1)) for row in rows]
    assert dated == [(1, 9, 4.6), (6, 15, 8.1), (1, 10, 8.1), (9, 20, 10.4), (7, 22, 10.4)]
    assert [row.wind_at_origin for row in rows] == [2.06, 3.6, 3.6, 4.63, 4.63]
