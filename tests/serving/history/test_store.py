"""Both stores hold the same rows, give them out page by page, and remove the oldest."""

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.serving.history.entries import ENTRIES, NOON, TIMES, entry

from tabserve.serving.history import store as stores
from tabserve.serving.history.entry import Entry
from tabserve.serving.history.opening import dialect
from tabserve.serving.history.query import Query, parse
from tabserve.serving.history.store import TABLE, Store

ALWAYS = NOON - timedelta(days=10_000)
"""A time before all entries."""

few = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])


def pages(store: Store, query: Query) -> Iterator[list[Entry]]:
    """All pages from a query on."""
    page = store.page(query)
    yield [*page.entries]
    while page.next:
        page = store.page(query._replace(cursor=page.next))
        yield [*page.entries]


def emptied(store: Store) -> Store:
    """The store without its entries."""
    while store.prune(datetime.max.replace(tzinfo=NOON.tzinfo), 1, 1_000):
        pass
    return store


def expected(entries: list[Entry], query: Query) -> list[Entry]:
    """The entries that a query wants, newest first; of one time, the last that was written."""
    wanted = [
        each
        for each in entries
        if (query.since is None or each.time >= query.since)
        and (query.until is None or each.time < query.until)
        and query.model in {None, each.model}
        and query.request in {None, each.request}
    ]
    numbered = sorted(zip([each.time for each in wanted], count(), wanted, strict=False), reverse=True)
    return [each for _, _, each in numbered]


def test_an_entry_is_read_as_it_was_written(store: Store) -> None:
    """Also times to the microsecond, and JSON as its client spelled it."""
    odd = b'{ "b": 1.0,\n"a": [1e400, "\\u0000\\ud800 \xc3\xa9"], "a": null}'
    written = entry(3, time=NOON + timedelta(microseconds=1), input=odd, output=b"[]", rows=2**31 - 1, route="/model/é")
    store.write([written])
    assert store.page(Query()).entries == (written,)


QUERIES = st.builds(
    Query,
    since=st.none() | TIMES,
    until=st.none() | TIMES,
    model=st.sampled_from([None, "flights", "none"]),
    request=st.sampled_from([None, None, "a", "é\n'"]),
    limit=st.integers(1, 7),
    cursor=st.none(),
)


@few
@given(entries=ENTRIES, query=QUERIES)
def test_pages_joined_are_the_whole(store: Store, entries: list[Entry], query: Query) -> None:
    """In order, without a gap or a repetition, for every filter; each page but the last is full."""
    emptied(store).write(entries)
    found = [*pages(store, query)]
    assert [each for page in found for each in page] == expected(entries, query)
    assert {len(page) for page in found[:-1]} <= {query.limit}


def test_entries_that_are_added_meanwhile_change_no_later_page(store: Store) -> None:
    """They would be on pages before the first."""
    store.write(entry(number) for number in range(10))
    page = store.page(Query(limit=4))
    store.write([entry(11), entry(12)])
    assert [each.request for each in store.page(Query(limit=4, cursor=page.next)).entries] == ["r5", "r4", "r3", "r2"]


def test_a_page_of_large_entries_ends_early(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no page takes much memory; the next page goes on, and holds at least one entry."""
    monkeypatch.setattr(stores, "PAGE_BYTES", 5_000)
    store.write(entry(number, input=orjson.dumps("x" * 4_000 * number)) for number in range(4))
    assert [[each.request for each in page] for page in pages(store, Query())] == [["r3"], ["r2"], ["r1"], ["r0"]]


def test_an_empty_history_has_an_empty_page(store: Store) -> None:
    """Also before anything was written, where SQLite has no file yet."""
    if store.name.startswith("/"):
        assert store.page(Query()) == ((), None)
    store.write([])
    assert store.page(Query()) == ((), None)


def test_a_history_outlives_its_server(address: str) -> None:
    """A store that is opened again has the entries, and adds to them."""
    for number in range(3):
        store = Store(dialect(address))
        store.write([entry(number)])
        store.close()
    assert [each.request for each in Store(dialect(address)).page(Query()).entries] == ["r2", "r1", "r0"]


def test_two_servers_write_to_one_history(address: str) -> None:
    """Both find the table that one of them made, and their entries are joined by time."""
    one, other = Store(dialect(address)), Store(dialect(address))
    for number in range(4):
        (one, other)[number % 2].write([entry(number)])
    assert [each.request for each in one.page(Query()).entries] == ["r3", "r2", "r1", "r0"]
    one.close()
    other.close()


def test_the_oldest_are_removed_by_age(store: Store) -> None:
    """A few at a time, until those alone are left that are young enough."""
    store.write(entry(number) for number in range(10))
    before = NOON + timedelta(seconds=7)
    assert [store.prune(before, 100, 3) for _ in range(4)] == [3, 3, 1, 0]
    assert [each.request for each in store.page(Query()).entries] == ["r9", "r8", "r7"]


def test_the_oldest_are_removed_by_number(store: Store) -> None:
    """Those that were written first."""
    store.write(entry(number) for number in range(10))
    assert [store.prune(ALWAYS, 4, 5) for _ in range(3)] == [5, 1, 0]
    assert [each.request for each in store.page(Query()).entries] == ["r9", "r8", "r7", "r6"]


def test_no_entry_is_written_if_one_is_refused(store: Store) -> None:
    """A batch is one transaction, and the store takes the next."""
    with pytest.raises((OverflowError, psycopg.DataError)):
        store.write([entry(1), entry(2, rows=2**70)])
    store.write([entry(3)])
    assert [each.request for each in store.page(Query()).entries] == ["r3"]


@pytest.mark.parametrize(
    "parameters",
    ["", "since=2026-11-30", "model=m", "request=r", "model=m&request=r", "cursor=5-6", "model=m&cursor=5-6"],
)
def test_no_page_of_sqlite_scans_the_table(parameters: str, tmp_path: Path) -> None:
    """Each filter is answered by an index, and a request's id by its own."""
    store = Store(dialect(str(tmp_path / "history.db")))
    store.write([entry()])
    pairs = [(name, value) for name, _, value in (pair.partition("=") for pair in parameters.split("&") if pair)]
    statement, values = store._select(parse(pairs).query)
    with sqlite3.connect(tmp_path / "history.db") as connection:
        (plan, *_) = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    index = "request" if "request" in parameters else "model" if "model" in parameters else "time"
    assert f"USING INDEX {TABLE}_{index}" in plan[-1]
