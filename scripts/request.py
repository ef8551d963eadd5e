"""Ask a served model about the rows of a table; which columns it takes, and what it answers, the server says."""

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
from tabserve.wording import one_line

CHUNK = 1_000
"""Rows in one request."""

MEMBER = "test.csv"
"""The table in Kaggle's zip."""

OUTPUTS = ("predict", "predict_proba", "predict_interval")
"""What a model may answer."""

EPILOG = """examples:
  python scripts/request.py
  python scripts/request.py --data test.csv --rows 1000 --json
  python scripts/request.py --protocol grpc --outputs predict_proba

exit codes: 0 answered, 1 not enough memory, 2 wrong option, or no model named where the server has
several, 3 the file cannot be used or the server refuses its rows, 5 no server answers, or not as one should,
130 Ctrl-C, 143 SIGTERM
"""


def main() -> None:
    """Ask as the command line says."""
    arguments = parsed()
    client = connected(arguments)
    if arguments.wait:
        wait(client.ready, "The model", arguments.wait)
    metadata = client.metadata
    rows = read(arguments.data, metadata, arguments.rows)
    answers = ask(client, arguments.data, rows, arguments.outputs or [*metadata.outputs])
    columns = {metadata.id or "row": rows.ids.tolist(), **answered(answers, metadata)}
    if arguments.json:
        print_json(columns, client.model, answers[0].threshold)
    else:
        print_table(columns)


class Rows(NamedTuple):
    """Rows of a file: their names, and the cells of each column, all of shape (rows,)."""

    ids: NDArray[np.object_]
    columns: dict[str, NDArray[Any]]


def read(path: Path, metadata: Metadata, limit: int | None) -> Rows:
    """The first rows of a table, or all; a column that may be missing, and the id, need not be in it.

    Raises:
        DataError: naming the file and, where there is one, the row and column.
    """
    there = column_names(path, MEMBER)
    given = [column for column in metadata.columns if not column.optional or column.name in there]
    texts = [column.name for column in given if column.datatype == BYTES]
    identity = [metadata.id] if metadata.id and metadata.id in there else []
    numbers = [column.name for column in given if column.name not in texts]
    wanted = Columns(numbers, [*texts, *identity], [*metadata.ignored])
    taken, count = [], 0
    for batch in batches(path, wanted, MEMBER, partial(converted, given, identity)):
        taken.append(batch)
        count += len(batch.ids)
        if limit and count >= limit:
            break
    if not count:
        raise DataError(f"{path} has a header and no rows; a table needs at least one row below its header.")
    joined = {each.name: np.concatenate([some.columns[each.name] for some in taken])[:limit] for each in given}
    ids = np.concatenate([some.ids for some in taken]) if identity else np.arange(count).astype(np.object_)
    return Rows(ids[:limit], joined)


def converted(columns: Sequence[Column], identity: Sequence[str], batch: pa.RecordBatch) -> Rows:
    """The cells as they are sent; what texts say is the server's to judge."""
    ids = required_texts(batch, identity[0], "an id") if identity else np.empty(len(batch), np.object_)
    return Rows(ids, {column.name: cells(column, batch[column.name]) for column in columns})


def cells(column: Column, found: pa.Array) -> NDArray[Any]:
    """Numbers, NaN where one may be missing, or texts, empty likewise."""
    if column.datatype == BYTES:
        return np.array([text or "" for text in found.to_pylist()], np.object_)
    try:
        return Numbers(column.optional).encode(found.to_numpy(zero_copy_only=False))[:, 0]
    except BadCell as error:
        raise bad_cell(error.rows, column.name, error.expected, error.found) from error


def connected(arguments: argparse.Namespace) -> Client:
    """A client of the protocol that the command line names; ports are the server's own, unless it says otherwise."""
    if arguments.protocol == "grpc":
        url = arguments.url or f"localhost:{os.environ.get('MLSERVER_GRPC_PORT', '8081')}"
        return GrpcClient(url, arguments.model, arguments.timeout)
    url = arguments.url or f"http://localhost:{os.environ.get('MLSERVER_HTTP_PORT', '8080')}"
    return RestClient(url, arguments.model, arguments.timeout)


def ask(client: Client, path: Path, rows: Rows, outputs: Sequence[str]) -> list[Answer]:
    """The answers for all rows, a chunk at a time."""
    answers, total = [], len(rows.ids)
    with tqdm(total=total, unit=" rows", leave=False, disable=None) as progress:
        for start in range(0, total, CHUNK):
            stop = min(start + CHUNK, total)
            some = {name: values[start:stop] for name, values in rows.columns.items()}
            try:
                answers.append(client.ask_columns(some, outputs))
            except InvalidRequest as error:
                raise type(error)(
                    f"{path}, rows {start + 1} to {stop}, of which the first is row 0: {error}"
                ) from error
            progress.update(stop - start)
    return answers


def answered(answers: Sequence[Answer], metadata: Metadata) -> dict[str, list[Any]]:
    """The columns that the answers make, called as those of a scored file."""
    columns: dict[str, list[Any]] = {}
    for name in answers[0].outputs:
        called = titles(name, metadata.outputs[name])
        values = np.concatenate([answer.outputs[name] for answer in answers]).T
        columns.update(zip(called, values[-len(called) :].tolist(), strict=True))
    return columns


def titles(name: str, output: Output) -> list[str]:
    """What the columns of an output are called; of both probabilities of two classes there is the positive one's."""
    if name == "predict":
        return ["prediction" if output.datatype == "FP32" else "label"]
    if name == "predict_proba":
        return [f"probability_{label}" for label in output.labels] or ["probability"]
    return ["low", "high"] if name == "predict_interval" else [f"{name}_{each}" for each in range(output.columns)]


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
    """A number with six decimals, anything else as it is, on one line."""
    return f"{value:.6f}" if isinstance(value, float) else one_line(str(value))


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
        help="wait so long for the model to be ready (default: do not)",
    )
    add(
        "--model",
        type=options.word,
        metavar="NAME",
        help="what the server calls it (default: the only one that it has)",
    )
    add("--json", action="store_true", help="print one JSON document instead of a table")
    return parser.parse_args()


def outputs(text: str) -> list[str]:
    """Names of what can be asked for, for argparse."""
    found = options.names(text)
    if not {*found} <= {*OUTPUTS}:
        raise argparse.ArgumentTypeError(f"expected {' or '.join(OUTPUTS)}, or several with commas, not {text!r}")
    return found


if __name__ == "__main__":
    run.run(main)
