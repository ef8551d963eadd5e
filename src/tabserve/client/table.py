"""Ask a server about a table: the rows of a file in, the columns of the answers out."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tqdm import tqdm

from tabserve.client.answer import Answer
from tabserve.client.client import Client
from tabserve.client.metadata import INT64, Column, Metadata, Output
from tabserve.encoding.numbers import Numbers
from tabserve.errors import InvalidRequest
from tabserve.serving.protocol.contributions import NAME
from tabserve.serving.protocol.datatypes import BYTES
from tabserve.table.columns import Columns, naming_rows, refuse_no_rows
from tabserve.table.conversion import required_texts, row_numbers
from tabserve.table.reader import batches, column_names
from tabserve.table.source import Source
from tabserve.table.writer import id_field, open_writer

CHUNK = 1_000
"""Rows per request."""

ROW_OF_REQUEST = re.compile(r"Row ([0-9]+), ")
"""How a message about a row of a request begins."""

MEMBER = "test.csv"
"""The name of the table in Kaggle's zip."""


class Rows(NamedTuple):
    """Rows of a file.

    Attributes:
        name: of the column of ids, or `row` if they are numbers.
        ids: texts or, where the file has none, the numbers of the rows from 1; shape (rows,).
        columns: the cells of each column, shape (rows,).
    """

    name: str
    ids: NDArray[np.object_]
    columns: dict[str, NDArray[Any]]


def read(path: Path, metadata: Metadata, limit: int | None) -> Rows:
    """Read the first rows of a table, or all; optional columns and the id need not be in it.

    Raises:
        DataError: the table cannot be used; the message names the file and, if one is at fault, the row and column.
    """
    source = Source(path, MEMBER)
    name = metadata.id if metadata.id in column_names(source) else None
    texts = [column.name for column in metadata.columns if column.datatype == BYTES]
    numbers = [column.name for column in metadata.columns if column.name not in texts]
    optional = [column.name for column in metadata.columns if column.optional]
    expected = Columns(numbers, [*texts, *filter(None, [name])], [*metadata.ignored], optional=optional)
    parts, count = [], 0
    for batch in batches(source, expected, partial(to_rows, metadata.columns, name)):
        parts.append(batch)
        count += len(batch.ids)
        if limit and count >= limit:
            break
    refuse_no_rows(path, count)
    joined = {
        column.name: np.concatenate([part.columns[column.name] for part in parts])[:limit]
        for column in metadata.columns
    }
    ids = np.concatenate([part.ids for part in parts]) if name else row_numbers(1, count)
    return Rows(id_field(name).name, ids[:limit], joined)


def to_rows(columns: Sequence[Column], name: str | None, batch: pa.RecordBatch) -> Rows:
    """Convert a batch to the cells that are sent; the server checks what the texts say."""
    ids = required_texts(batch, name, "an id") if name else row_numbers(1, len(batch))
    return Rows(id_field(name).name, ids, {column.name: cells(column, batch[column.name]) for column in columns})


def cells(column: Column, array: pa.Array) -> NDArray[Any]:
    """The cells of a column: numbers, NaN for a missing one; or texts, empty for a missing one."""
    if column.datatype == BYTES:
        return np.array([text or "" for text in array.to_pylist()], np.object_)
    with naming_rows(column.name):
        return Numbers(column.optional).encode(array.to_numpy(zero_copy_only=False))[:, 0]


def ask(client: Client, path: Path, rows: Rows, outputs: Sequence[str]) -> list[Answer]:
    """Ask the server about all rows, one chunk after the other."""
    answers, total = [], len(rows.ids)
    known = client.metadata.outputs
    size = min([CHUNK, *(known[name].max_rows or CHUNK for name in outputs if name in known)])
    with tqdm(total=total, unit=" rows", leave=False, disable=None) as progress:
        for start in range(0, total, size):
            stop = min(start + size, total)
            chunk = {name: values[start:stop] for name, values in rows.columns.items()}
            try:
                answers.append(client.ask_columns(chunk, outputs))
            except InvalidRequest as error:
                raise type(error)(f"{path}, {_in_file(str(error), start, stop)}") from error
            progress.update(stop - start)
    return answers


def _in_file(message: str, start: int, stop: int) -> str:
    """A message about a request with its row's number in the file, where rows count from 1 and not from 0."""
    if found := ROW_OF_REQUEST.match(message):
        return f"row {start + int(found[1]) + 1}, {message[found.end() :]}"
    return f"rows {start + 1} to {stop}: {message}"


def to_columns(answers: Sequence[Answer], metadata: Metadata) -> dict[str, NDArray[Any]]:
    """Join the answers to columns, with the names that a scored file gives them; contributions are left out."""
    columns: dict[str, NDArray[Any]] = {}
    for name in (name for name in answers[0].outputs if name != NAME):
        names = output_columns(name, metadata.outputs[name])
        values = np.concatenate([_spell(answer.outputs[name], metadata.outputs[name]) for answer in answers]).T
        columns.update(zip(names, values[-len(names) :], strict=True))
    return columns


def _spell(values: NDArray[Any], output: Output) -> NDArray[Any]:
    """Labels as the training table spells them, where the server answers their numbers; other values stay."""
    counted = output.datatype == INT64 and output.labels
    return np.array(output.labels, np.object_)[values] if counted else values


def write(columns: dict[str, NDArray[Any]], out: Path) -> None:
    """Write columns to a file as `tabserve score` does: whole, or not at all.

    Raises:
        DataError: the file cannot be written.
    """
    batch = pa.record_batch({name: pa.array(np.ascontiguousarray(values)) for name, values in columns.items()})
    with open_writer(out, batch.schema) as writer:
        writer.write_batch(batch)


def output_columns(name: str, output: Output) -> list[str]:
    """The names of an output's columns; of a model of two classes only the positive class's probability is shown."""
    if name == "predict":
        return ["prediction" if output.datatype == "FP32" else "label"]
    if name == "predict_proba":
        return [f"probability_{label}" for label in output.labels] or ["probability"]
    return ["low", "high"] if name == "predict_interval" else [f"{name}_{index}" for index in range(output.shape[-1])]
