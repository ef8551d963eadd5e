"""Make features of named inputs: one tensor per column, of any kind."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.cells import BadCell, Cells
from tabserve.encoding.encoder import Encoded, Encoder
from tabserve.encoding.numbers import BOOL, DATATYPES, HALF, Position, from_tensor
from tabserve.encoding.texts import check_characters, check_length, check_text
from tabserve.errors import InvalidRequest
from tabserve.model.decision import Decision, OutputKind
from tabserve.problem.columns import Column, Kind
from tabserve.problem.problem import Problem
from tabserve.serving.protocol import matrix
from tabserve.serving.protocol.datatypes import BYTES, Packed
from tabserve.serving.protocol.quick_columns import QuickColumns
from tabserve.serving.protocol.signature import Features, InputKind, Signature
from tabserve.serving.protocol.tensors import Input, by_column, flat_values
from tabserve.wording import listed, shown

CHUNK_ROWS, CHUNK_CHARACTERS = 256, 1 << 14
"""Most rows of a chunk, and about the most characters of its texts: a few milliseconds to score."""

TakeCells = Callable[[int, int], Cells]
"""Returns the cells of a column from a start row up to a stop row; called for consecutive ranges, each once."""

CellPosition = Callable[[int, str], str]
"""Describes the position of a cell, given its row and column, for a message."""


class InputDecoder(NamedTuple):
    """Decodes the inputs of columns of one kind.

    Attributes:
        datatypes: the V2 datatypes that an input may have; the metadata names the first.
        decode: makes cells of an input of one of these datatypes.
    """

    datatypes: tuple[str, ...]
    decode: Callable[[Input, Column, Position], TakeCells]


def signature(
    problem: Problem, encoder: Encoder, decision: Decision, further: Mapping[str, OutputKind] = MappingProxyType({})
) -> Signature:
    """The inputs and outputs of a model; if all columns are numbers, one matrix may hold them.

    Args:
        problem: names the columns.
        encoder: makes features of their cells.
        decision: has outputs of its own.
        further: other outputs, by name.
    """
    quick: Callable[[list[Any]], Features | None]
    if encoder.numeric:
        kinds, make, quick = matrix.inputs(problem), partial(matrix.features, problem=problem), matrix.quick_features
    else:
        kinds, make = inputs(problem), partial(features, problem=problem, encoder=encoder)
        quick = QuickColumns(problem, encoder).features
    datatypes = dict.fromkeys(name for column in problem.columns for name in DECODERS[column.kind].datatypes)
    outputs = {**decision.outputs(problem), **further}
    return Signature(kinds, (*datatypes,), outputs, make, quick, decision.parameters)


def inputs(problem: Problem) -> dict[str, InputKind]:
    """The inputs by name, one per column; that of a column that may be missing is optional."""
    return {
        column.name: InputKind(DECODERS[column.kind].datatypes[0], 1, optional=column.missing, kind=column.kind)
        for column in problem.columns
    }


def features(tensors: list[Input], problem: Problem, encoder: Encoder) -> Features:
    """Make features of one tensor of shape [rows] or [rows, 1] per column, in any order.

    A column that may be missing may be left out, and the problem's id column may be there. A lone tensor of texts with
    an unknown name is the first column. Cells are validated during the iteration over the chunks.

    Raises:
        InvalidRequest: the names, shapes, datatypes or cells are not those of the problem's columns.
    """
    columns = _by_column(tensors, problem)
    rows = next(iter(columns.values())).shape[0]
    takes = [_decode(column, columns.get(column.name)) for column in problem.columns]
    return encode_rows(takes, rows, encoder, _position)


def encode_rows(takes: Sequence[TakeCells], rows: int, encoder: Encoder, position: CellPosition) -> Features:
    """Make features of the cells of each column; they are encoded during the iteration over the chunks."""
    unseen: Counter[str] = Counter()
    return Features(rows, _chunks(takes, rows, encoder, position, unseen), unseen)


def _by_column(tensors: list[Input], problem: Problem) -> dict[str, Input]:
    """The inputs by column name, all with the same number of rows."""
    if problem.columns[0].stands_alone and len(tensors) == 1 and tensors[0].name not in {*problem.features, problem.id}:
        first = problem.features[0]
        return _by_column([tensors[0]._replace(name=first)], problem) | {first: tensors[0]}
    return by_column(tensors, problem, lambda: f"expected one tensor for each of {listed(problem.features)}")


def _decode(column: Column, tensor: Input | None) -> TakeCells:
    """The cells of a column; all of them missing if its input is left out."""
    if tensor is None:
        return lambda start, stop: [None] * (stop - start)
    decoder = DECODERS[column.kind]
    if tensor.datatype not in decoder.datatypes:
        raise InvalidRequest(
            f"Input {shown(tensor.name)} has datatype {shown(tensor.datatype)}; expected {listed(decoder.datatypes)}."
        )
    return decoder.decode(tensor, column, lambda row: _position(row, column.name))


def _position(row: int, column: str) -> str:
    return f"Row {row}, column {column!r},"


def _chunks(
    takes: Sequence[TakeCells], rows: int, encoder: Encoder, position: CellPosition, unseen: Counter[str]
) -> Iterator[NDArray[Any]]:
    """Encode the rows chunk by chunk, and count the unseen levels."""
    for start in range(0, rows, CHUNK_ROWS):
        cells = [take(start, min(start + CHUNK_ROWS, rows)) for take in takes]
        for first, end in _spans(cells):
            encoded = _encode(start + first, [column[first:end] for column in cells], encoder, position)
            unseen.update(encoded.unseen)
            yield encoded.features


def _spans(cells: list[Cells]) -> Iterator[tuple[int, int]]:
    """Split rows into ranges of at most about `CHUNK_CHARACTERS` characters."""
    rows, first, characters = len(cells[0]), 0, 0
    texts = [column for column in cells if not isinstance(column, np.ndarray)]
    for row, values in enumerate(zip(*texts, strict=True), 1):
        characters += sum([len(value) for value in values if isinstance(value, str)])
        if characters >= CHUNK_CHARACTERS and row < rows:
            yield first, row
            first, characters = row, 0
    yield first, rows


def _encode(start: int, cells: list[Cells], encoder: Encoder, position: CellPosition) -> Encoded:
    """Encode rows, of which `start` is the index of the first."""
    try:
        return encoder.encode(cells)
    except BadCell as error:
        cell = position(start + error.rows[0], str(error.column))
        raise InvalidRequest(f"{cell} is {error.found}; expected {error.expected}.") from error


def _decode_numbers(tensor: Input, column: Column, position: Position) -> TakeCells:
    values = from_tensor(flat_values(tensor), tensor.datatype, position, allow_missing=column.missing)
    return lambda start, stop: values[start:stop]


def _decode_texts(tensor: Input, column: Column, position: Position) -> TakeCells:
    """Texts of a bounded length; in a column that is never missing, each has a letter or a digit."""
    check = check_length if column.missing else check_text
    return _check_lazily(tensor, position, check, required=not column.missing)


def _decode_characters(tensor: Input, _column: Column, position: Position) -> TakeCells:
    """Texts of any length; the encoder refuses those that are too long."""
    return _check_lazily(tensor, position, check_characters, required=False)


def _check_lazily(
    tensor: Input, position: Position, check: Callable[[object, str], str], *, required: bool
) -> TakeCells:
    """Texts that are checked when they are taken; None where a cell is missing."""
    rows, values = tensor.shape[0], iter(_unchecked_texts(tensor, position, required=required))

    def take(start: int, stop: int) -> list[str | None]:
        texts = islice(values, stop - start if stop < rows else None)  # the end of packed texts refuses further bytes
        return [None if text is None else check(text, position(row)) for row, text in enumerate(texts, start)]

    return take


def _unchecked_texts(tensor: Input, position: Position, *, required: bool) -> Iterable[object]:
    """The values of a tensor; those that are not texts are refused."""
    if isinstance(tensor.data, Packed):
        return tensor.data.texts(tensor.shape[0], position)
    cells = flat_values(tensor)
    values = cells.tolist() if isinstance(cells, np.ndarray) else cells
    for row, value in enumerate(values):  # at once, since a value that is not a text may be large
        if type(value) is not str and (required or value is not None):
            check_characters(value, position(row))
    return values


def _decode_levels(tensor: Input, column: Column, position: Position) -> TakeCells:
    """Texts, numbers or booleans."""
    if tensor.datatype == BYTES:
        return _decode_characters(tensor, column, position)
    cells = flat_values(tensor)
    values = from_tensor(cells, tensor.datatype, position, allow_missing=True)
    levels: Cells = cells  # integers beyond 2**53 stay exact
    if tensor.datatype == HALF:
        levels = values.astype(np.float16)
    elif tensor.datatype == BOOL and isinstance(cells, np.ndarray):
        levels = cells.astype(np.bool_)
    return lambda start, stop: levels[start:stop]


DECODERS: Mapping[Kind, InputDecoder] = {
    "number": InputDecoder((*DATATYPES,), _decode_numbers),
    "category": InputDecoder((BYTES, *DATATYPES), _decode_levels),
    "date": InputDecoder((BYTES,), _decode_characters),
    "text": InputDecoder((BYTES,), _decode_texts),
}
"""The decoder of each kind of column."""
