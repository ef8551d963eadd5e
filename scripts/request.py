"""Ask a served model about the rows of a table; the server says which columns the model has and what it answers."""

import argparse
import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tqdm import tqdm

from tabserve.cli import options, run
from tabserve.client.answer import Answer
from tabserve.client.client import Client, wait
from tabserve.client.grpc import GrpcClient
from tabserve.client.metadata import Column, Metadata, Output
from tabserve.client.rest import RestClient
from tabserve.encoding.cells import BadCell
from tabserve.encoding.numbers import Numbers
from tabserve.errors import DataError, InvalidRequest
from tabserve.serving.protocol.datatypes import BYTES
from tabserve.table.columns import Columns, bad_cell
from tabserve.table.frame import required_texts
from tabserve.table.reader import batches, column_names
from tabserve.table.source import Source
from tabserve.wording import one_line

CHUNK = 1_000
"""Rows per request."""

MEMBER = "test.csv"
"""The name of the table in Kaggle's zip."""

OUTPUTS = ("predict", "predict_proba", "predict_interval")
"""The outputs that models can have."""

EPILOG = """examples:
  python scripts/request.py
  python scripts/request.py --data test.csv --rows 1000 --json
  python scripts/request.py --protocol grpc --outputs predict_proba

exit codes: 0 answered, 1 not enough memory, 2 wrong option, or no model named where the server has
several, 3 the file cannot be used or the server refuses its rows, 5 no server answers, or its answer is wrong,
130 Ctrl-C, 143 SIGTERM
"""


def main() -> None:
    """Ask the server about the rows, and print its answers."""
    arguments = parse_arguments()
    client = create_client(arguments)
    if arguments.wait:
        wait(client.ready, "The model", arguments.wait)
    metadata = client.metadata
    rows = read(arguments.data, metadata, arguments.rows)
    answers = ask(client, arguments.data, rows, arguments.outputs or [*metadata.outputs])
    columns = {metadata.id or "row": rows.ids.tolist(), **to_columns(answers, metadata)}
    if arguments.json:
        print_json(columns, client.model, answers[0].threshold)
    else:
        print_table(columns)


class Rows(NamedTuple):
    """Rows of a file: their ids, and the cells of each column, all of shape (rows,)."""

    ids: NDArray[np.object_]
    columns: dict[str, NDArray[Any]]


def read(path: Path, metadata: Metadata, limit: int | None) -> Rows:
    """Read the first rows of a table, or all; optional columns and the id need not be in it.

    Raises:
        DataError: the table cannot be used; the message names the file and, if one is at fault, the row and column.
    """
    source = Source(path, MEMBER)
    names = column_names(source)
    used = [column for column in metadata.columns if not column.optional or column.name in names]
    texts = [column.name for column in used if column.datatype == BYTES]
    identity = [metadata.id] if metadata.id and metadata.id in names else []
    numbers = [column.name for column in used if column.name not in texts]
    expected = Columns(numbers, [*texts, *identity], [*metadata.ignored])
    parts, count = [], 0
    for batch in batches(source, expected, partial(to_rows, used, identity)):
        parts.append(batch)
        count += len(batch.ids)
        if limit and count >= limit:
            break
    if not count:
        raise DataError(f"{path} has a header and no rows; a table needs at least one row below its header.")
    joined = {column.name: np.concatenate([part.columns[column.name] for part in parts])[:limit] for column in used}
    ids = np.concatenate([part.ids for part in parts]) if identity else np.arange(count).astype(np.object_)
    return Rows(ids[:limit], joined)


def to_rows(columns: Sequence[Column], identity: Sequence[str], batch: pa.RecordBatch) -> Rows:
    """Convert a batch to the cells that are sent; the server checks what the texts say."""
    ids = required_texts(batch, identity[0], "an id") if identity else np.empty(len(batch), np.object_)
    return Rows(ids, {column.name: cells(column, batch[column.name]) for column in columns})


def cells(column: Column, array: pa.Array) -> NDArray[Any]:
    """The cells of a column: numbers, NaN for a missing one; or texts, empty for a missing one."""
    if column.datatype == BYTES:
        return np.array([text or "" for text in array.to_pylist()], np.object_)
    try:
        return Numbers(column.optional).encode(array.to_numpy(zero_copy_only=False))[:, 0]
    except BadCell as error:
        raise bad_cell(error.rows, column.name, error.expected, error.found) from error


def create_client(arguments: argparse.Namespace) -> Client:
    """Create a client of the chosen protocol; without --url, of this machine's server at the ports it would have."""
    if arguments.protocol == "grpc":
        url = arguments.url or f"localhost:{os.environ.get('MLSERVER_GRPC_PORT', '8081')}"
        return GrpcClient(url, arguments.model, arguments.timeout)
    url = arguments.url or f"http://localhost:{os.environ.get('MLSERVER_HTTP_PORT', '8080')}"
    return RestClient(url, arguments.model, arguments.timeout)


def ask(client: Client, path: Path, rows: Rows, outputs: Sequence[str]) -> list[Answer]:
    """Ask the server about all rows, one chunk after the other."""
    answers, total = [], len(rows.ids)
    with tqdm(total=total, unit=" rows", leave=False, disable=None) as progress:
        for start in range(0, total, CHUNK):
            stop = min(start + CHUNK, total)
            chunk = {name: values[start:stop] for name, values in rows.columns.items()}
            try:
                answers.append(client.ask_columns(chunk, outputs))
            except InvalidRequest as error:
                raise type(error)(
                    f"{path}, rows {start + 1} to {stop}, of which the first is row 0: {error}"
                ) from error
            progress.update(stop - start)
    return answers


def to_columns(answers: Sequence[Answer], metadata: Metadata) -> dict[str, list[Any]]:
    """Join the answers to columns, with the names that scripts/score.py gives them."""
    columns: dict[str, list[Any]] = {}
    for name in answers[0].outputs:
        names = output_columns(name, metadata.outputs[name])
        values = np.concatenate([answer.outputs[name] for answer in answers]).T
        columns.update(zip(names, values[-len(names) :].tolist(), strict=True))
    return columns


def output_columns(name: str, output: Output) -> list[str]:
    """The names of an output's columns; of a model of two classes only the positive class's probability is shown."""
    if name == "predict":
        return ["prediction" if output.datatype == "FP32" else "label"]
    if name == "predict_proba":
        return [f"probability_{label}" for label in output.labels] or ["probability"]
    return ["low", "high"] if name == "predict_interval" else [f"{name}_{index}" for index in range(output.columns)]


def print_json(columns: dict[str, list[Any]], model: str, threshold: float | None) -> None:
    """Print one JSON document."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    print(json.dumps({"model": model, "threshold": threshold, "rows": rows}, indent=2))


def print_table(columns: dict[str, list[Any]]) -> None:
    """Print aligned columns, the first one left-aligned, the others right-aligned."""
    texts = [[name, *map(format_cell, values)] for name, values in columns.items()]
    widths = [max(map(len, column)) for column in texts]
    for first, *others in zip(*texts, strict=True):
        print(first.ljust(widths[0]), *(text.rjust(width) for text, width in zip(others, widths[1:], strict=True)))


def format_cell(value: object) -> str:
    """A float with six decimals, any other value as text on one line."""
    return f"{value:.6f}" if isinstance(value, float) else one_line(str(value))


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--url",
        type=options.printable,
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
        metavar="NAMES",
        help="what to ask for: predict (the label, or the amount), predict_proba, predict_interval (default: all that"
        " the model answers)",
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
        help="longest wait for the model to be ready (default: no wait)",
    )
    add(
        "--model",
        type=options.printable,
        metavar="NAME",
        help="what the server calls it (default: the only one that it has)",
    )
    add("--json", action="store_true", help="print one JSON document instead of a table")
    return parser.parse_args()


def outputs(text: str) -> list[str]:
    """The type of --outputs: names of outputs, separated by commas."""
    names = options.names(text)
    if not {*names} <= {*OUTPUTS}:
        raise argparse.ArgumentTypeError(f"expected {' or '.join(OUTPUTS)}, or several with commas, not {text!r}")
    return names


if __name__ == "__main__":
    run.run(main)
