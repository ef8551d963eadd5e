"""A training table in Spark: row numbers and targets are on the driver, features stay with the workers."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial, reduce

import numpy as np
import pyarrow as pa
import xgboost as xgb
from numpy.typing import NDArray
from pyspark import Broadcast, StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (what everybody calls it)

from tabserve.encoding.encoder import Encoder
from tabserve.errors import DataError, UsageError
from tabserve.predictors.xgboost_call import predict
from tabserve.problem.problem import Problem
from tabserve.spark import job
from tabserve.spark.rows import Piece
from tabserve.spark.source import OpenSource
from tabserve.spark.worker import RejectedRow, split_bad_rows
from tabserve.table import frame
from tabserve.table.columns import no_rows
from tabserve.table.frame import Frame, refuse_one_target, training_columns
from tabserve.training.stumps import Steps, covers

ID, NUMBER, FEATURES, TARGET = "id", "number", "features", "target"

ROW_SCHEMA = f"{ID} string, {FEATURES} array<float>, {TARGET} byte"
"""Columns of a row as a worker reads it; `NUMBER` is added later."""

PARTITION = 33
"""The bit from which `monotonically_increasing_id` counts partitions; the bits below count a partition's rows."""

Batches = Iterable[pa.RecordBatch]


@dataclass(frozen=True, eq=False)
class TrainingTable:
    """A table in Spark whose rows the driver selects by their numbers.

    Attributes:
        rows: the rows in Spark: columns of `ROW_SCHEMA` and `NUMBER`, one partition for each worker.
        frame: the whole table on the driver, without ids; a row's feature is its number, from 0 in the file's order,
            shape (rows,).
    """

    rows: DataFrame
    frame: Frame

    def select_rows(self, numbers: NDArray[np.int64]) -> DataFrame:
        """The rows with these numbers, in Spark; the workers get one bit for each row of the table."""
        selected = np.zeros(len(self.frame), np.bool_)
        selected[numbers] = True
        bits = self.rows.sparkSession.sparkContext.broadcast(np.packbits(selected))
        return self.rows.mapInArrow(partial(_filter_batches, bits), self.rows.schema)

    def score(self, booster: xgb.Booster, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Probabilities of the positive class for the rows with these numbers, in that order."""
        rows = self.select_rows(numbers)
        scored = rows.mapInArrow(partial(_score_batches, booster), f"{NUMBER} long, probability float")
        probability: NDArray[np.float32] = _collect_in_order("scoring", scored, numbers)["probability"].to_numpy()
        return probability

    def with_features(self, frame: Frame) -> Frame:
        """The frame with its rows' features in place of their numbers: rows × features × 4 bytes on the driver."""
        return replace(frame, features=self.fetch_features(frame.features))

    def fetch_features(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Copy the features of the rows with these numbers to the driver, in that order."""
        rows = _collect_in_order("opening", self.select_rows(numbers).select(NUMBER, FEATURES), numbers)
        return _features(rows.combine_chunks().to_batches()[0])

    def covers(self, functions: Sequence[Steps], numbers: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """`stumps.covers` of the rows with these numbers; each partition counts its own rows."""
        parts = _map_partitions("counting", self.select_rows(numbers), partial(_count_covers, functions))
        counts = np.sum([np.frombuffer(part, np.int64) for part in parts], axis=0)
        return np.split(counts, np.cumsum([len(steps.values) for steps in functions])[:-1])

    def checksum(self, numbers: NDArray[np.int64]) -> str:
        """Sum of the sha256 of each row's features and target, modulo 2^256; the order of rows does not matter."""
        parts = _map_partitions("checking", self.select_rows(numbers), _sum_digests)
        return f"{sum(map(int.from_bytes, parts)) % 2**256:064x}"


@contextmanager
def load_table(spark: SparkSession, open_source: OpenSource, problem: Problem, workers: int) -> Iterator[TrainingTable]:
    """Keep a training table in the workers' memory, and on disk what does not fit there, until the block ends.

    Args:
        spark: the session of the workers.
        open_source: finds the rows; their order, and so the model, is the same at each call.
        problem: names the columns and the labels.
        workers: number of partitions over which the rows are spread.

    Raises:
        DataError: naming the file and, where there is one, the row and column.
        UsageError: Spark cannot learn the problem.
    """
    encode = partial(_encode_batches, problem, _numeric_encoder(problem))
    source = open_source(spark, training_columns(problem))
    encoded = [frame.mapInArrow(partial(encode, source.read), ROW_SCHEMA) for frame in source.frames]
    numbered = reduce(DataFrame.union, encoded).withColumn(NUMBER, F.monotonically_increasing_id())
    rows = numbered.repartition(workers, NUMBER).sortWithinPartitions(NUMBER)
    with job.persist(rows, StorageLevel.MEMORY_AND_DISK_DESER):
        yield _number_rows(source.name, rows, problem)


def _number_rows(name: str, rows: DataFrame, problem: Problem) -> TrainingTable:
    """Read the rows, check them as a whole, and number them without gaps."""
    targets = job.run(rows.sparkSession, "reading", rows.select(NUMBER, TARGET).toArrow).sort_by(NUMBER)
    if not len(targets):
        raise no_rows(name)
    table, offsets = _frame_of_numbers(targets, problem)
    refuse_one_target(name, table)
    _refuse_repeated(name, rows)
    offset = F.element_at(F.lit(offsets.tolist()), F.shiftright(NUMBER, PARTITION).cast("int") + 1)
    return TrainingTable(rows.withColumn(NUMBER, F.col(NUMBER) - offset), table)


def _numeric_encoder(problem: Problem) -> Encoder:
    """The encoder of a problem of numbers and two labels, the only kind that is trained on Spark.

    Raises:
        UsageError: the problem is of another kind.
    """
    if problem.time:
        raise UsageError(
            f"Spark splits by chance alone, and the problem by the time {problem.time!r}; train on one machine."
        )
    if Encoder.learned_columns(problem) or problem.columns[0].stands_alone or len(problem.labels) != 2 or problem.group:
        raise UsageError("Spark learns from numbers, and of two labels, without groups; train on one machine.")
    return Encoder.learn(problem, {})


def _encode_batches(
    problem: Problem, encoder: Encoder, read: Callable[[Iterator[pa.RecordBatch]], Iterator[Piece]], batches: Batches
) -> Batches:
    """Encode the rows in the columns of `ROW_SCHEMA`.

    Raises:
        DataError: naming the first bad row.
    """
    id_column, columns = problem.id or problem.features[0], training_columns(problem)

    def convert(piece: Piece) -> Frame:
        return frame.batch_to_frame(problem, encoder, piece.batch(columns))

    for piece in read(iter(batches)):
        for part in split_bad_rows(piece, id_column, convert):
            if isinstance(part, RejectedRow):
                raise part.error(id_column)
            ends = np.arange(len(part) + 1, dtype=np.int32) * part.features.shape[1]
            features = pa.ListArray.from_arrays(ends, part.features.ravel())
            yield pa.record_batch({ID: pa.array(part.ids, pa.string()), FEATURES: features, TARGET: part.target})


def _frame_of_numbers(rows: pa.Table, problem: Problem) -> tuple[Frame, NDArray[np.int64]]:
    """A frame whose features are numbers from 0; and the excess of Spark's numbers, for each partition of the file."""
    spark_numbers, target = (rows[name].to_numpy() for name in (NUMBER, TARGET))
    numbers = np.arange(len(rows))
    offsets = np.zeros((spark_numbers[-1] >> PARTITION) + 1, np.int64)
    offsets[spark_numbers >> PARTITION] = spark_numbers - numbers
    return Frame(np.empty(len(rows), np.object_), numbers, target, problem, _numeric_encoder(problem)), offsets


def _refuse_repeated(name: str, rows: DataFrame) -> None:
    repeats = rows.where(F.col(ID).isNotNull()).groupBy(ID).count().where("count > 1").orderBy(F.desc("count"))
    for repeated, times in job.run(rows.sparkSession, "comparing ids", repeats.limit(1).collect):
        raise DataError(f"{name} has the id {repeated!r} {times} times; every row needs an id of its own.")


def _collect_in_order(title: str, rows: DataFrame, numbers: NDArray[np.int64]) -> pa.Table:
    """Copy the rows, which have these numbers, to the driver, in the order of `numbers`."""
    table = job.run(rows.sparkSession, title, rows.toArrow).sort_by(NUMBER)
    return table.take(np.argsort(np.argsort(numbers)))


def _map_partitions(title: str, rows: DataFrame, function: Callable[[Batches], bytes]) -> list[bytes]:
    """Call the function on the batches of each partition, and collect the results."""

    def work(batches: Batches) -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"result": [function(batches)]})

    results = rows.mapInArrow(work, "result binary")
    return [bytes(row.result) for row in job.run(rows.sparkSession, title, results.collect)]


def _filter_batches(bits: Broadcast[NDArray[np.uint8]], batches: Batches) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        number = batch[NUMBER].to_numpy()
        yield batch.filter(pa.array(bits.value[number >> 3] >> (7 - (number & 7)) & 1).cast(pa.bool_()))


def _score_batches(booster: xgb.Booster, batches: Batches) -> Iterator[pa.RecordBatch]:
    booster.set_param({"nthread": 1})
    for batch in filter(len, batches):
        probability = predict(booster, _features(batch))
        yield pa.record_batch({NUMBER: batch[NUMBER], "probability": probability})


def _count_covers(functions: Sequence[Steps], batches: Batches) -> bytes:
    counts = np.zeros(sum(len(steps.values) for steps in functions), np.int64)
    for batch in filter(len, batches):
        counts += np.concatenate(covers(functions, _features(batch)))
    return counts.tobytes()


def _sum_digests(batches: Batches) -> bytes:
    total = 0
    for batch in filter(len, batches):
        for row, target in zip(_features(batch), batch[TARGET].to_numpy(), strict=True):
            total += int.from_bytes(hashlib.sha256(row.tobytes() + target.tobytes()).digest())
    return (total % 2**256).to_bytes(32)


def _features(batch: pa.RecordBatch) -> NDArray[np.float32]:
    features: NDArray[np.float32] = batch[FEATURES].flatten().to_numpy().reshape(len(batch), -1)
    return features
