"""A file of plain arrays, as `numpy.savez_compressed` writes it, which is read without trusting it.

numpy's own reader evaluates each array's header, and allocates whatever shape the header claims.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_BYTES = 1 << 30
"""Largest total size of the unpacked arrays."""

PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Compressions that are read; Python unpacks the others in memory without a bound."""

DAMAGED = (OSError, KeyError, EOFError, OverflowError, RuntimeError, zlib.error, zipfile.BadZipFile)
"""Errors, beside ValueError, that zipfile raises for a damaged file."""

HEADER = re.compile(
    rb"\x93NUMPY\x01\0..\{'descr': '([<>|]\w+)', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\), \} *\n",
    re.DOTALL,
)
"""The header of an array: version 1.0 of https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html."""


def dump_arrays(**arrays: NDArray[Any]) -> bytes:
    """The bytes of a file that holds these arrays by name."""
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def load_arrays(file: bytes, kinds: Mapping[str, tuple[type, int]]) -> dict[str, NDArray[Any]]:
    """The arrays of these names, each with the given type and number of dimensions.

    Raises:
        ValueError: an array is missing or of another kind, or the file is damaged or unpacks to more than `MAX_BYTES`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(file)) as archive:
            _check(archive.infolist())
            return {name: _array(name, read_member(archive, f"{name}.npy"), *kind) for name, kind in kinds.items()}
    except DAMAGED as error:
        raise ValueError(str(error)) from error


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member of a zip, but no more than the size that it claims; `ZipFile.read` would inflate all before it cuts."""
    with archive.open(name) as opened:
        return opened.read(archive.getinfo(name).file_size)


def _check(members: list[zipfile.ZipInfo]) -> None:
    if (size := sum(member.file_size for member in members)) > MAX_BYTES:
        raise ValueError(f"it unpacks to {size} bytes")
    if any(member.compress_type not in PACKED for member in members):
        raise ValueError("it is packed otherwise than by deflate")


def _array(name: str, member: bytes, kind: type, dimensions: int) -> NDArray[Any]:
    if not (header := HEADER.match(member)):
        raise ValueError(f"its {name} are not as numpy writes them")
    dtype, shape = header[1].decode(), [int(length) for length in re.findall(rb"\d+", header[3])]
    if dtype != np.dtype(kind).str or len(shape) != dimensions:
        raise ValueError(f"its {name} are {dtype:.9} of {len(shape)} dimensions")
    values: NDArray[Any] = np.frombuffer(member, kind, offset=header.end())
    return values.reshape(shape, order="F" if header[2] == b"True" else "C")
