"""A history in PostgreSQL, to which several servers may write; by psycopg (https://www.psycopg.org)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tabserve.serving.history.store import COLUMNS, INDEXES, TABLE, has_table

OPTIONS = {
    "application_name": "tabserve",
    "connect_timeout": "5",  # seconds
    "tcp_user_timeout": "10000",  # milliseconds until a connection whose server is silent is lost
    "client_encoding": "utf8",
}
"""Options of a connection that the address does not set itself."""

CREATE = (
    f"""CREATE TABLE {TABLE} (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        time timestamptz NOT NULL,
        request text NOT NULL,
        model text NOT NULL,
        version text NOT NULL,
        route text NOT NULL,
        rows integer NOT NULL,
        input json NOT NULL, -- json keeps the text as it was sent, jsonb would not
        output json NOT NULL
    )""",
    *INDEXES,
)

COPY = f"COPY {TABLE} ({COLUMNS}, input, output) FROM STDIN"

LOCK = 7_473_882_101
"""The number of the lock that one server holds while it makes the table; any number that others do not use."""

FETCHED = 20
"""Entries that are read at a time."""


class Postgresql:
    """The dialect of PostgreSQL, for one database."""

    unavailable: tuple[type[Exception], ...] = (psycopg.Error, OSError)
    refused: tuple[type[Exception], ...] = (psycopg.DataError, psycopg.IntegrityError, psycopg.InterfaceError)
    mark, oldest = "%s", "FOR UPDATE SKIP LOCKED"  # as other servers remove the same entries
    find_table = f"SELECT to_regclass('{TABLE}')"

    def __init__(self, address: str) -> None:
        """Take the address, such as postgresql://user@host/database.

        Raises:
            psycopg.ProgrammingError: it is no such address; the message may hold its password.
        """
        options = conninfo_to_dict(address)
        place = f"{options.get('host', 'localhost')}:{options.get('port', 5432)}"
        self.name = f"postgresql://{place}/{options.get('dbname', '')}"
        self._options = make_conninfo(
            address, **{name: value for name, value in OPTIONS.items() if name not in options}
        )

    def connect(self) -> Any:  # noqa: ANN401
        """A connection that may write."""
        # Unprepared statements work behind a pooler, too.
        connection = psycopg.connect(self._options, prepare_threshold=None)
        try:
            if not has_table(connection, self):
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
                if not has_table(connection, self):
                    for statement in CREATE:
                        connection.execute(statement)
            connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection

    def connect_to_read(self) -> Any:  # noqa: ANN401
        """A connection that only reads."""
        connection = psycopg.connect(self._options, prepare_threshold=None)
        connection.read_only = True
        return connection

    def is_current(self) -> bool:
        """True: a connection that is lost says so at its next use."""
        return True

    def insert(self, cursor: Any, rows: list[list[Any]]) -> None:  # noqa: ANN401
        """Insert rows by COPY, several times as fast as a statement for each."""
        with cursor.copy(COPY) as copy:
            for row in rows:
                copy.write_row(row)

    def rows(self, connection: Any, statement: str, values: list[Any]) -> Iterator[Any]:  # noqa: ANN401
        """The rows of a SELECT, a few at a time."""
        with connection.cursor(name="page") as cursor:
            cursor.itersize = FETCHED
            yield from cursor.execute(statement, values)

    def from_time(self, time: datetime) -> datetime:
        """The time itself."""
        return time

    def to_time(self, value: datetime) -> datetime:
        """The time in UTC, whatever the time zone of the connection is."""
        return value.astimezone(UTC)
