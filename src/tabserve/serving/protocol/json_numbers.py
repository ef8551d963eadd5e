"""JSON in, plain data out: a V2 request's numbers as an array, or as what is still to be parsed."""

import uuid
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, NamedTuple, cast

import numpy as np
import orjson
import simdjson
from numpy.typing import NDArray

from tabserve.encoding.numbers import Values, joined
from tabserve.serving.protocol import cost, document
from tabserve.serving.protocol.document import Bytes

CUT = uuid.uuid4().hex
"""A word that stands for numbers cut out."""

QUOTED = orjson.dumps(CUT)

PIECE = 2**16
"""Bytes of numbers that are parsed at a time."""

LONG = 4 * PIECE
"""Bytes of numbers, more of which are left to be parsed piece by piece."""

DIGITS = 32
"""Bytes of each number that are left to be parsed, at most: a float64 needs 25 with its comma."""

UNUSUAL = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RuntimeError)
"""What simdjson raises at what is no JSON, and what a look at something else than expected raises."""


class Numbers(NamedTuple):
    """The numbers in a list, or in lists of this shape, which are still to be parsed.

    Attributes:
        text: the request's.
        start, end: where the list's content is, without its brackets.
        shape: of nested lists.
    """

    text: Bytes
    start: int
    end: int
    shape: list[int] | None

    def pieces(self) -> Iterator[NDArray[np.float64]]:
        """The numbers, parsed as they are asked for.

        They are parsed in pieces, for which simdjson needs less memory, and the kernel fewer pages, than for the whole.
        A piece ends before a comma, or before one that follows a list: if each is a list, then so are all together.

        Raises:
            ValueError: it is something else, or says so in an unusual way (as other errors of simdjson do).
        """
        return self._parsed(_numbers)

    def cells(self) -> Iterator[Values]:
        """The same, with a list in the place of a piece that holds something else than numbers.

        Raises:
            ValueError: they are nested otherwise than the shape says, or no JSON; or as above.
        """
        return self._parsed(_cells)

    def _parsed(self, parse: Callable[[bytes, list[int] | None], Any]) -> Iterator[Any]:
        text, start, end, shape = self
        found = 0
        while start <= end:
            row_end = text.find(b"]", start + PIECE, end) if shape else start + PIECE
            stop = text.find(b",", row_end, end) if row_end >= 0 else end
            stop = end if stop < 0 else stop
            part = b"".join([b"[", text[start:stop], b"]"])
            cost.check(part)  # it may be all of the text, where no row ends
            piece = parse(part, shape)
            if not len(piece):
                raise ValueError("a comma too many")
            found += len(piece)
            yield piece
            start = stop + 1
        if shape and found != shape[0] * shape[1]:
            raise ValueError("nested otherwise than the shape says")

    def plain(self) -> Any:  # noqa: ANN401  whatever the list holds
        """What a general parser makes of the list.

        Raises:
            InvalidRequest: the request is no JSON.
            TooLarge: it would take too much memory to read.
        """
        return _plain(self.text)["inputs"][0]["data"]


def read(text: Bytes) -> Any:  # noqa: ANN401  whatever JSON holds
    """Plain data; the numbers of a lone tensor as an array, which is several times faster, or `Numbers` if it is long.

    Raises:
        InvalidRequest: it is no JSON.
        TooLarge: it would take too much memory to read.
    """
    try:
        return _one_tensor(text)
    except UNUSUAL:  # a case for the general parser
        pass
    return _plain(text)


def _plain(text: Bytes) -> Any:  # noqa: ANN401
    return document.read(text, "a V2 inference request")


def _one_tensor(text: Bytes) -> dict[str, Any]:
    """A request of one tensor whose data are nothing but numbers, flat or nested as its shape says.

    The data are cut out and parsed apart. What is left is JSON with a word in their place that nobody can guess: where
    that word turns out to be the data of the one tensor, and what was cut out is a list, the whole is JSON. Conversely,
    if the whole is JSON and no quote was cut out, each bracket there had its counterpart there, and what is left says
    the same as the whole.

    Raises:
        ValueError: it is something else, or says so in an unusual way (as other errors of simdjson do).
    """
    start = text.index(b"[", text.index(b'"data"'))
    nested = text[start + 1 : start + 2] == b"["
    end = text.index(b"]]", start) + 1 if nested else text.index(b"]", start)
    if text.find(b'"data"', end) >= 0:
        raise ValueError("more tensors than one")
    found: Any = cost.loads(b"".join([text[:start], QUOTED, text[end + 1 :]]))
    (tensor,) = found["inputs"]
    if tensor["data"] != CUT:
        raise ValueError("what was cut out is not the tensor's data")
    if nested and not tensor["shape"]:
        raise ValueError("nested, and no shape says how")
    numbers = Numbers(text, start + 1, end, tensor["shape"] if nested else None)
    if _is_long(numbers, tensor["shape"]):
        tensor["data"] = numbers
    else:
        cost.check(text)
        tensor["data"] = joined(numbers.pieces())
    return cast("dict[str, Any]", found)


def _is_long(numbers: Numbers, shape: Any) -> bool:  # noqa: ANN401  whatever the request holds
    """Whether they are so many that they are parsed later, and no more than a matrix of this shape may have."""
    text, start, end, _ = numbers
    if end - start <= LONG or len(shape) != 2 or not all(type(size) is int and size > 0 for size in shape):
        return False
    return end - start <= DIGITS * shape[0] * shape[1] and text.find(b'"', start, end) < 0


def _numbers(text: bytes, shape: list[int] | None) -> NDArray[np.float64]:
    """A piece that holds nothing but numbers, or lists of them as long as the shape says."""
    piece: Any = simdjson.Parser().parse(text)
    if shape:
        # As many lists as these: so there is none among the numbers, which simdjson would have flattened.
        lists = len(piece) + 1
        if any(len(row) != shape[1] for row in piece) or _opened(text, lists) > lists:
            raise ValueError("nested otherwise than the shape says")
    return np.frombuffer(piece.as_buffer(of_type="d"), np.float64)


def _cells(text: bytes, shape: list[int] | None) -> Values:
    """A piece that may hold something else than numbers."""
    try:
        return _numbers(text, shape)
    except UNUSUAL:
        found: list[Any] = orjson.loads(text)
    if not shape:
        return found
    if any(type(row) is not list or len(row) != shape[1] for row in found):
        raise ValueError("nested otherwise than the shape says")
    return list(chain.from_iterable(found))


def _opened(text: Bytes, most: int) -> int:
    """How many lists the text opens, counted up to `most` + 1: 20 times as fast as `count` where they are few."""
    found, place = 0, text.find(b"[")
    while place >= 0 and found <= most:
        found, place = found + 1, text.find(b"[", place + 1)
    return found
