"""A linear model over a text's n-grams: texts in, the margin of each class out.

What scikit-learn's `TfidfVectorizer` (binary) and a linear classifier answer, without importing either, and many times
as fast for few texts.
"""

import io
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.encoder import Encoder
from tabserve.encoding.ngrams import LONGEST, WHOLE, parts, wholes, words
from tabserve.errors import ArtifactError
from tabserve.predictors import npz
from tabserve.problem.problem import Problem

KNOWN_WORDS = 1 << 14
"""Words whose parts are remembered: most texts are made of few."""

COLUMN = np.dtype(np.intc)
"""Of an n-gram's number, wherever many of them are kept."""

MAX_MARGIN = 1e300
"""Between two classes; a temperature above 1e-6 divides it without an overflow."""

EXAMPLE_WORDS = 4

ARRAYS = {
    "grams": (np.uint8, 1),
    "weights": (np.float32, 2),
    "squares": (np.float32, 1),
    "intercept": (np.float64, 1),
}
"""What a model file holds: each array's type and number of dimensions."""


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear model over n-grams; see `Predictor`.

    A text is the set of its known n-grams, each weighted by its inverse document frequency, as a vector of length 1.

    Attributes:
        grams: the known ones.
        weights: of each gram for each class, times its inverse document frequency; float32, shape (grams, classes).
        squares: of the inverse document frequencies, float32, shape (grams,).
        intercept: float64, shape (classes,).
    """

    FILE: ClassVar[str] = "model.npz"
    BATCH_ROWS: ClassVar[int] = 64  # a text takes longer than a row of numbers
    PARALLEL: ClassVar[bool] = False
    LIBRARIES: ClassVar[tuple[str, ...]] = ()

    grams: tuple[str, ...]
    weights: NDArray[np.float32]
    squares: NDArray[np.float32]
    intercept: NDArray[np.float64]
    _columns: "_Columns" = field(init=False, repr=False)
    _table: NDArray[np.float64] = field(init=False, repr=False)

    @classmethod
    def read(cls, path: Path, file: bytes, problem: Problem, _encoder: Encoder) -> Self:
        """The model that a file holds.

        Args:
            path: what a refusal calls the file.
            file: its bytes.
            problem: whose classes it must know.

        Raises:
            ArtifactError: it is no such file, or its arrays do not belong together.
        """
        classes = len(problem.labels)
        try:
            found = npz.unpacked(file, ARRAYS)
            grams = tuple(found["grams"].tobytes().decode().split("\n"))
        except ValueError as error:
            raise ArtifactError(
                f"{path} is not a model of n-grams ({error}); copy or train the model again."
            ) from error
        shapes = [found[name].shape for name in ("weights", "squares", "intercept")]
        if shapes != [(len(grams), classes), (len(grams),), (classes,)] or len(set(grams)) < len(grams):
            raise ArtifactError(
                f"{path} does not hold weights of {len(grams)} different n-grams for {classes} classes."
            )
        if not all(np.isfinite(array).all() for array in found.values()) or (found["squares"] < 0).any():
            raise ArtifactError(f"{path} holds weights that are not finite, or a negative square.")
        model = cls(grams, found["weights"], found["squares"], found["intercept"])
        if not model._farthest() < MAX_MARGIN:
            raise ArtifactError(f"{path} holds weights so large that probabilities overflow.")
        return model

    def __post_init__(self) -> None:
        """Put weights and squares side by side, below them a row of zeros that stands in every text."""
        table = np.zeros((len(self.grams) + 1, self.weights.shape[1] + 1))
        table[:-1, :-1], table[:-1, -1] = self.weights, self.squares
        object.__setattr__(self, "_table", table)
        object.__setattr__(self, "_columns", _Columns(self.grams))

    @property
    def outputs(self) -> int:
        """As many as there are classes."""
        return len(self.intercept)

    @property
    def facts(self) -> dict[str, str]:
        """How many n-grams and labels it knows."""
        return {"grams": str(len(self.grams)), "labels": str(self.outputs)}

    @property
    def described(self) -> str:
        """How many n-grams it knows."""
        return f"linear, over {len(self.grams):,} n-grams of words and of their parts"

    def raw(self, texts: Iterable[str]) -> NDArray[np.float64]:
        """The margin of each class, shape (texts, classes); the intercept alone for unknown words."""
        columns, starts = self._columns.of(texts)
        sums = np.add.reduceat(self._table.take(columns, axis=0), starts)
        length = np.sqrt(sums[:, -1:])
        return sums[:, :-1] / np.where(length > 0, length, 1) + self.intercept

    def from_json(self, rows: list[Any]) -> NDArray[np.object_]:
        """Features from a list of texts.

        Raises:
            ValueError: something of it is no text.
        """
        if not all(isinstance(text, str) for text in rows):
            raise ValueError("texts are expected")
        return np.array(rows, np.object_)

    def examples(self, _texts: object = None, rows: int = 8, seed: int = 0) -> NDArray[np.object_]:
        """Texts of which each word is drawn on its own, so that no text of the table leaves it.

        Where the model knows no whole word, they are made of parts of words.
        """
        whole = [gram.removeprefix(WHOLE) for gram in self.grams if gram.startswith(WHOLE)]
        known = whole or [gram.strip() for gram in self.grams]
        drawn = np.random.default_rng(seed).choice(known, (rows, EXAMPLE_WORDS))
        return np.array([" ".join(words) for words in drawn.tolist()], np.object_)

    def written(self) -> bytes:
        """A file as `read` takes it: numpy's format, of plain arrays alone."""
        file, grams = io.BytesIO(), np.frombuffer("\n".join(self.grams).encode(), np.uint8)
        np.savez_compressed(file, grams=grams, weights=self.weights, squares=self.squares, intercept=self.intercept)
        return file.getvalue()

    def save(self, path: Path) -> None:
        """Write the file.

        Raises:
            OSError: it cannot be written.
        """
        path.write_bytes(self.written())

    def on_one_thread(self) -> None:
        """It never uses more."""

    def _farthest(self) -> float:
        """A bound of how far two margins of any text are from each other."""
        shortest = np.sqrt(self.squares[self.squares > 0].min(initial=1), dtype=np.float64)
        largest = np.abs(self.weights).sum(axis=0, dtype=np.float64).max() / shortest + np.abs(self.intercept).max()
        with np.errstate(over="ignore"):
            return float(2 * largest)


class _Columns:
    """The numbers of a text's n-grams among those that are known."""

    def __init__(self, grams: tuple[str, ...]) -> None:
        self._known = {gram: column for column, gram in enumerate(grams)}
        self._everywhere = len(grams)
        self._bits = len(grams).bit_length()
        self._parts = lru_cache(KNOWN_WORDS)(self._known_parts)

    def of(self, texts: Iterable[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Those of all texts, one text after the other, and where each text's begin.

        In ascending order, whatever the text's: the sum over them is then the same to the bit.
        """
        found = [self._found(text) for text in texts]
        rows = np.arange(len(found)).repeat([len(columns) // COLUMN.itemsize for columns in found])
        keys = (rows << self._bits) | np.frombuffer(b"".join(found), COLUMN)
        keys.sort()
        keys = keys[np.append(True, keys[1:] != keys[:-1])]
        return keys & ((1 << self._bits) - 1), (keys >> self._bits).searchsorted(np.arange(len(found)))

    def _found(self, text: str) -> bytes:
        """A text's, some of them more than once; one stands in every text."""
        found, known = words(text), self._known
        columns = [self._everywhere, *(known[gram] for gram in wholes(found) if gram in known)]
        parts_of_each = [self._parts(word[:LONGEST]) for word in found]  # no longer than what is remembered of it
        return b"".join([_packed(columns), *parts_of_each])

    def _known_parts(self, word: str) -> bytes:
        return _packed([self._known[part] for part in parts(word) if part in self._known])


def _packed(columns: list[int]) -> bytes:
    return array(COLUMN.char, columns).tobytes()
