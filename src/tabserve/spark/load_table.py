"""Load a labelled table into Spark: learn its encoder, encode and number its rows, and check it as a whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial, reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 (what everybody calls it)

from tabserve.encoding.encoder import Encoder
from tabserve.errors import DataError, UsageError
from tabserve.problem.problem import Problem
from tabserve.spark import job, training_rows
from tabserve.spark.remote_frame import local_frame
from tabserve.spark.source import OpenSource, Source
from tabserve.spark.training_rows import ID, NUMBER, TIMED
from tabserve.spark.training_table import TrainingTable, map_partitions
from tabserve.table import frame_checks, learned_texts
from tabserve.table.columns import refuse_no_rows
from tabserve.table.conversion import training_columns

PARTITION = 33
"""The bit from which `monotonically_increasing_id` counts partitions; the bits below count a partition's rows."""


def check_problem(problem: Problem) -> None:
    """Refuse a problem that Spark cannot learn.

    Raises:
        UsageError: its columns are texts.
    """
    if problem.columns[0].stands_alone:
        raise UsageError(
            "Spark learns from numbers, categories and dates, by XGBoost, and not from texts; train on one machine."
        )


@contextmanager
def load_table(spark: SparkSession, open_source: OpenSource, problem: Problem, workers: int) -> Iterator[TrainingTable]:
    """Keep a training table in the workers' memory, and on disk what does not fit there, until the block ends.

    A table with categories or dates is read twice: once to learn their levels and formats, once to encode.

    Args:
        spark: the session of the workers.
        open_source: finds the rows; their order, and so the model, is the same at each call.
        problem: names the columns and the labels.
        workers: number of partitions over which the rows are spread.

    Raises:
        DataError: naming the file and, where there is one, the row and column.
        UsageError: Spark cannot learn the problem.
    """
    check_problem(problem)
    source = open_source(spark, training_columns(problem))
    encoder = _learn_encoder(source, problem)
    encode = partial(training_rows.encode_batches, problem, encoder, source.read)
    encoded = [frame.mapInArrow(encode, training_rows.row_schema(problem)) for frame in source.frames]
    numbered = reduce(DataFrame.union, encoded).withColumn(NUMBER, F.monotonically_increasing_id())
    rows = numbered.repartition(workers, NUMBER).sortWithinPartitions(NUMBER)
    with job.persist(rows, StorageLevel.MEMORY_AND_DISK_DESER):
        yield _number_rows(source.name, rows, problem, encoder)


def _learn_encoder(source: Source, problem: Problem) -> Encoder:
    """Learn the encoder from the distinct texts that each worker finds; numbers need no reading."""
    names, texts = Encoder.learned_columns(problem), dict[str, pa.StringArray]()
    find = partial(training_rows.distinct_texts, problem, source.read)
    for rows in source.frames if names else ():
        found = job.run(rows.sparkSession, "learning", rows.mapInArrow(find, "name string, text string").toArrow)
        parts = ((name, found.filter(pc.equal(found["name"], name))["text"]) for name in names)
        texts = learned_texts.add_texts(texts, {name: part.combine_chunks().unique() for name, part in parts})
    if names:
        refuse_no_rows(source.name, sum(map(len, texts.values())))
    return learned_texts.encoder_of_texts(source.name, problem, texts)


def _number_rows(name: str, rows: DataFrame, problem: Problem, encoder: Encoder) -> TrainingTable:
    """Read the rows, check them as a whole, and number them without gaps."""
    known = job.run(rows.sparkSession, "reading", rows.select(*training_rows.driver_columns(problem)).toArrow).sort_by(
        NUMBER
    )
    refuse_no_rows(name, len(known))
    offset = F.element_at(F.lit(_offsets(known).tolist()), F.shiftright(NUMBER, PARTITION).cast("int") + 1)
    table = TrainingTable(rows.withColumn(NUMBER, F.col(NUMBER) - offset), known, problem, encoder)
    if problem.time and len(known[TIMED].unique()) > 1:
        raise frame_checks.mixed_moments(name)
    frame_checks.refuse_one_target(name, table.frame)
    _refuse_empty(name, table)
    _refuse_repeated(name, rows)
    return table


def _offsets(known: pa.Table) -> NDArray[np.int64]:
    """The excess of Spark's numbers over those that count from 0, for each partition of the file."""
    numbers = known[NUMBER].to_numpy()
    offsets = np.zeros((numbers[-1] >> PARTITION) + 1, np.int64)
    offsets[numbers >> PARTITION] = numbers - np.arange(len(numbers))
    return offsets


def _refuse_empty(name: str, table: TrainingTable) -> None:
    """Refuse a column of numbers that is empty throughout."""
    if any(table.problem.missing):
        parts = map_partitions("checking columns", table.rows, partial(training_rows.filled, len(table.encoder.names)))
        filled = np.logical_or.reduce([np.frombuffer(part, np.bool_) for part in parts])
        row = np.where(filled, 0, np.nan)[np.newaxis]
        frame_checks.refuse_empty(name, local_frame(table.frame, row))


def _refuse_repeated(name: str, rows: DataFrame) -> None:
    repeats = rows.where(F.col(ID).isNotNull()).groupBy(ID).count().where("count > 1").orderBy(F.desc("count"))
    for repeated, times in job.run(rows.sparkSession, "comparing ids", repeats.limit(1).collect):
        raise DataError(f"{name} has the id {repeated!r} {times} times; every row needs an id of its own.")
