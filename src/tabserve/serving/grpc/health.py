"""gRPC's own service of health (https://github.com/grpc/grpc/blob/master/doc/health-checking.md), true at any moment.

Its package has a servicer, which keeps a copy of each status, holds up everybody who watches the same service while it
writes to one that does not read, and bounds nothing; therefore only its messages are used here.
"""

import asyncio
from typing import Any

from grpc_health.v1 import health_pb2 as messages
from grpc_health.v1.health_pb2_grpc import HealthServicer

from tabserve.errors import Overloaded, UnknownModel
from tabserve.serving.grpc.servicer import SERVICE
from tabserve.serving.models import Every, Find, all_ready, is_ready

OVERALL = {"", SERVICE}
"""What names the whole server; any other name is a model's."""

MAX_WATCHERS = 512
"""Who may watch at a time; each holds 24 KiB."""

Status = messages.HealthCheckResponse


class Health(HealthServicer):  # type: ignore[misc]  # it has no types
    """Tells whether requests should come here, or to a model, and when that changes."""

    def __init__(self, find: Find, every: Every) -> None:
        """Take the way to a model, and to all of them."""
        self._find, self._every = find, every
        self._draining = self._ended = False
        self._watchers, self._changed = 0, asyncio.Event()

    def tell(self) -> None:
        """Let whoever watches look anew: a model has come, has become ready, or has gone."""
        self._changed.set()
        self._changed = asyncio.Event()

    def drain(self) -> None:
        """Say from now on that no requests should come here."""
        self._draining = True
        self.tell()

    def end(self) -> None:
        """End all watching, which would keep the server from ending."""
        self._ended = True
        self.tell()

    async def Check(self, request: Any, _context: Any) -> Any:  # noqa: N802,ANN401  gRPC's names and types
        """The status of a service; raises UnknownModel."""
        return Status(status=await self._status(request.service))

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802,ANN401
        """Write the status of a service, and again whenever it has changed; that of an unknown one as well."""
        service, request = request.service, None  # of which a message may hold much more
        if self._watchers >= MAX_WATCHERS:
            raise Overloaded(f"The server has {self._watchers} watchers of its health; ask by Check, or later.")
        self._watchers += 1
        try:
            await self._watch(service, context)
        finally:
            self._watchers -= 1

    async def _watch(self, service: str, context: Any) -> None:  # noqa: ANN401
        told = None
        while not self._ended:
            changed = self._changed
            if (status := await self._seen(service)) != told:
                await context.write(Status(status=status))
                told = status
            await changed.wait()
        raise Overloaded("The server is about to end; watch another.")

    async def _seen(self, service: str) -> int:
        try:
            return await self._status(service)
        except UnknownModel:
            return int(Status.SERVICE_UNKNOWN)

    async def _status(self, service: str) -> int:
        if service in OVERALL:
            ready = await all_ready(self._every)
        else:
            ready = is_ready(self._find, service, None)
        return int(Status.SERVING if ready and not self._draining else Status.NOT_SERVING)
