"""The gRPC health service, with statuses from the registry of models.

https://github.com/grpc/grpc/blob/master/doc/health-checking.md

The servicer of grpcio-health-checking keeps a copy of each status, lets one slow watcher delay all others, and limits
nothing; so only its messages are used here.
"""

import asyncio
from typing import Any

from grpc_health.v1 import health_pb2 as messages
from grpc_health.v1.health_pb2_grpc import HealthServicer

from tabserve.errors import Overloaded, UnknownModel
from tabserve.serving.grpc.servicer import SERVICE
from tabserve.serving.models import FindModel, ListModels, all_ready, is_ready

OVERALL = {"", SERVICE}
"""The names of the whole server; any other name is a model's."""

MAX_WATCHERS = 512
"""Most watchers at a time; each takes 24 KiB."""

Status = messages.HealthCheckResponse


class Health(HealthServicer):  # type: ignore[misc]  # it has no types
    """Answers and watches whether the server, or a model, takes requests."""

    def __init__(self, find: FindModel, every: ListModels) -> None:
        """Find one model by `find`, and list all by `every`."""
        self._find, self._every = find, every
        self._draining = self._ended = False
        self._watchers, self._changed = 0, asyncio.Event()

    def notify(self) -> None:
        """Wake all watchers: a model was added, became ready, or was removed."""
        self._changed.set()
        self._changed = asyncio.Event()

    def drain(self) -> None:
        """Answer from now on that nothing is served."""
        self._draining = True
        self.notify()

    def end(self) -> None:
        """End all watches, which would keep the server from ending."""
        self._ended = True
        self.notify()

    async def Check(self, request: Any, _context: Any) -> Any:  # noqa: N802,ANN401  gRPC's names and types
        """The status of a service; raises UnknownModel."""
        return Status(status=await self._status(request.service))

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802,ANN401
        """Write the status of a service now and at each change, also of an unknown service."""
        service, request = request.service, None  # the message may hold much more
        if self._watchers >= MAX_WATCHERS:
            raise Overloaded(f"The server has {self._watchers} watchers of its health; ask by Check, or later.")
        self._watchers += 1
        try:
            await self._watch(service, context)
        finally:
            self._watchers -= 1

    async def _watch(self, service: str, context: Any) -> None:  # noqa: ANN401
        written = None
        while not self._ended:
            changed = self._changed
            if (status := await self._status_or_unknown(service)) != written:
                await context.write(Status(status=status))
                written = status
            await changed.wait()
        raise Overloaded("The server is about to end; watch another.")

    async def _status_or_unknown(self, service: str) -> int:
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
