"""Where the server's time goes under 32 connections: cProfile within its event loop, from ready to stopped."""

import argparse
import cProfile
import pstats
import signal
import sys
import tempfile
from pathlib import Path

from bench.load import sent
from bench.messages import FORMATS
from bench.servers import ours, train
from santander.sample import sample
from tabserve.cli import options
from tabserve.client.local_server import running
from tabserve.serving.mlserver import server

FUNCTIONS = 25


def add_options(parser: argparse.ArgumentParser) -> None:
    """Its own options."""
    parser.add_argument("--seconds", type=options.seconds, default=4.0, help="of load (default: %(default)s)")
    parser.add_argument("--model", type=Path, help="model folder to serve (default: one trained for this)")
    parser.add_argument("--clients", type=options.count, default=32, help="connections (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Serve under the profiler, send one row as JSON over and over, print the functions that took most time."""
    json = FORMATS["json"]
    with tempfile.TemporaryDirectory() as scratch:
        contender = ours(arguments.model or train(Path(scratch, "model")))
        found = Path(scratch, "profile")
        command = (sys.executable, "-m", "bench.profile", str(found))
        with running(contender.folder, contender.environment, command) as started:
            started.process.send_signal(signal.SIGUSR1)
            address, request = json.address(started), json.encode(sample(1, 1).features)
            timing = sent(json.transport, address, request, arguments.clients, arguments.seconds)
        print(f"{timing.rate:,.0f} requests/s under the profiler, which sees the event loop's thread alone")
        pstats.Stats(str(found)).sort_stats("tottime").print_stats(FUNCTIONS)


def serve(found: Path, folder: Path) -> None:
    """Serve as `tabserve serve` does; the profile begins with SIGUSR1, and is written at the end."""
    profile = cProfile.Profile()
    signal.signal(signal.SIGUSR1, lambda *_: profile.enable())
    try:
        server.serve(folder)
    finally:
        profile.disable()
        profile.dump_stats(found)


if __name__ == "__main__":
    serve(*map(Path, sys.argv[1:]))
