"""Call a function on the rows of large requests, slice by slice on other threads, while the event loop goes on."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

MAX_THREADS = 4
"""Default number of threads."""

Result = TypeVar("Result")


class Slices(Generic[Result]):
    """Calls a function on slices of the rows of requests, on other threads; for one event loop.

    Requests take turns, slice by slice. A chunk is parsed while the slices before it are worked on. The waiting slices
    of a cancelled request are dropped.
    """

    def __init__(self, call: Callable[[NDArray[Any]], Result], size: int, threads: int = MAX_THREADS) -> None:
        """Start with nothing to do.

        Args:
            call: takes the features of the rows of a slice; called on several threads.
            size: most rows in one call, at least 1.
            threads: number of threads; at most the number of cores.
        """
        threads = min(threads, os.cpu_count() or 1)
        self._call, self._size, self._threads = call, size, _threads(threads)
        self._slots = asyncio.Semaphore(2 * threads)  # twice as many, so that no thread waits for the loop
        self._turn = asyncio.Lock()

    async def results(self, chunks: Iterator[NDArray[Any]]) -> list[Result]:
        """The results of all slices of a request, in the order of its rows.

        Raises:
            InvalidRequest: a chunk is invalid.
            Exception: the function's error.
        """
        calls: list[asyncio.Future[Result]] = []
        try:
            async for slice_ in self._slices(chunks):
                await self._slots.acquire()  # first come, first served, so that requests take turns
                calls.append(self._submit(slice_))
            return await asyncio.gather(*calls)
        finally:
            for call in calls:
                call.cancel()

    def _submit(self, slice_: NDArray[Any]) -> asyncio.Future[Result]:
        """Call the function on another thread, and release its slot when that is done."""
        call = asyncio.get_running_loop().run_in_executor(self._threads, self._call, slice_)
        call.add_done_callback(lambda _: self._slots.release())
        return call

    async def _slices(self, chunks: Iterator[NDArray[Any]]) -> AsyncIterator[NDArray[Any]]:
        """Cut the chunks into slices of `size` rows; the last one may have fewer."""
        size, rest = self._size, next(chunks)
        while True:
            while len(rest) >= size:
                yield rest[:size]
                rest = rest[size:]
            if (chunk := await self._next_chunk(chunks)) is None:
                break
            rest = np.concatenate([rest, chunk]) if len(rest) else chunk
        if len(rest):
            yield rest

    async def _next_chunk(self, chunks: Iterator[NDArray[Any]]) -> NDArray[Any] | None:
        """Parse the next chunk; one chunk of all requests per turn of the loop, since parsing keeps the loop."""
        async with self._turn:
            await asyncio.sleep(0)
            return next(chunks, None)


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    """The threads, which all models share, so that a replaced model leaves none behind."""
    return ThreadPoolExecutor(count, "slices")
