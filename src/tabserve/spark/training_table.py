"""A labelled table in Spark: its rows' numbers and targets are here, their features stay where the workers are."""

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
from tabserve.spark.source import Read
from tabserve.spark.worker import Rejected, sifted
from tabserve.table import frame
from tabserve.table.frame import Frame, refuse_one_target, to_train
from tabserve.training.stumps import Steps, covers

ID, NUMBER, FEATURES, TARGET = "id", "number", "features", "target"

READ = f"{ID} string, {FEATURES} array<float>, {TARGET} byte"
"""The columns of what was read, to which `NUMBER` comes."""

PARTITION = 33
"""The bit from which `monotonically_increasing_id` counts partitions; below it are the rows of one."""

Batches = Iterable[pa.RecordBatch]


@dataclass(frozen=True, eq=False)
class Labelled:
    """A table whose rows are chosen here, by their numbers, and read there.

    Attributes:
        rows: in Spark, in the columns of `READ` and `NUMBER`, one partition for each worker.
        frame: the whole table here, without ids; in place of its features each row has its number, from 0 in the
            file's order, shape (rows,).
    """

    rows: DataFrame
    frame: Frame

    def at(self, numbers: NDArray[np.int64]) -> DataFrame:
        """The rows of these numbers, in Spark; one bit for each row of the table goes there."""
        wanted = np.zeros(len(self.frame), np.bool_)
        wanted[numbers] = True
        bits = self.rows.sparkSession.sparkContext.broadcast(np.packbits(wanted))
        return self.rows.mapInArrow(partial(_wanted, bits), self.rows.schema)

    def score(self, booster: xgb.Booster, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """The probability of the positive class for the rows of these numbers, in their order."""
        scored = self.at(numbers).mapInArrow(partial(_scored, booster), f"{NUMBER} long, probability float")
        probability: NDArray[np.float32] = _collected("scoring", scored, numbers)["probability"].to_numpy()
        return probability

    def opened(self, frame: Frame) -> Frame:
        """Some of the rows with their features, which come here: rows × features × 4 bytes."""
        return replace(frame, features=self.features(frame.features))

    def features(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Those of the rows of these numbers, in their order."""
        found = _collected("opening", self.at(numbers).select(NUMBER, FEATURES), numbers)
        return _features(found.combine_chunks().to_batches()[0])

    def covers(self, functions: Sequence[Steps], numbers: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """As `additive.covers` of the rows of these numbers; each partition counts its own."""
        parts = _answers("counting", self.at(numbers), partial(_covered, functions))
        found = np.sum([np.frombuffer(part, np.int64) for part in parts], axis=0)
        return np.split(found, np.cumsum([len(steps.values) for steps in functions])[:-1])

    def checksum(self, numbers: NDArray[np.int64]) -> str:
        """Of the features and targets of these rows, in whatever order: the sum of each row's sha256, modulo 2^256."""
        found = sum(int.from_bytes(part) for part in _answers("checking", self.at(numbers), _digest))
        return f"{found % 2**256:064x}"


@contextmanager
def labelled(spark: SparkSession, read: Read, problem: Problem, workers: int) -> Iterator[Labelled]:
    """Keep a labelled table in the workers' memory, and on their disks where that is too small, until the block ends.

    Args:
        spark: where the workers are.
        read: finds the rows; in the same order each time, for the same model.
        problem: says which columns, and how labels are spelled.
        workers: how many partitions the rows are spread over, the same for the same file.

    Raises:
        DataError: naming the file and, where there is one, the row and column.
    """
    encoder = _numeric(problem)
    source = read(spark, to_train(problem))
    checked = [each.mapInArrow(partial(_checked, problem, encoder, source.read), READ) for each in source.frames]
    numbered = reduce(DataFrame.union, checked).withColumn(NUMBER, F.monotonically_increasing_id())
    rows = numbered.repartition(workers, NUMBER).sortWithinPartitions(NUMBER)
    with job.kept(rows, StorageLevel.MEMORY_AND_DISK_DESER):
        yield _numbered(source.name, rows, problem)


def _numbered(name: str, rows: DataFrame, problem: Problem) -> Labelled:
    """The rows under numbers without gaps; read now, and checked as a whole."""
    found = job.run(rows.sparkSession, "reading", rows.select(NUMBER, TARGET).toArrow).sort_by(NUMBER)
    if not len(found):
        raise DataError(f"{name} has a header and no rows; a table needs at least one row below its header.")
    table, skipped = _frame(found, problem)
    refuse_one_target(name, table)
    _refuse_repeated(name, rows)
    of_partition = F.element_at(F.lit(skipped.tolist()), F.shiftright(NUMBER, PARTITION).cast("int") + 1)
    return Labelled(rows.withColumn(NUMBER, F.col(NUMBER) - of_partition), table)


def _numeric(problem: Problem) -> Encoder:
    """The encoder of a problem over numbers of two labels, which alone Spark learns so far.

    Raises:
        UsageError: the problem is another.
    """
    if problem.time:
        raise UsageError(
            f"Spark splits by chance alone, and the problem by the time {problem.time!r}; train on one machine."
        )
    if Encoder.learned(problem) or problem.columns[0].stands_alone or len(problem.labels) != 2 or problem.group:
        raise UsageError("Spark learns from numbers, and of two labels, without groups; train on one machine.")
    return Encoder.learn(problem, {})


def _checked(
    problem: Problem, encoder: Encoder, read: Callable[[Iterator[pa.RecordBatch]], Iterator[Piece]], batches: Batches
) -> Batches:
    """The rows in the columns of `READ`."""
    name, columns = problem.id or problem.features[0], to_train(problem).schema()
    for piece in read(iter(batches)):
        for found in sifted(piece, name, lambda part: frame.labelled(problem, encoder, part.batch(columns))):
            if isinstance(found, Rejected):
                raise found.error(name)
            ends = np.arange(len(found) + 1, dtype=np.int32) * found.features.shape[1]
            features = pa.ListArray.from_arrays(ends, found.features.ravel())
            yield pa.record_batch({ID: pa.array(found.ids, pa.string()), FEATURES: features, TARGET: found.target})


def _frame(found: pa.Table, problem: Problem) -> tuple[Frame, NDArray[np.int64]]:
    """The rows by their numbers from 0; and by how much Spark's are larger, in each partition of the file."""
    spaced, target = (found[name].to_numpy() for name in (NUMBER, TARGET))
    numbers = np.arange(len(found))
    skipped = np.zeros((spaced[-1] >> PARTITION) + 1, np.int64)
    skipped[spaced >> PARTITION] = spaced - numbers
    return Frame(np.empty(len(found), np.object_), numbers, target, problem, _numeric(problem)), skipped


def _refuse_repeated(name: str, rows: DataFrame) -> None:
    often = rows.where(F.col(ID).isNotNull()).groupBy(ID).count().where("count > 1").orderBy(F.desc("count"))
    for repeated, times in job.run(rows.sparkSession, "comparing ids", often.limit(1).collect):
        raise DataError(f"{name} has the id {repeated!r} {times} times; every row needs an id of its own.")


def _collected(what: str, rows: DataFrame, numbers: NDArray[np.int64]) -> pa.Table:
    """The rows of these numbers, here, in their order."""
    found = job.run(rows.sparkSession, what, rows.toArrow).sort_by(NUMBER)
    return found.take(np.argsort(np.argsort(numbers)))


def _answers(what: str, rows: DataFrame, answer: Callable[[Batches], bytes]) -> list[bytes]:
    """What each partition answers."""

    def answered(batches: Batches) -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"answer": [answer(batches)]})

    asked = rows.mapInArrow(answered, "answer binary")
    return [bytes(row.answer) for row in job.run(rows.sparkSession, what, asked.collect)]


def _wanted(bits: Broadcast[NDArray[np.uint8]], batches: Batches) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        number = batch[NUMBER].to_numpy()
        yield batch.filter(pa.array(bits.value[number >> 3] >> (7 - (number & 7)) & 1).cast(pa.bool_()))


def _scored(booster: xgb.Booster, batches: Batches) -> Iterator[pa.RecordBatch]:
    booster.set_param({"nthread": 1})
    for batch in filter(len, batches):
        probability = predict(booster, _features(batch))
        yield pa.record_batch({NUMBER: batch[NUMBER], "probability": probability})


def _covered(functions: Sequence[Steps], batches: Batches) -> bytes:
    found = np.zeros(sum(len(steps.values) for steps in functions), np.int64)
    for batch in filter(len, batches):
        found += np.concatenate(covers(functions, _features(batch)))
    return found.tobytes()


def _digest(batches: Batches) -> bytes:
    found = 0
    for batch in filter(len, batches):
        for row, target in zip(_features(batch), batch[TARGET].to_numpy(), strict=True):
            found += int.from_bytes(hashlib.sha256(row.tobytes() + target.tobytes()).digest())
    return (found % 2**256).to_bytes(32)


def _features(batch: pa.RecordBatch) -> NDArray[np.float32]:
    features: NDArray[np.float32] = batch[FEATURES].flatten().to_numpy().reshape(len(batch), -1)
    return features
