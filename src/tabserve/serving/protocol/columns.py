"""Named inputs, one for each column of any kind, into features."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.cells import BadCell, Cells
from tabserve.encoding.encoder import Encoded, Encoder
from tabserve.encoding.numbers import BOOL, DATATYPES, HALF, Place, read
from tabserve.encoding.texts import check_characters, check_length, check_text
from tabserve.errors import InvalidRequest
from tabserve.model.decision import Decision
from tabserve.problem.columns import Column, Kind
from tabserve.problem.problem import Problem
from tabserve.serving.protocol import matrix
from tabserve.serving.protocol.datatypes import BYTES, Packed
from tabserve.serving.protocol.quick_columns import QuickColumns
from tabserve.serving.protocol.signature import Features, InputKind, Signature
from tabserve.serving.protocol.tensors import Input, by_column, cells
from tabserve.wording import listed, shown

PART_ROWS, PART_CHARACTERS = 256, 1 << 14
"""Rows, and about so many characters, that are encoded at a time: as much as takes a few milliseconds to score."""

Take = Callable[[int, int], Cells]
"""The cells of a column from one row up to another; taken in order, each once."""

Position = Callable[[int, str], str]
"""Names the cell of a row and a column, for a sentence."""


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
    quick: Callable[[list[Any]], Features | None]
    if encoder.numeric:
        asked, read, quick = matrix.inputs(problem), partial(matrix.features, problem=problem), matrix.quick
    else:
        asked, read = inputs(problem), partial(features, problem=problem, encoder=encoder)
        quick = QuickColumns(problem, encoder).features
    datatypes = dict.fromkeys(name for column in problem.columns for name in READERS[column.kind].datatypes)
    return Signature(asked, (*datatypes,), decision.outputs(problem), read, quick, decision.parameters)


def inputs(problem: Problem) -> dict[str, InputKind]:
    """What a model is asked with, by name: a column that may be missing may be left out."""
    return {
        column.name: InputKind(READERS[column.kind].datatypes[0], 1, optional=column.missing)
        for column in problem.columns
    }


def features(given: list[Input], problem: Problem, encoder: Encoder) -> Features:
    """The features in one tensor of shape [rows] or [rows, 1] for each column, in any order.

    A column that may be missing may be left out; the problem's id column may stand beside them. A lone tensor of
    texts, of a name that is none of theirs, is the first column. What is wrong with the cells is said while the parts
    are taken.

    Raises:
        InvalidRequest: the names, shapes, datatypes or cells are not those of the problem's columns.
    """
    tensors = _by_column(given, problem)
    rows = next(iter(tensors.values())).shape[0]
    return encoded([_taken(column, tensors.get(column.name)) for column in problem.columns], rows, encoder, _position)


def encoded(takes: Sequence[Take], rows: int, encoder: Encoder, position: Position) -> Features:
    """The features of so many rows, given the cells of each column; they are encoded while the parts are taken."""
    unseen: Counter[str] = Counter()
    return Features(rows, _parts(takes, rows, encoder, position, unseen), unseen)


def _by_column(given: list[Input], problem: Problem) -> dict[str, Input]:
    """The inputs by the names of the columns, all of them of as many rows."""
    if problem.columns[0].stands_alone and len(given) == 1 and given[0].name not in {*problem.features, problem.id}:
        return _by_column([given[0]._replace(name=problem.features[0])], problem) | {problem.features[0]: given[0]}
    return by_column(given, problem, lambda: f"expected one tensor for each of {listed(problem.features)}")


def _taken(column: Column, tensor: Input | None) -> Take:
    if tensor is None:
        return lambda start, stop: [None] * (stop - start)
    reader = READERS[column.kind]
    if tensor.datatype not in reader.datatypes:
        raise InvalidRequest(
            f"Input {shown(tensor.name)} has datatype {shown(tensor.datatype)}; expected {listed(reader.datatypes)}."
        )
    return reader.read(tensor, column, lambda row: _position(row, column.name))


def _position(row: int, column: str) -> str:
    return f"Row {row}, column {column!r},"


def _parts(
    takes: Sequence[Take], rows: int, encoder: Encoder, position: Position, unseen: Counter[str]
) -> Iterator[NDArray[Any]]:
    """The features of all rows, some at a time; counts the unseen levels."""
    for start in range(0, rows, PART_ROWS):
        cells = [take(start, min(start + PART_ROWS, rows)) for take in takes]
        for first, end in _spans(cells):
            made = _encoded(start + first, [column[first:end] for column in cells], encoder, position)
            unseen.update(made.unseen)
            yield made.features


def _spans(cells: list[Cells]) -> Iterator[tuple[int, int]]:
    """From which row to which a part goes, so that none has many more characters than a part may."""
    rows, first, characters = len(cells[0]), 0, 0
    texts = [column for column in cells if not isinstance(column, np.ndarray)]
    for row, values in enumerate(zip(*texts, strict=True), 1):
        characters += sum([len(value) for value in values if isinstance(value, str)])
        if characters >= PART_CHARACTERS and row < rows:
            yield first, row
            first, characters = row, 0
    yield first, rows


def _encoded(start: int, cells: list[Cells], encoder: Encoder, position: Position) -> Encoded:
    try:
        return encoder.encode(cells)
    except BadCell as error:
        cell = position(start + error.rows[0], str(error.column))
        raise InvalidRequest(f"{cell} is {error.found}; expected {error.expected}.") from error


def _numbers(tensor: Input, column: Column, place: Place) -> Take:
    values = read(cells(tensor), tensor.datatype, place, allow_missing=column.missing)
    return lambda start, stop: values[start:stop]


def _texts(tensor: Input, column: Column, place: Place) -> Take:
    """Texts of a bounded length, of which those that are needed say something."""
    return _checked(tensor, place, check_length if column.missing else check_text, needed=not column.missing)


def _characters(tensor: Input, _column: Column, place: Place) -> Take:
    """Texts of any length; the encoder says which are too long."""
    return _checked(tensor, place, check_characters, needed=False)


def _checked(tensor: Input, place: Place, check: Callable[[object, str], str], *, needed: bool) -> Take:
    """Texts, checked as they are taken; None where a cell is missing."""
    rows, found = tensor.shape[0], iter(_untaken(tensor, place, needed=needed))

    def take(start: int, stop: int) -> list[str | None]:
        some = islice(found, stop - start if stop < rows else None)  # at the end packed texts say if bytes follow
        return [None if text is None else check(text, place(row)) for row, text in enumerate(some, start)]

    return take


def _untaken(tensor: Input, place: Place, *, needed: bool) -> Iterable[object]:
    if isinstance(tensor.data, Packed):
        return tensor.data.texts(tensor.shape[0], place)
    found = cells(tensor)
    values = found.tolist() if isinstance(found, np.ndarray) else found
    for row, value in enumerate(values):  # now: what is no text may be large, and is not to wait with the rest
        if type(value) is not str and (needed or value is not None):
            check_characters(value, place(row))
    return values


def _levels(tensor: Input, column: Column, place: Place) -> Take:
    """Texts, or numbers, or true and false."""
    if tensor.datatype == BYTES:
        return _characters(tensor, column, place)
    found = cells(tensor)
    values = read(found, tensor.datatype, place, allow_missing=True)
    levels: Cells = found  # whole numbers beyond 2**53 stay what they are
    if tensor.datatype == HALF:
        levels = values.astype(np.float16)
    elif tensor.datatype == BOOL and isinstance(found, np.ndarray):
        levels = found.astype(np.bool_)
    return lambda start, stop: levels[start:stop]


READERS: Mapping[Kind, Reader] = {
    "number": Reader((*DATATYPES,), _numbers),
    "category": Reader((BYTES, *DATATYPES), _levels),
    "date": Reader((BYTES,), _characters),
    "text": Reader((BYTES,), _texts),
}
"""By the kind of the column."""
