"""How a model's columns and scores lay on rows that it did not learn from: what later rows are compared with."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from tabserve.errors import ArtifactError

STEPS = 20
"""Bins of equal share, where values do not repeat."""

OFTEN, LEAST = 0.01, 5
"""Share and number of the present values from which on an edge that repeats has a bin of its own."""


class Distribution(NamedTuple):
    """Quantiles of one column, between which its values are counted; one that repeats often is counted by itself.

    A bin reaches from one edge, not included, up to the next, included. Just below a value that repeats often there is
    another edge, so that the bin between both holds this value alone.

    Attributes:
        edges: float32, ascending: at most `STEPS` - 1 values of the column, and as many edges just below them.
        below: share of the values that are not missing and at most as large as each edge.
        missing: share of the rows whose value is missing.
    """

    edges: NDArray[np.float32]
    below: NDArray[np.float64]
    missing: float

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> Self:
        """The distribution of values of shape (rows,), NaN where one is missing."""
        present = np.sort(values[~np.isnan(values)])
        edges = _edges(present) if len(present) else present
        below = np.searchsorted(present, edges, side="right") / max(len(present), 1)
        return cls(edges, below, 1 - len(present) / len(values))

    @property
    def shares(self) -> NDArray[np.float64]:
        """Of all rows: those in each bin, and those whose value is missing."""
        bins = np.diff(self.below, prepend=0, append=1)
        return np.append(bins * (1 - self.missing), self.missing)

    def counts(self, values: NDArray[np.float32]) -> NDArray[np.int64]:
        """How many of other values lie in each bin, and how many are missing."""
        present = values[~np.isnan(values)]
        bins = np.bincount(np.searchsorted(self.edges, present), minlength=len(self.edges) + 1)
        return np.append(bins, len(values) - len(present))


class Reference(NamedTuple):
    """The distributions of so many rows, by column, and that of their probabilities of the positive class."""

    rows: int
    columns: dict[str, Distribution]
    score: Distribution

    @classmethod
    def of(cls, names: Sequence[str], features: NDArray[np.float32], probability: NDArray[np.float32]) -> Self:
        """Of rows that the model did not learn from.

        Args:
            names: of the columns.
            features: shape (rows, columns).
            probability: the model's, shape (rows,).
        """
        columns = dict(zip(names, map(Distribution.of, features.T), strict=True))
        return cls(len(features), columns, Distribution.of(probability))

    def described(self) -> dict[str, Any]:
        """What the manifest keeps of it, beside what `report.provenance` says about the data."""
        columns = {name: _described(found) for name, found in self.columns.items()}
        return {"reference": {"rows": self.rows, "columns": columns, "score": _described(self.score)}}

    @classmethod
    def parsed(cls, data: Mapping[str, Any]) -> Self:
        """From what a manifest says about its data.

        Raises:
            ArtifactError: there is none, or it is damaged.
        """
        if "reference" not in data:
            raise ArtifactError(
                "The model folder keeps no reference, which scripts/train.py writes since this version; train it again."
            )
        try:
            found = data["reference"]
            columns = {name: _distribution(**each) for name, each in found["columns"].items()}
            return cls(int(found["rows"]), columns, _distribution(**found["score"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(f"The model folder's reference is damaged ({error!r:.100}); train it again.") from error


def _edges(present: NDArray[np.float32]) -> NDArray[np.float32]:
    """The quantiles of sorted values, and what lies just below those that repeat often."""
    quantiles = np.unique(present[np.arange(1, STEPS) * len(present) // STEPS])
    repeats = np.searchsorted(present, quantiles, side="right") - np.searchsorted(present, quantiles)
    often = quantiles[repeats >= max(OFTEN * len(present), LEAST)]
    lowest = np.finfo(np.float32).min  # below which there is no edge
    just_below = np.nextafter(often[often > lowest], lowest)
    return np.union1d(quantiles, just_below)


def _described(found: Distribution) -> dict[str, Any]:
    return {
        "edges": [float(str(edge)) for edge in found.edges],
        "below": found.below.round(6).tolist(),
        "missing": round(found.missing, 6),
    }


def _distribution(edges: list[float], below: list[float], missing: float) -> Distribution:
    return Distribution(np.array(edges, np.float32), np.array(below, np.float64), float(missing))
