"""The API's process: uvicorn by the core's listener, ended by SIGTERM once what was accepted is answered."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
import uvloop
from pydantic import ValidationError

from categories.facade import Facade
from tabserve.errors import ArtifactError, ServerError, UsageError
from tabserve.model.model import Model, load
from tabserve.predictors.linear import Linear
from tabserve.serving import memory, ports
from tabserve.serving.limits import MIB, Limits, reason
from tabserve.serving.rest.listener import Listener, configured

MODEL = Path(__file__).parents[2] / "deploy" / "model"
"""The case's own."""


def run() -> None:
    """Load the model, listen, and answer until SIGTERM or SIGINT, as the process's variables say.

    Raises:
        UsageError: PORT is no port.
        ServerError: a limit is wrong, or the port cannot be opened.
        ArtifactError: the model folder is not whole, or of a model over something else than texts.
    """
    port, limits = _port(os.environ.get("PORT") or "5000"), _limits()
    model = _model(Path(os.environ.get("MODEL_PATH") or MODEL))
    facade = Facade(model, limits)
    memory.freeze_gc()
    host = os.environ.get("HOST") or "127.0.0.1"
    with (
        ports.listen(host, port, port_variable="PORT", host_variable="HOST") as listening,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        print(f"Listening on http://{ports.authority(host, port)}; /docs shows what can be asked.", flush=True)
        runner.run(serve(facade, limits, listening))


def _model(folder: Path) -> Model:
    model = load(folder)
    if not isinstance(model.predictor, Linear):
        raise ArtifactError(f"{folder} holds no model over texts; name the folder of one in MODEL_PATH.")
    return model


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 2**16):
        raise UsageError(f"PORT is {text!r:.60}; expected a whole number from 1 to 65535.")
    return int(text)


def _limits() -> Limits:
    try:
        return Limits(max_body_bytes=16 * MIB)
    except ValidationError as error:
        raise ServerError(f"A TABSERVE_* variable is wrong: {reason(error)}.") from error


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
