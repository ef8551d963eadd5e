"""The rows to learn from: a real table on disk, or the synthetic sample."""

import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from santander.problem import PROBLEM
from santander.sample import sample
from tabserve.errors import UsageError
from tabserve.frame import Frame, read
from tabserve.split import subset

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
        _check_memory(rows or ROWS)
        drawn = sample(rows or ROWS, seed)
        return Dataset(replace(drawn, problem=problem), f"synthetic: santander.sample({len(drawn)}, seed={seed})", True)
    frame = read(path, problem)
    kept = subset(frame, rows or len(frame))
    return Dataset(kept, f"{path.name}, {len(kept):,} of its {len(frame):,} rows", False)


def _check_memory(rows: int) -> None:
    """Refuse a sample whose 32-bit floats alone, held whole and split, are more than the machine has room for."""
    needed = 2 * 4 * rows * len(PROBLEM.features)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise UsageError(
            f"{rows:,} rows need at least {needed / 2**30:,.0f} GiB of memory, and this machine has"
            f" {there / 2**30:,.0f}; ask for fewer rows."
        )
