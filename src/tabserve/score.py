"""Score a table of rows into a file of answers, in constant memory."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

from tabserve.destination import check_apart
from tabserve.model.decision import Answers
from tabserve.model.model import Model
from tabserve.table.frame import Rows
from tabserve.table.frame_reader import stream
from tabserve.table.source import Source, TableLike, as_source
from tabserve.table.writer import id_field, open_writer


def score_file(model: Model, table: TableLike, out: Path) -> int:
    """Score every row of a table, and write its id and answer; shows progress.

    Args:
        model: the model that answers.
        table: what `stream` reads.
        out: .csv, .csv.gz or .parquet; it appears whole, after the last row is written, or not at all.

    Returns:
        The number of rows.

    Raises:
        UsageError: `out` has another ending.
        DataError: a row cannot be used, or `out` cannot be written.
    """
    source = as_source(table, "test.csv")
    check_apart([out], [source.path])
    rows, schema = 0, schema_of(model)
    with open_writer(out, schema) as writer:
        for batch, scores in _score_batches(model, source):
            writer.write_batch(answers(model, batch, scores, schema))
            rows += len(batch)
    return rows


def _score_batches(model: Model, source: Source) -> Iterator[tuple[Rows, Answers]]:
    """Score each batch in a thread while the main one reads the next, where Ctrl-C can interrupt a slow pipe."""
    with ThreadPoolExecutor(1) as scorer:
        scoring: tuple[Rows, Future[Answers]] | None = None
        for batch in stream(source, model.problem, model.encoder):
            done, scoring = scoring, (batch, scorer.submit(model.score, batch.features))
            if done:
                yield done[0], done[1].result()
        if scoring:
            yield scoring[0], scoring[1].result()


def schema_of(model: Model) -> pa.Schema:
    """The schema of the written table: the id, and the columns of the decision."""
    none = model.decision.scores(np.zeros((0, model.predictor.outputs), np.float32))
    columns = model.decision.table(none, model.problem)
    kinds = {
        name: pa.string() if values.dtype == np.object_ else pa.array(values).type for name, values in columns.items()
    }
    return pa.schema([id_field(model.problem.id), *kinds.items()])


def answers(model: Model, rows: Rows, scores: Answers, schema: pa.Schema) -> pa.RecordBatch:
    """Scored rows as a batch with the columns of `schema_of`."""
    columns = [rows.ids, *model.decision.table(scores, model.problem).values()]
    return pa.record_batch([pa.array(values, kind) for values, kind in zip(columns, schema.types, strict=True)], schema)
