"""The default training against AutoML and gradient boosting by their defaults, on real tables and scikit-learn's."""

import argparse
import json
import tempfile
from pathlib import Path

from tqdm import tqdm

from bench import peer_report
from bench.peer import FITS, PACKAGES, Job
from bench.peer_runs import MEASURES, ROOT, Comparison, compare, missing
from bench.peer_tables import NAMES, tables
from tabserve.cli import options

SHARED = ROOT.parent / "shared" / "tables"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `peers`."""
    add = parser.add_argument
    add(
        "--tables",
        nargs="+",
        choices=NAMES,
        default=NAMES,
        metavar="NAME",
        help=f"of {', '.join(NAMES)} (default: all)",
    )
    add(
        "--peers", nargs="+", choices=FITS, default=[*FITS], metavar="NAME", help=f"of {', '.join(FITS)} (default: all)"
    )
    add("--data", type=Path, default=SHARED, metavar="FOLDER", help="has the real tables (default: ../shared/tables)")
    add("--rows", type=options.count, metavar="N", help="random rows of each table (default: all)")
    add("--seconds", type=options.seconds, default=75.0, help="bound of FLAML and AutoGluon (default: %(default)s)")
    add("--seed", type=options.seed, default=42, help="of the split and of all models (default: %(default)s)")
    add(
        "--out",
        type=options.folder,
        default=Path("build/peers"),
        metavar="FOLDER",
        help="gets peers.md and peers.json after each table (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Train all on each table, print the results as Markdown, and write them with JSON beside."""
    absent = missing(arguments.peers)
    for name in absent:
        print(f"{name} is skipped: {PACKAGES[name].name} is not installed; `make setup-peers` installs it.", flush=True)
    peers = [name for name in arguments.peers if name not in absent]
    chosen = [*tables(arguments.tables, arguments.data, arguments.rows, arguments.seed)]
    comparisons: list[Comparison] = []
    with tqdm(total=len(chosen) * (1 + len(peers)), disable=None) as progress:
        for table in chosen:
            job = Job(table.task, MEASURES[table.task].name, arguments.seconds, arguments.seed)
            with tempfile.TemporaryDirectory() as scratch:
                comparisons.append(compare(table, job, peers, Path(scratch), progress))
            write(comparisons, peers, arguments.out)
    print("", peer_report.markdown(comparisons, peers), sep="\n", end="")


def write(comparisons: list[Comparison], peers: list[str], out: Path) -> None:
    """Write the results so far."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "peers.md").write_text(peer_report.markdown(comparisons, peers), encoding="utf-8")
    (out / "peers.json").write_text(json.dumps(peer_report.document(comparisons), indent=2), encoding="utf-8")
