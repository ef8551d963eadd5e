"""Write the entries of a history in a thread of its own, in batches, and prune what exceeds the bounds."""

import logging
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import NamedTuple

from tabserve.serving.history.entry import Entry, bounded, left_out, made
from tabserve.serving.history.metrics import CLOSED, REFUSED, HistoryMetrics
from tabserve.serving.history.store import Store, Unavailable

WAITING_BYTES = 64 * 2**20
"""Most bytes of entries that wait to be written; beyond, entries are lost."""

BATCH_ENTRIES, BATCH_BYTES = 1_000, 4 * 2**20
"""Most entries, and about the most bytes, of one transaction."""

GATHER_SECONDS, RETRY_SECONDS, IDLE_SECONDS = 0.05, 1.0, 60.0
"""How long the writer waits for more entries, after a failure, and before it prunes although nothing was added."""

FLUSH_SECONDS = 5.0
"""How long the end of a server waits for what is not yet written."""

PRUNE_ENTRIES = 2 * BATCH_ENTRIES
"""Entries that are removed in one transaction: more than are written in one, so that pruning keeps up."""

log = logging.getLogger(__name__)


class Bounds(NamedTuple):
    """How much a history keeps: days, entries, and bytes of an entry's input and output."""

    days: float
    entries: int
    entry_bytes: int


class Queue:
    """Entries that wait to be written; one thread puts them, and another takes them, without a lock."""

    def __init__(self, most: int) -> None:
        """Hold at most so many bytes."""
        self._most, self._entries = most, deque[Entry]()
        self._put = self._taken = 0  # bytes; each is changed by one thread alone

    def __len__(self) -> int:
        """Number of entries."""
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes of the entries."""
        return self._put - self._taken

    def has_room(self, size: int) -> bool:
        """Whether so many bytes fit."""
        return self.size + size <= self._most

    def put(self, entry: Entry) -> None:
        """Append an entry."""
        self._put += entry.size
        self._entries.append(entry)

    def take(self) -> list[Entry]:
        """Take the oldest entries, for one transaction."""
        batch, size = list[Entry](), 0
        while self._entries and len(batch) < BATCH_ENTRIES and size < BATCH_BYTES:
            batch.append(self._entries.popleft())
            size += batch[-1].size
        self._taken += size
        return batch


class Writer:
    """A thread that writes the entries of a queue to a store, and goes on after every failure.

    Attributes:
        is_behind: set where an entry is lost because the queue is full; cleared once the queue is empty.
    """

    def __init__(self, queue: Queue, store: Store, bounds: Bounds, metrics: HistoryMetrics) -> None:
        """Start the thread."""
        self._queue, self._store, self._bounds, self._metrics = queue, store, bounds, metrics
        self._batch: list[Entry] = []
        self._wake, self._closing, self._deadline = Event(), Event(), float("inf")
        self._is_failing = self.is_behind = False
        self._thread = Thread(target=self._run, name="history", daemon=True)  # the exit may not wait for a lost server
        self._thread.start()

    def notify(self) -> None:
        """Tell the thread that there are entries."""
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Write what waits, for at most `FLUSH_SECONDS`, and end the thread."""
        self._deadline = time.monotonic() + FLUSH_SECONDS
        self._closing.set()
        self._wake.set()
        self._thread.join(FLUSH_SECONDS + 1)
        if left := len(self._batch) + len(self._queue):
            self._metrics.lost[CLOSED] += left
            log.error("The history ends without its last %d entries: %s cannot be written.", left, self._store.name)

    def _run(self) -> None:
        wait = 0.0
        while not self._closing.is_set() or self._goes_on():
            self._gather(wait)
            try:
                self._write_waiting()
                wait = 0.0 if self._prune() else IDLE_SECONDS
            except Exception as error:  # noqa: BLE001  whatever it is, the thread tries again
                self._fail(str(error))
                wait = 0.0
        self._store.close()

    def _goes_on(self) -> bool:
        """Whether there is something to write, and time for it before the end."""
        return time.monotonic() < self._deadline and bool(self._batch or len(self._queue))

    def _gather(self, wait: float) -> None:
        """Wait for entries, and then for those that follow soon, so that they are one transaction."""
        if not self._closing.is_set():
            self._wake.wait(wait)
            self._wake.clear()
            self._closing.wait(GATHER_SECONDS)

    def _write_waiting(self) -> None:
        """Write all entries that wait, or those for which there is time before the end."""
        while time.monotonic() < self._deadline:
            self._batch = self._batch or [self._made(entry) for entry in self._queue.take()]
            if not self._batch:
                self.is_behind = False
                return
            self._write_batch()
            self._prune()

    def _made(self, entry: Entry) -> Entry:
        """The entry as bytes, within its bound."""
        try:
            return bounded(made(entry), self._bounds.entry_bytes)
        except Exception as error:  # a tensor that has no JSON must not end the thread
            log.exception("An entry of the history has no input and output.")
            nothing = left_out(len(entry.input) + len(entry.output), repr(error)[:200])
            return entry._replace(input=nothing, output=nothing)

    def _write_batch(self) -> None:
        """Write the batch in one transaction, or one by one if the store refuses one of its entries."""
        size = len(self._batch)
        while self._batch:
            try:
                self._store.write(self._batch[:size])
            except Unavailable:
                raise
            except Exception as error:  # noqa: BLE001  whatever it is, the other entries can be written
                if size == 1:
                    self._refuse(error)
                    del self._batch[0]
                size = 1
            else:
                self._metrics.written += size
                del self._batch[:size]
                self._recover()

    def _prune(self) -> bool:
        """Remove entries beyond the bounds, if there are any; returns whether there may be more."""
        before = datetime.now(UTC) - timedelta(days=self._bounds.days)
        removed = self._store.prune(before, self._bounds.entries, PRUNE_ENTRIES)
        self._recover()
        return removed >= PRUNE_ENTRIES

    def _fail(self, reason: str) -> None:
        """Count a failure, log the first of several, and wait before the next attempt; at the end not as long."""
        self._metrics.failures += 1
        if not self._is_failing:
            message = "The history cannot be written to %s: %s. Predictions go on, and it is tried again."
            log.error(message, self._store.name, reason)
        self._is_failing = True
        if self._closing.wait(RETRY_SECONDS):
            time.sleep(GATHER_SECONDS)

    def _recover(self) -> None:
        if self._is_failing:
            log.info("The history is written again to %s.", self._store.name)
        self._is_failing = False

    def _refuse(self, error: Exception) -> None:
        """Count an entry that can never be written; log the first."""
        self._metrics.lost[REFUSED] += 1
        if self._metrics.lost[REFUSED] == 1:
            log.error("%s refuses an entry of the history: %s.", self._store.name, error)
