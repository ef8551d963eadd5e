"""Make the model's features of the flights of a request, or refuse them.

`_quick_features` takes ordinary flights, column by column, and refuses nothing: it leaves any other to `_features`,
which checks them one by one and writes every refusal.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flights import clock, fields
from flights.fields import CODES, DATE, NUMBERS, OPTIONAL, TIMES, UNUSED
from flights.problem import DEP_DELAY
from tabserve.encoding.cells import QUICK_ERRORS
from tabserve.encoding.encoder import Encoder
from tabserve.errors import InvalidRequest, UnknownLevel
from tabserve.model.model import Model
from tabserve.serving.protocol.columns import CHUNK_ROWS
from tabserve.serving.protocol.signature import Features
from tabserve.wording import shown

MINUTES = {hhmm: clock.minutes(hhmm) for hhmm in range(2401) if clock.is_time(hhmm)}
"""Minutes since midnight by the time of day."""

WHOLE = (*DATE, *TIMES)

EXAMPLE = "a flight, a list of flights, or an object with the list `flights`"

Flight = dict[str, Any]


def features(flights: Sequence[object], model: Model, name: str) -> Features:
    """Make features of flights, in their order; they are validated during the iteration over the chunks.

    Args:
        flights: at least one.
        model: whose columns are made.
        name: of the flights in error messages: the fourth of `flights` is `flights[3]`.

    Raises:
        InvalidRequest: a flight is no object, lacks a field, has one that it may not have, or a value does not fit.
        UnknownLevel: the model knows no such carrier or airport.
    """
    return Features(len(flights), _chunks(flights, model, name))


def levels(encoder: Encoder) -> dict[str, tuple[str, ...]]:
    """The codes that a model knows, by field."""
    document = encoder.to_json()
    return {name: tuple(document[name]["levels"]) for name in CODES}


def is_departed(model: Model) -> bool:
    """Whether the model is asked after departure."""
    return DEP_DELAY.name in model.problem.features


def _chunks(flights: Sequence[object], model: Model, name: str) -> Iterator[NDArray[Any]]:
    for start in range(0, len(flights), CHUNK_ROWS):
        chunk = flights[start : start + CHUNK_ROWS]
        try:
            yield _quick_features(chunk, model)
        except QUICK_ERRORS:
            yield _features({f"{name}[{row}]": flight for row, flight in enumerate(chunk, start)}, model)


def _quick_features(flights: Sequence[Any], model: Model) -> NDArray[np.float32]:
    """The features of flights that have the same fields in the same order, all of their usual types.

    Raises:
        QUICK_ERRORS: a flight is not ordinary.
    """
    names = (*flights[0],)
    same = all([type(flight) is dict and (*flight,) == names for flight in flights])  # noqa: C419  a list is faster
    if not same or not _is_complete(names, departed=is_departed(model)):
        raise ValueError("no objects, or others fields")
    cells = dict(zip(names, map(list, zip(*[flight.values() for flight in flights], strict=True)), strict=True))
    if not {type(cell) for name in WHOLE for cell in cells[name]} <= {int}:
        raise ValueError("a date or a time that is not written as a whole number")
    _check_bounds(cells)
    return model.encoder.encode_quickly(_columns(cells, model))


@lru_cache(maxsize=256)
def _is_complete(names: tuple[str, ...], *, departed: bool) -> bool:
    """Whether these are the fields of a flight."""
    needed = {*fields.required(departed=departed)}
    return needed <= {*names} <= {*needed, *OPTIONAL, *UNUSED}


def _check_bounds(cells: Mapping[str, list[Any]]) -> None:
    for name in NUMBERS.keys() & cells.keys():
        low, high = NUMBERS[name][:2]
        present = [cell for cell in cells[name] if cell is not None]
        if present and not (low <= min(present) and max(present) <= high):
            raise ValueError("too small, or too large")


def _columns(cells: Mapping[str, list[Any]], model: Model) -> list[list[Any]]:
    """The model's columns, given the cells of each field.

    Raises:
        LookupError: a number is no time of day.
        ValueError: there is no such date.
    """
    blank = [None] * len(cells[CODES[0]])
    made = {
        "sched_dep": [MINUTES[hhmm] for hhmm in cells["sched_dep_time"]],
        "sched_arr": [MINUTES[hhmm] for hhmm in cells["sched_arr_time"]],
        "weekday": [_weekday(*date) for date in zip(*(cells[name] for name in DATE), strict=True)],
    }
    return [made[name] if name in made else cells.get(name, blank) for name in model.problem.features]


_weekday = lru_cache(maxsize=1_024)(clock.weekday)


def _features(flights: Mapping[str, object], model: Model) -> NDArray[Any]:
    """The features of flights by their positions, which are checked one by one."""
    known = levels(model.encoder)
    checked = [_checked(flight, position, known, departed=is_departed(model)) for position, flight in flights.items()]
    names = (*fields.required(departed=is_departed(model)), *OPTIONAL)
    cells = {name: [flight.get(name) for flight in checked] for name in names}
    return model.encoder.encode(_columns(cells, model)).features


def _checked(flight: object, position: str, known: Mapping[str, tuple[str, ...]], *, departed: bool) -> Flight:
    """A flight, with whole numbers as such."""
    needed = fields.required(departed=departed)
    if not isinstance(flight, dict):
        raise InvalidRequest(f"{position} is {shown(flight)}; expected an object with {', '.join(needed)}.")
    for name in flight.keys() - {*needed, *OPTIONAL, *UNUSED}:
        raise InvalidRequest(f"{position} has the field {shown(name)}, but {fields.why_not(name, departed=departed)}.")
    for name in needed:
        if name not in flight:
            raise InvalidRequest(f"{position} has no {name!r}; expected {_expected(name, known)}.")
    for name in CODES:
        _check_code(flight[name], f"{position}.{name}", known[name])
    cells = {name: _number(cell, name, position) for name, cell in flight.items() if name in NUMBERS}
    _check_date(cells, position)
    return {**flight, **cells}


def _expected(name: str, known: Mapping[str, tuple[str, ...]]) -> str:
    return NUMBERS[name].expected if name in NUMBERS else f"a code such as {known[name][0]!r}"


def _check_code(cell: object, position: str, known: Sequence[str]) -> None:
    if not isinstance(cell, str):
        raise InvalidRequest(f"{position} is {shown(cell)}; expected a code such as {known[0]!r}.")
    if cell not in known:
        near = get_close_matches(cell[:3].upper(), known, 5, 0.3) or known[:5]
        raise UnknownLevel(
            f"{position} is {shown(cell)}, which is none of the {len(known)} that the model has learned from; near are"
            f" {', '.join(near)}."
        )


def _number(cell: object, name: str, position: str) -> float | None:
    """The number of a cell, as a whole number where the field has no fractions."""
    field = NUMBERS[name]
    if cell is None and name in OPTIONAL:
        return None
    if isinstance(cell, int | float) and not isinstance(cell, bool) and _fits(cell, name):
        return int(cell) if field.whole else cell
    raise InvalidRequest(f"{position}.{name} is {shown(cell)}; expected {field.expected}.")


def _fits(number: float, name: str) -> bool:
    return NUMBERS[name].fits(number) and (name not in TIMES or number in MINUTES)


def _check_date(cells: Mapping[str, Any], position: str) -> None:
    year, month, day = (cells[name] for name in DATE)
    try:
        _weekday(year, month, day)
    except ValueError:
        date = f"{year:04}-{month:02}-{day:02}"
        raise InvalidRequest(f"{position} is of {date}; expected a date that the calendar has.") from None
