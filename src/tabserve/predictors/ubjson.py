"""Parse UBJSON (https://ubjson.org) as XGBoost writes it, without trusting a byte.

XGBoost's own reader does not check its input. Of the ways to write a value, this reader takes only those that XGBoost
writes, so that both read the same values.
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

KINDS = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4"}

NUMBERS = {marker: np.dtype(kind) for marker, kind in KINDS.items()}

ARRAYS = {b"U", b"l", b"L", b"d", b"i"}
"""The item types of arrays that XGBoost writes; others can make it abort the process."""

BYTES = "|i1"
"""The type of the arrays that hold a frame's categories as text; elsewhere it can make XGBoost abort the process."""

SIZE = struct.Struct(">cq")

CONSTANTS = {b"T": True, b"F": False, b"Z": None}


def loads(text: bytes) -> Any:  # noqa: ANN401  as json.loads
    """The value of a document; an array with a stated item type becomes a NumPy array of shape (items,).

    Raises:
        ValueError: the document is not of this form, or bytes follow it.
    """
    reader = _Reader(text)
    try:
        value = reader.value()
    except (RecursionError, struct.error) as error:
        raise ValueError("the document ends too early, or is nested too deep") from error
    if reader.at != len(text):
        raise ValueError(f"the document ends at byte {reader.at} of {len(text)}")
    return value


def array_types(value: Any) -> set[str]:  # noqa: ANN401  of a document
    """The dtypes of all NumPy arrays in a document."""
    if isinstance(value, np.ndarray):
        return {value.dtype.str}
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*map(array_types, members))


class _Reader:
    def __init__(self, text: bytes) -> None:
        self.text, self.at = text, 0

    def value(self) -> Any:  # noqa: ANN401
        marker = self._take(1)
        if marker == b"[":
            return self._array()
        if marker == b"S":
            return self._string()
        if marker == b"{":
            return self._object()
        return CONSTANTS[marker] if marker in CONSTANTS else self._numbers(marker, 1)[0].item()

    def _array(self) -> list[Any] | NDArray[Any]:
        if self._passes(b"$"):
            marker = self._take(1)
            if marker not in ARRAYS:
                raise ValueError(f"{marker!r} before byte {self.at} is no kind of array")
            return self._numbers(marker, self._count())
        return [self.value() for _ in range(self._count())]

    def _object(self) -> dict[str, Any]:
        members: dict[str, Any] = {}
        while not self._passes(b"}"):
            name = self._string()
            if name in members:
                raise ValueError(f"an object has {name!r} twice")
            members[name] = self.value()
        return members

    def _string(self) -> str:
        return self._take(self._size()).decode()

    def _numbers(self, marker: bytes, count: int) -> NDArray[Any]:
        if marker not in NUMBERS:
            raise ValueError(f"{marker!r} before byte {self.at} is no kind of number")
        kind = NUMBERS[marker]
        return np.frombuffer(self._take(count * kind.itemsize), kind)

    def _count(self) -> int:
        if not self._passes(b"#"):
            raise ValueError(f"byte {self.at} is not the '#' before a number of items")
        return self._size()

    def _size(self) -> int:
        marker, size = SIZE.unpack_from(self.text, self.at)
        self.at += SIZE.size
        if marker != b"L" or size < 0:
            raise ValueError(f"no size ends at byte {self.at}")
        return int(size)

    def _passes(self, marker: bytes) -> bool:
        follows = self.text.startswith(marker, self.at)
        self.at += follows
        return follows

    def _take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.text):
            raise ValueError(f"{size} bytes cannot follow byte {self.at} of {len(self.text)}")
        taken, self.at = self.text[self.at : end], end
        return taken
