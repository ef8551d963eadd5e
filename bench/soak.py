"""Good and bad traffic for minutes, while the server's memory, descriptors, threads and latency are watched.

Nothing may grow: after a fifth for warm-up, the median of the next fifth is compared with that of the last. Medians,
because memory goes up and down by tens of MiB with the requests that are being answered.
"""

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from statistics import median
from threading import Event
from typing import NamedTuple

import numpy as np
import orjson
from matplotlib.figure import Figure

from bench import memory, traffic
from bench.messages import FORMATS, connect, exchange
from bench.servers import ours
from bench.work import MODEL
from santander.sample import sample
from tabserve.cli import options
from tabserve.client.local_server import Server, running
from tabserve.destination import check_apart
from tabserve.errors import ServerError
from tabserve.model.model import load

CLIENTS = 4

SAMPLE_SECONDS, SAMPLES = 2.0, 50
"""Most seconds between two samples, and least number of samples."""

PROBE_SECONDS = 0.02
"""Pause between two requests whose latency is measured."""

PARTS = 5

ALLOWED = {"memory": 20.0, "descriptors": float(CLIENTS), "threads": 2.0}
"""Allowed growth of each median, in the units of a sample.

A soak of 10 minutes and 390,000 requests grew by 3 MiB, and by no descriptor or thread. A leak of 100 bytes a request
exceeds this.
"""


class Sample(NamedTuple):
    """The state of the server at one moment.

    Attributes:
        second: since the start.
        memory: resident memory in MiB.
        descriptors: open files and sockets.
        threads: running or waiting.
        p50: median milliseconds of good requests of one row since the last sample.
        p99: their 99th percentile.
    """

    second: float
    memory: float
    descriptors: int
    threads: int
    p50: float
    p99: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `soak`."""
    parser.add_argument(
        "--minutes", type=options.minutes, default=10.0, help="minutes of traffic (default: %(default)s)"
    )
    parser.add_argument("--model", type=Path, default=MODEL, help="model folder to serve (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("build/bench"), help="folder to write to (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Soak, print, and write `soak.json` and `soak.svg`.

    Raises:
        ServerError: a good request was refused or answered wrongly, a bad one was not refused as it should be, or the
            server grew.
    """
    check_apart([arguments.out], [arguments.model])
    contender = ours(arguments.model)
    with running(contender.folder, contender.environment, contender.command) as server:
        samples, sent, failure = soak(server, arguments.model, 60 * arguments.minutes)
    arguments.out.mkdir(parents=True, exist_ok=True)
    document = {"clients": CLIENTS, "sent": sent, "samples": [sample._asdict() for sample in samples]}
    (arguments.out / "soak.json").write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
    if failure:
        raise failure
    plot(samples).savefig(arguments.out / "soak.svg")
    print(f"{sent.total():,} requests of {len(sent)} sorts, each answered as it should be\n\n{table(samples)}")
    check(samples)


def soak(server: Server, model: Path, seconds: float) -> tuple[list[Sample], Counter[str], BaseException | None]:
    """Send traffic; the samples, how often each sort of request was sent, and the error that ended the soak."""
    features = sample(max(traffic.SIZES), 1).features
    positive = load(model).score(features).probability
    good = traffic.good(features, np.column_stack([1 - positive, positive]))
    bad = traffic.bad(features)
    for send in [*good.values(), *bad.values()]:
        send(server)  # each once, as the largest of them take the most memory
    stop = Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(traffic.client, server, (good, bad), seed, stop) for seed in range(CLIENTS)]
        try:
            samples = _take_samples(server, FORMATS["json"].encode(features[:1]), seconds, clients)
        finally:
            stop.set()
    failures = [error for client in clients if (error := client.exception())]
    sent = sum((client.result() for client in clients if not client.exception()), Counter[str]())
    return samples, sent, failures[0] if failures else None


def check(samples: Sequence[Sample]) -> None:
    """Compare the medians of the start and the end.

    Raises:
        ServerError: a median has grown by more than `ALLOWED`.
    """
    for figure, allowed in ALLOWED.items():
        before, after = _ends(samples, figure)
        if after - before > allowed:
            raise ServerError(
                f"The server's {figure} grew from {before:.0f} to {after:.0f}; expected at most {allowed:.0f} more."
            )


def table(samples: Sequence[Sample]) -> str:
    """A table of the medians of the start and the end."""
    figures = {
        "memory": "memory, MiB",
        "descriptors": "descriptors",
        "threads": "threads",
        "p50": "p50, ms",
        "p99": "p99, ms",
    }
    lines = [f"{'median of':<16}{'first fifth':>14}{'last fifth':>14}"]
    for figure, title in figures.items():
        before, after = _ends(samples, figure)
        lines.append(f"{title:<16}{before:>14.1f}{after:>14.1f}")
    return "\n".join(lines)


def plot(samples: Sequence[Sample]) -> Figure:
    """Plot each figure over time."""
    figure = Figure((9, 6), dpi=100, layout="constrained")
    panels = {
        "memory, MiB": ["memory"],
        "descriptors, threads": ["descriptors", "threads"],
        "one row, ms": ["p50", "p99"],
    }
    for index, (title, names) in enumerate(panels.items()):
        axes = figure.add_subplot(len(panels), 1, index + 1)
        for name in names:
            axes.plot([sample.second for sample in samples], [getattr(sample, name) for sample in samples], label=name)
        axes.set(ylabel=title, ylim=(0, None))
        axes.legend(loc="lower right", frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("seconds")
    return figure


def _take_samples(
    server: Server, request: bytes, seconds: float, clients: Sequence[Future[Counter[str]]]
) -> list[Sample]:
    """Take samples until the time is over or a client failed."""
    samples: list[Sample] = []
    start, process = time.perf_counter(), server.process.pid
    step = min(SAMPLE_SECONDS, seconds / SAMPLES)
    with connect(FORMATS["json"].address(server)) as connection:
        while (second := time.perf_counter() - start) < seconds and not any(client.done() for client in clients):
            latencies = []
            while (now := time.perf_counter()) < start + second + step:
                exchange(connection, request)
                latencies.append(1_000 * (time.perf_counter() - now))
                time.sleep(PROBE_SECONDS)
            held = memory.resident(process) / 2**20, memory.descriptors(process), memory.threads(process)
            samples.append(Sample(time.perf_counter() - start, *held, *map(float, np.percentile(latencies, [50, 99]))))
    return samples


def _ends(samples: Sequence[Sample], figure: str) -> tuple[float, float]:
    """The medians of a figure: of the first fifth after warm-up, and of the last fifth."""
    size = -(-len(samples) // PARTS)
    first, last = samples[size : 2 * size] or samples, samples[-size:]
    return median(getattr(sample, figure) for sample in first), median(getattr(sample, figure) for sample in last)
