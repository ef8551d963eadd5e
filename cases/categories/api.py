"""The HTTP API of product categories: POST /v1/categorize takes products and answers the category of each."""

from tabserve import command  # first: from here on Ctrl-C ends quietly what takes seconds to import

# isort: split
import argparse
import asyncio
import os
from contextlib import suppress
from pathlib import Path

import uvloop
from pydantic import ValidationError

from categories.facade import Facade
from categories.server import serve
from tabserve import text_artifact
from tabserve.errors import ServerError, UsageError
from tabserve.serving import memory, ports
from tabserve.serving.limits import MIB, Limits, reason

MODEL = Path(__file__).parent / "deploy" / "model"

EPILOG = """environment variables:
  MODEL_PATH               model folder (deploy/model beside this file)
  HOST                     address to listen on (127.0.0.1; 0.0.0.0 for everybody)
  PORT                     port to listen on (5000)
  TABSERVE_MAX_ROWS        products in one request, beyond: 413 (10000)
  TABSERVE_MAX_BODY_BYTES  bytes of its body, beyond: 413 (16777216)
  TABSERVE_MAX_QUEUE_ROWS  products that wait to be scored, beyond: 503 (50000)
  TABSERVE_DRAIN_SECONDS   how long new requests are still answered after SIGTERM (1)
  and the other limits of `tabserve serve`

routes: POST /v1/categorize, POST /v1/probabilities, GET /health, /ready, /metrics, /docs, /openapi.json

exit codes: 0 after SIGTERM or Ctrl-C, 2 wrong PORT, 4 bad model folder, 5 the port or a limit cannot be used
"""


def main() -> None:
    """Serve until SIGTERM or Ctrl-C, also where that comes before the model is loaded."""
    _parser().parse_args()
    with suppress(KeyboardInterrupt):
        _serve()


def _serve() -> None:
    """Load the model, then listen."""
    port, limits = _port(os.environ.get("PORT") or "5000"), _limits()
    model = text_artifact.load(Path(os.environ.get("MODEL_PATH") or MODEL))
    facade = Facade(model, limits)
    memory.settle()
    host = os.environ.get("HOST") or "127.0.0.1"
    with (
        ports.opened(host, port, port_variable="PORT", host_variable="HOST") as listening,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        print(f"Listening on http://{ports.authority(host, port)}; /docs shows what can be asked.", flush=True)
        runner.run(serve(facade, limits, listening))


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 2**16):
        raise UsageError(f"PORT is {text!r:.60}; expected a whole number from 1 to 65535.")
    return int(text)


def _limits() -> Limits:
    try:
        return Limits(max_body_bytes=16 * MIB)
    except ValidationError as error:
        raise ServerError(f"A TABSERVE_* variable is wrong: {reason(error)}.") from error


def _parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )


if __name__ == "__main__":
    command.run(main)
