"""The process of an API: it serves until SIGTERM, and answers every accepted request before it ends."""

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
from tabserve.serving.history.opening import running_history
from tabserve.serving.limits import Limits, from_environment
from tabserve.serving.load_settings import LoadSettings
from tabserve.serving.rest.listener import Listener, configure

NO_MODEL = "none"
"""The value of MODEL_PATH to start without a model, until a client loads one."""


def run(contract: Contract, folder: Path, port: int, **defaults: int) -> None:
    """Load the model and serve until SIGTERM or SIGINT; SIGHUP loads the model again.

    Args:
        contract: of the API.
        folder: of the model, unless MODEL_PATH names another; `none` there starts without a model.
        port: to listen on, unless PORT names another; the address is HOST, or else 127.0.0.1.
        **defaults: the limits, by name, that no TABSERVE_* variable sets.

    Raises:
        UsageError: PORT is no port.
        ServerError: a setting is wrong, no history can be kept where it should be, or the port cannot be opened.
        ArtifactError: the model folder is not whole, or its model does not fit the contract.
    """
    port, limits = ports.from_variable("PORT", port), from_environment(**defaults)
    path, settings = os.environ.get("MODEL_PATH") or str(folder), LoadSettings.read()
    with running_history(limits) as history:
        api = Api(contract, limits, None if path == NO_MODEL else Path(path), settings, history)
        _run(api, limits, port)


def _run(api: Api, limits: Limits, port: int) -> None:
    host = os.environ.get("HOST") or "127.0.0.1"
    with (
        ports.listen(host, port, port_variable="PORT", host_variable="HOST") as listening,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        message = f"Listening on http://{ports.authority(host, port)}; /docs shows what can be asked."
        print(message, flush=True)  # noqa: T201  it tells the user that the server is ready
        runner.run(_serve(api, limits, listening))


async def _serve(api: Api, limits: Limits, listening: socket.socket) -> None:
    plain = uvicorn.Config(api, lifespan="off", ws="none", access_log=False, log_level="warning")
    await Server(configure(plain, api, limits), api, limits).serve_on(listening)


class Server(Listener):
    """A listener that on SIGTERM serves on for `drain_seconds`, so that load balancers see `/ready` fail first."""

    def __init__(self, config: uvicorn.Config, api: Api, limits: Limits) -> None:
        """Take the API, to mark it as draining."""
        super().__init__(config, limits)
        self._api, self._drain_seconds = api, limits.drain_seconds

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals in the event loop; uvicorn would raise each again, and so end by the signal."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, loop)
        loop.add_signal_handler(signal.SIGHUP, lambda: asyncio.ensure_future(self._api.reload()))
        yield

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        """Drain, then exit; at once on a second signal."""
        wait = 0.0 if self._api.draining else self._drain_seconds
        self._api.draining = True
        loop.call_later(wait, setattr, self, "should_exit", True)
