"""The work of a Spark worker: load the model once, score rows, and reject the bad ones."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow as pa

from tabserve.errors import DataError
from tabserve.model.model import CARD, GOLDEN, MANIFEST, PREDICTORS, Model, load
from tabserve.score import answers, schema_of
from tabserve.spark.rows import Piece
from tabserve.table.conversion import batch_to_rows, scoring_columns
from tabserve.table.csv_blocks import BadRow
from tabserve.table.frame import Rows

ModelFiles = tuple[tuple[str, bytes], ...]
"""Name and content of each file of a model folder, as they travel to the workers."""

REJECT_SCHEMA = pa.schema([("file", pa.string()), ("reason", pa.string())])
"""Columns of a rejected row beside its id."""

Converted = TypeVar("Converted")


class RejectedRow(NamedTuple):
    """A bad row: its file or table, its id as far as it can be read, and what is wrong with it."""

    source: str
    id: str
    reason: str

    def error(self, id_column: str) -> DataError:
        """The error that names the row by its file or table and its id."""
        return DataError(f"{self.source}, {id_column} {self.id!r}, {self.reason}.")


def model_files(folder: Path) -> ModelFiles:
    """Read the files of a model folder."""
    names = (*PREDICTORS, GOLDEN, MANIFEST, CARD)  # not the manifest's names, which may lead anywhere
    return tuple((name, (folder / name).read_bytes()) for name in names if (folder / name).exists())


@lru_cache(1)
def load_model(files: ModelFiles) -> Model:
    """Load and verify the model; once in each process, for all its tasks.

    Raises:
        ArtifactError: the model folder is not whole.
    """
    with tempfile.TemporaryDirectory(prefix="tabserve-") as folder:
        for name, content in files:
            Path(folder, name).write_bytes(content)
        return load(Path(folder))


def answer_fields(model: Model) -> list[pa.Field]:
    """The columns of the model's answers, as one machine writes them beside the id."""
    return [*schema_of(model)][1:]


def result_schema(model: Model) -> pa.Schema:
    """The columns that a worker returns, of which a row has the answers or a reason; the id is always named `id`."""
    return pa.schema([("id", pa.string()), *answer_fields(model), *REJECT_SCHEMA])


@dataclass(frozen=True)
class Scorer:
    """Scores the batches that Spark hands to a worker (`DataFrame.mapInArrow`).

    Attributes:
        files: the model folder's.
        id: name of the id column.
        read: turns Spark's batches into pieces.
        reject: takes a bad row and the name of the id column; returns its cells in the result, or raises.
    """

    files: ModelFiles
    id: str
    read: Callable[[Iterator[pa.RecordBatch]], Iterator[Piece]]
    reject: Callable[[RejectedRow, str], dict[str, str]]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield results in the columns of `result_schema`: id and answers, or id, file and reason."""
        model = load_model(self.files)
        schema, results, inputs = schema_of(model), result_schema(model), scoring_columns(model.problem)

        def convert(piece: Piece) -> Rows:
            return batch_to_rows(model.problem, model.encoder, piece.batch(inputs))

        for piece in self.read(batches):
            for part in split_bad_rows(piece, self.id, convert):
                if isinstance(part, RejectedRow):
                    yield pa.RecordBatch.from_pylist([self.reject(part, self.id)], schema=results)
                else:
                    scored = answers(model, part, model.score(part.features), schema)
                    columns = [*scored.columns, *_null_columns(len(scored), REJECT_SCHEMA)]
                    yield pa.RecordBatch.from_arrays(columns, schema=results)


def raise_rejected(row: RejectedRow, id_column: str) -> dict[str, str]:
    """End the job at its first bad row.

    Raises:
        DataError: naming the row and what is wrong with it.
    """
    raise row.error(id_column)


def keep_rejected(row: RejectedRow, _id_column: str) -> dict[str, str]:
    """A result that says why the row was rejected."""
    return {"id": row.id, "file": row.source, "reason": row.reason}


def split_bad_rows(
    piece: Piece, id_column: str, convert: Callable[[Piece], Converted]
) -> Iterator[Converted | RejectedRow]:
    """Convert a piece; if rows of it are bad, yield each of them as rejected and convert the parts between, in order.

    Args:
        piece: at least one row.
        id_column: name of the id column.
        convert: raises BadRow if any row of a piece is bad.
    """
    try:
        yield convert(piece)
    except BadRow as bad:
        if len(piece) == 1:
            reason = f"column {bad.column!r}: {bad}" if bad.column else str(bad)
            yield RejectedRow(piece.source, piece.first_cell(id_column), reason)
            return
        cuts = [index for row in bad.rows for index in (row - 1, row)]
        for start, stop in pairwise([0, *cuts, len(piece)]):
            if start < stop:
                yield from split_bad_rows(piece[start:stop], id_column, convert)


def _null_columns(count: int, schema: pa.Schema) -> list[pa.Array]:
    return [pa.nulls(count, field.type) for field in schema]
