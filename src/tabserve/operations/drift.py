"""Detect drift: compare the distributions of columns and scores in new rows with a model's reference."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, kstwobign

from tabserve.errors import ArtifactError
from tabserve.model.model import Model
from tabserve.model.reference import Distribution, Reference, watched_features
from tabserve.operations.new_levels import NO_LEVELS, NewLevels
from tabserve.table.frame_reader import stream
from tabserve.table.source import TableLike
from tabserve.wording import one_line

LARGE = 0.1
"""Population stability index, or Kolmogorov-Smirnov statistic, above which a shift is large."""

SIGNIFICANCE = 0.05
"""Family-wise error rate of all tests together (Bonferroni)."""

SCORE = "(score)"
"""Name of the scores beside those of the columns."""

SHOWN = 10
"""Lines of the table, unless more shifts matter."""

NONE = "–"
"""Cell of the table without a value."""


class Shift(NamedTuple):
    """How far the distribution of one column is from its reference.

    Attributes:
        psi: population stability index, sum of (new - old) ln(new / old) over the bins' shares (Siddiqi 2006).
        psi_p: its p-value. The index times the rows is nearly chi-squared (Yurdakul 2018), and so is Pearson's
            statistic of the same counts. Each exaggerates bins with few rows: the index those that were expected to
            have more, the statistic those that were expected to have none. Hence the larger p-value of both.
        chi2: chi-squared distance, half the sum of (new - old)² / (new + old) over the bins' shares, from 0 for equal
            ones to 1 for those that have no bin in common (Pele & Werman, ECCV 2010).
        ks: Kolmogorov-Smirnov statistic, the largest distance of the shares below an edge; NaN for levels, which have
            no order.
        ks_p: its p-value by the asymptotic distribution; an upper bound, as the largest distance may lie between edges.
        tests: number of columns that are tested together.
        new_levels: levels that training did not see, with the number of their rows.
    """

    name: str
    psi: float
    psi_p: float
    chi2: float
    ks: float
    ks_p: float
    tests: int
    new_levels: NewLevels = NO_LEVELS

    @property
    def matters(self) -> bool:
        """Whether the shift is large and significant: in few rows, large shifts occur by chance."""
        level = SIGNIFICANCE / self.tests
        return (self.psi > LARGE and self.psi_p < level) or (self.ks > LARGE and self.ks_p < level)


class Drift(NamedTuple):
    """The shifts of all features and, last, of the scores, and the number of new rows."""

    rows: int
    shifts: list[Shift]

    @property
    def drifted(self) -> list[Shift]:
        """The shifts that matter, largest index first."""
        return sorted((shift for shift in self.shifts if shift.matters), key=lambda shift: -shift.psi)


def drift(model: Model, table: TableLike) -> Drift:
    """Compare the rows of a table with the reference in the model's folder, in constant memory.

    A level that training did not see is counted in every column, also in one that refuses it elsewhere.

    Args:
        model: gives the columns and the scores that are compared: the probability of the positive class of two, or of
            the predicted label of several, or the amount.
        table: what `stream` reads.

    Raises:
        ArtifactError: the folder has no reference of its columns.
        DataError: a row cannot be used.
    """
    reference = Reference.from_json(model.data)
    names, distributions = [*reference.columns, SCORE], [*reference.columns.values(), reference.score]
    counts = [np.zeros(len(distribution.shares), np.int64) for distribution in distributions]
    new_levels = defaultdict[str, NewLevels](NewLevels)
    for rows in stream(table, model.problem, model.encoder.tolerant()):
        for name, levels in rows.new_levels.items():
            new_levels[name] = new_levels[name].plus(levels)
        features = watched_features(model.problem, model.encoder, rows.features)
        if [*features] != names[:-1]:
            raise ArtifactError("The model folder's reference is not of its features; train it again.")
        columns = [*features.values(), model.decision.watched(model.score(rows.features))]
        parts = zip(counts, distributions, columns, strict=True)
        counts = [count + distribution.counts(values) for count, distribution, values in parts]
    pairs = zip(names, distributions, counts, strict=True)
    shifts = [shift(name, distribution, reference.rows, count, len(names)) for name, distribution, count in pairs]
    named = [one._replace(new_levels=new_levels[one.name]) if one.name in new_levels else one for one in shifts[:-1]]
    return Drift(int(counts[0].sum()), [*named, shifts[-1]])


def shift(name: str, distribution: Distribution, before: int, counts: NDArray[np.int64], tests: int = 1) -> Shift:
    """Compare the distribution of a column with counts of new rows in its bins.

    Args:
        name: of the column.
        distribution: the reference.
        before: number of rows of the reference.
        counts: number of new rows in each bin, from `Distribution.counts`.
        tests: number of columns that are tested together.
    """
    after, present = int(counts.sum()), int(counts[:-1].sum())
    old, new = distribution.shares, counts / after
    psi, bins = _psi(old, before, new, after)
    statistic = min(psi * _effective_rows(before, after), _pearson(old * before, counts))
    psi_p = float(chi2.sf(statistic, max(bins - 1, 1)))
    ks = _ks(distribution, counts)
    ks_p = float(kstwobign.sf(ks * _effective_rows((1 - distribution.missing) * before, present) ** 0.5))
    return Shift(name, psi, psi_p, _chi2(old, new), ks, ks_p, tests)


def _ks(distribution: Distribution, counts: NDArray[np.int64]) -> float:
    """The largest distance of the shares below an edge; NaN if the bins have no order."""
    below = np.cumsum(counts[:-1])[:-1] / max(int(counts[:-1].sum()), 1)
    if len(below) != len(distribution.below):
        return float("nan")
    return float(np.abs(below - distribution.below).max(initial=0.0))


def _chi2(old: NDArray[np.float64], new: NDArray[np.float64]) -> float:
    """The chi-squared distance of two distributions over the same bins."""
    return float(((new - old) ** 2 / np.maximum(new + old, np.finfo(np.float64).tiny)).sum() / 2)


def lines(drift: Drift) -> Iterator[str]:
    """The lines that a terminal shows: the shifts that matter, the largest others, and the score's; then new levels."""
    ranked = sorted(drift.shifts, key=lambda shift: (not shift.matters, -shift.psi))
    shown = ranked[: max(SHOWN, len(drift.drifted))]
    if (score := drift.shifts[-1]) not in shown:
        shown.append(score)
    width = max(len(shift.name) for shift in shown)
    yield f"  {'':<{width}}  {'PSI':>8}  {'p':>8}  {'χ²':>8}  {'KS':>8}  {'p':>8}"
    for shift in shown:
        ordered = f"{NONE:>8}  {NONE:>8}" if np.isnan(shift.ks) else f"{shift.ks:>8.4f}  {shift.ks_p:>8.2g}"
        cells = f"{shift.psi:>8.4f}  {shift.psi_p:>8.2g}  {shift.chi2:>8.4f}  {ordered}"
        yield f"  {shift.name:<{width}}  {cells}  {'drifted' if shift.matters else ''}".rstrip()
    for shift in drift.shifts:
        if shift.new_levels.rows:
            yield f"New levels of {one_line(shift.name)}: {shift.new_levels}."


def names(shifts: Sequence[Shift]) -> str:
    """The names of the first `SHOWN` shifts."""
    more = ", …" if len(shifts) > SHOWN else ""
    return ", ".join(shift.name for shift in shifts[:SHOWN]) + more


def _effective_rows(before: float, after: float) -> float:
    """The size of one sample whose mean varies as much as the difference of the means of two."""
    return before * after / max(before + after, 1)


def _psi(old: NDArray[np.float64], before: int, new: NDArray[np.float64], after: int) -> tuple[float, int]:
    """The index and the number of its bins, without those that are empty on both sides.

    An empty bin counts as half a row, or as the other side's share if that is less, as so small a share is no evidence.
    """
    used = (old > 0) | (new > 0)
    old, new = old[used], new[used]
    old, new = np.maximum(old, np.minimum(new, 0.5 / before)), np.maximum(new, np.minimum(old, 0.5 / after))
    return float(((new - old) * np.log(new / old)).sum()), int(used.sum())


def _pearson(old: NDArray[np.float64], new: NDArray[np.int64]) -> float:
    """Pearson's chi-squared statistic of two samples that are counted in the same bins."""
    used = (old > 0) | (new > 0)
    old, new = old[used], new[used]
    ratio = (new.sum() / old.sum()) ** 0.5
    return float(((old * ratio - new / ratio) ** 2 / (old + new)).sum())
