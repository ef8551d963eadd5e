"""Pack and unpack the values of a tensor: Triton's binary tensors and gRPC's raw contents.

Numbers are little-endian; each text is prefixed by its length in four bytes.
"""

import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.numbers import DATATYPES, Position
from tabserve.errors import InvalidRequest

BYTES = "BYTES"
"""The V2 datatype of texts."""

LENGTH = struct.Struct("<I")
"""The length before each text."""


class Packed(NamedTuple):
    """Packed texts that are not unpacked yet."""

    raw: bytes | memoryview

    def texts(self, count: int, place: Position) -> Iterator[bytes]:
        """Unpack `count` texts lazily.

        Raises:
            InvalidRequest: a text is cut off, or bytes follow the last one.
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
    """Unpack values: numbers of shape (values,), or packed texts; nothing for an unknown datatype.

    Raises:
        InvalidRequest: the bytes are not a whole number of values; `place` is the tensor's position in words.
    """
    return _READ[datatype](raw, place) if datatype in _READ else []


def packed(values: NDArray[Any], datatype: str) -> bytes:
    """Pack values in row-major order."""
    return _WRITE[datatype](values)


def plain(values: NDArray[Any], datatype: str) -> list[Any]:
    """The values in row-major order as protocol buffers take them: numbers, or each text's UTF-8."""
    return _PLAIN.get(datatype, list)(values.ravel().tolist())


def _numbers(datatype: str, raw: bytes | memoryview, place: str) -> NDArray[Any]:
    kind = DATATYPES[datatype]
    if len(raw) % kind.itemsize:
        raise InvalidRequest(f"{place} has {len(raw)} bytes; {datatype} needs multiples of {kind.itemsize}.")
    return np.frombuffer(raw, kind)


def _number_bytes(kind: np.dtype[Any], values: NDArray[Any]) -> bytes:
    return values.astype(kind, order="C", copy=False).tobytes()


def _encoded(texts: list[str]) -> list[bytes]:
    return [text.encode() for text in texts]


def _text_bytes(values: NDArray[Any]) -> bytes:
    return b"".join(LENGTH.pack(len(text)) + text for text in _encoded(values.ravel().tolist()))


_READ: dict[str, Callable[[bytes | memoryview, str], NDArray[Any] | Packed]] = {
    **{name: partial(_numbers, name) for name in DATATYPES},
    BYTES: lambda raw, _place: Packed(raw),
}

_WRITE: dict[str, Callable[[NDArray[Any]], bytes]] = {
    **{name: partial(_number_bytes, kind) for name, kind in DATATYPES.items()},
    BYTES: _text_bytes,
}

_PLAIN: dict[str, Callable[[list[Any]], list[Any]]] = {BYTES: _encoded}
