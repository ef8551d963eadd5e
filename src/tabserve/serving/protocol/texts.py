"""The signature of a model over texts: one tensor for each column of texts, of which the first must be there."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.ngrams import says_something
from tabserve.encoding.numbers import Place
from tabserve.errors import InvalidRequest, TooLarge
from tabserve.model.scoring import Scores
from tabserve.problem.problem import Problem
from tabserve.serving.protocol.datatypes import BYTES, Packed
from tabserve.serving.protocol.document import is_writable
from tabserve.serving.protocol.signature import Features, InputKind, OutputKind, Signature
from tabserve.serving.protocol.tensors import Input, by_name, cells, check_column, is_column, named
from tabserve.wording import listed, shown

MAX_CHARACTERS = 1_000
"""Characters that a text may hold: the work that it makes is in proportion."""

PART_ROWS, PART_CHARACTERS = 256, 1 << 14
"""Rows, and about so many characters, that are read at a time: as much as takes a few milliseconds to score."""


def signature(problem: Problem) -> Signature:
    """What a model takes and gives whose label is the most probable of the problem's."""
    names = np.array(problem.labels, np.object_)

    def chosen(scores: Scores) -> NDArray[np.object_]:
        return names[scores.label][:, np.newaxis]

    return Signature(
        {name: InputKind(BYTES, 1, optional=place > 0) for place, name in enumerate(problem.features)},
        (BYTES,),
        {
            "predict": OutputKind(BYTES, 1, chosen),
            "predict_proba": OutputKind("FP32", len(names), lambda scores: scores.probability, problem.labels),
        },
        partial(features, problem=problem),
    )


def features(inputs: list[Input], problem: Problem) -> Features:
    """The texts in one tensor of shape [rows] or [rows, 1] for each column, in any order; those of a row are joined.

    The first column must be there, the others may; the problem's id column may stand beside them. A lone tensor of any
    other name is the first column. What is wrong with the values is said while the parts are taken.

    Raises:
        InvalidRequest: their names, shapes or datatypes are not those of the problem's columns.
    """
    (name, first), *others = _columns(inputs, problem)
    if not is_column(first):
        raise InvalidRequest(f"{named(first)}; expected [rows] or [rows, 1], one text for each row.")
    texts = [_texts(first, name, check_text)]
    for name, column in others:
        check_column(column, first)
        texts.append(_texts(column, name, check_length))
    rows = (" ".join(filter(None, row)) for row in zip(*texts, strict=True))
    return Features(first.shape[0], parts(rows))


def _columns(inputs: list[Input], problem: Problem) -> list[tuple[str, Input]]:
    """The columns that are there by their names, in the problem's order."""
    names = problem.features
    if len(inputs) == 1 and inputs[0].name not in {*names, problem.id}:
        return [(names[0], inputs[0])]
    expected = f"expected one tensor of texts for each of {listed(names)}, of which the first must be there"
    found = by_name(inputs, problem, names[:1], expected)
    return [(name, found[name]) for name in names if name in found]


def _check_datatype(column: Input) -> None:
    if column.datatype != BYTES:
        raise InvalidRequest(f"Input {shown(column.name)} has datatype {shown(column.datatype)}; expected {BYTES!r}.")


def _texts(column: Input, name: str, check: Callable[[object, str], str]) -> Iterator[str]:
    """A column's texts, which are checked as they are taken."""

    def place(row: int) -> str:
        return f"Row {row}, column {name!r},"

    _check_datatype(column)
    return (check(value, place(row)) for row, value in enumerate(_values(column, place)))


def _values(column: Input, place: Place) -> Iterable[object]:
    if isinstance(column.data, Packed):
        return column.data.texts(column.shape[0], place)
    found = cells(column)
    values = found.tolist() if isinstance(found, np.ndarray) else found
    for row, value in enumerate(values):  # now: what is no text may be large, and is not to wait with the rest
        if type(value) is not str:
            check_length(value, place(row))
    return values


def parts(texts: Iterable[str]) -> Iterator[NDArray[np.object_]]:
    """The texts of all rows, some at a time; raises what taking them does."""
    part, characters = [], 0
    for text in texts:
        part.append(text)
        characters += len(text)
        if len(part) == PART_ROWS or characters >= PART_CHARACTERS:
            yield np.array(part, np.object_)
            part, characters = [], 0
    if part:
        yield np.array(part, np.object_)


def check_text(value: object, place: str) -> str:
    """The value, if it is a text that says something.

    Args:
        value: whatever the request holds; bytes are a text in UTF-8.
        place: what the sentence calls it, such as `products[3] has a title that`.

    Raises:
        InvalidRequest: it is no text, or has neither a letter nor a digit.
        TooLarge: it has more than `MAX_CHARACTERS`.
    """
    text = check_length(value, place)
    if not says_something(text):
        raise InvalidRequest(f"{place} is {shown(text)}; expected a text with letters or digits.")
    return text


def check_length(value: object, place: str) -> str:
    """The value, if it is a text, which may be empty; `check_text` says the rest."""
    text = _decoded(value, place) if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise InvalidRequest(f"{place} is {shown(text)}; expected a text.")
    if not is_writable(text):
        raise InvalidRequest(f"{place} is {shown(text)}; expected whole characters, not half of a surrogate pair.")
    if len(text) > MAX_CHARACTERS:
        raise TooLarge(f"{place} has {len(text)} characters; send at most {MAX_CHARACTERS}.")
    return text


def _decoded(value: bytes, place: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{place} is {shown(value)}; expected UTF-8.") from error
