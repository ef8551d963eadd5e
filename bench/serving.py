"""The server against stock MLServer, a FastAPI route and the limit of Python: speed, memory and start-up."""

import argparse
import platform
import resource
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray
from tqdm import tqdm

from bench import load, results, targets
from bench.process import SPAWN
from bench.servers import CONTENDERS, train
from bench.turn import LOADS, PREDICT, Load, Turn, measure_predict, measure_server, probabilities
from santander.sample import sample
from tabserve.cli import options
from tabserve.destination import check_apart

LIBRARIES = ("mlserver", "fastapi", "uvicorn", "uvloop", "httptools", "orjson", "grpcio", "xgboost", "numpy")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `serving`."""
    servers, loads = [*CONTENDERS, *PREDICT], [load.name for load in LOADS]
    parser.add_argument(
        "--seconds", type=options.seconds, default=4.0, help="of each measurement (default: %(default)s)"
    )
    parser.add_argument("--repeats", type=options.count, default=2, help="turns of each server (default: %(default)s)")
    parser.add_argument("--model", type=Path, help="model folder to serve (default: one trained for this)")
    parser.add_argument(
        "--servers", nargs="+", choices=servers, default=servers, metavar="NAME", help=", ".join(servers)
    )
    parser.add_argument("--loads", nargs="+", choices=loads, default=loads, metavar="NAME", help=", ".join(loads))
    parser.add_argument(
        "--out", type=Path, default=Path("build/bench"), help="folder to write to (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Measure, print, and write `serving.json` and `serving.svg`."""
    check_apart([arguments.out], [arguments.model])
    loads = [load for load in LOADS if load.name in arguments.loads]
    with tempfile.TemporaryDirectory() as scratch:
        model = arguments.model or train(Path(scratch, "model"))
        turns = measure(arguments.servers, loads, model, arguments.seconds, arguments.repeats)
    carriers = {transport: load.client(transport) for transport in ("http", "grpc")}
    print(f"clients: {carriers['http']} over HTTP, {carriers['grpc']} over gRPC\n")
    print(results.tables(turns, loads), targets.table(turns), sep="\n\n")
    arguments.out.mkdir(parents=True, exist_ok=True)
    document = {"machine": machine(), "clients": carriers, "seconds": arguments.seconds, "repeats": arguments.repeats}
    document |= {"servers": turns, "targets": targets.document(turns)}
    (arguments.out / "serving.json").write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    results.plot(turns, loads).savefig(arguments.out / "serving.svg")


def measure(names: Sequence[str], loads: Sequence[Load], model: Path, seconds: float, repeats: int) -> dict[str, Turn]:
    """Measure the named servers; the median turn of each."""
    features = sample(max(load.rows for load in loads), 1).features
    return take_turns(names, repeats, lambda name: _turn(name, loads, features, model, seconds))


def take_turns(names: Sequence[str], repeats: int, turn: Callable[[str], Turn]) -> dict[str, Turn]:
    """Measure the named servers in turns, `repeats` times; the median turn of each."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # for the idle connections, here and in the servers
    turns: dict[str, list[Turn]] = {name: [] for name in names}
    for name in (progress := tqdm([*names] * repeats, disable=None)):
        progress.set_description(name)
        turns[name].append(turn(name))
    return {name: results.median(own) for name, own in turns.items()}


def _turn(name: str, loads: Sequence[Load], features: NDArray[np.float32], model: Path, seconds: float) -> Turn:
    if name not in PREDICT:
        contender = CONTENDERS[name](model)
        return measure_server(contender, loads, features, probabilities(contender.model, features), seconds)
    with ProcessPoolExecutor(1, SPAWN) as process:
        return process.submit(measure_predict, model, loads, features, seconds, PREDICT[name]).result()


def machine() -> Mapping[str, object]:
    """Cores, system and versions of this machine."""
    versions = {"python": platform.python_version(), **{name: metadata.version(name) for name in LIBRARIES}}
    cores = [
        line.split(": ")[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    return {"cores": cores, "system": platform.platform(), "versions": versions}
