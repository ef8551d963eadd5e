"""Record a request when it is answered, in a history or in none."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Self

from tabserve.serving.history.entry import Entry, Json
from tabserve.serving.history.history import History


class Kept:
    """A request that is being answered; its input is held during the `with` block."""

    def __init__(self, history: History, route: str, sent: Json) -> None:
        """Take the input."""
        self._history, self._route, self._input = history, route, sent

    def __enter__(self) -> Self:
        """Hold the input, if there is room for it."""
        self._input = self._history.hold(self._input)
        return self

    def __exit__(self, *_: object) -> None:
        """Hold it no longer."""
        self._history.release(self._input)

    def add(self, request: str, model: str, version: str, rows: int, output: Json) -> None:
        """Add the entry of the request, which is answered now; see `Entry`."""
        now = datetime.now(UTC)
        self._history.add(Entry(now, request, model, version, self._route, rows, self._input, output))


class Dropped:
    """A request that no history records."""

    def __enter__(self) -> Self:
        """Hold nothing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def add(self, request: str, model: str, version: str, rows: int, output: Json) -> None:
        """Do nothing."""


Record = Kept | Dropped

DROPPED = Dropped()


def recording(history: History | None, route: str, sent: Callable[[], Json]) -> Record:
    """Record a request; `sent` returns its input, and is called only if there is a history."""
    return DROPPED if history is None else Kept(history, route, sent())
