"""New rows against a model's reference: which columns, and whether the scores, are distributed otherwise."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, kstwobign

from tabserve.errors import ArtifactError
from tabserve.model.model import Model
from tabserve.model.reference import Distribution, Reference, watched_features
from tabserve.table.frame import stream

LARGE = 0.1
"""A population stability index, or a Kolmogorov-Smirnov statistic, from which on a shift matters."""

SIGNIFICANCE = 0.05
"""Chance that any of the tests, all taken together (Bonferroni), calls a shift what is none."""

SCORE = "(score)"
"""How the scores are called beside the columns."""

SHOWN = 10
"""Lines of the table."""

NONE = "–"
"""What stands in the table where there is no figure."""


class Shift(NamedTuple):
    """How far the values of one column lie from their reference.

    Attributes:
        psi: population stability index, sum of (new - old) ln(new / old) over the bins' shares (Siddiqi 2006).
        psi_p: how often chance alone makes it as large: rows times it is nearly chi-squared (Yurdakul 2018), and so is
            Pearson's statistic of the same counts; the larger of both, as each makes too much of some bins that have
            few rows: the index of those that were expected to have more, the statistic of those expected to have none.
        ks: Kolmogorov-Smirnov statistic, the largest distance of the shares below an edge; NaN for levels, which have
            no order.
        ks_p: how often chance alone makes it as large, by its asymptotic distribution; at most so often, as the largest
            distance may lie between edges.
        tests: how many columns are looked at together.
    """

    name: str
    psi: float
    psi_p: float
    ks: float
    ks_p: float
    tests: int

    @property
    def matters(self) -> bool:
        """Whether it is large, and not by chance: with few rows, chance alone makes large ones."""
        most = SIGNIFICANCE / self.tests
        return (self.psi > LARGE and self.psi_p < most) or (self.ks > LARGE and self.ks_p < most)


class Drift(NamedTuple):
    """The shifts of all features and, last, of the scores, in so many new rows."""

    rows: int
    shifts: list[Shift]

    @property
    def found(self) -> list[Shift]:
        """Those that matter, the largest first."""
        return sorted((shift for shift in self.shifts if shift.matters), key=lambda shift: -shift.psi)


def drift(model: Model, path: Path) -> Drift:
    """Compare the rows of a table, in constant memory, with the reference that the model's folder keeps.

    Args:
        model: whose columns are looked for, and whose scores are compared: the probability of the positive class of
            two, of the label among several, or the amount.
        path: .csv, .csv.gz, .zip with a `test.csv`, or .parquet.

    Raises:
        ArtifactError: the folder keeps no reference of its columns.
        DataError: a row cannot be used.
    """
    reference = Reference.parsed(model.data)
    names, distributions = [*reference.columns, SCORE], [*reference.columns.values(), reference.score]
    counts = [np.zeros(len(each.shares), np.int64) for each in distributions]
    for rows in stream(path, model.problem, model.encoder):
        found = watched_features(model.problem, model.encoder, rows.features)
        if [*found] != names[:-1]:
            raise ArtifactError("The model folder's reference is not of its features; train it again.")
        columns = [*found.values(), model.decision.watched(model.score(rows.features))]
        parts = zip(counts, distributions, columns, strict=True)
        counts = [count + distribution.counts(values) for count, distribution, values in parts]
    pairs = zip(names, distributions, counts, strict=True)
    shifts = [shift(name, distribution, reference.rows, count, len(names)) for name, distribution, count in pairs]
    return Drift(int(counts[0].sum()), shifts)


def shift(name: str, distribution: Distribution, before: int, counts: NDArray[np.int64], tests: int = 1) -> Shift:
    """Compare a column's distribution in so many rows with counts of others in its bins (`Distribution.counts`)."""
    after, present = int(counts.sum()), int(counts[:-1].sum())
    psi, bins = _psi(distribution.shares, before, counts / after, after)
    statistic = min(psi * _joint(before, after), _pearson(distribution.shares * before, counts))
    psi_p = float(chi2.sf(statistic, max(bins - 1, 1)))
    ks = _ks(distribution, counts)
    ks_p = float(kstwobign.sf(ks * _joint((1 - distribution.missing) * before, present) ** 0.5))
    return Shift(name, psi, psi_p, ks, ks_p, tests)


def _ks(distribution: Distribution, counts: NDArray[np.int64]) -> float:
    """The largest distance of the shares below an edge; NaN where the bins have no order."""
    below = np.cumsum(counts[:-1])[:-1] / max(int(counts[:-1].sum()), 1)
    if len(below) != len(distribution.below):
        return float("nan")
    return float(np.abs(below - distribution.below).max(initial=0.0))


def lines(found: Drift) -> Iterator[str]:
    """The shifts that matter, or else the largest ones, for a terminal."""
    ranked = sorted(found.shifts, key=lambda shift: (not shift.matters, -shift.psi))
    shown = ranked[: max(SHOWN, len(found.found))]
    if (score := found.shifts[-1]) not in shown:
        shown.append(score)
    width = max(len(shift.name) for shift in shown)
    yield f"  {'':<{width}}  {'PSI':>8}  {'p':>8}  {'KS':>8}  {'p':>8}"
    for shift in shown:
        ordered = f"{NONE:>8}  {NONE:>8}" if np.isnan(shift.ks) else f"{shift.ks:>8.4f}  {shift.ks_p:>8.2g}"
        cells = f"{shift.psi:>8.4f}  {shift.psi_p:>8.2g}  {ordered}"
        yield f"  {shift.name:<{width}}  {cells}  {'drifted' if shift.matters else ''}".rstrip()


def named(shifts: Sequence[Shift]) -> str:
    """The names of shifts, the first of many."""
    more = ", …" if len(shifts) > SHOWN else ""
    return ", ".join(shift.name for shift in shifts[:SHOWN]) + more


def _joint(before: float, after: float) -> float:
    """Rows of one sample that vary as much as the difference of two."""
    return before * after / max(before + after, 1)


def _psi(old: NDArray[np.float64], before: int, new: NDArray[np.float64], after: int) -> tuple[float, int]:
    """The index and the number of its bins, without those that are empty on both sides.

    A bin without rows counts as half of one, or as the other side's share where that is less: so few rows say nothing.
    """
    used = (old > 0) | (new > 0)
    old, new = old[used], new[used]
    old, new = np.maximum(old, np.minimum(new, 0.5 / before)), np.maximum(new, np.minimum(old, 0.5 / after))
    return float(((new - old) * np.log(new / old)).sum()), int(used.sum())


def _pearson(old: NDArray[np.float64], new: NDArray[np.int64]) -> float:
    """How far the counts of two samples are from what both would have if they were of one distribution, squared."""
    used = (old > 0) | (new > 0)
    old, new = old[used], new[used]
    ratio = (new.sum() / old.sum()) ** 0.5
    return float(((old * ratio - new / ratio) ** 2 / (old + new)).sum())
