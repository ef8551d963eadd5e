"""A query string is parsed, or refused in one sentence."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabserve.errors import InvalidRequest
from tabserve.serving.history.query import Asked, Cursor, Query, parse


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("since", "2026-11-30", datetime(2026, 11, 30, tzinfo=UTC)),
        ("until", "2026-11-30T21:48:00Z", datetime(2026, 11, 30, 21, 48, tzinfo=UTC)),
        ("since", "2026-11-30T21:48:00.000001-03:00", datetime(2026, 12, 1, 0, 48, 0, 1, tzinfo=UTC)),
        ("model", "flights", "flights"),
        ("request", "a\0b", "a\ufffdb"),
        ("limit", "1000", 1_000),
    ],
)
def test_each_parameter_is_parsed(name: str, text: str, value: Any) -> None:  # noqa: ANN401  as each has a type
    """All others keep their defaults."""
    assert parse([(name, text)]) == Asked(Query(**{name: value}), "json")


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ([("page", "2")], "The parameter 'page' is unknown; the history knows 'since', 'until', "),
        ([("limit", "1"), ("limit", "2")], "The parameter 'limit' is there twice; give it once."),
        ([("limit", "0")], "The parameter 'limit' is '0'; expected a whole number from 1 to 1000."),
        ([("limit", "1001")], "The parameter 'limit' is '1001'; expected a whole number from 1 to 1000."),
        ([("limit", "ten")], "The parameter 'limit' is 'ten'; expected a whole number from 1 to 1000."),
        ([("since", "2026-02-31")], "The parameter 'since' is '2026-02-31'; expected a date such as 2026-11-30, or "),
        ([("until", "soon")], "The parameter 'until' is 'soon'; expected a date such as 2026-11-30, or "),
        ([("since", "0001-01-01T00:00+23:00")], "The parameter 'since' is '0001-01-01T00:00+23:00'; expected a date"),
        ([("cursor", "2")], "The parameter 'cursor' is '2'; expected the 'next' of another page."),
        ([("cursor", f"{'9' * 18}-1")], "The parameter 'cursor' is '999999999999999999-1'; expected the 'next'"),
        ([("cursor", "١-1")], "The parameter 'cursor' is '١-1'; expected the 'next' of another page."),
        ([("format", "xml")], "The parameter 'format' is 'xml'; expected one of 'json', 'ndjson', 'csv'."),
        ([("format", "csv"), ("limit", "5")], "A history as csv is no page and has no limit; leave one of both"),
    ],
)
def test_a_wrong_parameter_is_refused(pairs: list[tuple[str, str]], sentence: str) -> None:
    """The sentence names it, and what was expected."""
    with pytest.raises(InvalidRequest) as error:
        parse(pairs)
    assert str(error.value).startswith(sentence)


@given(st.lists(st.tuples(st.sampled_from(["since", "until", "model", "request", "limit", "cursor"]), st.text())))
def test_any_text_is_parsed_or_refused(pairs: list[tuple[str, str]]) -> None:
    """And never another error."""
    with suppress(InvalidRequest):
        assert parse(pairs).form == "json"


@given(st.datetimes(timezones=st.just(UTC)), st.integers(1, 10**18 - 1))
def test_a_cursor_is_read_as_it_is_written(time: datetime, number: int) -> None:
    """For every time, also before 1970."""
    cursor = Cursor(time, number)
    assert parse([("cursor", str(cursor))]).query.cursor == cursor
    assert cursor.time - time == timedelta()
