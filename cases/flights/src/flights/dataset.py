"""The rows to learn from: the extract that the case ships, or a table of flights on disk."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from flights.table import Derived, read_table
from tabserve.problem.problem import Problem
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import read
from tabserve.training.split import subset

DATA = Path(__file__).parents[2] / "data"

EXTRACT, HOURLY = DATA / "flights_extract.parquet", DATA / "weather.parquet"
"""All flights of 25 days of 2013, and the weather of that year."""


class Dataset(NamedTuple):
    """Rows, and their source as the model card states it."""

    frame: Frame
    source: str


def dataset(problem: Problem, path: Path = EXTRACT, weather: Path = HOURLY, rows: int | None = None) -> Dataset:
    """Read the labelled flights.

    Args:
        problem: `BEFORE` or `DEPARTED`.
        path: of the table of flights.
        weather: of the hourly weather at their origins.
        rows: how many to keep, drawn evenly over the delays; all if None.

    Raises:
        DataError: a table cannot be used; the message names it and, where there is one, the row and the column.
    """
    derived = read_table(path, weather)
    frame = read(derived.rows, problem)
    kept = subset(frame, rows or len(frame))
    return Dataset(kept, source(path, weather, derived, kept, len(frame)))


def source(path: Path, weather: Path, derived: Derived, kept: Frame, rows: int) -> str:
    """The source of rows as the model card states it."""
    share = f", {len(kept):,} of its {rows:,} flights," if len(kept) < rows else ""
    dropped = f"without {derived.without_target:,} that were cancelled or diverted"
    return f"{path.name}{share} {dropped}, with the weather of {weather.name}"


@contextmanager
def derived_file(derived: Derived) -> Iterator[Path]:
    """Write the rows to a parquet file, which is removed when the block ends; yields its path."""
    with tempfile.TemporaryDirectory(prefix="flights-") as folder:
        path = Path(folder, "flights.parquet")
        derived.rows.to_parquet(path, index=False)
        yield path
