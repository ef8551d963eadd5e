"""Natural batching: score the rows of all requests that have arrived together; no request waits for others."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.errors import Overloaded
from tabserve.serving.protocol.signature import Features
from tabserve.serving.slices import MAX_THREADS, Slices

log = logging.getLogger(__name__)

MAX_QUEUE_ROWS = 50_000
"""Default number of rows that may wait for their scores: 40 MB of 200 features."""

LARGE_SHARE = 0.8
"""Default share of these rows that large requests may hold; the rest is left to small ones."""

Answers = Any
"""The answers of a model: a NamedTuple of arrays with one entry per row."""


class QueuedRows(NamedTuple):
    """The rows of a request that wait for their scores.

    Attributes:
        features: shape (rows, features).
        scores: set once the rows are scored.
        since: when they were queued, in the event loop's time.
    """

    features: NDArray[Any]
    scores: asyncio.Future[Answers]
    since: float


class Batcher:
    """Scores the rows of many requests in few calls of the model; for one event loop.

    The requests that arrive in one turn of the loop form a batch of up to `max_batch_size` rows, in their order. A
    single request is scored at the end of the turn; several are scored at the end of the next turn, with those that
    arrived meanwhile. The model is called in the loop's own thread: the call takes less time than handing it to another
    thread and waiting for Python's lock.

    A request of more than `max_batch_size` rows, or of several chunks, is large: other threads score it in slices of at
    most `max_batch_size` rows, so that no small request waits for it; see `Slices`. Large requests hold only a share of
    the queue.

    A cancelled request that still waits is not scored, nor are the waiting slices of a cancelled large request.
    """

    def __init__(
        self,
        score: Callable[[NDArray[Any]], Answers],
        max_batch_size: int,
        max_batch_time: float = 0.0,
        *,
        max_queue_rows: int = MAX_QUEUE_ROWS,
        large_share: float = LARGE_SHARE,
        threads: int = MAX_THREADS,
    ) -> None:
        """Start with an empty queue.

        Args:
            score: returns the answers for an array of features; called on several threads.
            max_batch_size: most rows in one call, at least 1.
            max_batch_time: seconds that the first request of a batch waits for others.
            max_queue_rows: most rows that may wait at a time.
            large_share: share of `max_queue_rows` that large requests may hold.
            threads: number of threads that score slices of large requests; at most the number of cores.
        """
        self._model = score
        self._max_batch_size = max_batch_size
        self._max_batch_time = max_batch_time
        self._max_queue_rows = max_queue_rows
        self._max_large_rows = int(max_queue_rows * large_share)
        self._slices = Slices(self._call_model, max_batch_size, threads)
        self._queue: deque[QueuedRows] = deque()
        self._next: asyncio.Handle | None = None
        self.rows = self._large_rows = 0  # accepted and not yet answered

    def check_room(self, rows: int = 1) -> None:
        """Refuse rows that do not fit into the queue; an empty queue takes any number.

        Raises:
            Overloaded: the rows do not fit.
        """
        if self.rows + rows > self._max_queue_rows and self.rows:
            raise Overloaded(
                f"The server has {self.rows} rows to score, of at most {self._max_queue_rows}; try again in a second."
            )

    async def score(self, features: Features) -> Answers:
        """Score the rows of a request.

        Raises:
            InvalidRequest: a chunk of the features is invalid.
            Overloaded: too many rows are waiting.
            Exception: the model's error on the batch.
        """
        self.check_room(features.rows)
        self.rows += features.rows
        try:
            chunks = iter(features.chunks)
            first = next(chunks)
            if len(first) == features.rows <= self._max_batch_size:
                return await self._enqueue(first)
            return await self._score_large(features.rows, chain([first], chunks))
        finally:
            self.rows -= features.rows

    async def _score_large(self, rows: int, chunks: Iterator[NDArray[Any]]) -> Answers:
        """Score a large request, or refuse it if the other large requests leave no room for its rows."""
        if self._large_rows + rows > self._max_large_rows and self._large_rows:
            raise Overloaded(
                f"The server has {self._large_rows} rows of large requests to score, of at most {self._max_large_rows};"
                " try again in a second."
            )
        self._large_rows += rows
        try:
            return joined(await self._slices.results(chunks))
        finally:
            self._large_rows -= rows

    def _enqueue(self, features: NDArray[Any]) -> asyncio.Future[Answers]:
        """Queue the rows for the next call of the model."""
        loop = asyncio.get_running_loop()
        scores = loop.create_future()
        self._queue.append(QueuedRows(features, scores, loop.time()))
        if self._next is None or self._max_batch_time:
            self._schedule(loop)
        return scores

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call the model at the end of this turn, or once the first of an incomplete batch waited `max_batch_time`."""
        if self._next is not None:
            self._next.cancel()
        if self._max_batch_time and sum(len(queued.features) for queued in self._queue) < self._max_batch_size:
            self._next = loop.call_at(self._queue[0].since + self._max_batch_time, self._score_batch, loop)
        else:
            self._next = loop.call_soon(self._end_turn, loop)

    def _end_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Score a lone request at once; several wait a turn for those whose bytes have arrived but are not yet read."""
        if len(self._queue) > 1:
            self._next = loop.call_soon(self._score_batch, loop)
        else:
            self._score_batch(loop)

    def _score_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Score the next batch, and give each request its own scores, or all of them the model's error."""
        self._next = None
        if batch := self._next_batch():
            try:
                self._resolve(batch)
            except Exception as error:  # noqa: BLE001  any error of the model belongs to its batch
                for queued in batch:
                    queued.scores.set_exception(error)
        if self._queue:
            self._schedule(loop)

    def _next_batch(self) -> list[QueuedRows]:
        """Take the first requests off the queue, of at most `max_batch_size` rows; cancelled ones are dropped."""
        batch: list[QueuedRows] = []
        room = self._max_batch_size
        while self._queue and len(self._queue[0].features) <= room:
            queued = self._queue.popleft()
            if not queued.scores.done():
                batch.append(queued)
                room -= len(queued.features)
        return batch

    def _resolve(self, batch: list[QueuedRows]) -> None:
        """Set the scores of each request of a batch."""
        if len(batch) == 1:
            batch[0].scores.set_result(self._call_model(batch[0].features))
            return
        answers = self._call_model(np.concatenate([queued.features for queued in batch]))
        start = 0
        for queued in batch:
            end = start + len(queued.features)
            queued.scores.set_result(type(answers)(*(array[start:end] for array in answers)))
            start = end

    def _call_model(self, features: NDArray[Any]) -> Answers:
        try:
            return self._model(features)
        except Exception:
            log.exception("Scoring %d rows failed.", len(features))
            raise


def joined(answers: Sequence[Answers]) -> Answers:
    """The answers of consecutive rows as one."""
    return type(answers[0])(*map(np.concatenate, zip(*answers, strict=True)))
