"""Explain the rows of requests that ask for it: answers, and what each feature contributed to them."""

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.errors import Overloaded
from tabserve.serving.batching import Answers, joined
from tabserve.serving.protocol.signature import Features
from tabserve.serving.slices import MAX_THREADS, Slices

SLICE_ROWS = 16
"""Most rows in one call, a few milliseconds or tens of them."""

THREADS = max(1, min(MAX_THREADS, (os.cpu_count() or 1) // 2))
"""Number of threads: half of the cores, so that the event loop and large requests keep the others."""

MAX_ROWS = 1_000
"""Default of the most rows that are explained at a time: a second or two."""


class Explained(NamedTuple):
    """The answers for some rows, and the contributions to them, shape (rows, outputs, features + 1)."""

    answers: Answers
    contributions: NDArray[np.float32]


class Explainer:
    """Explains the rows of requests; for one event loop.

    To explain a row takes as long as to score a hundred. Other threads do it, slice by slice, whatever the number of
    rows, so that no other request waits for it.
    """

    def __init__(self, explain: Callable[[NDArray[Any]], Explained], max_rows: int) -> None:
        """Start with no rows.

        Args:
            explain: explains the rows of an array of features; called on several threads.
            max_rows: most rows that may wait at a time.
        """
        self._slices, self._max_rows = Slices(explain, SLICE_ROWS, THREADS), max_rows
        self.rows = 0  # accepted and not yet answered

    async def explain(self, features: Features) -> SimpleNamespace:
        """Explain the rows of a request.

        Returns:
            The members of the rows' answers, and their `contributions`.

        Raises:
            InvalidRequest: a chunk of the features is invalid.
            Overloaded: too many rows are waiting.
            Exception: the model's error.
        """
        if self.rows and self.rows + features.rows > self._max_rows:
            raise Overloaded(
                f"The server has {self.rows} rows to explain, of at most {self._max_rows}; try again in a second."
            )
        self.rows += features.rows
        try:
            parts = await self._slices.results(iter(features.chunks))
        finally:
            self.rows -= features.rows
        answers, contributions = zip(*parts, strict=True)
        return SimpleNamespace(**joined(answers)._asdict(), contributions=np.concatenate(contributions))
