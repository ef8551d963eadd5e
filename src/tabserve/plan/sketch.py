"""Estimate how many different texts a column holds, from those with the smallest hashes, in constant memory.

The k smallest hashes of the distinct texts are a uniform sample of them, and how often each occurs is known exactly.
Source: Bar-Yossef et al., Counting distinct elements in a data stream, 2002 (k minimum values).
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SIZE = 4_096
"""Hashes kept; the estimate's standard error is about 1 / 64."""

BASE = np.uint64(0x9E3779B97F4A7C15)
"""Base of the polynomial that hashes a text; odd, so that no power of it is 0."""


class Sketch(NamedTuple):
    """The smallest hashes of the texts of a column.

    Attributes:
        hashes: in rising order; uint64, shape (at most SIZE,).
        counts: how often the text of each hash occurs; int64.
    """

    hashes: NDArray[np.uint64]
    counts: NDArray[np.int64]

    @classmethod
    def empty(cls) -> "Sketch":
        """The sketch of no text."""
        return cls(np.empty(0, np.uint64), np.empty(0, np.int64))

    def add(self, texts: pa.Array, counts: NDArray[np.int64]) -> "Sketch":
        """The sketch with further texts, each as often as it occurs."""
        fresh = hash_texts(texts)
        if len(self.hashes) == SIZE:
            low = fresh <= self.hashes[-1]
            fresh, counts = fresh[low], counts[low]
        hashes, index = np.unique(np.concatenate([self.hashes, fresh]), return_inverse=True)
        summed = np.bincount(index, np.concatenate([self.counts, counts])).astype(np.int64)
        return Sketch(hashes[:SIZE], summed[:SIZE])

    @property
    def distinct(self) -> int:
        """The estimated number of distinct texts; exact below `SIZE`."""
        if len(self.hashes) < SIZE:
            return len(self.hashes)
        return round((SIZE - 1) / (float(self.hashes[-1]) / 2.0**64))

    @property
    def repeats(self) -> bool:
        """Whether a text of the sample occurs twice."""
        return bool((self.counts > 1).any())


def hash_texts(texts: pa.Array) -> NDArray[np.uint64]:
    """A hash of each text, the same in every process: a polynomial of its bytes, then mixed; shape (texts,)."""
    lengths, data = text_bytes(texts)
    starts = np.cumsum(lengths) - lengths
    position = np.arange(len(data)) - np.repeat(starts, lengths)
    powers = np.cumprod(np.full(int(lengths.max(initial=0)) + 1, BASE, np.uint64))
    hashes = lengths.astype(np.uint64)
    if len(data):
        full = np.flatnonzero(lengths)
        hashes[full] += np.add.reduceat((data.astype(np.uint64) + np.uint64(1)) * powers[position], starts[full])
    return _mixed(hashes)


def text_bytes(texts: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The number of bytes of each text, and the bytes of all; no text is null."""
    texts = texts.cast(pa.large_string())
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return np.diff(ends), np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]]


def _mixed(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of splitmix64, which spreads every bit over the whole hash."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))
