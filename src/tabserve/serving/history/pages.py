"""Entries of a history as JSON, lines of JSON, or csv."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping

import orjson

from tabserve.serving.history.entry import Entry, Json
from tabserve.serving.history.query import Page

COLUMNS = Entry._fields

Lines = Callable[[Iterable[Entry]], bytes]


def to_json(page: Page) -> bytes:
    """A page: its entries, and the cursor of the next page or null."""
    return orjson.dumps(
        {"history": [*map(_document, page.entries)], "next": None if page.next is None else str(page.next)}
    )


def stream(pages: Iterable[Page], form: str) -> Iterator[bytes]:
    """All entries of pages, in a form of `LINES`; one page is in memory at a time."""
    if form == "csv":
        yield _csv_lines([COLUMNS])
    for page in pages:
        if page.entries:
            yield LINES[form](page.entries)


def _document(entry: Entry) -> dict[str, object]:
    json = {"input": _fragment(entry.input), "output": _fragment(entry.output)}
    return {**entry._asdict(), "time": _time(entry), **json}


def _fragment(json: Json) -> orjson.Fragment:
    """JSON on one line: a line's end is white space in JSON, or escaped."""
    assert isinstance(json, bytes)
    return orjson.Fragment(json.replace(b"\r", b" ").replace(b"\n", b" "))


def _time(entry: Entry) -> str:
    return entry.time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _json_lines(entries: Iterable[Entry]) -> bytes:
    return b"".join(orjson.dumps(_document(entry), option=orjson.OPT_APPEND_NEWLINE) for entry in entries)


def _csv_of(entries: Iterable[Entry]) -> bytes:
    return _csv_lines([_time(entry), *entry[1:-2], *map(_decoded, entry[-2:])] for entry in entries)


def _decoded(json: Json) -> str:
    assert isinstance(json, bytes)
    return json.decode()


def _csv_lines(rows: Iterable[Iterable[object]]) -> bytes:
    lines = io.StringIO()
    csv.writer(lines).writerows(rows)
    return lines.getvalue().encode()


LINES: Mapping[str, Lines] = {"ndjson": _json_lines, "csv": _csv_of}
"""The lines of entries, by form."""
