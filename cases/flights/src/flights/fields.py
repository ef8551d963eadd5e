"""The fields of a flight in a request: those of the source table that are known before an answer is."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from flights import clock
from flights.problem import BEFORE, DEP_DELAY, ROUTE, WEATHER


class Field(NamedTuple):
    """A number that a flight has, or may have.

    Attributes:
        low: the smallest value that is accepted.
        high: the largest one.
        expected: what it is, in words.
        whole: whether it has no fraction.
    """

    low: float
    high: float
    expected: str
    whole: bool = False

    def fits(self, value: float) -> bool:
        """Whether a number is accepted."""
        return self.low <= value <= self.high and (not self.whole or value % 1 == 0)

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a value."""
        return {
            "type": "integer" if self.whole else "number",
            "minimum": self.low,
            "maximum": self.high,
            "description": self.expected,
        }


DATE = {
    "year": Field(1, 9999, "the year of the scheduled departure, at the origin", whole=True),
    "month": Field(1, 12, "the month of the scheduled departure, from 1 to 12", whole=True),
    "day": Field(1, 31, "the day of the month of the scheduled departure, from 1 to 31", whole=True),
}

TIMES = {
    "sched_dep_time": Field(0, 2400, f"the scheduled departure at the origin: {clock.EXPECTED}", whole=True),
    "sched_arr_time": Field(0, 2400, f"the scheduled arrival at the destination: {clock.EXPECTED}", whole=True),
}

DISTANCE = {"distance": Field(1, 12_500, "the distance in miles, from 1 to 12500")}

WEATHER_FIELDS = {
    "temp": Field(-130, 140, "the temperature in °F, from -130 to 140, or null"),
    "dewp": Field(-130, 140, "the dew point in °F, from -130 to 140, or null"),
    "humid": Field(0, 100, "the relative humidity in %, from 0 to 100, or null"),
    "wind_dir": Field(0, 360, "the direction of the wind in degrees, from 0 to 360, or null"),
    "wind_speed": Field(0, 250, "the speed of the wind in mph, from 0 to 250, or null"),
    "precip": Field(0, 20, "the rain of the hour in inches, from 0 to 20, or null"),
    "pressure": Field(800, 1_100, "the pressure at sea level in millibars, from 800 to 1100, or null"),
    "visib": Field(0, 100, "the visibility in miles, from 0 to 100, or null"),
}
"""At the origin in the scheduled hour; each may be null or left out."""

DELAY_FIELDS = {DEP_DELAY.name: Field(-1_440, 14_400, "the departure delay in minutes, from -1440 to 14400")}
"""Of a model that is asked after departure."""

NUMBERS = DATE | TIMES | DISTANCE | WEATHER_FIELDS | DELAY_FIELDS

CODES = tuple(column.name for column in ROUTE)

UNUSED = ("id", "flight", "tailnum", "hour", "minute", "time_hour", "name")
"""Other columns of the source table; a flight may have them, and they change nothing."""

LEAKING = {
    BEFORE.target: "it is what is predicted",
    "arr_time": "it is known only after arrival",
    "air_time": "it is known only after arrival",
    "dep_time": "it is known only after departure",
    DEP_DELAY.name: "it is known only after departure, and this model is asked before",
}
"""Columns of the source table that no model may see, and why; `dep_delay` only before departure."""

REQUIRED = (*CODES, *DATE, *TIMES, *DISTANCE)

OPTIONAL = tuple(column.name for column in WEATHER)


def required(*, departed: bool) -> tuple[str, ...]:
    """The fields that every flight needs.

    Args:
        departed: whether the model is asked after departure.
    """
    return (*REQUIRED, *DELAY_FIELDS) if departed else REQUIRED


def why_not(name: str, *, departed: bool) -> str:
    """Why a flight may not have a field, as the end of a sentence."""
    if name in LEAKING:
        return f"{LEAKING[name]}; leave it out"
    return f"no such field is used; expected {', '.join((*required(departed=departed), *OPTIONAL))}"


def schema(levels: Mapping[str, tuple[str, ...]], *, departed: bool) -> dict[str, Any]:
    """The JSON Schema of a flight.

    Args:
        levels: the codes that the model knows, by field.
        departed: whether the model is asked after departure.
    """
    needed = required(departed=departed)
    codes = {name: {"type": "string", "enum": [*levels[name]]} for name in CODES}
    numbers = {name: field.schema() for name, field in NUMBERS.items() if name in needed}
    weather = {name: _optional(NUMBERS[name].schema()) for name in OPTIONAL}
    unused = {name: {"description": "Not used."} for name in UNUSED}
    properties = codes | numbers | weather | unused
    return {"type": "object", "properties": properties, "required": [*needed], "additionalProperties": False}


def _optional(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]}
