"""Ask a served model for predictions: label and probability of the positive class per ID_code."""

import argparse
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from santander.problem import PROBLEM
from tabserve.cli import options, run
from tabserve.client.client import OUTPUTS, Answer, Client, wait
from tabserve.client.grpc import GrpcClient
from tabserve.client.rest import RestClient
from tabserve.encoding.encoder import Encoder
from tabserve.table.frame import Rows, stream

CHUNK = 1_000
"""Rows in one request."""

EPILOG = """examples:
  python scripts/request.py
  python scripts/request.py --data test.csv --rows 1000 --json
  python scripts/request.py --protocol grpc --outputs predict_proba

exit codes: 0 answered, 1 not enough memory, 2 wrong option, 3 the file cannot be used or the server refuses its rows,
5 no server answers, or not as one should, 130 Ctrl-C, 143 SIGTERM
"""


def main() -> None:
    """Ask as the command line says."""
    arguments = parsed()
    rows = first(stream(arguments.data, PROBLEM, Encoder.learn(PROBLEM, {})), arguments.rows)
    client = connected(arguments)
    if arguments.wait:
        wait(client.ready, "The model", arguments.wait)
    answers = ask(client, rows, arguments.outputs)
    columns = {PROBLEM.id or "row": rows.ids.tolist(), **answered(answers)}
    if arguments.json:
        print_json(columns, arguments.model, answers[0].threshold)
    else:
        print_table(columns)


def first(batches: Iterable[Rows], limit: int | None) -> Rows:
    """The first rows, or all of them where there is no limit."""
    taken: list[Rows] = []
    for batch in batches:
        taken.append(batch)
        if limit and sum(map(len, taken)) >= limit:
            break
    return Rows(
        np.concatenate([rows.ids for rows in taken])[:limit], np.concatenate([rows.features for rows in taken])[:limit]
    )


def connected(arguments: argparse.Namespace) -> Client:
    """A client of the protocol that the command line names; ports are the server's own, unless it says otherwise."""
    if arguments.protocol == "grpc":
        url = arguments.url or f"localhost:{os.environ.get('MLSERVER_GRPC_PORT', '8081')}"
        return GrpcClient(url, arguments.model, arguments.timeout)
    url = arguments.url or f"http://localhost:{os.environ.get('MLSERVER_HTTP_PORT', '8080')}"
    return RestClient(url, arguments.model, arguments.timeout)


def ask(client: Client, rows: Rows, outputs: Sequence[str]) -> list[Answer]:
    """The answers for all rows, a chunk at a time."""
    starts = range(0, len(rows), CHUNK)
    with tqdm(total=len(rows), unit=" rows", leave=False, disable=None) as progress:
        answers = []
        for start in starts:
            chunk = rows.features[start : start + CHUNK]
            answers.append(client.ask(chunk, outputs))
            progress.update(len(chunk))
    return answers


def answered(answers: Sequence[Answer]) -> dict[str, list[Any]]:
    """The columns that the answers make."""
    outputs = {name: np.concatenate([answer.outputs[name] for answer in answers]) for name in answers[0].outputs}
    columns = {}
    if "predict" in outputs:
        columns["label"] = outputs["predict"][:, 0].tolist()
    if "predict_proba" in outputs:
        columns["probability"] = outputs["predict_proba"][:, 1].tolist()
    return columns


def print_json(columns: dict[str, list[Any]], model: str, threshold: float | None) -> None:
    """One document."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    print(json.dumps({"model": model, "threshold": threshold, "rows": rows}, indent=2))


def print_table(columns: dict[str, list[Any]]) -> None:
    """Aligned columns, the first one to the left."""
    written = [[name, *map(cell, values)] for name, values in columns.items()]
    widths = [max(map(len, column)) for column in written]
    for name, *others in zip(*written, strict=True):
        print(name.ljust(widths[0]), *(other.rjust(width) for other, width in zip(others, widths[1:], strict=True)))


def cell(value: object) -> str:
    """A probability with six decimals, anything else as it is."""
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--url",
        type=options.word,
        help="of the server (default: http://localhost:8080, with --protocol grpc localhost:8081,"
        " or the ports in MLSERVER_HTTP_PORT and MLSERVER_GRPC_PORT)",
    )
    add(
        "--data",
        type=Path,
        default=Path(__file__).with_name("rows.csv"),
        metavar="FILE",
        help="rows as .csv, .csv.gz, Kaggle's .zip or .parquet (default: 10 synthetic rows)",
    )
    add("--rows", type=options.count, metavar="N", help="ask about the first N rows (default: all)")
    add("--protocol", choices=("rest", "grpc"), default="rest", help="(default: %(default)s)")
    add(
        "--outputs",
        type=outputs,
        default=[*OUTPUTS],
        metavar="NAMES",
        help="what to ask for: predict (the label), predict_proba, or both (default: both)",
    )
    add(
        "--timeout",
        type=options.seconds,
        default=30.0,
        metavar="SECONDS",
        help="for one request (default: %(default)s)",
    )
    add(
        "--wait",
        type=options.seconds,
        metavar="SECONDS",
        help="wait so long for the model to be ready (default: do not)",
    )
    add(
        "--model",
        type=options.word,
        default="xgboost-model",
        metavar="NAME",
        help="what the server calls it (default: %(default)s)",
    )
    add("--json", action="store_true", help="print one JSON document instead of a table")
    return parser.parse_args()


def outputs(text: str) -> list[str]:
    """Names of what can be asked for, for argparse."""
    found = options.names(text)
    if not {*found} <= {*OUTPUTS}:
        raise argparse.ArgumentTypeError(f"expected {' or '.join(OUTPUTS)}, or both with a comma, not {text!r}")
    return found


if __name__ == "__main__":
    run.run(main)
