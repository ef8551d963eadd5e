"""A file of rows in, a file of labels and probabilities out, in constant memory."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from tabserve.destination import check_apart
from tabserve.model.artifact import Model
from tabserve.model.scoring import Scores
from tabserve.problem.problem import Problem
from tabserve.table.frame import Rows, stream
from tabserve.table.writer import writing


def score_file(model: Model, path: Path, out: Path) -> int:
    """Score every row of a table and write id, label and probability; shows progress.

    Args:
        model: answers with its own threshold.
        path: .csv, .csv.gz, .zip with a `test.csv`, or .parquet.
        out: .csv, .csv.gz or .parquet; it appears whole, when the last row is written, or not at all.

    Returns:
        The number of rows.

    Raises:
        UsageError: `out` has another ending.
        DataError: a row cannot be used, or `out` cannot be written.
    """
    check_apart([out], [path])
    rows, schema = 0, schema_of(model.problem)
    with writing(out, schema) as writer, tqdm(unit=" rows", unit_scale=True, disable=None) as progress:
        for batch, scores in _scored(model, path):
            writer.write_batch(answers(batch, scores, schema))
            progress.update(len(batch))
            rows += len(batch)
    return rows


def _scored(model: Model, path: Path) -> Iterator[tuple[Rows, Scores]]:
    """Score each batch while the next one is read; whoever has enough of waiting for a slow pipe can interrupt it."""
    with ThreadPoolExecutor(1) as scorer:
        scoring: tuple[Rows, Future[Scores]] | None = None
        for batch in stream(path, model.problem):
            done, scoring = scoring, (batch, scorer.submit(model.score, batch.features))
            if done:
                yield done[0], done[1].result()
        if scoring:
            yield scoring[0], scoring[1].result()


def schema_of(problem: Problem) -> pa.Schema:
    """The columns of what is written: id, label, probability."""
    return pa.schema([(problem.id or "row", pa.string()), ("label", pa.int8()), ("probability", pa.float32())])


def answers(rows: Rows, scores: Scores, schema: pa.Schema) -> pa.RecordBatch:
    """Scored rows in the columns of `schema_of`."""
    columns = [pa.array(rows.ids), pa.array(scores.label, pa.int8()), pa.array(scores.probability)]
    return pa.record_batch(columns, schema=schema)
