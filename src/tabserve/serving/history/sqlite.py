"""A history in a file of SQLite."""

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from tabserve.serving.history.query import from_microseconds, microseconds
from tabserve.serving.history.store import COLUMNS, INDEXES, TABLE

BUSY_SECONDS = 1.0
"""How long a statement waits for another process that has locked the file."""

SETTINGS = (
    "PRAGMA journal_mode = WAL",  # readers and the writer do not wait for each other
    "PRAGMA synchronous = NORMAL",  # a power cut may lose the last transactions, and damages nothing
    "PRAGMA journal_size_limit = 67108864",
)

CREATE = (
    f"""CREATE TABLE IF NOT EXISTS {TABLE} (
        id INTEGER PRIMARY KEY,
        time INTEGER NOT NULL, -- microseconds since 1970, UTC
        request TEXT NOT NULL,
        model TEXT NOT NULL,
        version TEXT NOT NULL,
        route TEXT NOT NULL,
        rows INTEGER NOT NULL,
        input TEXT NOT NULL, -- JSON, as is the output
        output TEXT NOT NULL
    )""",
    *INDEXES,
)

INSERT = f"INSERT INTO {TABLE} ({COLUMNS}, input, output) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  no foreign text


class Sqlite:
    """The dialect of SQLite, for one file."""

    unavailable: tuple[type[Exception], ...] = (sqlite3.Error, OSError)
    refused: tuple[type[Exception], ...] = (sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError)
    mark, oldest = "?", ""
    find_table = f"SELECT max(name) FROM sqlite_master WHERE name = '{TABLE}'"  # noqa: S608

    def __init__(self, path: Path) -> None:
        """Take the path; the file is made when it is first connected to."""
        self._path, self.name = path.absolute(), str(path)
        self._opened: tuple[int, int] | None = None

    def connect(self) -> sqlite3.Connection:
        """A connection that may write."""
        self._path.touch(mode=0o600)  # the inputs may be about people; SQLite gives its other files the same mode
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, check_same_thread=False)
        try:
            for statement in (*SETTINGS, *CREATE):
                connection.execute(statement)
            connection.commit()
        except BaseException:
            connection.close()
            raise
        self._opened = self._identity()
        return connection

    def is_current(self) -> bool:
        """Whether the file is still the one that was connected to: nobody has removed or replaced it."""
        return self._opened == self._identity()

    def connect_to_read(self) -> sqlite3.Connection | None:
        """A connection that only reads, or None if there is no file yet."""
        if not self._path.exists():
            return None
        address = f"{self._path.as_uri()}?mode=ro"
        return sqlite3.connect(address, timeout=BUSY_SECONDS, uri=True, check_same_thread=False)

    def insert(self, cursor: sqlite3.Cursor, rows: list[list[Any]]) -> None:
        """Insert rows."""
        cursor.executemany(INSERT, rows)

    def rows(self, connection: sqlite3.Connection, statement: str, values: list[Any]) -> Iterable[Any]:
        """The rows of a SELECT, one at a time."""
        return connection.execute(statement, values)

    def from_time(self, time: datetime) -> int:
        """Microseconds since 1970."""
        return microseconds(time)

    def to_time(self, value: int) -> datetime:
        """The time of these microseconds."""
        return from_microseconds(value)

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino
