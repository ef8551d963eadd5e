"""The HTTP API of product categories: POST /v1/categorize takes products and answers their categories."""

import argparse
from pathlib import Path

from tabserve.cli import run

MODEL = Path(__file__).parent / "deploy" / "model"

EPILOG = """environment variables:
  MODEL_PATH               model folder (deploy/model beside this file)
  HOST                     address to listen on (127.0.0.1; 0.0.0.0 for all addresses, :: for IPv6 too)
  PORT                     port to listen on (5000)
  TABSERVE_MAX_ROWS        most products in one request, else 413 (10000)
  TABSERVE_MAX_BODY_BYTES  most bytes of its body, else 413 (16777216)
  TABSERVE_MAX_QUEUE_ROWS  most products that wait to be scored, else 503 (50000)
  TABSERVE_DRAIN_SECONDS   how long new requests are still answered after SIGTERM (1)
  and the other limits of `tabserve serve`

routes: POST /v1/categorize, POST /v1/probabilities, GET /health, /ready, /metrics, /docs, /openapi.json

SIGHUP reloads the model folder; if the folder is refused, the previous model keeps serving.

exit codes: 0 after SIGTERM or Ctrl-C (also during the start), 2 wrong PORT, 4 bad model folder, 5 the port or a limit
cannot be used
"""


def main() -> None:
    """Serve until SIGTERM or Ctrl-C, which also stop a server that is still starting."""
    _parser().parse_args()
    with run.until_signal():
        from categories.contract import CONTRACT  # noqa: PLC0415  these take seconds to import
        from tabserve.serving.api import process  # noqa: PLC0415

        process.run(CONTRACT, MODEL, 5000, max_body_bytes=16 * 2**20)


def _parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )


if __name__ == "__main__":
    run.run(main)
