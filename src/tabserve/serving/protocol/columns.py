"""Named inputs, one for each column of any kind, into features."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.cells import BadCell
from tabserve.encoding.encoder import Encoder
from tabserve.encoding.numbers import BOOL, DATATYPES, Place, read
from tabserve.errors import InvalidRequest
from tabserve.model.decision import Decision
from tabserve.problem.columns import Column, Kind
from tabserve.problem.problem import Problem
from tabserve.serving.protocol import matrix
from tabserve.serving.protocol.datatypes import BYTES, Packed
from tabserve.serving.protocol.signature import Features, InputKind, Signature
from tabserve.serving.protocol.tensors import Input, by_name, cells, check_column
from tabserve.wording import listed, shown

PART_ROWS, PART_CHARACTERS = 256, 1 << 14
"""Rows, and about so many characters, that are encoded at a time: as much as takes a few milliseconds to score."""

Take = Callable[[int, int], Sequence[Any] | NDArray[Any]]
"""The cells of a column from one row up to another; taken in order, each once."""


class Reader(NamedTuple):
    """How the inputs of columns of one kind are read.

    Attributes:
        datatypes: of V2 that they may have; the first is the one that the metadata names.
        read: the cells of an input that has one of these.
    """

    datatypes: tuple[str, ...]
    read: Callable[[Input, Column, Place], Take]


def signature(problem: Problem, encoder: Encoder, decision: Decision) -> Signature:
    """What a model takes, and gives by its decision; columns of numbers alone may come as one matrix."""
    if encoder.numeric:
        asked, read = matrix.inputs(problem), partial(matrix.features, problem=problem)
    else:
        asked, read = inputs(problem), partial(features, problem=problem, encoder=encoder)
    datatypes = dict.fromkeys(name for column in problem.columns for name in READERS[column.kind].datatypes)
    return Signature(asked, (*datatypes,), decision.outputs(problem), read, decision.parameters)


def inputs(problem: Problem) -> dict[str, InputKind]:
    """What a model is asked with, by name: a column that may be missing may be left out."""
    return {
        column.name: InputKind(READERS[column.kind].datatypes[0], 1, optional=column.missing)
        for column in problem.columns
    }


def features(given: list[Input], problem: Problem, encoder: Encoder) -> Features:
    """The features in one tensor of shape [rows] or [rows, 1] for each column, in any order.

    A column that may be missing may be left out; the problem's id column may stand beside them. A lone tensor of a
    name that is none of theirs is the first column. What is wrong with the cells of a request of many rows is said
    while its parts are taken.

    Raises:
        InvalidRequest: the names, shapes, datatypes or cells are not those of the problem's columns.
    """
    tensors = _by_column(given, problem)
    rows = next(iter(tensors.values())).shape[0]
    takes = [_taken(column, tensors.get(column.name)) for column in problem.columns]
    if rows <= PART_ROWS:
        return Features(rows, [_encoded(0, [take(0, rows) for take in takes], encoder)])
    return Features(rows, _parts(takes, rows, encoder))


def _by_column(given: list[Input], problem: Problem) -> dict[str, Input]:
    """The inputs by the names of the columns, all of them of as many rows."""
    needed = [column.name for column in problem.columns if not column.missing]
    if len(given) == 1 and given[0].name not in {*problem.features, problem.id}:
        given = [given[0]._replace(name=problem.features[0])]
    expected = f"expected one tensor for each of {listed(problem.features)}"
    if len(needed) < len(problem.features):
        expected += f", of which {listed(needed)} must be there" if needed else ", at least one of them"
    found = by_name(given, problem, needed, expected)
    found.pop(problem.id or "", None)
    if not found:
        raise InvalidRequest(f"The request has no inputs for the columns; {expected}.")
    first = next(iter(found.values()))
    for tensor in found.values():
        check_column(tensor, first)
    return found


def _taken(column: Column, tensor: Input | None) -> Take:
    if tensor is None:
        return lambda start, stop: [None] * (stop - start)
    reader = READERS[column.kind]
    if tensor.datatype not in reader.datatypes:
        raise InvalidRequest(
            f"Input {shown(column.name)} has datatype {shown(tensor.datatype)}; expected {listed(reader.datatypes)}."
        )
    return reader.read(tensor, column, lambda row: f"Row {row}, column {column.name!r},")


def _parts(takes: list[Take], rows: int, encoder: Encoder) -> Iterator[NDArray[Any]]:
    """The features of all rows, some at a time."""
    start, step = 0, PART_ROWS
    while start < rows:
        stop = min(start + step, rows)
        part = [take(start, stop) for take in takes]
        yield _encoded(start, part, encoder)
        characters = max(1, sum(map(_characters, part)))
        step = max(1, min(PART_ROWS, (stop - start) * PART_CHARACTERS // characters))
        start = stop


def _characters(cells: Sequence[Any] | NDArray[Any]) -> int:
    return 0 if isinstance(cells, np.ndarray) else sum(len(cell) for cell in cells if isinstance(cell, str))


def _encoded(start: int, part: list[Sequence[Any] | NDArray[Any]], encoder: Encoder) -> NDArray[Any]:
    try:
        return encoder.encode(part).features
    except BadCell as error:
        raise InvalidRequest(
            f"Row {start + error.rows[0]}, column {error.column!r}, is {error.found}; expected {error.expected}."
        ) from error


def _numbers(tensor: Input, column: Column, place: Place) -> Take:
    values = read(cells(tensor), tensor.datatype, place, allow_missing=column.missing)
    return lambda start, stop: values[start:stop]


def _texts(tensor: Input, _column: Column, place: Place) -> Take:
    """Texts, or null where a cell is missing."""
    if isinstance(tensor.data, Packed):
        texts = tensor.data.texts(tensor.shape[0], place)
        return lambda start, stop: [
            _decoded(text, place(start + row)) for row, text in enumerate(islice(texts, stop - start))
        ]
    values = cells(tensor)
    found = values.tolist() if isinstance(values, np.ndarray) else values
    for row, value in enumerate(found):
        if value is not None and type(value) is not str:
            raise InvalidRequest(f"{place(row)} is {shown(value)}; expected a text, as its tensor is {BYTES}.")
    return lambda start, stop: found[start:stop]


def _levels(tensor: Input, column: Column, place: Place) -> Take:
    """Texts, or numbers, or true and false."""
    if tensor.datatype == BYTES:
        return _texts(tensor, column, place)
    values = read(cells(tensor), tensor.datatype, place, allow_missing=True)
    truths = values.astype(np.bool_) if tensor.datatype == BOOL and not np.isnan(values).any() else values
    return lambda start, stop: truths[start:stop]


def _decoded(text: bytes, place: str) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{place} is {shown(text)}; expected UTF-8.") from error


READERS: Mapping[Kind, Reader] = {
    "number": Reader((*DATATYPES,), _numbers),
    "category": Reader((BYTES, *DATATYPES), _levels),
    "date": Reader((BYTES,), _texts),
    "text": Reader((BYTES,), _texts),
}
"""By the kind of the column."""
