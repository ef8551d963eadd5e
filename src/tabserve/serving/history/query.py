"""Ask a history for a page of its entries, newest first: filters, and where the page begins."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from tabserve.errors import InvalidRequest
from tabserve.serving.history.entry import Entry, plain
from tabserve.wording import listed, shown

LIMIT, MAX_LIMIT = 100, 1_000
"""Entries of a page: by default, and at most."""

FORMS = ("json", "ndjson", "csv")
"""A page as JSON, or all entries from there on as lines of JSON or of csv."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

CURSOR = re.compile(r"(-?\d{1,18})-(\d{1,18})", re.ASCII)


class Cursor(NamedTuple):
    """The position behind an entry: a page that begins there holds older ones."""

    time: datetime
    id: int

    def __str__(self) -> str:
        """The cursor as a query string holds it."""
        return f"{microseconds(self.time)}-{self.id}"


class Query(NamedTuple):
    """Which entries a page may hold; None filters nothing.

    Attributes:
        since: the entries' earliest time.
        until: the time that they are earlier than.
        model: that answered them.
        request: their id.
        limit: most entries, 1 to 1,000.
        cursor: where the page begins; None for the newest entry.
    """

    since: datetime | None = None
    until: datetime | None = None
    model: str | None = None
    request: str | None = None
    limit: int = LIMIT
    cursor: Cursor | None = None


class Page(NamedTuple):
    """Entries, newest first, and where the next page begins; None if there is none."""

    entries: tuple[Entry, ...]
    next: Cursor | None


class Asked(NamedTuple):
    """What a query string asks for: entries, and their form, one of `FORMS`."""

    query: Query
    form: str


def parse(parameters: Iterable[tuple[str, str]]) -> Asked:
    """Parse the parameters of a query string, such as `since=2026-11-30&model=flights&limit=10`.

    Raises:
        InvalidRequest: a parameter is unknown, repeated or wrong; the message is one sentence.
    """
    texts: dict[str, str] = {}
    for name, text in parameters:
        if name not in PARSERS:
            raise InvalidRequest(f"The parameter {shown(name)} is unknown; the history knows {listed(PARSERS)}.")
        if name in texts:
            raise InvalidRequest(f"The parameter {name!r} is there twice; give it once.")
        texts[name] = text
    values = {name: PARSERS[name](name, text) for name, text in texts.items()}
    form = values.pop("format", FORMS[0])
    if form != FORMS[0] and "limit" in values:
        raise InvalidRequest(f"A history as {form} is no page and has no limit; leave one of both parameters out.")
    return Asked(Query(**values), form)


def microseconds(time: datetime) -> int:
    """Microseconds since 1970 in UTC."""
    return (time - EPOCH) // timedelta(microseconds=1)


def from_microseconds(number: int) -> datetime:
    """The time in UTC."""
    return EPOCH + timedelta(microseconds=number)


def _time(name: str, text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        expected = "expected a date such as 2026-11-30, or a time in UTC such as 2026-11-30T21:48:00Z"
        raise InvalidRequest(f"The parameter {name!r} is {shown(text)}; {expected}.") from None


def _limit(name: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,4}", text, re.ASCII) or not 1 <= int(text) <= MAX_LIMIT:
        expected = f"expected a whole number from 1 to {MAX_LIMIT}"
        raise InvalidRequest(f"The parameter {name!r} is {shown(text)}; {expected}.")
    return int(text)


def _cursor(name: str, text: str) -> Cursor:
    try:
        if match := CURSOR.fullmatch(text):
            return Cursor(from_microseconds(int(match[1])), int(match[2]))
    except OverflowError:  # no time of ours
        pass
    raise InvalidRequest(f"The parameter {name!r} is {shown(text)}; expected the 'next' of another page.")


def _form(name: str, text: str) -> str:
    if text not in FORMS:
        raise InvalidRequest(f"The parameter {name!r} is {shown(text)}; expected one of {listed(FORMS)}.")
    return text


def _plain(_name: str, text: str) -> str:
    return plain(text)


PARSERS: dict[str, Callable[[str, str], Any]] = {
    "since": _time,
    "until": _time,
    "model": _plain,
    "request": _plain,
    "limit": _limit,
    "cursor": _cursor,
    "format": _form,
}
"""The parameters, and the parser of each."""
