"""A training table in Spark: row numbers and targets are on the driver, features stay with the workers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pyarrow as pa
import xgboost as xgb
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from tabserve.encoding.encoder import Encoder
from tabserve.problem.problem import Problem
from tabserve.spark import job, training_rows
from tabserve.spark.remote_frame import RemoteFrame, RowNumbers, local_frame
from tabserve.spark.training_rows import FEATURES, GROUP, HASH, MOMENT, NUMBER, TARGET, TIMED, Batches
from tabserve.table.frame import Frame
from tabserve.training.stumps import Steps

Numbers = NDArray[np.int64]
"""Numbers of rows, shape (rows,); if they are `RowNumbers`, their encoder makes the features, else the table's."""


@dataclass(frozen=True, eq=False)
class TrainingTable:
    """A table in Spark whose rows the driver selects by their numbers.

    Attributes:
        rows: the rows in Spark: columns of `training_rows.row_schema` and `NUMBER`, one partition for each worker.
        known: the columns `driver_columns` of all rows, in the order of their numbers, which count from 0.
        problem: names the columns and the labels.
        encoder: made the features.
    """

    rows: DataFrame
    known: pa.Table
    problem: Problem
    encoder: Encoder

    @cached_property
    def frame(self) -> RemoteFrame:
        """The whole table on the driver, without ids; a row's feature is its number, in the file's order."""
        size = len(self.known)
        return RemoteFrame(
            ids=np.empty(size, np.object_),
            features=RowNumbers.of(np.arange(size), self.encoder),
            target=self.known[TARGET].to_numpy(),
            problem=self.problem,
            encoder=self.encoder,
            group=np.array(self.known[GROUP].to_pylist(), np.object_) if self.problem.group else None,
            moment=_moments(self.known) if self.problem.time else None,
            content=self.known[HASH].to_numpy(),
            narrow=self.narrowed_encoder,
        )

    def select_rows(self, numbers: Numbers) -> DataFrame:
        """The rows with these numbers, in Spark; the workers get one bit for each row of the table."""
        selected = np.zeros(len(self.known), np.bool_)
        selected[numbers] = True
        bits = self.rows.sparkSession.sparkContext.broadcast(np.packbits(selected))
        recode = partial(self.encoder.recode, narrowed=_encoder_of(numbers, self.encoder))
        return self.rows.mapInArrow(partial(training_rows.filter_batches, bits, recode), self.rows.schema)

    def score(self, booster: xgb.Booster, numbers: Numbers) -> NDArray[np.float32]:
        """The booster's answers for the rows with these numbers, in that order.

        Returns:
            Probabilities of the positive class, or amounts, shape (rows,); of several classes the probability of each,
            shape (rows, classes).
        """
        scored = self.select_rows(numbers).mapInArrow(
            partial(training_rows.score_batches, booster), f"{NUMBER} long, answer array<float>"
        )
        rows = _collect_in_order("scoring", scored, numbers)["answer"].combine_chunks()
        answers: NDArray[np.float32] = rows.flatten().to_numpy().reshape(len(numbers), -1)
        return answers[:, 0] if answers.shape[1] == 1 else answers

    def fetch_features(self, numbers: Numbers) -> NDArray[np.float32]:
        """Copy the features of the rows with these numbers to the driver, in that order."""
        rows = _collect_in_order("opening", self.select_rows(numbers).select(NUMBER, FEATURES), numbers)
        return training_rows.features(rows.combine_chunks().to_batches()[0])

    def fetch(self, frame: Frame) -> Frame:
        """The frame with its rows' features in place of their numbers: rows × features × 4 bytes on the driver."""
        return local_frame(frame, self.fetch_features(frame.features))

    def narrowed_encoder(self, numbers: Numbers) -> Encoder:
        """The encoder of the rows with these numbers, with only the levels that occur in them."""
        encoder = _encoder_of(numbers, self.encoder)
        parts = map_partitions(
            "finding levels", self.select_rows(numbers), partial(training_rows.occurring, encoder.levels)
        )
        occurs = np.logical_or.reduce([np.frombuffer(part, np.bool_) for part in parts])
        return encoder.narrow(_codes(encoder.levels, occurs))

    def covers(self, functions: Sequence[Steps], numbers: Numbers) -> list[NDArray[np.int64]]:
        """`stumps.covers` of the rows with these numbers; each partition counts its own rows."""
        parts = map_partitions("counting", self.select_rows(numbers), partial(training_rows.count_covers, functions))
        counts = np.sum([np.frombuffer(part, np.int64) for part in parts], axis=0)
        return np.split(counts, np.cumsum([len(steps.values) for steps in functions])[:-1])

    def checksum(self, numbers: Numbers) -> str:
        """Sum of the sha256 of each row's features and target, modulo 2^256; the order of rows does not matter."""
        parts = map_partitions("checking", self.select_rows(numbers), training_rows.sum_digests)
        return f"{sum(map(int.from_bytes, parts)) % 2**256:064x}"


def _moments(known: pa.Table) -> NDArray[np.datetime64]:
    """The moments of all rows, in seconds, or in days if they have no times."""
    unit = "s" if known[TIMED][0].as_py() else "D"
    moments: NDArray[np.datetime64] = known[MOMENT].to_numpy().astype("M8[s]").astype(f"M8[{unit}]")
    return moments


def _encoder_of(numbers: Numbers, otherwise: Encoder) -> Encoder:
    """The encoder that makes the features of the rows with these numbers."""
    return numbers.encoder if isinstance(numbers, RowNumbers) else otherwise


def _codes(levels: Sequence[int], occurs: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Features in whose columns just those codes occur that do, given whether each code of each column does."""
    codes = np.full((max(levels), len(levels)), np.nan, np.float32)
    for column, each in enumerate(np.split(occurs, np.cumsum(levels)[:-1])):
        found = np.flatnonzero(each)
        codes[: len(found), column] = found
    return codes


def _collect_in_order(title: str, rows: DataFrame, numbers: Numbers) -> pa.Table:
    """Copy the rows, which have these numbers, to the driver, in the order of `numbers`."""
    table = job.run(rows.sparkSession, title, rows.toArrow).sort_by(NUMBER)
    return table.take(np.argsort(np.argsort(np.asarray(numbers))))


def map_partitions(title: str, rows: DataFrame, function: Callable[[Batches], bytes]) -> list[bytes]:
    """Call the function on the batches of each partition, and collect the results."""

    def work(batches: Batches) -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"result": [function(batches)]})

    results = rows.mapInArrow(work, "result binary")
    return [bytes(row.result) for row in job.run(rows.sparkSession, title, results.collect)]
