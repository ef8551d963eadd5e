"""Compare two models on the same rows: where their answers differ, by how much, and which is better."""

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
from tabserve.problem.metric import distinct, plain
from tabserve.problem.problem import Problem
from tabserve.problem.task import Task
from tabserve.reports.tables import TITLES
from tabserve.table.frame import Frame, Rows
from tabserve.table.frame_reader import has_target, read_to_measure, stream
from tabserve.table.source import Source, TableLike, as_source
from tabserve.table.writer import id_field, open_writer
from tabserve.training.bootstrap import Interval, intervals
from tabserve.training.task_training import training_of
from tabserve.wording import listed

SHOWN, KINDS_SHOWN = 5, 10
"""Most ids that are listed for each kind of change, and most kinds."""


class Difference(NamedTuple):
    """A measure of both models on labelled rows, and new − old with its paired 95 % bootstrap interval."""

    old: float
    new: float
    change: Interval


@dataclass
class Comparison:
    """The differences of two models' answers on the same rows.

    Attributes:
        task: how changes are named and measured.
        rows: number of compared rows.
        changed: number of rows by kind of change, such as `no becomes yes`.
        ids: the first ids of each kind of change.
        distance: sum of the distances of old and new answers.
        largest: the largest of these distances.
        measures: the task's measures by name, the one that ranks first; empty if the rows have no target.
    """

    task: Changes
    rows: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    ids: dict[str, list[Any]] = field(default_factory=dict)
    distance: float = 0.0
    largest: float = 0.0
    measures: dict[str, Difference] = field(default_factory=dict)

    @property
    def agreement(self) -> float:
        """Share of the rows that do not change."""
        return 1 - self.changed.total() / self.rows

    def add(self, rows: Rows, kinds: NDArray[np.object_], distances: NDArray[np.float64]) -> None:
        """Add rows, the kind of each row's change and the distance of its answers."""
        self.rows += len(rows)
        for kind in dict.fromkeys(kinds[kinds != ""].tolist()):
            ids = rows.ids[kinds == kind]
            self.changed[kind] += len(ids)
            self.ids[kind] = [*self.ids.get(kind, []), *ids][:SHOWN]
        self.distance += float(distances.sum())
        self.largest = max(self.largest, float(distances.max()))


def compare(old: Model, new: Model, table: TableLike, out: Path | None = None) -> Comparison:
    """Score the rows of a table with both models; in constant memory if they have no target.

    Each model reads the columns that it needs, by its own encoder and its own spellings of an empty cell, and so
    answers as it would alone.

    Args:
        old: the served model.
        new: the model that may replace it; its criterion is used.
        table: what `read` reads, with or without the target's column.
        out: .csv, .csv.gz or .parquet for the changed rows with both answers; written whole or not at all.

    Raises:
        UsageError: the models differ in task, target or id, or `out` has another ending.
        DataError: a row cannot be used by one of the models, or `out` cannot be written.
    """
    source = as_source(table)
    check_apart([out], [source.path])
    _check_alike(old.problem, new.problem)
    task = CHANGES[new.problem.task.KIND]
    comparison = Comparison(task)
    with _open_changes(old, new, out) as write:
        pairs = zip(*(_scored(source, *models, new.problem.task) for models in ((old, new), (new, old))), strict=True)
        for (_, before), (rows, after) in pairs:
            kinds = task.kinds(new.problem, before, after)
            comparison.add(rows, kinds, task.distances(before, after))
            write(rows, kinds != "", before, after)
            if isinstance(rows, Frame):
                comparison.measures = _measures(rows.target, (old, before), (new, after))
    return comparison


def lines(comparison: Comparison) -> Iterator[str]:
    """The lines that a terminal shows of a comparison."""
    task, rows, changed = comparison.task, comparison.rows, comparison.changed.total()
    shown = comparison.changed.most_common(KINDS_SHOWN)
    width = max(map(len, (task.unchanged, task.quantity, *(kind for kind, _ in shown))))
    yield f"  {task.unchanged:<{width}}   {rows - changed:,} of {rows:,} rows ({comparison.agreement:.2%})"
    for kind, count in shown:
        yield f"  {kind:<{width}}   {_list_ids(count, comparison.ids[kind])}"
    if more := changed - sum(count for _, count in shown):
        yield f"  {'other changes':<{width}}   {more:,}"
    average, largest = comparison.distance / rows, comparison.largest
    yield f"  {task.quantity:<{width}}   {average:.4g} apart on average, {largest:.4g} at most"
    if comparison.measures:
        yield ""
        yield f"  {'':<25}  {'old':>10}  {'new':>10}  {'new - old':>11}  95 % interval"
    for name in distinct(comparison.measures):
        difference = comparison.measures[name]
        sides = f"{plain(name, difference.old):>10.4f}  {plain(name, difference.new):>10.4f}"
        change, low, high = plain(name, difference.change)
        yield f"  {TITLES[name]:<25}  {sides}  {change:>+11.4f}  {low:+.4f} to {high:+.4f}"


def column_note(old: Problem, new: Problem) -> str:
    """A sentence about columns that only one of the models has; empty if both have the same."""
    pairs = (("the old model", old, new), ("the new one", new, old))
    alone = [(name, {*one.features} - {*other.features}) for name, one, other in pairs]
    sides = [f"{name} alone has {listed(sorted(columns))}" for name, columns in alone if columns]
    return f"Their columns differ, so clients must change with the model: {' and '.join(sides)}." if sides else ""


def _check_alike(old: Problem, new: Problem) -> None:
    """Refuse models whose answers to the same rows cannot be compared."""
    before, after = _comparable_fields(old), _comparable_fields(new)
    for name, value in before.items():
        if value != after[name]:
            raise UsageError(
                f"The models are for different problems, {old.name} and {new.name}: their {name} differ; only models"
                " that predict the same target of the same rows, and answer alike, can be compared."
            )


def _comparable_fields(problem: Problem) -> dict[str, object]:
    return {"tasks": problem.task.KIND, **{name: getattr(problem, name) for name in ("target", "labels", "id")}}


def _scored(source: Source, model: Model, other: Model, task: Task) -> Iterator[tuple[Rows, Any]]:
    """Batches of rows with a model's answers: one of the whole table if it has a target, as measures need all rows."""
    problem = replace(_beside(model.problem, other.problem), task=task)
    for rows in _batches(source, problem, model.encoder):
        yield rows, model.score(rows.features)


def _beside(problem: Problem, other: Problem) -> Problem:
    """The problem of tables that also have the columns of another one."""
    used = {*problem.features, problem.target, problem.id, problem.group, problem.time}
    others = [*problem.ignored, *other.features, *filter(None, [other.group, other.time]), *other.ignored]
    return replace(problem, ignored=tuple(name for name in dict.fromkeys(others) if name not in used))


def _batches(source: Source, problem: Problem, encoder: Encoder) -> Iterator[Rows]:
    if has_target(source, problem):
        yield read_to_measure(source, problem, encoder)
    else:
        yield from stream(source, problem, encoder)


def _measures(target: NDArray[Any], old: tuple[Model, Any], new: tuple[Model, Any]) -> dict[str, Difference]:
    """Measure both models by the new one's task, and their difference in each bootstrap draw."""
    training = training_of(new[0].problem)

    def measure(model: Model, answers: Any, rows: NDArray[np.int64]) -> dict[str, float]:  # noqa: ANN401  of the decision
        drawn = type(answers)(*(values[rows] for values in answers))
        return training.measures(target[rows], drawn, model.decision)

    def change(rows: NDArray[np.int64]) -> dict[str, float]:
        before, after = measure(*old, rows), measure(*new, rows)
        return {name: after[name] - before[name] for name in before}

    everything = np.arange(len(target))
    before, after = measure(*old, everything), measure(*new, everything)
    changes = intervals(len(target), change, usable=training.usable(target))
    return {name: Difference(before[name], after[name], changes[name]) for name in changes}


Write = Callable[[Rows, NDArray[np.bool_], Any, Any], None]


@contextmanager
def _open_changes(old: Model, new: Model, out: Path | None) -> Iterator[Write]:
    """Open `out`, and yield a function that writes changed rows with both answers, in columns of `Decision.table`."""
    if out is None:
        yield lambda *_: None
        return
    none = _columns(old, new, *(model.decision.scores(_empty_outputs(model)) for model in (old, new)))
    kinds = {name: pa.string() if cells.dtype == np.object_ else pa.array(cells).type for name, cells in none.items()}
    schema = pa.schema([id_field(old.problem.id), *kinds.items()])

    def write(rows: Rows, changes: NDArray[np.bool_], before: Any, after: Any) -> None:  # noqa: ANN401
        cells = [rows.ids, *_columns(old, new, before, after).values()]
        arrays = [pa.array(cell[changes], kind) for cell, kind in zip(cells, schema.types, strict=True)]
        writer.write_batch(pa.record_batch(arrays, schema=schema))

    with open_writer(out, schema) as writer:
        yield write


def _empty_outputs(model: Model) -> NDArray[Any]:
    return np.zeros((0, model.predictor.outputs), np.float32)


def _columns(old: Model, new: Model, before: Any, after: Any) -> Mapping[str, NDArray[Any]]:  # noqa: ANN401
    """The columns of both models' answers, each of the old model beside that of the new one."""
    tables = {"old": old.decision.table(before, old.problem), "new": new.decision.table(after, new.problem)}
    return {f"{side}_{name}": table[name] for name in tables["old"] for side, table in tables.items()}


def _list_ids(count: int, ids: list[Any]) -> str:
    more = ", …" if count > len(ids) else ""
    return f"{count:,}" + (f": {', '.join(map(str, ids))}{more}" if ids else "")
