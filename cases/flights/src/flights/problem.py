"""How late a flight arrives, as two problems: asked before it departs, and after it has departed."""

from dataclasses import replace

from tabserve.problem.columns import Column, numbers
from tabserve.problem.problem import Problem
from tabserve.problem.task import Regression

ROUTE = tuple(Column(name, "category", unseen="refused") for name in ("carrier", "origin", "dest"))
"""Codes of IATA. Another airline or airport is refused, as no flight says how late it is."""

SCHEDULE = numbers("sched_dep", "sched_arr", "distance", "month", "weekday")
"""Minutes since midnight (a midnight at the end of the day is 1440), miles, 1 to 12, and 1 (Monday) to 7.

The day of the month is left out: with the month it names a day, and a model that knows the day of other flights
recognises bad days, which no one knows before they come.
"""

WEATHER = numbers("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib", missing=True)
"""At the origin in the scheduled hour: °F, °F, %, degrees, mph, inches, millibars, miles.

It was measured then; before departure a forecast has to take its place.
"""

DEP_DELAY = Column("dep_delay")
"""Minutes by which the flight left late, negative if early."""

BEFORE = Problem(
    name="flights",
    columns=(*ROUTE, *SCHEDULE, *WEATHER),
    target="arr_delay",
    task=Regression(unit="min"),
    id="id",
    time="date",
    holdout=0.165,  # the flights of November and December 2013
    ignored=(DEP_DELAY.name,),
)
"""Asked before departure, by the timetable and the weather; served by default, as this is when passengers ask."""

DEPARTED = replace(BEFORE, name="flights-departed", columns=(*BEFORE.columns, DEP_DELAY), ignored=())
"""Asked once the flight has left, when it is known how late it did."""
