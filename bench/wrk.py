"""Clients of `wrk` (https://github.com/wg/wrk), written in C, which leave most of the cores to the server."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import orjson

from bench.timing import Timing
from tabserve.errors import ServerError

COMMAND = shutil.which("wrk")

TIMEOUT = "60s"
"""Timeout of an answer."""

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
"""Sends the whole request as it is, and prints the results as the last line."""


def measure(address: str, request: bytes, clients: int, seconds: float) -> Timing:
    """Measure as `load.measure` does, for at least a second; answers still missing at the end are not counted.

    Raises:
        ServerError: a connection was closed, or no answer came.
    """
    assert COMMAND is not None
    with tempfile.TemporaryDirectory() as scratch:
        raw, script = Path(scratch, "request"), Path(scratch, "script.lua")
        raw.write_bytes(request)
        script.write_text(SCRIPT % str(raw))
        options = ["--threads", "1", "--timeout", TIMEOUT, "--script", str(script), f"http://{address}"]
        # First warm up, with one client, as a slow server would go on with the requests of many; then measure.
        for duration, connections in ((1, 1), (max(1, round(seconds)), clients)):
            command = [COMMAND, "--duration", str(duration), "--connections", str(connections), *options]
            finished = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own arguments
    if finished.returncode:
        raise ServerError(f"wrk ended with exit code {finished.returncode}: {finished.stderr.strip()}")
    return _timing(orjson.loads(finished.stdout.splitlines()[-1]), address)


def _timing(counts: dict[str, float], address: str) -> Timing:
    if counts["broken"] or not counts["answers"]:
        raise ServerError(
            f"{address} gave {counts['answers']} answers and closed, or left silent, {counts['broken']} connections."
        )
    rate = (counts["answers"] - counts["errors"]) / counts["microseconds"] * 1e6
    return Timing(rate, counts["p50"] / 1_000, counts["p99"] / 1_000, int(counts["errors"]))
