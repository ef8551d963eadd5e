"""Two models on the same rows: where their answers differ, by how much, and which is better."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabserve.destination import check_apart
from tabserve.encoding.encoder import Encoder
from tabserve.errors import UsageError
from tabserve.model.model import Model
from tabserve.operations.changes import CHANGES, Changes
from tabserve.problem.problem import Problem
from tabserve.reports.tables import TITLES
from tabserve.table.frame import Frame, Rows, has_target, read_to_measure, stream
from tabserve.table.writer import open_writer
from tabserve.training.bootstrap import Interval, intervals
from tabserve.training.task_training import training_of

SHOWN, KINDS_SHOWN = 5, 10
"""Ids that are listed of each kind of change, and kinds."""


class Difference(NamedTuple):
    """One measure of both models on labelled rows, and new − old with its paired bootstrap interval (95 %)."""

    old: float
    new: float
    change: Interval


@dataclass
class Comparison:
    """What two models answer about the same rows.

    Attributes:
        task: says which rows change.
        rows: how many there were.
        changed: rows that change in each way, such as `no becomes yes`; `ids` are the first of them.
        distance: sum over the rows of how far both answers are apart.
        largest: the largest such difference.
        measures: those of the task, by name, the criterion first; none where the rows have no target.
    """

    task: Changes
    rows: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    ids: dict[str, list[str]] = field(default_factory=dict)
    distance: float = 0.0
    largest: float = 0.0
    measures: dict[str, Difference] = field(default_factory=dict)

    @property
    def agreement(self) -> float:
        """Share of the rows that do not change."""
        return 1 - self.changed.total() / self.rows

    def add(self, rows: Rows, how: NDArray[np.object_], apart: NDArray[np.float64]) -> None:
        """Count some rows more, given how each changes, and how far its answers are apart."""
        self.rows += len(rows)
        for name in dict.fromkeys(how[how != ""].tolist()):
            ids = rows.ids[how == name]
            self.changed[name] += len(ids)
            self.ids[name] = [*self.ids.get(name, []), *ids][:SHOWN]
        self.distance += float(apart.sum())
        self.largest = max(self.largest, float(apart.max()))


def compare(old: Model, new: Model, path: Path, out: Path | None = None) -> Comparison:
    """Score the rows of a table by both models; in constant memory where they have no target.

    Args:
        old: the one that is served.
        new: the one that may take its place; the criterion is its.
        path: .csv, .csv.gz, .zip with a `train.csv`, or .parquet; with or without the target's column.
        out: .csv, .csv.gz or .parquet for the rows that change, with both answers; whole or not at all.

    Raises:
        UsageError: the models are not for the same columns and task, or `out` has another ending.
        DataError: a row cannot be used, or `out` cannot be written.
    """
    check_apart([out], [path])
    problem, task = _shared(old.problem, new.problem), CHANGES[new.problem.task.KIND]
    found = Comparison(task)
    with _writing(old, new, out) as write:
        for rows, encoder in _parts(path, problem, old.encoder.union(new.encoder)):
            before, after = (model.score(encoder.recode(rows.features, model.encoder)) for model in (old, new))
            how = task.how(problem, before, after)
            found.add(rows, how, task.apart(before, after))
            write(rows, how != "", before, after)
            if isinstance(rows, Frame):
                found.measures = _measures(rows.target, (old, before), (new, after))
    return found


def lines(found: Comparison) -> Iterator[str]:
    """The comparison, for a terminal."""
    task, shown = found.task, found.changed.most_common(KINDS_SHOWN)
    width = max(map(len, (task.same, task.amount, *(name for name, _ in shown))))
    same = found.rows - found.changed.total()
    yield f"  {task.same:<{width}}   {same:,} of {found.rows:,} rows ({found.agreement:.2%})"
    for name, count in shown:
        yield f"  {name:<{width}}   {_listed(count, found.ids[name])}"
    if more := found.changed.total() - sum(count for _, count in shown):
        yield f"  {'other changes':<{width}}   {more:,}"
    yield f"  {task.amount:<{width}}   {found.distance / found.rows:.4g} apart on average, {found.largest:.4g} at most"
    if found.measures:
        yield ""
        yield f"  {'':<25}  {'old':>10}  {'new':>10}  {'new - old':>11}  95 % interval"
    for name, (old, new, change) in found.measures.items():
        interval = f"{change.low:+.4f} to {change.high:+.4f}"
        yield f"  {TITLES[name]:<25}  {old:>10.4f}  {new:>10.4f}  {change.value:>+11.4f}  {interval}"


def _shared(old: Problem, new: Problem) -> Problem:
    """The problem whose rows both models take."""
    one, other = _compared(old), _compared(new)
    for what, value in one.items():
        if value != other[what]:
            raise UsageError(
                f"The models are for different problems, {old.name} and {new.name}: their {what} differ; only models"
                " that take the same columns in the same order, and answer alike, can be compared."
            )
    pairs = zip(old.columns, new.columns, strict=True)
    columns = tuple(replace(one, missing=one.missing and other.missing) for one, other in pairs)
    return replace(old, columns=columns)


def _compared(problem: Problem) -> dict[str, object]:
    names = ("features", "kinds", "target", "labels", "id")
    return {"tasks": problem.task.KIND, **{name: getattr(problem, name) for name in names}}


def _parts(path: Path, problem: Problem, encoder: Encoder) -> Iterator[tuple[Rows, Encoder]]:
    """A labelled table whole, as its measures need all rows at once, or another a batch at a time; what encoded it."""
    if has_target(path, problem):
        frame = read_to_measure(path, problem)
        yield frame, frame.encoder
    else:
        yield from ((rows, encoder) for rows in stream(path, problem, encoder))


def _measures(target: NDArray[Any], old: tuple[Model, Any], new: tuple[Model, Any]) -> dict[str, Difference]:
    """The new model's measures of both, and of their difference in each draw of rows."""
    training = training_of(new[0].problem)

    def of(model: Model, answers: Any, rows: NDArray[np.int64]) -> dict[str, float]:  # noqa: ANN401  of the decision
        drawn = type(answers)(*(values[rows] for values in answers))
        return training.measures(target[rows], drawn, model.decision)

    def change(rows: NDArray[np.int64]) -> dict[str, float]:
        before, after = of(*old, rows), of(*new, rows)
        return {name: after[name] - before[name] for name in before}

    everything = np.arange(len(target))
    before, after = of(*old, everything), of(*new, everything)
    changes = intervals(len(target), change, usable=training.usable(target))
    return {name: Difference(before[name], after[name], changes[name]) for name in changes}


Write = Callable[[Rows, NDArray[np.bool_], Any, Any], None]


@contextmanager
def _writing(old: Model, new: Model, out: Path | None) -> Iterator[Write]:
    """What writes the rows that change, with both answers in the columns of `Decision.table`."""
    if out is None:
        yield lambda *_: None
        return
    none = _columns(old, new, *(model.decision.scores(_no_rows(model)) for model in (old, new)))
    kinds = {name: pa.string() if cells.dtype == np.object_ else pa.array(cells).type for name, cells in none.items()}
    schema = pa.schema([(old.problem.id or "row", pa.string()), *kinds.items()])

    def write(rows: Rows, changes: NDArray[np.bool_], before: Any, after: Any) -> None:  # noqa: ANN401
        cells = [rows.ids, *_columns(old, new, before, after).values()]
        arrays = [pa.array(cell[changes], kind) for cell, kind in zip(cells, schema.types, strict=True)]
        writer.write_batch(pa.record_batch(arrays, schema=schema))

    with open_writer(out, schema) as writer:
        yield write


def _no_rows(model: Model) -> NDArray[Any]:
    return np.zeros((0, model.predictor.outputs), np.float32)


def _columns(old: Model, new: Model, before: Any, after: Any) -> Mapping[str, NDArray[Any]]:  # noqa: ANN401
    """Each column of the old model's answers beside the new one's."""
    one, other = old.decision.table(before, old.problem), new.decision.table(after, new.problem)
    return {f"{side}_{name}": found[name] for name in one for side, found in (("old", one), ("new", other))}


def _listed(count: int, ids: list[str]) -> str:
    more = ", …" if count > len(ids) else ""
    return f"{count:,}" + (f": {', '.join(ids)}{more}" if ids else "")
