"""Count the different texts of a column: all of them while they are few, then the most frequent and a sketch."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tabserve.plan.sketch import Sketch

MAX_COUNTED = 10_000
"""Most different texts that are all counted."""

KEPT = 200
"""Most frequent texts that are counted on once there are more."""


class Tally:
    """The different texts of a column and how often each occurs, in constant memory."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._sketch: Sketch | None = None

    def add(self, texts: pa.Array, counts: NDArray[np.int64]) -> None:
        """Count different texts, each as often as it occurs."""
        if self._sketch is None:
            for text, count in zip(texts.to_pylist(), counts.tolist(), strict=True):
                self._counts[text] += count
            if len(self._counts) > MAX_COUNTED:
                self._begin_sketch()
        else:
            self._sketch = self._sketch.add(texts, counts)
            self._add_kept(texts, counts)

    @property
    def distinct(self) -> int:
        """How many different texts there are; an estimate above `MAX_COUNTED`."""
        return len(self._counts) if self._sketch is None else max(self._sketch.distinct, MAX_COUNTED + 1)

    @property
    def repeats(self) -> bool:
        """Whether a text occurs twice; above `MAX_COUNTED`, whether one of a sample of the texts does."""
        kept = any(count > 1 for count in self._counts.values())
        return kept or (self._sketch is not None and self._sketch.repeats)

    @property
    def levels(self) -> tuple[tuple[str, int], ...]:
        """The texts and their counts, the most frequent first; `KEPT` of them above `MAX_COUNTED`."""
        return tuple(sorted(self._counts.items(), key=lambda level: (-level[1], level[0])))

    def _begin_sketch(self) -> None:
        counts = np.fromiter(self._counts.values(), np.int64, len(self._counts))
        self._sketch = Sketch.empty().add(pa.array([*self._counts], pa.string()), counts)
        self._counts = Counter(dict(self._counts.most_common(KEPT)))
        self._kept = pa.array([*self._counts], pa.string())

    def _add_kept(self, texts: pa.Array, counts: NDArray[np.int64]) -> None:
        """Count those texts that are still counted one by one."""
        known = np.flatnonzero(np.asarray(pc.is_in(texts, self._kept)))
        for text, count in zip(texts.take(pa.array(known)).to_pylist(), counts[known].tolist(), strict=True):
            self._counts[text] += count
