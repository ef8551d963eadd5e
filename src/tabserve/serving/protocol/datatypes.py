"""How the values of a tensor lie in bytes: in Triton's binary tensors and in gRPC's raw contents.

Numbers lie one after the other, little-endian; of texts, each lies behind its length in four bytes.
"""

import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.numbers import DATATYPES, Place
from tabserve.errors import InvalidRequest

BYTES = "BYTES"
"""The V2 datatype of texts."""

LENGTH = struct.Struct("<I")
"""What stands before each text."""


class Packed(NamedTuple):
    """Texts in bytes, which are still to be taken apart."""

    raw: bytes | memoryview

    def texts(self, count: int, place: Place) -> Iterator[bytes]:
        """So many texts, one after the other; no more of them is looked at than is asked for.

        Raises:
            InvalidRequest: about the first one that is cut off, or about bytes behind the last.
        """
        raw, start = self.raw, 0
        for cell in range(count):
            begin = start + LENGTH.size
            start = begin + LENGTH.unpack_from(raw, start)[0] if begin <= len(raw) else begin
            if start > len(raw):
                raise InvalidRequest(
                    f"{place(cell)} ends beyond the {len(raw)} bytes of its tensor;"
                    f" expected {count} texts, each behind its length in 4 bytes."
                )
            yield bytes(raw[begin:start])
        if start != len(raw):
            raise InvalidRequest(f"{place(count - 1)} is the last, and {len(raw) - start} bytes follow; expected none.")


def unpacked(raw: bytes | memoryview, datatype: str, place: str) -> NDArray[Any] | Packed | list[Any]:
    """The values that lie in bytes: numbers of shape (values,), or texts; none of a datatype that nothing here has.

    Raises:
        InvalidRequest: about the tensor at this place: its bytes are no whole number of numbers.
    """
    return _READ[datatype](raw, place) if datatype in _READ else []


def packed(values: NDArray[Any], datatype: str) -> bytes:
    """The values in row-major order, as bytes."""
    return _WRITE[datatype](values)


def plain(values: NDArray[Any], datatype: str) -> list[Any]:
    """The values in row-major order as protocol buffers take them: numbers, or each text's UTF-8."""
    return _PLAIN.get(datatype, list)(values.ravel().tolist())


def _numbers(datatype: str, raw: bytes | memoryview, place: str) -> NDArray[Any]:
    kind = DATATYPES[datatype]
    if len(raw) % kind.itemsize:
        raise InvalidRequest(f"{place} has {len(raw)} bytes; {datatype} needs multiples of {kind.itemsize}.")
    return np.frombuffer(raw, kind)


def _written(kind: np.dtype[Any], values: NDArray[Any]) -> bytes:
    return values.astype(kind, order="C", copy=False).tobytes()


def _encoded(texts: list[str]) -> list[bytes]:
    return [text.encode() for text in texts]


def _behind_lengths(values: NDArray[Any]) -> bytes:
    return b"".join(LENGTH.pack(len(text)) + text for text in _encoded(values.ravel().tolist()))


_READ: dict[str, Callable[[bytes | memoryview, str], NDArray[Any] | Packed]] = {
    **{name: partial(_numbers, name) for name in DATATYPES},
    BYTES: lambda raw, _place: Packed(raw),
}

_WRITE: dict[str, Callable[[NDArray[Any]], bytes]] = {
    **{name: partial(_written, kind) for name, kind in DATATYPES.items()},
    BYTES: _behind_lengths,
}

_PLAIN: dict[str, Callable[[list[Any]], list[Any]]] = {BYTES: _encoded}
