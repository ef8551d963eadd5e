"""Flights of a request become the model's columns, or are refused by a sentence that names the field."""

from typing import Any

import numpy as np
import pytest
from cases.flights.tests.small import CARRIERS, DESTINATIONS, FLIGHT, ORIGINS
from hypothesis import given
from hypothesis import strategies as st

from flights import clock, flight
from flights.fields import DELAY_FIELDS, LEAKING, NUMBERS, OPTIONAL, REQUIRED, UNUSED
from flights.problem import BEFORE, DEPARTED
from tabserve.errors import InvalidRequest, UnknownLevel
from tabserve.model.model import Model

WEATHER = st.fixed_dictionaries(
    {}, optional={name: st.none() | st.floats(NUMBERS[name].low, NUMBERS[name].high, width=32) for name in OPTIONAL}
)

FLIGHTS = st.builds(
    lambda date, codes, times, distance, weather: {**codes, **date, **times, "distance": distance, **weather},
    st.dates().map(lambda date: {"year": date.year, "month": date.month, "day": date.day}),
    st.fixed_dictionaries(
        {
            "carrier": st.sampled_from(CARRIERS),
            "origin": st.sampled_from(ORIGINS),
            "dest": st.sampled_from(DESTINATIONS),
        }
    ),
    st.fixed_dictionaries(dict.fromkeys(("sched_dep_time", "sched_arr_time"), st.sampled_from([*flight.MINUTES]))),
    st.integers(1, 12_500) | st.floats(1, 12_500, width=32),
    WEATHER,
)
"""Valid flights, from midnight as 0 to midnight as 2400."""


def features(flights: list[Any], model: Model) -> Any:  # noqa: ANN401  an array
    """The features of all flights."""
    return np.concatenate([*flight.features(flights, model, "flights").chunks])


def test_a_flight_becomes_the_columns_of_the_problem(before: Model) -> None:
    """Times are minutes since midnight, 2400 is 1440, the date is a month and a weekday, and weather may be missing."""
    (row,) = features([FLIGHT], before)
    cells = dict(zip(BEFORE.features, row.tolist(), strict=True))
    assert (cells["sched_dep"], cells["sched_arr"], cells["distance"]) == (315, 1440, 1400)
    assert (cells["month"], cells["weekday"]) == (11, 1)
    assert cells["temp"] == np.float32(39.02)
    assert [name for name in OPTIONAL if np.isnan(cells[name])] == [n for n in OPTIONAL if n not in FLIGHT]


def test_after_departure_the_delay_is_a_column(departed: Model) -> None:
    """The last one, as in the problem."""
    assert features([{**FLIGHT, "dep_delay": -5}], departed)[0, -1] == -5
    assert DEPARTED.features[-1] == "dep_delay"


@given(st.lists(FLIGHTS, min_size=1, max_size=5))
def test_both_paths_make_the_same_features(before: Model, flights: list[dict[str, Any]]) -> None:
    """The quick path makes of any valid flights what the other makes, or leaves them to it."""
    slow = flight._features({str(row): each for row, each in enumerate(flights)}, before)
    np.testing.assert_array_equal(features(flights, before), slow)


@given(st.lists(FLIGHTS, min_size=1, max_size=3))
def test_ordinary_flights_take_the_quick_path(before: Model, flights: list[dict[str, Any]]) -> None:
    """Flights with the same fields in the same order."""
    alike = [{name: each.get(name) for name in (*REQUIRED, *OPTIONAL)} for each in flights]
    np.testing.assert_array_equal(flight._quick_features(alike, before), features(alike, before))


def test_the_source_tables_own_numbers_are_accepted(before: Model) -> None:
    """Its times are floats, and its other columns change nothing."""
    floats = {**FLIGHT, "sched_dep_time": 515.0, "sched_arr_time": 2400.0, "year": 2013.0}
    assert np.array_equal(features([floats], before), features([FLIGHT], before), equal_nan=True)
    unused = {**FLIGHT, **dict.fromkeys(UNUSED, "anything")}
    assert np.array_equal(features([unused], before), features([FLIGHT], before), equal_nan=True)


def test_every_minute_of_the_clock_is_a_time() -> None:
    """1,440 minutes, and midnight a second time as 2400; nothing else is one."""
    assert len(flight.MINUTES) == 24 * 60 + 1
    assert {*flight.MINUTES.values()} == {*range(24 * 60 + 1)}
    assert [hhmm for hhmm in (60, 99, 2360, 2401, 2461, 2500) if clock.is_time(hhmm)] == []


TIME = "a time of day as hhmm, from 0 to 2400, such as 517 for 05:17."

REFUSED: dict[str, tuple[Any, str]] = {
    "a text": ("x", "flights[0] is 'x'; expected an object with carrier, origin, dest, year, "),
    "null": (None, "flights[0] is null; expected an object with "),
    "a list": ([], "flights[0] is []; expected an object with "),
    "nothing": ({}, "flights[0] has no 'carrier'; expected a code such as 'AA'."),
    "an unknown field": (
        {**FLIGHT, "gate": 5},
        "flights[0] has the field 'gate', but no such field is used; expected ",
    ),
    "24:61": ({**FLIGHT, "sched_dep_time": 2461}, "flights[0].sched_dep_time is 2461; expected the scheduled"),
    "2500": ({**FLIGHT, "sched_arr_time": 2500}, "flights[0].sched_arr_time is 2500; expected the scheduled arrival"),
    "half a minute": ({**FLIGHT, "sched_dep_time": 515.5}, "flights[0].sched_dep_time is 515.5; expected "),
    "a time as text": ({**FLIGHT, "sched_dep_time": "515"}, "flights[0].sched_dep_time is '515'; expected "),
    "a time that is true": ({**FLIGHT, "sched_dep_time": True}, "flights[0].sched_dep_time is true; expected "),
    "31 February": (
        {**FLIGHT, "month": 2, "day": 31},
        "flights[0] is of 2013-02-31; expected a date that the calendar has.",
    ),
    "month 13": ({**FLIGHT, "month": 13}, "flights[0].month is 13; expected the month of the scheduled departure, "),
    "a year as text": ({**FLIGHT, "year": "2013"}, "flights[0].year is '2013'; expected the year of the scheduled "),
    "no distance": ({**FLIGHT, "distance": None}, "flights[0].distance is null; expected the distance in miles, "),
    "no miles": ({**FLIGHT, "distance": 0}, "flights[0].distance is 0; expected the distance in miles, from 1 to "),
    "endless miles": ({**FLIGHT, "distance": float("inf")}, "flights[0].distance is Infinity; expected the distance"),
    "a storm": (
        {**FLIGHT, "wind_speed": 1048},
        "flights[0].wind_speed is 1048; expected the speed of the wind in mph,",
    ),
    "weather as text": ({**FLIGHT, "temp": "39"}, "flights[0].temp is '39'; expected the temperature in °F, "),
    "weather that is NaN": ({**FLIGHT, "temp": float("nan")}, "flights[0].temp is NaN; expected the temperature in "),
    "a carrier of null": ({**FLIGHT, "carrier": None}, "flights[0].carrier is null; expected a code such as 'AA'."),
    "a carrier of numbers": ({**FLIGHT, "carrier": 9}, "flights[0].carrier is 9; expected a code such as 'AA'."),
}


@pytest.mark.parametrize(("wrong", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_flight_is_refused_by_the_field(before: Model, wrong: object, sentence: str) -> None:
    """In one sentence, also as the last of many."""
    for flights, position in ([wrong], "flights[0]"), ([FLIGHT] * 300 + [wrong], "flights[300]"):
        with pytest.raises(InvalidRequest) as error:
            features(flights, before)
        assert str(error.value).startswith(sentence.replace("flights[0]", position))
        assert str(error.value).endswith((".", "…"))


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_field_is_named(before: Model, name: str) -> None:
    """Every field but the weather must be there."""
    with pytest.raises(InvalidRequest, match=f"has no '{name}'; expected "):
        features([{field: value for field, value in FLIGHT.items() if field != name}], before)


@pytest.mark.parametrize(("name", "why"), LEAKING.items())
def test_the_target_and_what_is_known_later_are_refused_by_name(before: Model, name: str, why: str) -> None:
    """The sentence says why."""
    with pytest.raises(InvalidRequest, match=f"has the field '{name}', but {why}; leave it out."):
        features([{**FLIGHT, name: 10}], before)


def test_after_departure_the_delay_is_needed_and_the_rest_refused(departed: Model) -> None:
    """The arrival is still unknown."""
    known = {**FLIGHT, "dep_delay": 12}
    for wrong, sentence in (
        (FLIGHT, "has no 'dep_delay'; expected the departure delay in minutes, "),
        ({**known, "dep_delay": None}, "dep_delay is null; expected the departure delay in minutes, "),
        *(({**known, name: 1}, f"has the field '{name}', but ") for name in LEAKING.keys() - DELAY_FIELDS.keys()),
    ):
        with pytest.raises(InvalidRequest, match=sentence):
            features([wrong], departed)


@pytest.mark.parametrize(
    ("name", "code", "near"), [("dest", "IHA", "IAH, IAD"), ("origin", "jfk", "JFK"), ("carrier", "", "AA, B6")]
)
def test_an_unknown_code_is_refused_with_near_ones(before: Model, name: str, code: str, near: str) -> None:
    """The error is of its own kind, so that its status is 422."""
    with pytest.raises(UnknownLevel) as error:
        features([{**FLIGHT, name: code}], before)
    assert str(error.value).startswith(f"flights[0].{name} is '{code}', which is none of the ")
    assert f" near are {near}" in str(error.value)
