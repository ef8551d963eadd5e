"""Plans and profiles of small tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tabserve.plan.column_profile import ColumnProfile
from tabserve.plan.options import Options
from tabserve.plan.plan import Plan, make_plan
from tabserve.plan.planned import PlannedColumn
from tabserve.plan.profile import profile
from tabserve.table.source import as_source

ROWS = 60
"""Rows of a table whose columns are short."""


def repeated(cells: Sequence[Any], rows: int = ROWS) -> list[Any]:
    """The cells over and over."""
    return [cells[row % len(cells)] for row in range(rows)]


def profile_of(cells: Sequence[Any] | pa.Array, *missing: str) -> ColumnProfile:
    """What a column of these cells holds."""
    return profile(as_source(pa.table({"x": pa.array(cells)})), Options("y", missing=missing)).columns[0]


def plan_of(columns: Mapping[str, Sequence[Any]], target: str = "y", **options: Any) -> Plan:  # noqa: ANN401  the fields of Options
    """The plan of a table in memory; columns are repeated to one length, and a target of two classes is added."""
    table = {target: ["no", "no", "yes"], "feature": ["1.5", "2.5", "0.5", "9"], **columns}
    rows = max(ROWS, *map(len, table.values()))
    return make_plan(
        as_source(pa.table({name: repeated(cells, rows) for name, cells in table.items()})), Options(target, **options)
    )


def column_of(plan: Plan, name: str) -> PlannedColumn:
    """One column of a plan."""
    return next(column for column in plan.columns if column.name == name)


def cautions_about(plan: Plan, name: str) -> str:
    """All that the plan says of a column, in one text."""
    return " ".join(caution.sentence for caution in plan.cautions if caution.about == name)
