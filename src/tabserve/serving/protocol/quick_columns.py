"""Named inputs as nearly all requests have them, straight into features; whatever is unusual is left to `columns`.

Nothing is refused here: of a request that is not taken, all is looked at anew.
"""

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from tabserve.encoding.cells import UNUSUAL
from tabserve.encoding.encoder import Encoder
from tabserve.problem.columns import Kind
from tabserve.problem.problem import Problem
from tabserve.serving.protocol.datatypes import BYTES
from tabserve.serving.protocol.signature import Features

MAX_ROWS = 256
"""Rows that are read at one go; of more, `columns` reads some at a time."""

DATATYPES: Mapping[Kind, tuple[str, ...]] = {"number": ("FP32", "FP64"), "category": (BYTES,), "date": (BYTES,)}
"""By the kind of a column, those that can hold whatever its encoding takes."""

MEMBERS = itemgetter("name", "datatype", "shape", "data")


class QuickColumns:
    """Reads requests for one model."""

    def __init__(self, problem: Problem, encoder: Encoder) -> None:
        """Know the columns."""
        self._names, self._encoder = problem.features, encoder
        self._datatypes = {column.name: DATATYPES.get(column.kind, ()) for column in problem.columns}

    def features(self, inputs: list[Any]) -> Features | None:
        """The features in a request's inputs, which nothing is known of yet; None where they are unusual."""
        try:
            rows = inputs[0]["shape"][0]
            columns = self._cells(inputs, rows)
            blank = [None] * rows  # of a column that is left out
            return Features(rows, [self._encoder.quick([columns.get(name, blank) for name in self._names])])
        except UNUSUAL:
            return None

    def _cells(self, inputs: list[Any], rows: int) -> dict[str, list[Any]]:
        """The cells of each column by its name, so many in each."""
        if not 0 < rows <= MAX_ROWS:
            raise ValueError("none, or too many")
        columns: dict[str, list[Any]] = {}
        for item in inputs:
            name, datatype, shape, data = MEMBERS(item)
            if len(item) > 4 or name in columns or datatype not in self._datatypes[name]:
                raise ValueError("another input, or one that says more")
            if type(data) is not list or len(data) != rows or not _is_column(shape, rows):
                raise ValueError("another shape")
            columns[name] = data
        return columns


def _is_column(shape: object, rows: int) -> bool:
    """Whether it is [rows] or [rows, 1]; true and 1.0 are no sizes."""
    return type(shape) is list and shape in ([rows], [rows, 1]) and {*map(type, shape)} == {int}
