"""A labelled table in Spark as the stations of training take it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from tabserve.problem.problem import Problem
from tabserve.reports import tables
from tabserve.spark import estimator
from tabserve.spark.load_table import check_problem, load_table
from tabserve.spark.session import session
from tabserve.spark.source import OpenSource
from tabserve.stations import TrainingData
from tabserve.table.frame import Frame
from tabserve.training.split import hold_out, subset

HOLDOUT_ROWS = 200_000
"""Rows of the hold-out that leave Spark to be measured on, at most: 160 MB of Santander's."""


@contextmanager
def training_data(
    open_source: OpenSource,
    problem: Problem,
    source: Callable[[Frame, int], str],
    *,
    synthetic: bool = False,
    rows: int | None = None,
    workers: int | None = None,
    master: str | None = None,
) -> Iterator[TrainingData]:
    """The table, split, for as long as the block lasts.

    Of its rows come here: numbers, targets, groups, moments and predictions, and of `HOLDOUT_ROWS` of the hold-out the
    features.

    Args:
        open_source: finds the rows, as `source.files` or `source.table` does.
        problem: of any task, over numbers, categories and dates.
        source: what the manifest says of where the rows come from, given those that are used and how many there are.
        synthetic: whether nobody observed them.
        rows: how many to use, drawn evenly over the classes or the amounts; all when None.
        workers: that fit a booster together; as many as Spark can run when None.
        master: as for `session`.

    Raises:
        UsageError: Spark cannot learn such a problem, or run so many workers, or Java is missing.
        DataError: naming the file and what of it cannot be used.
        JobError: Spark failed.
    """
    check_problem(problem)
    with session(master) as spark:
        parts = estimator.worker_count(spark, workers)
        with load_table(spark, open_source, problem, parts) as table:
            kept = subset(table.frame, rows or len(table.frame))
            development, holdout = hold_out(kept)
            measured = table.fetch(subset(holdout, HOLDOUT_ROWS))
            provenance = tables.provenance(kept, source(kept, len(table.frame)), synthetic=synthetic)
            provenance |= {"sha256": table.checksum(kept.features), "engine": f"Spark, {parts} workers"}
            yield TrainingData(
                development,
                measured,
                measured.features,
                provenance,
                partial(estimator.distribute, table=table),
                {"pyspark": spark.version},
            )
