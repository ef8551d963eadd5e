"""Where a history is kept: one table in SQLite or PostgreSQL, with the same rows and the same statements."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from typing import Any, Protocol

from tabserve.serving.history.entry import Entry, Stored, plain
from tabserve.serving.history.query import Cursor, Page, Query

TABLE = "tabserve_history"

PAGE_BYTES = 16 * 2**20
"""Most bytes of the inputs and outputs of a page, beyond its first entry; a page that reaches them ends early."""

COLUMNS = "time, request, model, version, route, rows"

SELECT = f"SELECT id, {COLUMNS}, CAST(input AS text), CAST(output AS text) FROM {TABLE}"  # noqa: S608  no foreign text

INDEXES = (
    f"CREATE INDEX IF NOT EXISTS {TABLE}_time ON {TABLE} (time, id)",
    f"CREATE INDEX IF NOT EXISTS {TABLE}_model ON {TABLE} (model, time, id)",
    f"CREATE INDEX IF NOT EXISTS {TABLE}_request ON {TABLE} (request)",
)


class Unavailable(Exception):
    """A store cannot be written or read now; the same call may succeed later."""


class Dialect(Protocol):
    """What a database has of its own.

    Attributes:
        name: of the store in messages, without a password.
        unavailable: errors after which the same call may succeed later.
        refused: those of them that the same rows would meet again.
        mark: stands for a value in a statement.
        oldest: added to the inner statement of a deletion.
        find_table: a statement that finds the table, or nothing.
    """

    name: str
    unavailable: tuple[type[Exception], ...]
    refused: tuple[type[Exception], ...]
    mark: str
    oldest: str
    find_table: str

    def connect(self) -> Any:  # noqa: ANN401  a DB-API connection, here and below
        """A connection that may write; the table is made if it is absent."""

    def connect_to_read(self) -> Any | None:  # noqa: ANN401
        """A connection that only reads, or None if there is nothing to read yet."""

    def is_current(self) -> bool:
        """Whether the last connection that may write still leads to what its name says."""

    def insert(self, cursor: Any, rows: list[list[Any]]) -> None:  # noqa: ANN401
        """Insert rows: a value for each of `COLUMNS`, the input and the output."""

    def rows(self, connection: Any, statement: str, values: list[Any]) -> Iterable[Any]:  # noqa: ANN401
        """The rows of a SELECT, a few at a time."""

    def from_time(self, time: datetime) -> Any:  # noqa: ANN401
        """A time as the table holds it."""

    def to_time(self, value: Any) -> datetime:  # noqa: ANN401
        """The time in UTC that the table holds."""


class Store:
    """Writes, prunes and reads the table; one thread writes and prunes, any may read."""

    def __init__(self, dialect: Dialect) -> None:
        """Connect at the first use."""
        self._dialect = dialect
        self._connection: Any = None
        self.name = dialect.name

    def write(self, entries: Iterable[Entry]) -> None:
        """Write entries, whose input and output are bytes, in one transaction.

        Raises:
            Unavailable: nothing was written; try again later.
            Exception: nothing was written, as one of the entries never can be.
        """
        rows = [self._row(entry) for entry in entries]
        with self._transaction() as cursor:
            self._dialect.insert(cursor, rows)

    def prune(self, before: datetime, most: int, step: int) -> int:
        """Remove up to `step` entries that are older than `before`, and as many that exceed `most`; returns how many.

        Raises:
            Unavailable: try again later.
        """
        too_many = f"id <= (SELECT max(id) FROM {TABLE}) - ?"  # noqa: S608  no foreign text, here and below
        with self._transaction() as cursor:
            old = self._remove(cursor, "time < ?", "time", [self._dialect.from_time(before), step])
            return old + self._remove(cursor, too_many, "id", [most, step])

    def page(self, query: Query) -> Page:
        """A page of entries.

        Raises:
            Unavailable: try again later.
        """
        entries, size, last = list[Entry](), 0, None
        with closing(self._read(query)) as rows:
            for stored in rows:
                size += stored.entry.size
                if len(entries) == query.limit or (entries and size > PAGE_BYTES):
                    return Page(tuple(entries), last)
                entries.append(stored.entry)
                last = Cursor(stored.entry.time, stored.id)
        return Page(tuple(entries), None)

    def close(self) -> None:
        """Close the connection that writes, and so take back what is not committed; it may be broken."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*self._dialect.unavailable):
                connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        """A cursor for one transaction, which is committed if the block succeeds."""
        try:
            if self._connection is not None and not self._dialect.is_current():
                self.close()
            if self._connection is None:
                self._connection = self._dialect.connect()
            with closing(self._connection.cursor()) as cursor:
                yield cursor
            self._connection.commit()
        except Exception as error:
            self.close()
            if isinstance(error, self._dialect.unavailable) and not isinstance(error, self._dialect.refused):
                raise Unavailable(_reason(error)) from error
            raise

    def _remove(self, cursor: Any, condition: str, order: str, values: list[Any]) -> int:  # noqa: ANN401
        """Remove the first rows in this order, as many as the last value says; returns how many they were."""
        oldest = f"SELECT id FROM {TABLE} WHERE {condition} ORDER BY {order} LIMIT ? {self._dialect.oldest}"  # noqa: S608
        statement = f"DELETE FROM {TABLE} WHERE id IN ({oldest})"  # noqa: S608
        cursor.execute(statement.replace("?", self._dialect.mark), values)
        return int(cursor.rowcount)

    def _row(self, entry: Entry) -> list[Any]:
        texts = map(plain, (entry.request, entry.model, entry.version, entry.route))
        jsons = (_text(entry.input), _text(entry.output))
        return [self._dialect.from_time(entry.time), *texts, entry.rows, *jsons]

    def _read(self, query: Query) -> Generator[Stored, None, None]:
        """The entries of a page and the one after them."""
        try:
            connection = self._dialect.connect_to_read()
            if connection is None:
                return
            with closing(connection):
                if has_table(connection, self._dialect):
                    for row in self._dialect.rows(connection, *self._select(query)):
                        yield self._stored(row)
        except self._dialect.unavailable as error:
            raise Unavailable(_reason(error)) from error

    def _select(self, query: Query) -> tuple[str, list[Any]]:
        time = self._dialect.from_time
        model = "model" if query.request is None else "model || ''"  # an expression: SQLite would prefer that index
        conditions = {
            "time >= ?": query.since and [time(query.since)],
            "time < ?": query.until and [time(query.until)],
            f"{model} = ?": query.model is not None and [query.model],
            "request = ?": query.request is not None and [query.request],
            "(time, id) < (?, ?)": query.cursor and [time(query.cursor.time), query.cursor.id],
        }
        wanted = {condition: values for condition, values in conditions.items() if values}
        where = f" WHERE {' AND '.join(wanted)}" if wanted else ""
        statement = f"{SELECT}{where} ORDER BY time DESC, id DESC LIMIT ?"
        values = [value for values in wanted.values() for value in values]
        return statement.replace("?", self._dialect.mark), [*values, query.limit + 1]

    def _stored(self, row: Any) -> Stored:  # noqa: ANN401
        number, time, request, model, version, route, rows, input_, output = row
        texts = (request, model, version, route)
        return Stored(number, Entry(self._dialect.to_time(time), *texts, rows, input_.encode(), output.encode()))


def has_table(connection: Any, dialect: Dialect) -> bool:  # noqa: ANN401
    """Whether the database has the table already."""
    (table,) = connection.execute(dialect.find_table).fetchone()
    return table is not None


def _text(json: Any) -> str:  # noqa: ANN401  bytes, as the writer has made them
    return str(json, "utf-8", "replace")


def _reason(error: Exception) -> str:
    """The error's first line, which names what is wrong."""
    return next(iter(str(error).splitlines()), type(error).__name__).strip().rstrip(".")
