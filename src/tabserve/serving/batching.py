"""Natural batching: rows that arrive while the model is busy are scored together, next."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.scoring import Scores

log = logging.getLogger(__name__)


class Waiting(NamedTuple):
    """Rows that wait for their scores, and since when, in the event loop's time."""

    features: NDArray[np.float32]
    scores: asyncio.Future[Scores]
    since: float


class Batcher:
    """Scores the rows of many requests in few calls of the model; for one event loop.

    A request that finds the model idle is scored at once. Those that arrive while it is busy are joined, in their
    order, up to `max_batch_size` rows, and scored next. A request of more rows is scored in slices, between which
    others get their turn. A request that is cancelled while it waits is not scored.
    """

    def __init__(
        self, score: Callable[[NDArray[np.float32]], Scores], max_batch_size: int, max_batch_time: float = 0.0
    ) -> None:
        """Prepare to score.

        Args:
            score: float32 features of shape (rows, features) to their scores; called in one thread of its own.
            max_batch_size: rows that are scored in one call, at least 1.
            max_batch_time: seconds that the first of a batch waits for others while the model is idle.
        """
        self._model = score
        self._max_batch_size = max_batch_size
        self._max_batch_time = max_batch_time
        self._waiting: deque[Waiting] = deque()
        self._arrived = asyncio.Event()
        self._run: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "score")

    async def score(self, features: NDArray[np.float32]) -> Scores:
        """Scores of valid rows, float32 of shape (rows, features); raises whatever the model raised on their batch."""
        starts = range(0, len(features), self._max_batch_size)
        parts = [await self._joined(features[start : start + self._max_batch_size]) for start in starts]
        return Scores(*map(np.concatenate, zip(*parts, strict=True)))

    def _joined(self, features: NDArray[np.float32]) -> asyncio.Future[Scores]:
        """Join the rows that wait, and wake the model if it sleeps."""
        loop = asyncio.get_running_loop()
        scores = loop.create_future()
        self._waiting.append(Waiting(features, scores, loop.time()))
        self._arrived.set()
        if self._run is None or self._run.done():
            self._run = loop.create_task(self._score_all())
        return scores

    async def _score_all(self) -> None:
        while self._waiting:
            if self._max_batch_time:
                await self._company()
            if batch := self._next_batch():
                await self._score_batch(batch)

    async def _company(self) -> None:
        """Wait until a batch is full, or its first has waited long enough."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._waiting[0].since + self._max_batch_time):
                while sum(len(waiting.features) for waiting in self._waiting) < self._max_batch_size:
                    self._arrived.clear()
                    await self._arrived.wait()

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

    async def _score_batch(self, batch: list[Waiting]) -> None:
        """Give each its own scores, or all of them the model's error."""
        features = np.concatenate([waiting.features for waiting in batch]) if len(batch) > 1 else batch[0].features
        try:
            scores = await asyncio.get_running_loop().run_in_executor(self._thread, self._model, features)
        except Exception as error:
            log.exception("Scoring %d rows failed.", len(features))
            for waiting in batch:
                _settle(waiting.scores, error)
            return
        start = 0
        for waiting in batch:
            end = start + len(waiting.features)
            _settle(waiting.scores, Scores(scores.probability[start:end], scores.label[start:end]))
            start = end


def _settle(future: asyncio.Future[Scores], outcome: Scores | Exception) -> None:
    """Give a future its outcome, unless whoever waited has left."""
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
