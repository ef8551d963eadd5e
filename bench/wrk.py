"""Clients of `wrk` (https://github.com/wg/wrk), written in C: they leave most of the cores to the server."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import orjson

from bench.timing import Timing
from tabserve.errors import ServerError

COMMAND = shutil.which("wrk")

TIMEOUT = "60s"
"""How long an answer may take."""

SCRIPT = """
local file = io.open(%r, "rb")
local request_ = file:read("*a")

function request() return request_ end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '\\n{"answers": %%d, "microseconds": %%d, "p50": %%f, "p99": %%f, "errors": %%d, "broken": %%d}',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
        errors.connect + errors.read + errors.write + errors.timeout))
end
"""
"""Sends the whole request as it is; what was found is the last line."""


def sent(address: str, request: bytes, clients: int, seconds: float) -> Timing:
    """Measure as `load.sent` does, for at least a second; the answers that are awaited at the end are not counted.

    Raises:
        ServerError: a connection was closed, or no answer came.
    """
    assert COMMAND is not None
    with tempfile.TemporaryDirectory() as scratch:
        raw, script = Path(scratch, "request"), Path(scratch, "script.lua")
        raw.write_bytes(request)
        script.write_text(SCRIPT % str(raw))
        options = ["--threads", "1", "--timeout", TIMEOUT, "--script", str(script), f"http://{address}"]
        # To warm the server up, by one client, as a slow server goes on with what many left there; and to measure.
        for duration, connections in ((1, 1), (max(1, round(seconds)), clients)):
            words = [COMMAND, "--duration", str(duration), "--connections", str(connections), *options]
            finished = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603  our own words
    if finished.returncode:
        raise ServerError(f"wrk ended with exit code {finished.returncode}: {finished.stderr.strip()}")
    return _timing(orjson.loads(finished.stdout.splitlines()[-1]), address)


def _timing(found: dict[str, float], address: str) -> Timing:
    if found["broken"] or not found["answers"]:
        raise ServerError(
            f"{address} gave {found['answers']} answers and closed, or left silent, {found['broken']} connections."
        )
    rate = (found["answers"] - found["errors"]) / found["microseconds"] * 1e6
    return Timing(rate, found["p50"] / 1_000, found["p99"] / 1_000, int(found["errors"]))
