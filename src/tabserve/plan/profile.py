"""What a table holds, found in one pass over the whole of it in constant memory."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from tabserve.plan.batch_profile import BatchProfile, profile_batch
from tabserve.plan.column_profile import ColumnProfile, GrowingProfile
from tabserve.plan.options import Options
from tabserve.table.columns import Columns, refuse_no_rows
from tabserve.table.dialect import Dialect
from tabserve.table.reader import batches, layout
from tabserve.table.source import Source

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
        dialect: the signs of a csv; None for other tables.
    """

    rows: int
    columns: tuple[ColumnProfile, ...]
    dialect: Dialect | None


def profile(source: Source, options: Options) -> TableProfile:
    """What a table holds; the whole of it is read once, in constant memory.

    Raises:
        DataError: the table cannot be read, or has no rows.
    """
    names, stored, dialect = layout(source)
    columns = _columns(names, stored)
    growing = {name: GrowingProfile() for name in columns.texts}
    rows, decimal = 0, dialect.decimal if dialect else "."
    for count, batch in batches(replace(source, dialect=dialect), columns, partial(_profile_batch, options, decimal)):
        for name, part in batch.items():
            growing[name].add(part, rows)
        rows += count
    refuse_no_rows(source.name, rows)
    return TableProfile(rows, _finished(names, growing, rows, stored, decimal), dialect)


def _profile_batch(options: Options, decimal: str, batch: pa.RecordBatch) -> tuple[int, dict[str, BatchProfile]]:
    """The number of rows of a batch, and what it holds of each column."""
    return len(batch), {name: profile_batch(batch[name], options.missing, decimal) for name in batch.schema.names}


def _columns(names: list[str], stored: pa.Schema | None) -> Columns:
    """The columns to read as they are stored, if their type is not foreign; those of a csv are texts."""
    if stored is None:
        stored = pa.schema([(name, pa.string()) for name in names])
    known = [field for field in stored if not _is_foreign(field.type)]
    readable = [field.name for field in known]
    ignored = [name for name in names if name not in readable]
    return Columns((), readable, ignored, stored=pa.schema(known))


def _is_foreign(stored: pa.DataType) -> bool:
    return any(test(stored) for test in FOREIGN_TYPES)


def _finished(
    names: list[str], growing: Mapping[str, GrowingProfile], rows: int, stored: pa.Schema | None, decimal: str
) -> tuple[ColumnProfile, ...]:
    """The profiles of all columns, in the order of the table."""
    first: dict[bytes, str] = {}
    profiles = []
    for name in names:
        kept_as = str(stored.field(name).type) if stored else ""
        if name in growing:
            original = first.setdefault(growing[name].digest, name)
            copy_of = original if original != name else None
            profiles.append(growing[name].finish(name, rows, kept_as, copy_of, decimal))
        else:
            profiles.append(ColumnProfile(name, rows, stored=kept_as, readable=False))
    return tuple(profiles)
