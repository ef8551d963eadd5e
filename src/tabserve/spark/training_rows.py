"""The rows of a training table in Spark: their columns, and what a worker does with them."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import xgboost as xgb
from numpy.typing import NDArray
from pyspark import Broadcast

from tabserve.encoding.encoder import Encoder
from tabserve.predictors.xgboost_call import predict
from tabserve.problem.problem import Problem
from tabserve.spark.rows import Piece
from tabserve.spark.worker import RejectedRow, split_bad_rows
from tabserve.table import learned_texts
from tabserve.table.conversion import batch_to_frame, training_columns
from tabserve.table.frame import Frame
from tabserve.training import copies
from tabserve.training.stumps import Steps, covers

ID, NUMBER, FEATURES, TARGET, HASH = "id", "number", "features", "target", "hash"
GROUP, MOMENT, TIMED = "group", "moment", "timed"
"""Names of the columns; `TIMED` is whether the moment, which is in seconds, has a time."""

Batches = Iterable[pa.RecordBatch]

Read = Callable[[Iterator[pa.RecordBatch]], Iterator[Piece]]
"""Turns the batches of a file or table into pieces; see `Source.read`."""

Recode = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Turns features into those of another encoder; the same array if they are the same."""

Converted = TypeVar("Converted")


def row_schema(problem: Problem) -> str:
    """The columns of a row as a worker reads it; `NUMBER` is added later."""
    target = "double" if problem.task.AMOUNT else "byte"
    return (
        f"{ID} string, {FEATURES} array<float>, {TARGET} {target}, {HASH} long, {GROUP} string, {MOMENT} long,"
        f" {TIMED} boolean"
    )


def driver_columns(problem: Problem) -> list[str]:
    """The columns that the driver gets of every row."""
    return [NUMBER, TARGET, HASH, *([GROUP] if problem.group else []), *([MOMENT, TIMED] if problem.time else [])]


def distinct_texts(problem: Problem, read: Read, batches: Batches) -> Batches:
    """The distinct texts of each column that the encoder is learned from, among a partition's rows.

    Raises:
        DataError: naming the first bad row.
    """
    names = Encoder.learned_columns(problem)
    columns, texts = training_columns(problem).only(names), dict[str, pa.StringArray]()

    def convert(piece: Piece) -> dict[str, pa.StringArray]:
        return learned_texts.distinct_texts(names, piece.batch(columns))

    for part in _converted(problem, read(iter(batches)), convert):
        texts = learned_texts.add_texts(texts, part)
    for name, cells in texts.items():
        yield pa.record_batch({"name": pa.array([name] * len(cells), pa.string()), "text": cells})


def encode_batches(problem: Problem, encoder: Encoder, read: Read, batches: Batches) -> Batches:
    """Encode the rows in the columns of `row_schema`.

    Raises:
        DataError: naming the first bad row.
    """
    columns = training_columns(problem)

    def convert(piece: Piece) -> Frame:
        return batch_to_frame(problem, encoder, piece.batch(columns))

    for part in _converted(problem, read(iter(batches)), convert):
        yield pa.record_batch(
            {
                ID: pa.array(part.ids, pa.string()),
                FEATURES: _as_lists(part.features),
                TARGET: part.target,
                HASH: copies.hashes(part).view(np.int64),
                **_sides(part),
            }
        )


def _sides(part: Frame) -> dict[str, Any]:
    """The columns by which the table may be split: the groups, and the moments in seconds."""
    moment, empty = part.moment, pa.nulls(len(part), pa.int64())
    return {
        GROUP: pa.array([None] * len(part) if part.group is None else part.group, pa.string()),
        MOMENT: empty if moment is None else moment.astype("M8[s]").astype(np.int64),
        TIMED: pa.array([moment is not None and moment.dtype == "M8[s]"] * len(part)),
    }


def _converted(problem: Problem, pieces: Iterable[Piece], convert: Callable[[Piece], Converted]) -> Iterator[Converted]:
    """Convert each piece.

    Raises:
        DataError: naming the first bad row by its id or, if rows have none, by its first cell.
    """
    id_column = problem.id or problem.features[0]
    for piece in pieces:
        for part in split_bad_rows(piece, id_column, convert):
            if isinstance(part, RejectedRow):
                raise part.error(id_column)
            yield part


def filter_batches(bits: Broadcast[NDArray[np.uint8]], recode: Recode, batches: Batches) -> Batches:
    """The rows whose bits are set, with recoded features."""
    for batch in batches:
        number = batch[NUMBER].to_numpy()
        kept = batch.filter(pa.array(bits.value[number >> 3] >> (7 - (number & 7)) & 1).cast(pa.bool_()))
        if len(kept):
            own, column = features(kept), kept.schema.get_field_index(FEATURES)
            recoded = recode(own)
            yield kept if recoded is own else kept.set_column(column, FEATURES, _as_lists(recoded))


def score_batches(booster: xgb.Booster, batches: Batches) -> Batches:
    """The number of each row, and the booster's outputs for it."""
    booster.set_param({"nthread": 1})
    for batch in filter(len, batches):
        answers = predict(booster, features(batch)).reshape(len(batch), -1)
        yield pa.record_batch({NUMBER: batch[NUMBER], "answer": _as_lists(answers)})


def occurring(levels: Sequence[int], batches: Batches) -> bytes:
    """Whether each code of each column occurs, one column after another."""
    occurs = [np.zeros(count, np.bool_) for count in levels]
    for batch in filter(len, batches):
        for column, each in zip(features(batch).T, occurs, strict=True):
            if len(each):
                each[column[column >= 0].astype(np.int64)] = True
    return np.concatenate(occurs).tobytes()


def filled(width: int, batches: Batches) -> bytes:
    """Whether each feature is there in at least one row."""
    present = np.zeros(width, np.bool_)
    for batch in filter(len, batches):
        present |= ~np.isnan(features(batch)).all(axis=0)
    return present.tobytes()


def count_covers(functions: Sequence[Steps], batches: Batches) -> bytes:
    """The counts of `stumps.covers`, int64, one function after another."""
    counts = np.zeros(sum(len(steps.values) for steps in functions), np.int64)
    for batch in filter(len, batches):
        counts += np.concatenate(covers(functions, features(batch)))
    return counts.tobytes()


def sum_digests(batches: Batches) -> bytes:
    """The sum of the sha256 of each row's features and target, modulo 2^256."""
    total = 0
    for batch in filter(len, batches):
        for row, target in zip(features(batch), batch[TARGET].to_numpy(), strict=True):
            total += int.from_bytes(hashlib.sha256(row.tobytes() + target.tobytes()).digest())
    return (total % 2**256).to_bytes(32)


def features(batch: pa.RecordBatch) -> NDArray[np.float32]:
    """The features of a batch of at least one row, shape (rows, features)."""
    rows: NDArray[np.float32] = batch[FEATURES].flatten().to_numpy().reshape(len(batch), -1)
    return rows


def _as_lists(rows: NDArray[np.float32]) -> pa.ListArray:
    """Each row of an array as a list."""
    ends = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(ends, rows.ravel())
