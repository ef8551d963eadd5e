"""A history of answered requests: entries go in from one event loop, and pages come out on any thread."""

import logging
from collections.abc import Iterator

from tabserve.errors import Overloaded
from tabserve.serving.history import pages
from tabserve.serving.history.entry import Entry, Json, bounded, left_out
from tabserve.serving.history.metrics import FULL, HistoryMetrics
from tabserve.serving.history.query import MAX_LIMIT, Page, Query
from tabserve.serving.history.store import Store, Unavailable
from tabserve.serving.history.writer import WAITING_BYTES, Bounds, Queue, Writer

log = logging.getLogger(__name__)


class History:
    """Keeps entries in a store; a thread writes them, so that no answer waits.

    Attributes:
        metrics: counts for Prometheus.
    """

    def __init__(self, store: Store, bounds: Bounds, most: int = WAITING_BYTES) -> None:
        """Start the writer's thread; `most` bytes of entries may wait for it."""
        self._store, self._bounds, self._held = store, bounds, 0
        self._queue = Queue(most)
        self.metrics = HistoryMetrics(lambda: self._queue.size + self._held)
        self._writer = Writer(self._queue, store, bounds, self.metrics)

    def add(self, entry: Entry) -> None:
        """Have an entry written soon, or lost if too many wait; never waits or raises. For one thread."""
        entry = bounded(entry, self._bounds.entry_bytes)
        if self._queue.has_room(entry.size + self._held):
            self._queue.put(entry)
            self._writer.notify()
        else:
            self._lose()

    def hold(self, sent: Json) -> Json:
        """Count the input of a request towards what waits, until `release`; returns what to keep of it."""
        most, size = self._bounds.entry_bytes, len(sent)
        if size > most:
            sent = left_out(size, f"an entry holds at most {most}")
        elif not self._queue.has_room(size + self._held):
            sent = left_out(size, "too many entries were waiting")
        self._held += len(sent)
        return sent

    def release(self, kept: Json) -> None:
        """Count what `hold` returned no longer."""
        self._held -= len(kept)

    def close(self) -> None:
        """Write what waits, within a deadline."""
        self._writer.close()

    def page(self, query: Query) -> Page:
        """A page of entries, newest first; empty if there is none. Takes time: call it on a thread of its own.

        Raises:
            Overloaded: the store cannot be read now.
        """
        try:
            return self._store.page(query)
        except Unavailable as error:
            raise Overloaded(f"The history cannot be read now: {error}; try again in a second.") from error

    def stream(self, query: Query, form: str) -> Iterator[bytes]:
        """All entries from the query's cursor on, as `ndjson` or `csv`, in constant memory; for any thread.

        Raises:
            Overloaded: the store cannot be read now.
        """
        query = query._replace(limit=MAX_LIMIT)
        return pages.stream(self._pages(self.page(query), query), form)

    def _pages(self, page: Page, query: Query) -> Iterator[Page]:
        """A page, and those after it."""
        yield page
        while page.next:
            page = self.page(query._replace(cursor=page.next))
            yield page

    def _lose(self) -> None:
        """Count an entry that is lost; log the first until the writer has caught up."""
        self.metrics.lost[FULL] += 1
        if not self._writer.is_behind:
            self._writer.is_behind = True
            log.error("The history loses entries: too many wait to be written to %s.", self._store.name)
