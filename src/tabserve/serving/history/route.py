"""Answer a GET for a page of a history, or for all of it, by Starlette."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tabserve.serving.history import pages
from tabserve.serving.history.history import History
from tabserve.serving.history.query import Query, parse

THREADS = 2
"""Most pages that are read at a time."""

MEDIA_TYPES = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}

T = TypeVar("T")


class HistoryRoute:
    """Reads a history on threads of its own, so that only other readers wait."""

    def __init__(self, history: History) -> None:
        """Read this history."""
        self._history, self._threads = history, ThreadPoolExecutor(THREADS, "history-reader")

    async def __call__(self, request: Request) -> Response:
        """The response to a GET; its query string is as `query.parse` takes it.

        Raises:
            InvalidRequest: a parameter is wrong.
            Overloaded: the history cannot be read now.
        """
        query, form = parse(request.query_params.multi_items())
        if form not in MEDIA_TYPES:
            return Response(await self._run(self._page, query), media_type="application/json")
        chunks = await self._run(self._history.stream, query, form)
        return StreamingResponse(self._chunks(chunks), media_type=MEDIA_TYPES[form])

    def _page(self, query: Query) -> bytes:
        return pages.to_json(self._history.page(query))

    async def _chunks(self, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
        while chunk := await self._run(next, chunks, b""):
            yield chunk

    async def _run(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)
