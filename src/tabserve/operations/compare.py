"""Two models on the same rows: where their labels differ, by how much their probabilities do, and which is better."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from tabserve.destination import check_apart
from tabserve.encoding.encoder import Encoder
from tabserve.errors import UsageError
from tabserve.model.decision import Scores
from tabserve.model.model import Model
from tabserve.problem.criterion import Counts, Criterion
from tabserve.problem.problem import Problem
from tabserve.reports.tables import TITLES
from tabserve.table.frame import Frame, Rows, has_target, read, stream
from tabserve.table.writer import open_writer
from tabserve.training.bootstrap import Interval, every_class, intervals

SHOWN = 5
"""Ids that are listed in each direction."""


class Difference(NamedTuple):
    """One measure of both models on labelled rows, and new − old with its paired bootstrap interval (95 %)."""

    old: float
    new: float
    change: Interval


@dataclass
class Comparison:
    """What two models answer about the same rows.

    Attributes:
        rows: how many there were.
        raised: rows that the old model labels 0 and the new one 1; `raised_ids` are the first of them.
        lowered: rows that the old model labels 1 and the new one 0; `lowered_ids` are the first of them.
        distance: sum over the rows of the absolute difference between both probabilities.
        largest: the largest such difference.
        measures: the criterion, ROC AUC and average precision, by name; none where the rows have no target.
    """

    rows: int = 0
    raised: int = 0
    lowered: int = 0
    raised_ids: list[str] = field(default_factory=list)
    lowered_ids: list[str] = field(default_factory=list)
    distance: float = 0.0
    largest: float = 0.0
    measures: dict[str, Difference] = field(default_factory=dict)

    @property
    def agreement(self) -> float:
        """Share of the rows that both models label alike."""
        return 1 - (self.raised + self.lowered) / self.rows

    def add(self, rows: Rows, old: Scores, new: Scores) -> None:
        """Count some rows more, with both models' answers."""
        raised, lowered = rows.ids[new.label > old.label], rows.ids[new.label < old.label]
        apart = np.abs(new.probability.astype(np.float64) - old.probability)
        self.rows += len(rows)
        self.raised, self.lowered = self.raised + len(raised), self.lowered + len(lowered)
        self.raised_ids = [*self.raised_ids, *raised][:SHOWN]
        self.lowered_ids = [*self.lowered_ids, *lowered][:SHOWN]
        self.distance += float(apart.sum())
        self.largest = max(self.largest, float(apart.max()))


def compare(old: Model, new: Model, path: Path, out: Path | None = None) -> Comparison:
    """Score the rows of a table by both models; in constant memory where they have no target.

    Args:
        old: the one that is served.
        new: the one that may take its place; the criterion is its.
        path: .csv, .csv.gz, .zip with a `train.csv`, or .parquet; with or without the target's column.
        out: .csv, .csv.gz or .parquet for the rows whose label differs, with both probabilities and labels; whole or
            not at all.

    Raises:
        UsageError: the models are not for the same columns and labels, or `out` has another ending.
        DataError: a row cannot be used, or `out` cannot be written.
    """
    check_apart([out], [path])
    problem, found = _shared(old.problem, new.problem), Comparison()
    with _changes(problem, out) as write:
        for rows, encoder in _parts(path, problem, old.encoder.union(new.encoder)):
            before, after = (model.score(encoder.recode(rows.features, model.encoder)) for model in (old, new))
            found.add(rows, before, after)
            write(rows, before, after)
            if isinstance(rows, Frame):
                found.measures = _measures(rows.target, before, after, new.problem.criterion)
    return found


def lines(found: Comparison) -> Iterator[str]:
    """The comparison, for a terminal."""
    same = found.rows - found.raised - found.lowered
    yield f"  same label    {same:,} of {found.rows:,} rows ({found.agreement:.2%})"
    yield f"  0 becomes 1   {_listed(found.raised, found.raised_ids)}"
    yield f"  1 becomes 0   {_listed(found.lowered, found.lowered_ids)}"
    yield f"  probability   {found.distance / found.rows:.4g} apart on average, {found.largest:.4g} at most"
    if found.measures:
        yield ""
        yield f"  {'':<17}  {'old':>8}  {'new':>8}  {'new - old':>9}  95 % interval"
    for name, (old, new, change) in found.measures.items():
        interval = f"{change.low:+.4f} to {change.high:+.4f}"
        yield f"  {TITLES[name]:<17}  {old:>8.4f}  {new:>8.4f}  {change.value:>+9.4f}  {interval}"


def _shared(old: Problem, new: Problem) -> Problem:
    """The problem whose rows both models take."""
    for what in ("features", "kinds", "target", "labels", "id"):
        if getattr(old, what) != getattr(new, what):
            raise UsageError(
                f"The models are for different problems, {old.name} and {new.name}: their {what} differ; only models"
                " that take the same columns in the same order can be compared."
            )
    pairs = zip(old.columns, new.columns, strict=True)
    columns = tuple(replace(one, missing=one.missing and other.missing) for one, other in pairs)
    return replace(old, columns=columns)


def _parts(path: Path, problem: Problem, encoder: Encoder) -> Iterator[tuple[Rows, Encoder]]:
    """A labelled table whole, as its measures need all rows at once, or another a batch at a time; what encoded it."""
    if has_target(path, problem):
        frame = read(path, problem)
        yield frame, frame.encoder
    else:
        yield from ((rows, encoder) for rows in stream(path, problem, encoder))


def _measures(target: NDArray[np.int8], old: Scores, new: Scores, criterion: Criterion) -> dict[str, Difference]:
    """Measures of both models, and of their difference in each draw of rows."""

    def of(scores: Scores, rows: NDArray[np.int64]) -> dict[str, float]:
        true, probability = target[rows], scores.probability[rows]
        return {
            criterion.name: float(criterion(Counts.at(1, true, scores.label[rows].astype(np.float64)))),
            "roc_auc": float(roc_auc_score(true, probability)),
            "average_precision": float(average_precision_score(true, probability)),
        }

    def change(rows: NDArray[np.int64]) -> dict[str, float]:
        before, after = of(old, rows), of(new, rows)
        return {name: after[name] - before[name] for name in before}

    everything = np.arange(len(target))
    before, after = of(old, everything), of(new, everything)
    changes = intervals(len(target), change, usable=every_class(target))
    return {name: Difference(before[name], after[name], changes[name]) for name in changes}


@contextmanager
def _changes(problem: Problem, out: Path | None) -> Iterator[Callable[[Rows, Scores, Scores], None]]:
    """What writes the rows whose label differs."""
    if out is None:
        yield lambda *_: None
        return
    probabilities, labels = ("old_probability", "new_probability"), ("old_label", "new_label")
    columns = [(problem.id or "row", pa.string())]
    columns += [(name, pa.float32()) for name in probabilities] + [(name, pa.int8()) for name in labels]
    schema = pa.schema(columns)

    def write(rows: Rows, old: Scores, new: Scores) -> None:
        differ = old.label != new.label
        cells = [rows.ids, old.probability, new.probability, old.label, new.label]
        arrays = [pa.array(cell[differ], kind) for cell, (_, kind) in zip(cells, columns, strict=True)]
        writer.write_batch(pa.record_batch(arrays, schema=schema))

    with open_writer(out, schema) as writer:
        yield write


def _listed(count: int, ids: list[str]) -> str:
    more = ", …" if count > len(ids) else ""
    return f"{count:,}" + (f": {', '.join(ids)}{more}" if ids else "")
