"""Named inputs as nearly all requests have them, straight into features; what is unusual is left to `columns`.

Nothing is refused here: of a request that this does not take, every part is looked at again.
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
"""Of more rows, the features are made some at a time."""

DATATYPES: Mapping[Kind, tuple[str, ...]] = {"number": ("FP32", "FP64"), "category": (BYTES,), "date": (BYTES,)}
"""By the kind of a column, of which JSON's cells need no look at what the datatype can hold."""

MEMBERS = itemgetter("name", "datatype", "shape", "data")


class QuickColumns:
    """Reads the inputs of requests for one model."""

    def __init__(self, problem: Problem, encoder: Encoder) -> None:
        """Know the columns."""
        self._names, self._encoder = problem.features, encoder
        self._datatypes = {column.name: DATATYPES.get(column.kind, ()) for column in problem.columns}

    def features(self, inputs: list[Any]) -> Features | None:
        """The features in a request's inputs, if each is a list of ordinary cells, and no more."""
        try:
            rows = inputs[0]["shape"][0]
            if type(rows) is not int or not 0 < rows <= MAX_ROWS:
                return None
            columns: dict[str, list[Any]] = {}
            for item in inputs:
                name, datatype, shape, data = MEMBERS(item)
                if len(item) > 4 or datatype not in self._datatypes[name] or not _is_column(shape, data, rows):
                    return None
                columns[name] = data
            if len(columns) < len(inputs):
                return None
            blank = [None] * rows
            found = self._encoder.quick([columns.get(name, blank) for name in self._names])
        except UNUSUAL:
            return None
        return Features(rows, [found])


def _is_column(shape: Any, data: Any, rows: int) -> bool:  # noqa: ANN401  any JSON
    """Whether there is one value for each row; true is no size."""
    sizes = len(shape) == 1 or (len(shape) == 2 and type(shape[1]) is int and shape[1] == 1)
    return sizes and type(shape) is list and type(shape[0]) is int and shape[0] == rows and type(data) is list and len(data) == rows
