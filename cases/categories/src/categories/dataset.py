"""The table of products: a real file, or the synthetic sample."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from categories.problem import EXTRACTED, OTHERS, PROBLEM
from categories.sample import products
from tabserve.encoding.encoder import Encoder
from tabserve.problem.problem import Problem
from tabserve.table.conversion import batch_to_frame
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import read_with_repeated_ids
from tabserve.training.split import subset

ROWS = 8_000
"""Products of the synthetic sample by default."""

CLICKS = 1.29
"""Mean rows for each product in the challenge's table: 38,507 rows of 29,801 products."""


class Dataset(NamedTuple):
    """Rows and their source for the model card.

    Attributes:
        clicks: the whole table: one row for each time that a shopper opened a product, so that products repeat.
        source: the file or the sample that the rows come from.
        synthetic: whether the rows were drawn.
    """

    clicks: Frame
    source: str
    synthetic: bool

    @property
    def products(self) -> Frame:
        """The first row of each product."""
        return first_of_each(self.clicks)


def dataset(path: Path | None = None, rows: int | None = None, problem: Problem = PROBLEM) -> Dataset:
    """Read a labelled table of products, or draw the synthetic sample if there is no path.

    Args:
        path: .csv, .csv.gz, .zip or .parquet.
        rows: how many to keep, stratified by category; all if None.
        problem: its features are the text columns that are joined.

    Raises:
        DataError: the table cannot be used; names the file and, where possible, row and column.
    """
    if path is None:
        sample = _draw(rows or ROWS, problem)
        return Dataset(sample, f"synthetic: categories.products({rows or ROWS}, seed={problem.seed})", synthetic=True)
    ignored = tuple(name for name in (*OTHERS, *EXTRACTED) if name not in problem.features)
    frame = read_with_repeated_ids(path, replace(problem, ignored=ignored))
    kept = subset(frame, rows or len(frame))
    return Dataset(kept, f"{path.name}, {len(kept):,} of its {len(frame):,} rows", synthetic=False)


def _draw(rows: int, problem: Problem) -> Frame:
    """Draw synthetic products, some of them in several rows."""
    columns = [*problem.features, problem.target, *filter(None, (problem.id, problem.group))]
    table = products(rows, problem.seed)[columns].astype(str)
    frame = batch_to_frame(problem, Encoder.learn(problem, {}), pa.RecordBatch.from_pandas(table, preserve_index=False))
    repeated = np.random.default_rng(problem.seed).integers(rows, size=round(rows * (CLICKS - 1)))
    return frame.take(np.concatenate([np.arange(rows), repeated]))


def first_of_each(frame: Frame) -> Frame:
    """The first row of each id, in the order of the rows."""
    first = {product: row for row, product in reversed([*enumerate(frame.ids)])}
    return frame.take(np.sort(np.fromiter(first.values(), np.int64)))


def by_row(frame: Frame) -> Frame:
    """The same rows, each a group of its own, so that a product and its seller may be on both sides of a split."""
    return replace(frame, group=np.arange(len(frame)).astype(str).astype(object))


def by_product(frame: Frame) -> Frame:
    """The same rows grouped by product, so that a seller may be on both sides of a split."""
    return replace(frame, group=frame.ids)
