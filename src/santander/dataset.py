"""The rows to learn from: a real table on disk, or the synthetic sample."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet

from santander.problem import PROBLEM
from santander.sample import sample
from tabserve.errors import UsageError
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import read
from tabserve.training.split import subset

PARQUET_ROWS = 10_000
"""Rows in a row group of the sample's file; several workers can read different groups."""

ROWS = 200_000
"""Default number of rows of the synthetic sample: as many as the real table has."""


class Dataset(NamedTuple):
    """Rows, their source as the model card states it, and whether they are synthetic."""

    frame: Frame
    source: str
    synthetic: bool


def dataset(path: Path | None = None, rows: int | None = None, seed: int = PROBLEM.seed) -> Dataset:
    """Read a labelled table, or draw the synthetic sample where no path is given.

    Args:
        path: .csv, .csv.gz, Kaggle's .zip or .parquet.
        rows: how many to keep, stratified by target; None keeps all.
        seed: of the sample, and of every split and model after it.

    Raises:
        DataError: the table cannot be used; the message names the file and, if one is at fault, the row and column.
        UsageError: the machine has too little memory for so many rows of the sample.
    """
    problem = replace(PROBLEM, seed=seed)
    if path is None:
        frame = kept = replace(_draw(rows or ROWS, seed), problem=problem)
    else:
        frame = read(path, problem)
        kept = subset(frame, rows or len(frame))
    return Dataset(kept, source(path, kept, len(frame)), path is None)


def source(path: Path | str | None, kept: Frame, rows: int) -> str:
    """The source of rows as the model card states it.

    Args:
        path: the table's path or name; None for the synthetic sample.
        kept: the rows that are used.
        rows: how many rows the table or the sample has.
    """
    if path is None:
        return f"synthetic: santander.sample({rows}, seed={kept.problem.seed})"
    return f"{Path(path).name}, {len(kept):,} of its {rows:,} rows"


@contextmanager
def sample_file(rows: int | None, seed: int) -> Iterator[str]:
    """Write the synthetic sample to a parquet file, which is removed when the block ends; yields its path.

    Raises:
        UsageError: the machine has too little memory for so many rows of the sample.
    """
    frame = _draw(rows or ROWS, seed)
    columns = [frame.ids, frame.target, *frame.features.T]
    table = pa.table(columns, [str(PROBLEM.id), PROBLEM.target, *PROBLEM.features])
    with tempfile.TemporaryDirectory(prefix="tabserve-") as folder:
        file = f"{folder}/sample.parquet"
        pyarrow.parquet.write_table(table, file, row_group_size=PARQUET_ROWS)
        yield file


def _draw(rows: int, seed: int) -> Frame:
    _check_memory(rows)
    return sample(rows, seed)


def _check_memory(rows: int) -> None:
    """Refuse a sample whose 32-bit floats, in memory once as a whole and once split, exceed the machine's memory."""
    needed = 2 * 4 * rows * len(PROBLEM.features)
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > installed:
        raise UsageError(
            f"{rows:,} rows need at least {needed / 2**30:,.0f} GiB of memory, and this machine has"
            f" {installed / 2**30:,.0f}; ask for fewer rows."
        )
