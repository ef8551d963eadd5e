"""Natural batching: the rows of all requests that have arrived are scored together, and nobody waits for company."""

import asyncio
import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.errors import Overloaded
from tabserve.serving.protocol.signature import Features

log = logging.getLogger(__name__)

MAX_QUEUE_ROWS = 50_000
"""Rows that may wait for their scores, unless the server's settings say otherwise: 40 MB of 200 features."""

LARGE_SHARE = 0.8
"""Of these rows, those that large requests may hold, unless the settings say otherwise: small ones find the rest."""

MAX_THREADS = 4
"""Threads that score the slices of large requests, unless the model says otherwise."""


Answers = Any
"""What a model gives for rows: a NamedTuple of arrays, one entry of each for every row."""


class Waiting(NamedTuple):
    """Rows that wait for their scores, and since when, in the event loop's time."""

    features: NDArray[Any]
    scores: asyncio.Future[Answers]
    since: float


class Batcher:
    """Scores the rows of many requests in few calls of the model; for one event loop.

    The requests that arrive in one turn of the loop are joined, in their order, up to `max_batch_size` rows. A lone one
    is scored at the turn's end; several are scored at the end of the next, with those that came meanwhile. They are
    scored in the loop's own thread: a call takes less time than handing it to another and waiting for Python's lock.

    A request of more rows, or in several parts, is large: other threads score it in slices of so many rows at most, so
    that no small one waits for it. Large requests take turns, slice by slice, and hold only a share of the queue; the
    parts of one are taken while the slices before them are scored.

    A request that is cancelled while it waits is not scored, nor are the slices of one that wait.
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
        """Prepare to score.

        Args:
            score: some rows' features to their scores; may be called on several threads.
            max_batch_size: rows that are scored in one call, at least 1.
            max_batch_time: seconds that the first of a batch waits for others.
            max_queue_rows: rows that may wait at a time.
            large_share: of them, the share that large requests may hold.
            threads: that score slices of large requests, where there are as many cores.
        """
        self._model = score
        self._max_batch_size = max_batch_size
        self._max_batch_time = max_batch_time
        self._max_queue_rows = max_queue_rows
        self._max_large_rows = int(max_queue_rows * large_share)
        threads = min(threads, os.cpu_count() or 1)
        self._threads = _threads(threads)
        self._slots = asyncio.Semaphore(2 * threads)  # slices that wait for a thread, so that none waits for the loop
        self._turn = asyncio.Lock()
        self._waiting: deque[Waiting] = deque()
        self._next: asyncio.Handle | None = None
        self.rows = self._large_rows = 0  # accepted and not yet answered

    def check_room(self, rows: int = 1) -> None:
        """Refuse rows that would not fit into the queue.

        Raises:
            Overloaded: there is no room for so many.
        """
        if self.rows + rows > self._max_queue_rows and self.rows:
            raise Overloaded(
                f"The server has {self.rows} rows to score, of at most {self._max_queue_rows}; try again in a second."
            )

    async def score(self, features: Features) -> Answers:
        """Scores of a request's rows.

        Raises:
            InvalidRequest: its parts turn out to be invalid.
            Overloaded: too many rows wait already.
            Exception: whatever the model raised on their batch.
        """
        self.check_room(features.rows)
        self.rows += features.rows
        try:
            parts = iter(features.parts)
            first = next(parts)
            if len(first) == features.rows <= self._max_batch_size:
                return await self._joined(first)
            return await self._large(features.rows, chain([first], parts))
        finally:
            self.rows -= features.rows

    async def _large(self, rows: int, parts: Iterator[NDArray[Any]]) -> Answers:
        """Score a large request, if those that wait leave room for its rows."""
        if self._large_rows + rows > self._max_large_rows and self._large_rows:
            raise Overloaded(
                f"The server has {self._large_rows} rows of large requests to score, of at most {self._max_large_rows};"
                " try again in a second."
            )
        self._large_rows += rows
        try:
            return await self._sliced(parts)
        finally:
            self._large_rows -= rows

    async def _sliced(self, parts: Iterator[NDArray[Any]]) -> Answers:
        """Score many rows slice by slice on other threads, while this one takes the next part and answers others."""
        calls: list[asyncio.Future[Answers]] = []
        try:
            async for slice_ in self._slices(parts):
                await self._slots.acquire()  # in the order of asking, so that large requests take turns
                calls.append(self._submitted(slice_))
            answers = await asyncio.gather(*calls)
            return type(answers[0])(*map(np.concatenate, zip(*answers, strict=True)))
        finally:
            for call in calls:
                call.cancel()

    def _submitted(self, slice_: NDArray[Any]) -> asyncio.Future[Answers]:
        """The scores of a slice that has a slot, which it gives back once a thread is done with it."""
        call = asyncio.get_running_loop().run_in_executor(self._threads, self._scored, slice_)
        call.add_done_callback(lambda _: self._slots.release())
        return call

    async def _slices(self, parts: Iterator[NDArray[Any]]) -> AsyncIterator[NDArray[Any]]:
        """The rows, as many at a time as one call may score."""
        size, rest = self._max_batch_size, next(parts)
        while True:
            while len(rest) >= size:
                yield rest[:size]
                rest = rest[size:]
            if (part := await self._next_part(parts)) is None:
                break
            rest = np.concatenate([rest, part]) if len(rest) else part
        if len(rest):
            yield rest

    async def _next_part(self, parts: Iterator[NDArray[Any]]) -> NDArray[Any] | None:
        """One part a turn, of whichever request: nobody else is answered while it is being parsed."""
        async with self._turn:
            await asyncio.sleep(0)
            return next(parts, None)

    def _joined(self, features: NDArray[Any]) -> asyncio.Future[Answers]:
        """Join the rows that wait for the next call of the model."""
        loop = asyncio.get_running_loop()
        scores = loop.create_future()
        self._waiting.append(Waiting(features, scores, loop.time()))
        if self._next is None or self._max_batch_time:
            self._plan(loop)
        return scores

    def _plan(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call the model at the end of this turn, or when the first of an unfilled batch has waited long enough."""
        if self._next is not None:
            self._next.cancel()
        if self._max_batch_time and sum(len(waiting.features) for waiting in self._waiting) < self._max_batch_size:
            self._next = loop.call_at(self._waiting[0].since + self._max_batch_time, self._score_batch, loop)
        else:
            self._next = loop.call_soon(self._end_turn, loop)

    def _end_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Score a lone request at once; among several, let those join whose bytes are here but not yet read."""
        if len(self._waiting) > 1:
            self._next = loop.call_soon(self._score_batch, loop)
        else:
            self._score_batch(loop)

    def _score_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give each of a batch its own scores, or all of them the model's error."""
        self._next = None
        if batch := self._next_batch():
            try:
                self._settle(batch)
            except Exception as error:  # noqa: BLE001  whatever it is, it is theirs
                for waiting in batch:
                    waiting.scores.set_exception(error)
        if self._waiting:
            self._plan(loop)

    def _next_batch(self) -> list[Waiting]:
        """Take the first that still wait, as many as one call may score."""
        batch: list[Waiting] = []
        room = self._max_batch_size
        while self._waiting and len(self._waiting[0].features) <= room:
            waiting = self._waiting.popleft()
            if not waiting.scores.done():
                batch.append(waiting)
                room -= len(waiting.features)
        return batch

    def _settle(self, batch: list[Waiting]) -> None:
        if len(batch) == 1:
            batch[0].scores.set_result(self._scored(batch[0].features))
            return
        answers = self._scored(np.concatenate([waiting.features for waiting in batch]))
        start = 0
        for waiting in batch:
            end = start + len(waiting.features)
            waiting.scores.set_result(type(answers)(*(array[start:end] for array in answers)))
            start = end

    def _scored(self, features: NDArray[Any]) -> Answers:
        try:
            return self._model(features)
        except Exception:
            log.exception("Scoring %d rows failed.", len(features))
            raise


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    """Threads for slices: the same for all models, so that none are left behind by one that was replaced."""
    return ThreadPoolExecutor(count, "slices")
