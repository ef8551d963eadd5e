"""An API's process: uvicorn by the core's listener, ended by SIGTERM once what was accepted is answered."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
import uvloop

from tabserve.serving import ports
from tabserve.serving.api.api import Api
from tabserve.serving.api.contract import Contract
from tabserve.serving.limits import Limits, from_environment
from tabserve.serving.rest.listener import Listener, configured


def run(contract: Contract, folder: Path, port: int, **limits: int) -> None:
    """Load the model, listen, and answer until SIGTERM or SIGINT; SIGHUP loads the model anew.

    Args:
        contract: of the API.
        folder: of the model, unless MODEL_PATH names another.
        port: to listen on, unless PORT names another; HOST is 127.0.0.1 unless it is set.
        **limits: that the API has unless a TABSERVE_* variable sets them.

    Raises:
        UsageError: PORT is no port.
        ServerError: a limit is wrong, or the port cannot be opened.
        ArtifactError: the model folder is not whole, or of a model that answers another problem.
    """
    port, found = ports.from_variable("PORT", port), from_environment(**limits)
    api = Api(contract, found, Path(os.environ.get("MODEL_PATH") or folder))
    host = os.environ.get("HOST") or "127.0.0.1"
    with (
        ports.listen(host, port, port_variable="PORT", host_variable="HOST") as listening,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        told = f"Listening on http://{ports.authority(host, port)}; /docs shows what can be asked."
        print(told, flush=True)  # noqa: T201  the one sentence that whoever starts it waits for
        runner.run(_serve(api, found, listening))


async def _serve(api: Api, limits: Limits, listening: socket.socket) -> None:
    plain = uvicorn.Config(api, lifespan="off", ws="none", access_log=False, log_level="warning")
    await Server(configured(plain, api, limits), api, limits).serve_on(listening)


class Server(Listener):
    """A listener that goes on for a while when it is told to end, so that whoever sends requests here hears of it."""

    def __init__(self, config: uvicorn.Config, api: Api, limits: Limits) -> None:
        """Prepare to serve."""
        super().__init__(config, limits)
        self._api, self._drain_seconds = api, limits.drain_seconds

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals by the loop: uvicorn would raise each again at the end, as if it had not been obeyed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, loop)
        loop.add_signal_handler(signal.SIGHUP, lambda: asyncio.ensure_future(self._api.reload()))
        yield

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say that we are about to end, and then do; asked twice, at once."""
        wait = 0.0 if self._api.draining else self._drain_seconds
        self._api.draining = True
        loop.call_later(wait, setattr, self, "should_exit", True)
