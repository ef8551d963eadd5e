"""Open the history that the settings name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tabserve.errors import ServerError
from tabserve.serving.history.history import History
from tabserve.serving.history.sqlite import Sqlite
from tabserve.serving.history.store import Dialect, Store
from tabserve.serving.history.writer import Bounds
from tabserve.serving.limits import Limits
from tabserve.serving.metrics import METRICS

SETTING = "The setting `history` (TABSERVE_HISTORY)"


def open_history(limits: Limits) -> History | None:
    """Start the history that `limits.history` names, with its metrics among the server's; None if it names none.

    A store that cannot be reached is tried again while the server runs.

    Raises:
        ServerError: no history can ever be kept there.
    """
    if not limits.history:
        return None
    bounds = Bounds(limits.history_days, limits.history_rows, limits.history_entry_bytes)
    history = History(Store(dialect(limits.history)), bounds)
    METRICS.include("history", history.metrics.collect)
    return history


@contextmanager
def running_history(limits: Limits) -> Iterator[History | None]:
    """The history that the settings name, during a `with` block; see `open_history`."""
    history = open_history(limits)
    try:
        yield history
    finally:
        if history:
            history.close()


def dialect(name: str) -> Dialect:
    """The dialect of the store that a setting names; errors as for `open_history`."""
    if name.startswith(("postgresql://", "postgres://")):
        return _postgresql(name)
    if "://" in name:
        scheme = name.partition("://")[0]
        raise ServerError(
            f"{SETTING} begins with {scheme[:20]!r}://; expected the path of a file,"
            " or an address that begins with postgresql://."
        )
    return _sqlite(Path(name))


def _postgresql(address: str) -> Dialect:
    try:
        from tabserve.serving.history.postgresql import Postgresql  # noqa: PLC0415  an extra
    except ImportError as error:
        advice = "install it by pip install 'tabserve[postgresql]'"
        raise ServerError(f"{SETTING} is an address of PostgreSQL, which needs psycopg ({error}); {advice}.") from error
    try:
        return Postgresql(address)
    except Postgresql.unavailable:  # without a cause, which may hold a password
        expected = "expected one such as postgresql://user:password@host:5432/database"
        raise ServerError(f"{SETTING} is no address of PostgreSQL; {expected}.") from None


def _sqlite(path: Path) -> Sqlite:
    """A file that can be made, or is there and can be written."""
    wrong = f"{SETTING} is {path}"
    if not path.parent.is_dir():
        raise ServerError(f"{wrong}, and {path.absolute().parent} is no folder; make it, or name another.")
    if path.exists() and not path.is_file():
        raise ServerError(f"{wrong}, which is no regular file; name a file, such as history.db.")
    if not all(os.access(each, os.W_OK) for each in (path.parent, path) if each.exists()):
        raise ServerError(f"{wrong}, which this user may not write, or not make files beside it; name another place.")
    return Sqlite(path)
