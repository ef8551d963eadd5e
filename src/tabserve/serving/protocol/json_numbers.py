"""Parse the JSON of a V2 request; the numbers of a lone tensor become an array, or are parsed later."""

import uuid
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, NamedTuple, cast

import numpy as np
import orjson
import simdjson
from numpy.typing import NDArray

from tabserve.encoding.numbers import Values, concatenate
from tabserve.serving.protocol import cost, document
from tabserve.serving.protocol.document import Bytes

CUT = uuid.uuid4().hex
"""A text in place of numbers that were cut out."""

QUOTED = orjson.dumps(CUT)

PIECE = 2**16
"""Bytes of numbers that are parsed at once."""

LONG = 4 * PIECE
"""Bytes of numbers beyond which they are parsed later, piece by piece."""

DIGITS = 32
"""Most bytes per number for parsing later; a float64 needs 25 with its comma."""

UNUSUAL = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RuntimeError)
"""Errors of simdjson and of unexpected data."""


class Numbers(NamedTuple):
    """Numbers of a list, or of nested lists of this shape, that are not parsed yet.

    Attributes:
        text: of the whole request.
        start, end: of the list's content, without its brackets.
        shape: of nested lists, or None.
    """

    text: Bytes
    start: int
    end: int
    shape: list[int] | None

    def pieces(self) -> Iterator[NDArray[np.float64]]:
        """Parse the numbers lazily, piece by piece, which takes less memory than the whole.

        A piece ends before a comma, or before a comma that follows a list: if each piece is a list, so is the whole.

        Raises:
            ValueError: a piece holds something else, or has an unusual form (other errors of simdjson say the same).
        """
        return self._parsed(_numbers)

    def cells(self) -> Iterator[Values]:
        """As `pieces`, with a list for a piece that holds something other than numbers.

        Raises:
            ValueError: the nesting is not the shape's, or a piece is not JSON.
        """
        return self._parsed(_cells)

    def _parsed(self, parse: Callable[[bytes, list[int] | None], Any]) -> Iterator[Any]:
        text, start, end, shape = self
        count = 0
        while start <= end:
            row_end = text.find(b"]", start + PIECE, end) if shape else start + PIECE
            stop = text.find(b",", row_end, end) if row_end >= 0 else end
            stop = end if stop < 0 else stop
            part = b"".join([b"[", text[start:stop], b"]"])
            cost.check(part)  # without an end of a row, it is the whole text
            piece = parse(part, shape)
            if not len(piece):
                raise ValueError("a comma too many")
            count += len(piece)
            yield piece
            start = stop + 1
        if shape and count != shape[0] * shape[1]:
            raise ValueError("nested otherwise than the shape says")

    def plain(self) -> Any:  # noqa: ANN401  whatever the list holds
        """The list as the general parser parses it.

        Raises:
            InvalidRequest: the request is not JSON.
            TooLarge: parsing would take too much memory.
        """
        return _plain(self.text)["inputs"][0]["data"]


def parse(text: Bytes) -> Any:  # noqa: ANN401  whatever JSON holds
    """Parse a request; the numbers of a lone tensor become an array, several times faster, or `Numbers` if long.

    Raises:
        InvalidRequest: the text is not JSON.
        TooLarge: parsing would take too much memory.
    """
    try:
        return _one_tensor(text)
    except UNUSUAL:  # left to the general parser
        pass
    return _plain(text)


def _plain(text: Bytes) -> Any:  # noqa: ANN401
    return document.parse(text, "a V2 inference request")


def _one_tensor(text: Bytes) -> dict[str, Any]:
    """Parse a request of one tensor whose data are numbers only, flat or nested as its shape says.

    The data are cut out and parsed apart, with a random word in their place. If that word is the data of the one tensor
    in what is left, and a list was cut out, then the whole is JSON. Conversely, if the whole is JSON and no quote was
    cut out, then each bracket that was cut out had its counterpart there, and what is left equals the whole.

    Raises:
        ValueError: the request is another, or has an unusual form (other errors of simdjson say the same).
    """
    start = text.index(b"[", text.index(b'"data"'))
    nested = text[start + 1 : start + 2] == b"["
    end = text.index(b"]]", start) + 1 if nested else text.index(b"]", start)
    if text.find(b'"', start, end) >= 0 or text.find(b'"data"', end) >= 0:
        raise ValueError("texts, or more tensors than one")
    request: Any = cost.loads(b"".join([text[:start], QUOTED, text[end + 1 :]]))
    (tensor,) = request["inputs"]
    if tensor["data"] != CUT:
        raise ValueError("what was cut out is not the tensor's data")
    if nested and not tensor["shape"]:
        raise ValueError("nested, and no shape says how")
    numbers = Numbers(text, start + 1, end, tensor["shape"] if nested else None)
    if _is_long(numbers, tensor["shape"]):
        tensor["data"] = numbers
    else:
        cost.check(text)
        tensor["data"] = concatenate(numbers.pieces())
    return cast("dict[str, Any]", request)


def _is_long(numbers: Numbers, shape: Any) -> bool:  # noqa: ANN401  whatever the request holds
    """Whether the numbers are long enough to be parsed later, and not longer than a matrix of this shape can be."""
    length = numbers.end - numbers.start
    if length <= LONG or len(shape) != 2 or not all(type(size) is int and size > 0 for size in shape):
        return False
    rows, columns = shape
    return bool(length <= DIGITS * rows * columns)


def _numbers(text: bytes, shape: list[int] | None) -> NDArray[np.float64]:
    """Parse a piece of numbers, or of lists of numbers as long as the shape says."""
    piece: Any = simdjson.Parser().parse(text)
    if shape:
        # No list may be among the numbers, as simdjson would flatten it.
        lists = len(piece) + 1
        if any(len(row) != shape[1] for row in piece) or _opened(text, lists) > lists:
            raise ValueError("nested otherwise than the shape says")
    return np.frombuffer(piece.as_buffer(of_type="d"), np.float64)


def _cells(text: bytes, shape: list[int] | None) -> Values:
    """Parse a piece that may hold something other than numbers."""
    try:
        return _numbers(text, shape)
    except UNUSUAL:
        rows: list[Any] = orjson.loads(text)
    if not shape:
        return rows
    if any(type(row) is not list or len(row) != shape[1] for row in rows):
        raise ValueError("nested otherwise than the shape says")
    return list(chain.from_iterable(rows))


def _opened(text: Bytes, most: int) -> int:
    """Number of lists that the text opens, counted up to `most` + 1; 20 times as fast as `count` if they are few."""
    count, index = 0, text.find(b"[")
    while index >= 0 and count <= most:
        count, index = count + 1, text.find(b"[", index + 1)
    return count
