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
from tabserve.table.frame import Frame, read
from tabserve.training.split import subset

PARQUET_ROWS = 10_000
"""Rows of the sample that lie together on disk, so that several can read it."""

ROWS = 200_000
"""Rows of the synthetic sample when none are asked for: as many as the real table has."""


class Dataset(NamedTuple):
    """Rows, and what a model card says about where they come from."""

    frame: Frame
    source: str
    synthetic: bool


def dataset(path: Path | None = None, rows: int | None = None, seed: int = PROBLEM.seed) -> Dataset:
    """Read a labelled table, or draw the synthetic sample where no path is given.

    Args:
        path: .csv, .csv.gz, Kaggle's .zip or .parquet.
        rows: how many to keep, stratified by target; all when None.
        seed: of the sample, and of every split and model after it.

    Raises:
        DataError: naming the file and, where there is one, the row and column.
        UsageError: the machine has not the memory for so many rows of the sample.
    """
    problem = replace(PROBLEM, seed=seed)
    if path is None:
        frame = kept = replace(_drawn(rows or ROWS, seed), problem=problem)
    else:
        frame = read(path, problem)
        kept = subset(frame, rows or len(frame))
    return Dataset(kept, source(path, kept, len(frame)), path is None)


def source(place: Path | str | None, kept: Frame, rows: int) -> str:
    """What a model card says about where the kept rows come from, of so many in the table or the sample."""
    if place is None:
        return f"synthetic: santander.sample({rows}, seed={kept.problem.seed})"
    return f"{Path(place).name}, {len(kept):,} of its {rows:,} rows"


@contextmanager
def sample_file(rows: int | None, seed: int) -> Iterator[str]:
    """The synthetic sample as a parquet file, until the block ends.

    Raises:
        UsageError: the machine has not the memory for so many rows of the sample.
    """
    drawn = _drawn(rows or ROWS, seed)
    columns = [drawn.ids, drawn.target, *drawn.features.T]
    table = pa.table(columns, [str(PROBLEM.id), PROBLEM.target, *PROBLEM.features])
    with tempfile.TemporaryDirectory(prefix="tabserve-") as folder:
        file = f"{folder}/sample.parquet"
        pyarrow.parquet.write_table(table, file, row_group_size=PARQUET_ROWS)
        yield file


def _drawn(rows: int, seed: int) -> Frame:
    _check_memory(rows)
    return sample(rows, seed)


def _check_memory(rows: int) -> None:
    """Refuse a sample whose 32-bit floats alone, held whole and split, are more than the machine has room for."""
    needed = 2 * 4 * rows * len(PROBLEM.features)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise UsageError(
            f"{rows:,} rows need at least {needed / 2**30:,.0f} GiB of memory, and this machine has"
            f" {there / 2**30:,.0f}; ask for fewer rows."
        )
