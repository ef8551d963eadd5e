"""What a worker does: it loads the model once, scores the rows it is given, and tells which of them are bad."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow as pa

from tabserve.errors import DataError
from tabserve.model.model import CARD, GOLDEN, MANIFEST, PREDICTORS, Model, load_binary
from tabserve.score import answers, schema_of
from tabserve.spark.rows import Piece
from tabserve.table.csv_blocks import BadRow
from tabserve.table.frame import rows, to_score

Packed = tuple[tuple[str, bytes], ...]
"""A model folder's files by name, as they travel to the workers."""

REJECTED = pa.schema([("file", pa.string()), ("reason", pa.string())])
"""What is told of a bad row beside its id."""

FOUND = pa.schema([("id", pa.string()), ("label", pa.int8()), ("probability", pa.float32()), *REJECTED])
"""The columns that a worker gives, whatever the model's column of ids is called."""

Converted = TypeVar("Converted")


class Rejected(NamedTuple):
    """A bad row: its file or table, its id as far as it can be read, and what is wrong with it."""

    place: str
    id: str
    reason: str

    def error(self, name: str) -> DataError:
        """What ends the job, where a bad row does; `name` is the column of ids."""
        return DataError(f"{self.place}, {name} {self.id!r}, {self.reason}.")


def packed(folder: Path) -> Packed:
    """A model folder's files."""
    names = (*PREDICTORS, GOLDEN, MANIFEST, CARD)  # not those of the manifest, which may lead anywhere
    return tuple((name, (folder / name).read_bytes()) for name in names if (folder / name).exists())


@lru_cache(1)
def model(files: Packed) -> Model:
    """The model, verified; loaded once in each process, whatever the number of tasks that it is given.

    Raises:
        ArtifactError: the folder is not whole.
    """
    with tempfile.TemporaryDirectory(prefix="tabserve-") as folder:
        for name, content in files:
            Path(folder, name).write_bytes(content)
        return load_binary(Path(folder))


@dataclass(frozen=True)
class Scorer:
    """Scores what Spark hands to a worker (`DataFrame.mapInArrow`).

    Attributes:
        model: the folder.
        name: the column of ids.
        read: makes pieces of rows of Spark's batches.
        reject: what becomes of a bad row, by the column of ids; it may raise.
    """

    model: Packed
    name: str
    read: Callable[[Iterator[pa.RecordBatch]], Iterator[Piece]]
    reject: Callable[[Rejected, str], pa.RecordBatch]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Id, label and probability of each row; of a bad one its id, its file and what is wrong with it."""
        answering = model(self.model)
        problem, schema = answering.problem, schema_of(answering)
        wanted = to_score(problem).schema()
        for piece in self.read(batches):
            for found in sifted(piece, self.name, lambda part: rows(problem, answering.encoder, part.batch(wanted))):
                if isinstance(found, Rejected):
                    yield self.reject(found, self.name)
                else:
                    scored = answers(answering, found, answering.score(found.features), schema)
                    yield pa.RecordBatch.from_arrays([*scored.columns, *_nulls(len(scored), REJECTED)], schema=FOUND)


def stop(bad: Rejected, name: str) -> pa.RecordBatch:
    """End the job.

    Raises:
        DataError: naming the row and what is wrong with it.
    """
    raise bad.error(name)


def keep(bad: Rejected, _name: str) -> pa.RecordBatch:
    """A row without an answer, to be written where the bad rows go."""
    return pa.RecordBatch.from_pylist([{"id": bad.id, "file": bad.place, "reason": bad.reason}], schema=FOUND)


def sifted(piece: Piece, name: str, convert: Callable[[Piece], Converted]) -> Iterator[Converted | Rejected]:
    """Convert a piece, or what is between its bad rows where some are bad, and each of these alone; in order.

    Args:
        piece: at least one row.
        name: the column of ids.
        convert: raises BadRow if any row of a piece is bad.
    """
    try:
        yield convert(piece)
    except BadRow as bad:
        if len(piece) == 1:
            reason = f"column {bad.column!r}: {bad}" if bad.column else str(bad)
            yield Rejected(piece.place, piece.named(name), reason)
            return
        places = [place for row in bad.rows for place in (row - 1, row)]
        for start, stop in pairwise([0, *places, len(piece)]):
            if start < stop:
                yield from sifted(piece[start:stop], name, convert)


def _nulls(count: int, schema: pa.Schema) -> list[pa.Array]:
    return [pa.nulls(count, field.type) for field in schema]
