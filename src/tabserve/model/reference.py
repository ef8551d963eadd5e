"""How a model's columns and scores lay on rows that it did not learn from: what later rows are compared with."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.encoder import Encoder
from tabserve.errors import ArtifactError
from tabserve.problem.problem import Problem

STEPS = 20
"""Bins of equal share, where values do not repeat."""

ROUNDED = 1e-4
"""What shares that were rounded may add up to less than 1 by."""

OFTEN, LEAST = 0.01, 5
"""Share and number of the present values from which on an edge that repeats has a bin of its own."""

LENGTH = "(length)"
"""What the number of characters of a row's text is called beside the columns."""


class Distribution(Protocol):
    """Bins in which the values of one column are counted."""

    @property
    def below(self) -> NDArray[np.float64]:
        """Share of the values that are not missing and at most as large as each edge; none where they have no order."""

    @property
    def missing(self) -> float:
        """Share of the rows whose value is missing."""

    @property
    def shares(self) -> NDArray[np.float64]:
        """Of all rows: those in each bin and, last, those whose value is missing."""

    def counts(self, values: NDArray[np.float32]) -> NDArray[np.int64]:
        """How many of other values lie in each bin and, last, how many are missing."""

    def described(self) -> dict[str, Any]:
        """What the manifest keeps."""


class Levels(NamedTuple):
    """How often each frequent level of a category occurs; all others together are one bin.

    Attributes:
        codes: of the levels that at least `OFTEN` of the rows have, ascending.
        frequency: share of the rows that have each of them.
        missing: share of the rows whose level is missing, or one that the model does not know.
    """

    codes: NDArray[np.int64]
    frequency: NDArray[np.float64]
    missing: float

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> Self:
        """The levels of codes of shape (rows,), NaN where one is missing."""
        codes, counts = np.unique(values[~np.isnan(values)].astype(np.int64), return_counts=True)
        often = counts >= max(OFTEN * len(values), LEAST)
        return cls(codes[often], counts[often] / len(values), float(np.isnan(values).mean()))

    @property
    def below(self) -> NDArray[np.float64]:
        """None: levels have no order."""
        return np.empty(0)

    @property
    def shares(self) -> NDArray[np.float64]:
        """Of all rows: those of each frequent level, of all others, and those without a known one."""
        others = max(0.0, 1 - self.missing - float(self.frequency.sum()))
        return np.append(self.frequency, [others if others > ROUNDED else 0.0, self.missing])

    def counts(self, values: NDArray[np.float32]) -> NDArray[np.int64]:
        """How many of other codes are in each bin."""
        present = values[~np.isnan(values)].astype(np.int64)
        of_each = [np.count_nonzero(present == code) for code in self.codes]
        return np.array([*of_each, len(present) - sum(of_each), len(values) - len(present)], np.int64)

    def described(self) -> dict[str, Any]:
        """What the manifest keeps."""
        return {
            "codes": self.codes.tolist(),
            "frequency": self.frequency.round(6).tolist(),
            "missing": round(self.missing, 6),
        }

    @classmethod
    def parsed(cls, codes: list[int], frequency: list[float], missing: float) -> Self:
        """From what the manifest keeps."""
        if len(codes) != len(frequency):
            raise ValueError(f"{len(codes)} codes and {len(frequency)} frequencies")
        return cls(np.array(codes, np.int64), np.array(frequency, np.float64), float(missing))


class Quantiles(NamedTuple):
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

    def described(self) -> dict[str, Any]:
        """What the manifest keeps."""
        return {
            "edges": [float(str(edge)) for edge in self.edges],
            "below": self.below.round(6).tolist(),
            "missing": round(self.missing, 6),
        }

    @classmethod
    def parsed(cls, edges: list[float], below: list[float], missing: float) -> Self:
        """From what the manifest keeps."""
        if len(edges) != len(below):
            raise ValueError(f"{len(edges)} edges and {len(below)} shares")
        return cls(np.array(edges, np.float32), np.array(below, np.float64), float(missing))


def watched_features(problem: Problem, encoder: Encoder, features: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    """What of each row is compared later, by name: every feature, or the length of a text.

    The time that a table is split by is left out: later rows are later.
    """
    if not encoder.names:
        return {LENGTH: np.array([len(text) for text in features], np.float32)}
    columns = zip(encoder.names, encoder.sources, features.T, strict=True)
    return {name: values for name, source, values in columns if source != problem.time}


class Reference(NamedTuple):
    """The distributions of so many rows, by feature, and that of their scores."""

    rows: int
    columns: dict[str, Distribution]
    score: Distribution

    @classmethod
    def of(cls, problem: Problem, encoder: Encoder, features: NDArray[Any], scores: NDArray[np.float32]) -> Self:
        """Of rows that the model did not learn from.

        Args:
            problem: has the columns.
            encoder: made their features.
            features: of the rows.
            scores: what the decision watches (`watched`), shape (rows,).
        """
        levels = dict(zip(encoder.names, encoder.levels, strict=True))
        columns: dict[str, Distribution] = {
            name: Levels.of(values) if levels.get(name) else Quantiles.of(values)
            for name, values in watched_features(problem, encoder, features).items()
        }
        return cls(len(features), columns, Quantiles.of(scores))

    def described(self) -> dict[str, Any]:
        """What the manifest keeps of it, beside what `report.provenance` says about the data."""
        columns = {name: found.described() for name, found in self.columns.items()}
        return {"reference": {"rows": self.rows, "columns": columns, "score": self.score.described()}}

    @classmethod
    def parsed(cls, data: Mapping[str, Any]) -> Self:
        """From what a manifest says about its data.

        Raises:
            ArtifactError: there is none, or it is damaged.
        """
        if "reference" not in data:
            raise ArtifactError(
                "The model folder keeps no reference of the rows that it was measured on; train it again."
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


def _distribution(**described: Any) -> Distribution:  # noqa: ANN401  any JSON
    return Levels.parsed(**described) if "codes" in described else Quantiles.parsed(**described)
