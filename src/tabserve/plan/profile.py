"""What a table holds, found in one pass over the whole of it in constant memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from tabserve.errors import DataError
from tabserve.plan.batch_profile import BatchProfile, profile_batch
from tabserve.plan.column_profile import ColumnProfile, GrowingProfile
from tabserve.plan.options import Options
from tabserve.table.columns import Columns
from tabserve.table.content import open_table
from tabserve.table.formats import PARQUET
from tabserve.table.reader import batches, column_names

FOREIGN_TYPES = (
    pa.types.is_nested,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
    pa.types.is_time,
    pa.types.is_duration,
    pa.types.is_interval,
)
"""Tests for Arrow types whose cells are neither numbers, texts, booleans nor dates."""


@dataclass(frozen=True)
class TableProfile:
    """What a table holds.

    Attributes:
        rows: their number.
        columns: in the order of the table.
    """

    rows: int
    columns: tuple[ColumnProfile, ...]


def profile(source: Path, options: Options) -> TableProfile:
    """What a table holds; the whole of it is read once, in constant memory.

    Raises:
        DataError: the table cannot be read, or has no rows.
    """
    schema = _stored(source)
    columns = _columns(source, schema)
    growing = {name: GrowingProfile() for name in columns.texts}
    rows = 0
    for count, batch in batches(source, columns, "train.csv", partial(_profile_batch, options.missing)):
        for name, part in batch.items():
            growing[name].add(part, rows)
        rows += count
    if not rows:
        raise DataError(f"{source} has a header and no rows; a table needs at least one row below its header.")
    return TableProfile(rows, _finished(growing, rows, schema))


def _profile_batch(blanks: tuple[str, ...], batch: pa.RecordBatch) -> tuple[int, dict[str, BatchProfile]]:
    """The number of rows of a batch, and what it holds of each column."""
    return len(batch), {name: profile_batch(batch[name], blanks, ".") for name in batch.schema.names}


def _stored(source: Path) -> pa.Schema | None:
    """The types of the columns as the table stores them; None for a csv."""
    with open_table(source, "train.csv") as (table_format, _):
        return pyarrow.parquet.read_schema(source) if table_format == PARQUET else None


def _columns(source: Path, schema: pa.Schema | None) -> Columns:
    """The columns to read: texts of a csv, and otherwise as they are stored if their type is not foreign."""
    if schema is None:
        return Columns((), column_names(source, "train.csv"))
    known = [field for field in schema if not _is_foreign(field.type)]
    names = [field.name for field in known]
    return Columns((), names, [name for name in schema.names if name not in names], pa.schema(known))


def _is_foreign(stored: pa.DataType) -> bool:
    return any(test(stored) for test in FOREIGN_TYPES)


def _finished(growing: Mapping[str, GrowingProfile], rows: int, schema: pa.Schema | None) -> tuple[ColumnProfile, ...]:
    """The profiles of all columns, in the order of the table."""
    first: dict[bytes, str] = {}
    profiles = []
    for name in growing if schema is None else schema.names:
        stored = "" if schema is None else str(schema.field(name).type)
        if name in growing:
            original = first.setdefault(growing[name].digest, name)
            profiles.append(growing[name].finish(name, rows, stored, None if original == name else original))
        else:
            profiles.append(ColumnProfile(name, rows, stored=stored, readable=False))
    return tuple(profiles)
