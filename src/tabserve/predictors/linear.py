"""A linear model over the n-grams of a text.

Its margins are those of scikit-learn's binary `TfidfVectorizer` with a linear classifier. It imports neither, and for a
few texts it is many times as fast.
"""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.encoder import Encoder
from tabserve.encoding.ngrams import LONGEST, WHOLE, part_grams, word_and_pair_grams, words
from tabserve.errors import ArtifactError
from tabserve.predictors import npz
from tabserve.problem.problem import Problem

KNOWN_WORDS = 1 << 14
"""Size of the cache of words' parts; most texts are made of few words."""

COLUMN = np.dtype(np.intc)
"""Type of an n-gram's column number."""

MAX_MARGIN = 1e300
"""Largest difference of two classes' margins; divided by a temperature of 1e-6 or more it does not overflow."""

EXAMPLE_WORDS = 4

ARRAYS = {
    "grams": (np.uint8, 1),
    "weights": (np.float32, 2),
    "squares": (np.float32, 1),
    "intercept": (np.float64, 1),
}
"""The arrays of a model file, with the type and number of dimensions of each."""


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear model over n-grams; see `Predictor`.

    A text is the set of its known n-grams, weighted by inverse document frequency and scaled to length 1.

    Attributes:
        grams: the known n-grams.
        weights: weight times inverse document frequency, float32, shape (grams, classes).
        squares: squared inverse document frequencies, float32, shape (grams,).
        intercept: float64, shape (classes,).
    """

    FILE: ClassVar[str] = "model.npz"
    BATCH_ROWS: ClassVar[int] = 64  # as a text takes longer than a row of numbers
    PARALLEL: ClassVar[bool] = False
    LIBRARIES: ClassVar[tuple[str, ...]] = ()

    grams: tuple[str, ...]
    weights: NDArray[np.float32]
    squares: NDArray[np.float32]
    intercept: NDArray[np.float64]
    _columns: "_GramColumns" = field(init=False, repr=False)
    _table: NDArray[np.float64] = field(init=False, repr=False)

    @classmethod
    def read(cls, path: Path, file: bytes, problem: Problem, _encoder: Encoder) -> Self:
        """Load a model file.

        Args:
            path: the file's name in errors.
            file: its bytes.
            problem: the model must have one margin for each of its labels.

        Raises:
            ArtifactError: the file holds other arrays, or arrays that do not fit each other.
        """
        classes = len(problem.labels)
        try:
            arrays = npz.load_arrays(file, ARRAYS)
            grams = tuple(arrays["grams"].tobytes().decode().split("\n"))
        except ValueError as error:
            raise ArtifactError(
                f"{path} is not a model of n-grams ({error}); copy or train the model again."
            ) from error
        shapes = [arrays[name].shape for name in ("weights", "squares", "intercept")]
        if shapes != [(len(grams), classes), (len(grams),), (classes,)] or len(set(grams)) < len(grams):
            raise ArtifactError(
                f"{path} does not hold weights of {len(grams)} different n-grams for {classes} classes."
            )
        if not all(np.isfinite(array).all() for array in arrays.values()) or (arrays["squares"] < 0).any():
            raise ArtifactError(f"{path} holds weights that are not finite, or a negative square.")
        model = cls(grams, arrays["weights"], arrays["squares"], arrays["intercept"])
        if not model._margin_bound() < MAX_MARGIN:
            raise ArtifactError(f"{path} holds weights so large that probabilities overflow.")
        return model

    def __post_init__(self) -> None:
        """Put weights and squares side by side in one table, with a last row of zeros that every text has."""
        table = np.zeros((len(self.grams) + 1, self.weights.shape[1] + 1))
        table[:-1, :-1], table[:-1, -1] = self.weights, self.squares
        object.__setattr__(self, "_table", table)
        object.__setattr__(self, "_columns", _GramColumns(self.grams))

    @property
    def outputs(self) -> int:
        """The number of classes."""
        return len(self.intercept)

    @property
    def facts(self) -> dict[str, str]:
        """The numbers of n-grams and labels."""
        return {"grams": str(len(self.grams)), "labels": str(self.outputs)}

    @property
    def described(self) -> str:
        """How many n-grams it knows."""
        return f"linear, over {len(self.grams):,} n-grams of words and of their parts"

    def raw(self, texts: Iterable[str]) -> NDArray[np.float64]:
        """The margin of each class, float64, shape (texts, classes); the intercept where no word is known."""
        columns, starts = self._columns.lookup(texts)
        sums = np.add.reduceat(self._table.take(columns, axis=0), starts)
        length = np.sqrt(sums[:, -1:])
        return sums[:, :-1] / np.where(length > 0, length, 1) + self.intercept

    def from_json(self, rows: list[Any]) -> NDArray[np.object_]:
        """Features from a list of texts.

        Raises:
            ValueError: an item is not a text.
        """
        if not all(isinstance(text, str) for text in rows):
            raise ValueError("texts are expected")
        return np.array(rows, np.object_)

    def examples(self, _texts: object = None, rows: int = 8, seed: int = 0) -> NDArray[np.object_]:
        """Draw each word on its own, so that no text of the training table is published.

        A model that knows no whole word gets texts of parts of words.
        """
        whole = [gram.removeprefix(WHOLE) for gram in self.grams if gram.startswith(WHOLE)]
        known = whole or [gram.strip() for gram in self.grams]
        drawn = np.random.default_rng(seed).choice(known, (rows, EXAMPLE_WORDS))
        return np.array([" ".join(words) for words in drawn.tolist()], np.object_)

    def to_bytes(self) -> bytes:
        """The bytes of a file that `read` takes, in numpy's format."""
        grams = np.frombuffer("\n".join(self.grams).encode(), np.uint8)
        return npz.dump_arrays(grams=grams, weights=self.weights, squares=self.squares, intercept=self.intercept)

    def on_one_thread(self) -> None:
        """It always does."""

    def _margin_bound(self) -> float:
        """An upper bound of the difference between two margins of any text."""
        shortest = np.sqrt(self.squares[self.squares > 0].min(initial=1), dtype=np.float64)
        largest = np.abs(self.weights).sum(axis=0, dtype=np.float64).max() / shortest + np.abs(self.intercept).max()
        with np.errstate(over="ignore"):
            return float(2 * largest)


class _GramColumns:
    """Looks up the columns of a text's known n-grams."""

    def __init__(self, grams: tuple[str, ...]) -> None:
        self._known = {gram: column for column, gram in enumerate(grams)}
        self._everywhere = len(grams)
        self._bits = len(grams).bit_length()
        self._parts = lru_cache(KNOWN_WORDS)(self._known_parts)

    def lookup(self, texts: Iterable[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The columns of all texts, text after text, and the index of the first column of each.

        A text's columns ascend, so that their sum does not depend on the order of its words, to the bit.
        """
        packed = [self._columns_of(text) for text in texts]
        rows = np.arange(len(packed)).repeat([len(columns) // COLUMN.itemsize for columns in packed])
        keys = (rows << self._bits) | np.frombuffer(b"".join(packed), COLUMN)
        keys.sort()
        keys = keys[np.append(True, keys[1:] != keys[:-1])]
        return keys & ((1 << self._bits) - 1), (keys >> self._bits).searchsorted(np.arange(len(packed)))

    def _columns_of(self, text: str) -> bytes:
        """The packed columns of a text, with repeats, and the column that every text has."""
        text_words, known = words(text), self._known
        columns = [self._everywhere, *(known[gram] for gram in word_and_pair_grams(text_words) if gram in known)]
        parts_of_each = [
            self._parts(word[:LONGEST]) for word in text_words
        ]  # so that a long word does not fill the cache
        return b"".join([_packed(columns), *parts_of_each])

    def _known_parts(self, word: str) -> bytes:
        return _packed([self._known[part] for part in part_grams(word) if part in self._known])


def _packed(columns: list[int]) -> bytes:
    return array(COLUMN.char, columns).tobytes()
