"""The API's process: uvicorn by the core's listener, ended by SIGTERM once what was accepted is answered."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from categories.facade import Facade
from tabserve.serving.limits import Limits
from tabserve.serving.listener import Listener, configured


async def serve(facade: Facade, limits: Limits, listening: socket.socket) -> None:
    """Answer on a socket until SIGTERM or SIGINT."""
    plain = uvicorn.Config(facade, lifespan="off", ws="none", access_log=False, log_level="warning")
    config = configured(plain, facade, limits)
    await Server(config, facade, limits).serve_on(listening)


class Server(Listener):
    """A listener that goes on for a while when it is told to end, so that whoever sends requests here hears of it."""

    def __init__(self, config: uvicorn.Config, facade: Facade, limits: Limits) -> None:
        """Prepare to serve."""
        super().__init__(config, limits)
        self._facade, self._drain_seconds = facade, limits.drain_seconds

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals by the loop: uvicorn would raise each again at the end, as if it had not been obeyed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, loop)
        yield

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say that we are about to end, and then do; asked twice, at once."""
        wait = 0.0 if self._facade.draining else self._drain_seconds
        self._facade.draining = True
        loop.call_later(wait, setattr, self, "should_exit", True)
