"""The products to learn from: a real table on disk, or the synthetic sample."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from categories.problem import EXTRACTED, OTHERS, PROBLEM
from categories.sample import products
from tabserve.encoding.encoder import Encoder
from tabserve.problem.problem import Problem
from tabserve.table import frame as frames
from tabserve.table.frame import Frame
from tabserve.training.split import subset

ROWS = 8_000
"""Products of the synthetic sample when none are asked for."""

CLICKS = 1.29
"""Rows that the challenge's table has for each of its products, on average: 38,507 for 29,801."""


class Dataset(NamedTuple):
    """Rows, and what a model card says about where they come from.

    Attributes:
        clicks: the table as it is: one row for each time that a shopper opened a product, so that products repeat.
        source: what it was read from.
        synthetic: whether it was drawn.
    """

    clicks: Frame
    source: str
    synthetic: bool

    @property
    def products(self) -> Frame:
        """Each product once."""
        return first_of_each(self.clicks)


def dataset(path: Path | None = None, rows: int | None = None, problem: Problem = PROBLEM) -> Dataset:
    """Read a labelled table of products, or draw the synthetic sample where no path is given.

    Args:
        path: .csv, .csv.gz, .zip or .parquet.
        rows: how many to keep, stratified by category; all when None.
        problem: its features say which columns of texts are joined.

    Raises:
        DataError: naming the file and, where there is one, the row and column.
    """
    if path is None:
        drawn = _drawn(rows or ROWS, problem)
        return Dataset(drawn, f"synthetic: categories.products({rows or ROWS}, seed={problem.seed})", synthetic=True)
    frame = frames.read_with_repeated_ids(path, problem, (*OTHERS, *EXTRACTED))
    kept = subset(frame, rows or len(frame))
    return Dataset(kept, f"{path.name}, {len(kept):,} of its {len(frame):,} rows", synthetic=False)


def _drawn(rows: int, problem: Problem) -> Frame:
    """Synthetic products, some of them in several rows."""
    wanted = [*problem.features, problem.target, *filter(None, (problem.id, problem.group))]
    table = products(rows, problem.seed)[wanted].astype(str)
    frame = frames.batch_to_frame(
        problem, Encoder.learn(problem, {}), pa.RecordBatch.from_pandas(table, preserve_index=False)
    )
    again = np.random.default_rng(problem.seed).integers(rows, size=round(rows * (CLICKS - 1)))
    return frame.take(np.concatenate([np.arange(rows), again]))


def first_of_each(frame: Frame) -> Frame:
    """The first row of each id, in their order."""
    first = {each: row for row, each in reversed([*enumerate(frame.ids)])}
    return frame.take(np.sort(np.fromiter(first.values(), np.int64)))


def by_row(frame: Frame) -> Frame:
    """The same rows, none of which belong together: what stands on both sides of a split is then recognised."""
    return replace(frame, group=None, problem=replace(frame.problem, group=None))


def by_product(frame: Frame) -> Frame:
    """The same rows, those of a product together, and those of its seller wherever they fall."""
    return replace(frame, group=frame.ids)
