"""The reference for drift: distributions of columns and scores on rows that the model was not trained on."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.categories import Categories
from tabserve.encoding.encoder import Encoder
from tabserve.errors import ArtifactError
from tabserve.problem.problem import Problem

STEPS = 20
"""Number of bins with equal shares, if no value repeats."""

ROUNDED = 1e-4
"""Rounding error of a sum of shares."""

OFTEN, LEAST = 0.01, 5
"""A repeated value that is an edge has its own bin from this share, and this number, of the present values."""

LENGTH = "(length)"
"""Name of the feature that counts the characters of a text."""


class Distribution(Protocol):
    """The distribution of one column over bins."""

    @property
    def below(self) -> NDArray[np.float64]:
        """Share of the present values that are at most as large as each edge; empty if values have no order."""

    @property
    def missing(self) -> float:
        """Share of the rows whose value is missing."""

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of all rows in each bin and, last, of those whose value is missing."""

    def counts(self, values: NDArray[np.float32]) -> NDArray[np.int64]:
        """Count new values in each bin and, last, the missing ones."""

    def to_json(self) -> dict[str, Any]:
        """The JSON object that the manifest stores."""


class Levels(NamedTuple):
    """The frequencies of a category's frequent levels; all other levels are one bin.

    Attributes:
        codes: codes of the levels that at least `OFTEN` of the rows have, ascending.
        frequency: share of the rows with each of these levels.
        missing: share of the rows whose level is missing or unknown to the model.
    """

    codes: NDArray[np.int64]
    frequency: NDArray[np.float64]
    missing: float

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> Self:
        """Count codes of levels, shape (rows,), NaN if missing."""
        codes, counts = np.unique(values[~np.isnan(values)].astype(np.int64), return_counts=True)
        often = counts >= max(OFTEN * len(values), LEAST)
        return cls(codes[often], counts[often] / len(values), float(np.isnan(values).mean()))

    @property
    def below(self) -> NDArray[np.float64]:
        """Empty, as levels have no order."""
        return np.empty(0)

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of all rows with each frequent level, with another level, and without a known level."""
        others = max(0.0, 1 - self.missing - float(self.frequency.sum()))
        return np.append(self.frequency, [others if others > ROUNDED else 0.0, self.missing])

    def counts(self, values: NDArray[np.float32]) -> NDArray[np.int64]:
        """Count new codes in each bin and, last, the missing ones."""
        present = values[~np.isnan(values)].astype(np.int64)
        frequent = [np.count_nonzero(present == code) for code in self.codes]
        return np.array([*frequent, len(present) - sum(frequent), len(values) - len(present)], np.int64)

    def to_json(self) -> dict[str, Any]:
        """The JSON object that the manifest stores."""
        return {
            "codes": self.codes.tolist(),
            "frequency": self.frequency.round(6).tolist(),
            "missing": round(self.missing, 6),
        }

    @classmethod
    def from_json(cls, codes: list[int], frequency: list[float], missing: float) -> Self:
        """Decode the members of that JSON object."""
        if len(codes) != len(frequency):
            raise ValueError(f"{len(codes)} codes and {len(frequency)} frequencies")
        return cls(np.array(codes, np.int64), np.array(frequency, np.float64), float(missing))


class Quantiles(NamedTuple):
    """The shares of a column's values between its quantiles; a value that repeats often has its own bin.

    A bin reaches from one edge, excluded, to the next, included. Just below a value that repeats often is another edge,
    so that the bin between both holds this value only.

    Attributes:
        edges: float32, ascending: at most `STEPS` - 1 values of the column, and at most as many edges just below them.
        below: share of the present values that are at most as large as each edge.
        missing: share of the rows whose value is missing.
    """

    edges: NDArray[np.float32]
    below: NDArray[np.float64]
    missing: float

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> Self:
        """Compute the quantiles of values, shape (rows,), NaN if missing."""
        present = np.sort(values[~np.isnan(values)])
        edges = _edges(present) if len(present) else present
        below = np.searchsorted(present, edges, side="right") / max(len(present), 1)
        return cls(edges, below, 1 - len(present) / len(values))

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of all rows in each bin and, last, of those whose value is missing."""
        bins = np.diff(self.below, prepend=0, append=1)
        return np.append(bins * (1 - self.missing), self.missing)

    def counts(self, values: NDArray[np.float32]) -> NDArray[np.int64]:
        """Count new values in each bin and, last, the missing ones."""
        present = values[~np.isnan(values)]
        bins = np.bincount(np.searchsorted(self.edges, present), minlength=len(self.edges) + 1)
        return np.append(bins, len(values) - len(present))

    def to_json(self) -> dict[str, Any]:
        """The JSON object that the manifest stores."""
        return {
            "edges": [float(str(edge)) for edge in self.edges],
            "below": self.below.round(6).tolist(),
            "missing": round(self.missing, 6),
        }

    @classmethod
    def from_json(cls, edges: list[float], below: list[float], missing: float) -> Self:
        """Decode the members of that JSON object."""
        if len(edges) != len(below):
            raise ValueError(f"{len(edges)} edges and {len(below)} shares")
        numbers = np.array(edges, np.float32)
        if not (np.diff(numbers) > 0).all() or numbers.ndim != 1 or not np.isfinite(numbers).all():
            raise ValueError("edges that are not finite, or do not ascend")
        return cls(numbers, np.array(below, np.float64), float(missing))


def watched_features(problem: Problem, encoder: Encoder, features: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    """The features that are watched for drift, by name: all of them, or the length of a text.

    The time of the split is left out, as it always differs in later rows.
    """
    if not encoder.names:
        return {LENGTH: np.array([len(text) for text in features], np.float32)}
    columns = zip(encoder.names, encoder.sources, features.T, strict=True)
    return {name: values for name, source, values in columns if source != problem.time}


class Reference(NamedTuple):
    """The number of rows, the distribution of each feature in them, and that of their scores."""

    rows: int
    columns: dict[str, Distribution]
    score: Distribution

    @classmethod
    def of(cls, problem: Problem, encoder: Encoder, features: NDArray[Any], scores: NDArray[np.float32]) -> Self:
        """Compute the distributions of rows that the model was not trained on.

        Args:
            problem: the problem of the model.
            encoder: the encoder that encoded the features.
            features: the rows, shape (rows, features), or the texts, shape (rows,).
            scores: the values of `Decision.watched`, shape (rows,).
        """
        types = dict(zip(encoder.names, encoder.types, strict=True))
        columns: dict[str, Distribution] = {
            name: Levels.of(values) if types.get(name) == Categories.TYPE else Quantiles.of(values)
            for name, values in watched_features(problem, encoder, features).items()
        }
        return cls(len(features), columns, Quantiles.of(scores))

    def to_json(self) -> dict[str, Any]:
        """The reference as a member of the manifest's data, beside that of `tables.provenance`."""
        columns = {name: distribution.to_json() for name, distribution in self.columns.items()}
        return {"reference": {"rows": self.rows, "columns": columns, "score": self.score.to_json()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Decode the reference in a manifest's data.

        Raises:
            ArtifactError: the reference is missing or damaged.
        """
        if "reference" not in data:
            raise ArtifactError(
                "The model folder keeps no reference of the rows that it was measured on; train it again."
            )
        try:
            reference = data["reference"]
            columns = {name: _distribution(**values) for name, values in reference["columns"].items()}
            return cls(_row_count(reference["rows"]), columns, _distribution(**reference["score"]))
        except (KeyError, OverflowError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(f"The model folder's reference is damaged ({error!r:.100}); train it again.") from error


def _edges(present: NDArray[np.float32]) -> NDArray[np.float32]:
    """The quantiles of sorted values, and edges just below those that repeat often."""
    quantiles = np.unique(present[np.arange(1, STEPS) * len(present) // STEPS])
    repeats = np.searchsorted(present, quantiles, side="right") - np.searchsorted(present, quantiles)
    often = quantiles[repeats >= max(OFTEN * len(present), LEAST)]
    lowest = np.finfo(np.float32).min  # no float32 lies below
    just_below = np.nextafter(often[often > lowest], lowest)
    return np.union1d(quantiles, just_below)


def _row_count(rows: object) -> int:
    if type(rows) is not int or rows < 1:
        raise ValueError(f"{rows!r:.40} rows")
    return rows


def _distribution(**values: Any) -> Distribution:  # noqa: ANN401  any JSON
    """The distribution whose `to_json` is this object."""
    read = Levels.from_json(**values) if "codes" in values else Quantiles.from_json(**values)
    if not (read.shares >= -ROUNDED).all() or not abs(read.shares.sum() - 1) <= 2 * ROUNDED:
        raise ValueError("shares that are not those of all rows")
    return read
