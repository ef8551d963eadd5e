"""Every answer, by Spark and by pandas, as plain values that can be compared: numbers and lists of rows."""

from collections.abc import Mapping

import pandas as pd
from pyspark.sql import DataFrame

from flights import questions as ask
from flights.questions import ARRIVED, DEPARTED, LANDED

Answer = object

DIGITS = 6


def by_spark(flights: DataFrame, weather: DataFrame) -> Mapping[str, Answer]:
    """The answers of the case's functions."""
    scalars: dict[str, int | float] = {
        "1": ask.number_of_flights(flights),
        "2": ask.number_cancelled(flights),
        "3": ask.mean_departure_delay(flights),
        "3 late": ask.mean_departure_delay_of_late(flights),
        "14": ask.mean_arrival_delay_after_late_departure(flights),
        "14 from an hour": ask.mean_arrival_delay_after_late_departure(flights, "dep_delay >= 60"),
    }
    tables = {
        "4": ask.airports_with_most_landings(flights.where(LANDED)),
        "4 all": ask.airports_with_most_landings(flights),
        "4 arrived": ask.airports_with_most_landings(flights.where(ARRIVED)),
        "5": ask.most_frequent_route(flights),
        "6": ask.airlines_with_largest_arrival_delay(flights).drop("name"),
        "7": ask.flights_by_weekday(flights),
        "8": ask.share_late_by_month(flights),
        "9": ask.origins_of_flights_to(flights, "SEA"),
        "9 landed": ask.origins_of_flights_to(flights.where(LANDED), "SEA"),
        "10": ask.mean_delay_by_weekday(flights),
        "11": ask.route_with_longest_air_time(flights),
        "12": ask.most_common_destinations(flights),
        "13": ask.routes_with_most_variable_air_time(flights),
        "13 population": ask.routes_with_most_variable_air_time(flights, "population"),
        "13 range": ask.routes_with_most_variable_air_time(flights, "range"),
        "15": ask.mean_flights_a_day(flights),
        "15 departed": ask.mean_flights_a_day(flights.where(DEPARTED)),
        "16": ask.routes_with_most_late_arrivals(flights),
        "17 landed": ask.most_common_destinations(flights.where(LANDED)),
        "final": ask.latest_flights(flights, weather).select("carrier", "flight", "origin", "dest", "arr_delay"),
    }
    rows = {name: [tuple(row) for row in table.collect()] for name, table in tables.items()}
    return {name: _rounded(answer) for name, answer in {**scalars, **rows}.items()}


def by_pandas(flights: pd.DataFrame) -> Mapping[str, Answer]:
    """The same answers, computed without Spark."""
    date = pd.to_datetime(flights[["year", "month", "day"]])
    flights = flights.assign(weekday=date.dt.weekday + 1, cancelled=flights.dep_time.isna() & flights.arr_time.isna())
    departed, landed = flights[flights.dep_time.notna()], flights[flights.arr_time.notna()]
    arrived, late = flights[flights.arr_delay.notna()], flights.dep_delay > 30
    weekdays = flights.groupby("weekday")[["dep_delay", "arr_delay"]].mean()
    months = pd.DataFrame({"departed": late[departed.index].groupby(departed.month).mean()})
    months["all"] = late.groupby(flights.month).mean()
    answers: dict[str, Answer] = {
        "1": len(flights),
        "2": int(flights.cancelled.sum()),
        "3": flights.dep_delay.mean(),
        "3 late": flights.dep_delay[flights.dep_delay > 0].mean(),
        "14": flights.arr_delay[flights.dep_delay > 60].mean(),
        "14 from an hour": flights.arr_delay[flights.dep_delay >= 60].mean(),
        "4": _counts(landed, "dest")[:5],
        "4 all": _counts(flights, "dest")[:5],
        "4 arrived": _counts(arrived, "dest")[:5],
        "5": _counts(flights, "origin", "dest")[:1],
        "6": _rows(flights.groupby("carrier")[["arr_delay"]].mean().sort_values("arr_delay", ascending=False))[:5],
        "7": _counts(flights, "weekday"),
        "8": _rows(months * 100),
        "9": _counts(flights[flights.dest == "SEA"], "origin"),
        "9 landed": _counts(landed[landed.dest == "SEA"], "origin"),
        "10": _rows(weekdays.sort_values("dep_delay", ascending=False)),
        "11": _rows(flights.groupby(["origin", "dest"])[["air_time"]].mean().nlargest(1, "air_time")),
        "12": _most_common(flights),
        "15": _rows(flights.groupby(["month", "day"]).size().groupby("month").mean().to_frame()),
        "15 departed": _rows(departed.groupby(["month", "day"]).size().groupby("month").mean().to_frame()),
        "16": _counts(flights[flights.arr_delay > 30], "origin", "dest")[:3],
        "17 landed": _most_common(landed),
        "final": _rows(
            flights.sort_values(["arr_delay", "id"], ascending=[False, True])
            .head(5)
            .set_index(["carrier", "flight", "origin", "dest"])[["arr_delay"]]
        ),
    }
    air_time = flights.groupby(["origin", "dest"])["air_time"]
    spreads = pd.DataFrame({"sample": air_time.std(), "population": air_time.std(ddof=0)})
    spreads = spreads.assign(range=air_time.max() - air_time.min(), timed=air_time.count())
    for name, spread in {"13": "sample", "13 population": "population", "13 range": "range"}.items():
        answers[name] = _rows(spreads.sort_values([spread], ascending=False, kind="stable"))[:3]
    return {name: _rounded(answer) for name, answer in answers.items()}


def _counts(flights: pd.DataFrame, *columns: str) -> list[tuple[object, ...]]:
    """The values of columns with their number of rows, the most frequent first, equal ones in order."""
    return sorted(_rows(flights.groupby([*columns]).size().to_frame()), key=lambda row: (-int(str(row[-1])), *row[:-1]))


def _most_common(flights: pd.DataFrame) -> list[tuple[object, ...]]:
    """The most common destination of each origin."""
    counts = _counts(flights, "origin", "dest")
    return [next(row for row in counts if row[0] == origin) for origin in sorted({row[0] for row in counts}, key=str)]


def _rows(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    return [tuple(row) for row in frame.reset_index().itertuples(index=False)]


def _rounded(answer: Answer) -> Answer:
    """Numbers as floats of a few digits, in rows too."""
    if isinstance(answer, list):
        return [tuple(_rounded(cell) for cell in row) for row in answer]
    return answer if isinstance(answer, str) or answer is None else round(float(str(answer)), DIGITS)
