"""Make features of named inputs in their usual form, the fast path; `columns` handles every other request.

Nothing is refused here: a request that has another form is validated from the start by `columns`.
"""

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from tabserve.encoding.cells import QUICK_ERRORS
from tabserve.encoding.encoder import Encoder
from tabserve.problem.columns import Kind
from tabserve.problem.problem import Problem
from tabserve.serving.protocol.datatypes import BYTES
from tabserve.serving.protocol.signature import Features

MAX_ROWS = 256
"""Most rows of a request on the fast path; `columns` makes several chunks of more."""

DATATYPES: Mapping[Kind, tuple[str, ...]] = {"number": ("FP32", "FP64"), "category": (BYTES,), "date": (BYTES,)}
"""The datatypes of each kind of column that need no conversion."""

MEMBERS = itemgetter("name", "datatype", "shape", "data")


class QuickColumns:
    """Makes features of the requests to one model."""

    def __init__(self, problem: Problem, encoder: Encoder) -> None:
        """Keep the names and datatypes of the columns."""
        self._names, self._encoder = problem.features, encoder
        self._datatypes = {column.name: DATATYPES.get(column.kind, ()) for column in problem.columns}

    def features(self, inputs: list[Any]) -> Features | None:
        """The features of unchecked inputs, or None if they do not have their usual form."""
        try:
            rows = inputs[0]["shape"][0]
            columns = self._cells(inputs, rows)
            blank = [None] * rows  # for columns that are left out
            return Features(rows, [self._encoder.encode_quickly([columns.get(name, blank) for name in self._names])])
        except QUICK_ERRORS:
            return None

    def _cells(self, inputs: list[Any], rows: int) -> dict[str, list[Any]]:
        """The cells of each column by name.

        Raises:
            QUICK_ERRORS: an input has another form.
        """
        if not 0 < rows <= MAX_ROWS:
            raise ValueError("no rows, or too many")
        columns: dict[str, list[Any]] = {}
        for item in inputs:
            name, datatype, shape, data = MEMBERS(item)
            if len(item) > 4 or name in columns or datatype not in self._datatypes[name]:
                raise ValueError("an unknown or repeated input, another datatype, or parameters")
            if type(data) is not list or len(data) != rows or not _is_column(shape, rows):
                raise ValueError("another shape, or data that do not fit it")
            columns[name] = data
        return columns


def _is_column(shape: object, rows: int) -> bool:
    """Whether a shape is [rows] or [rows, 1]; true and 1.0 are not sizes."""
    return type(shape) is list and shape in ([rows], [rows, 1]) and {*map(type, shape)} == {int}
