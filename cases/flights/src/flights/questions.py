"""The challenge's questions, each a function of the table of flights.

Where a question can be read in two ways, the other answer is the same function of other rows
(`flights.where(DEPARTED)`), or stands beside it. Delays are minutes, negative for early flights, which count in every
mean. Days are those of the scheduled departure in New York.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  the name that every reader of Spark knows

from flights.spark_table import MS_PER_MPH, weekday, with_weather

CANCELLED = "dep_time IS NULL AND arr_time IS NULL"
"""Neither departed nor arrived."""

DEPARTED = "dep_time IS NOT NULL"

LANDED = "arr_time IS NOT NULL"
"""Anywhere: a diverted flight has an arrival time, but no delay."""

ARRIVED = "arr_delay IS NOT NULL"
"""At its destination."""

ROUTE = ("origin", "dest")

LATE = "dep_delay > 30"


def most_frequent(flights: DataFrame, *columns: str) -> DataFrame:
    """The values of these columns with their number of flights, the most frequent first."""
    return flights.groupBy(*columns).agg(F.count("*").alias("flights")).orderBy(F.desc("flights"), *columns)


def largest_means(flights: DataFrame, measure: str, *columns: str) -> DataFrame:
    """The values of these columns with the mean of a measure of their flights, the largest first."""
    return flights.groupBy(*columns).agg(F.avg(measure).alias(measure)).orderBy(F.desc_nulls_last(measure), *columns)


def mean(flights: DataFrame, column: str) -> float:
    """The mean of the flights that have a value."""
    return float(flights.agg(F.avg(column)).first()[0])


def number_of_flights(flights: DataFrame) -> int:
    """1: how many flights there are."""
    return int(flights.count())


def number_cancelled(flights: DataFrame) -> int:
    """2: how many were cancelled."""
    return int(flights.where(CANCELLED).count())


def mean_departure_delay(flights: DataFrame) -> float:
    """3: the mean departure delay, early flights included."""
    return mean(flights, "dep_delay")


def mean_departure_delay_of_late(flights: DataFrame) -> float:
    """3, read otherwise: the mean departure delay of those that left late."""
    return mean(flights.where("dep_delay > 0"), "dep_delay")


def airports_with_most_landings(flights: DataFrame) -> DataFrame:
    """4: the five destinations for which most flights landed; with all flights, those with most flights planned."""
    return most_frequent(flights, "dest").limit(5)


def most_frequent_route(flights: DataFrame) -> DataFrame:
    """5: the route with most flights."""
    return most_frequent(flights, *ROUTE).limit(1)


def airlines_with_largest_arrival_delay(flights: DataFrame) -> DataFrame:
    """6: the five airlines whose flights arrive latest on average."""
    return largest_means(flights, "arr_delay", "carrier", "name").limit(5)


def flights_by_weekday(flights: DataFrame) -> DataFrame:
    """7: the flights of each weekday, the day with most flights first."""
    return most_frequent(flights.withColumn("weekday", weekday()), "weekday")


def share_late_by_month(flights: DataFrame) -> DataFrame:
    """8: percent of flights that left more than 30 minutes late, by month: of those departed, and of all.

    A mean skips missing values, and the delay of a flight that never left is missing: among all it counts as not late.
    """
    late = F.expr(LATE).cast("int")
    of_departed, of_all = (100 * F.avg(value) for value in (late, F.coalesce(late, F.lit(0))))
    return flights.groupBy("month").agg(of_departed.alias("departed"), of_all.alias("all")).orderBy("month")


def origins_of_flights_to(flights: DataFrame, dest: str) -> DataFrame:
    """9: the origins of flights to an airport, the most common first."""
    return most_frequent(flights.where(F.col("dest") == dest), "origin")


def mean_delay_by_weekday(flights: DataFrame) -> DataFrame:
    """10: the mean departure and arrival delays of each weekday, the latest departures first."""
    delays = (F.avg("dep_delay").alias("departure"), F.avg("arr_delay").alias("arrival"))
    return flights.groupBy(weekday().alias("weekday")).agg(*delays).orderBy(F.desc("departure"))


def route_with_longest_air_time(flights: DataFrame) -> DataFrame:
    """11: the route whose flights are longest in the air on average."""
    return largest_means(flights, "air_time", *ROUTE).limit(1)


def most_common_destinations(flights: DataFrame) -> DataFrame:
    """12 and 17: the most common destination of each origin."""
    counts = flights.groupBy(*ROUTE).agg(F.count("*").alias("flights"))
    most = F.max_by(F.struct("dest", "flights"), F.struct("flights", "dest")).alias("most")
    return counts.groupBy("origin").agg(most).select("origin", "most.*").orderBy("origin")


def routes_with_most_variable_air_time(flights: DataFrame, spread: str = "sample") -> DataFrame:
    """13: the three routes whose time in the air varies most, by one of three spreads; `timed` flights have a time."""
    spreads = {"sample": F.stddev_samp, "population": F.stddev_pop}
    measures = [function("air_time").alias(name) for name, function in spreads.items()]
    measures += [(F.max("air_time") - F.min("air_time")).alias("range"), F.count("air_time").alias("timed")]
    return flights.groupBy(*ROUTE).agg(*measures).orderBy(F.desc_nulls_last(spread), *ROUTE).limit(3)


def mean_arrival_delay_after_late_departure(flights: DataFrame, condition: str = "dep_delay > 60") -> float:
    """14: the mean arrival delay of flights that left more than an hour late; read otherwise, from an hour on."""
    return mean(flights.where(condition), "arr_delay")


def mean_flights_a_day(flights: DataFrame) -> DataFrame:
    """15: the mean number of flights a day in each month."""
    days = flights.groupBy("month", "day").count()
    return days.groupBy("month").agg(F.avg("count").alias("a_day")).orderBy("month")


def routes_with_most_late_arrivals(flights: DataFrame) -> DataFrame:
    """16: the three routes with most arrivals more than 30 minutes late."""
    return most_frequent(flights.where("arr_delay > 30"), *ROUTE).limit(3)


def latest_flights(flights: DataFrame, weather: DataFrame) -> DataFrame:
    """The final question: the five flights that arrived latest, and the wind at their origin in the scheduled hour.

    `wind_speed` is that of the table, in mph; `wind_at_origin` is the same in m/s.
    """
    five = with_weather(flights.orderBy(F.desc_nulls_last("arr_delay"), "id").limit(5), weather)
    metric = F.round(F.col("wind_speed") * MS_PER_MPH, 2).alias("wind_at_origin")
    identity = ("year", "month", "day", "carrier", "flight", *ROUTE)
    return five.select(*identity, "arr_delay", "wind_speed", metric).orderBy(F.desc("arr_delay"), "id")
