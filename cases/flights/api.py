"""The HTTP API of flight delays: POST /model/predict/ takes flights and answers how many minutes late they arrive."""

import argparse
from pathlib import Path

from tabserve.cli import run

MODEL = Path(__file__).parent / "deploy" / "model"

EPILOG = """environment variables:
  MODEL_PATH               model folder (deploy/model beside this file)
  HOST                     address to listen on (127.0.0.1; 0.0.0.0 for all addresses, :: for IPv6 too)
  PORT                     port to listen on (8000)
  TABSERVE_HISTORY         file or postgresql:// address of the history of predictions (none)
  TABSERVE_HISTORY_DAYS    how long an entry is kept (30), and
  TABSERVE_HISTORY_ROWS    most entries (1000000)
  TABSERVE_LOAD            who may load a model: off, loopback (this machine) or token (loopback)
  TABSERVE_LOAD_TOKEN      the token, which clients send as `Authorization: Bearer …`, and
  TABSERVE_LOAD_FOLDER     folder that keeps loaded models over restarts (build/flights-loaded)
  TABSERVE_MAX_ROWS        most flights in one request, else 413 (10000)
  TABSERVE_MAX_BODY_BYTES  most bytes of its body, else 413 (67108864)
  TABSERVE_DRAIN_SECONDS   how long new requests are still answered after SIGTERM (1)
  and the other limits of `tabserve serve`

routes: POST /model/predict/, POST /model/load/, GET /model/history/, GET /health/, /ready, /metrics, /docs,
/openapi.json, and the V2 protocol below /v2; each with or without its last slash

SIGHUP reloads the model folder; if the folder is refused, the previous model keeps serving.

exit codes: 0 after SIGTERM or Ctrl-C (also during the start), 2 wrong PORT, 4 bad model folder, 5 the port or a setting
cannot be used
"""


def main() -> None:
    """Serve until SIGTERM or Ctrl-C, which also stop a server that is still starting."""
    _parser().parse_args()
    with run.until_signal():
        from flights.contract import CONTRACT  # noqa: PLC0415  these take seconds to import
        from tabserve.serving.api import process  # noqa: PLC0415

        process.run(CONTRACT, MODEL, 8000)


def _parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )


if __name__ == "__main__":
    run.run(main)
