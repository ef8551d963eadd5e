"""Learn an encoder from the distinct texts of a table's columns."""

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress

import pyarrow as pa
import pyarrow.compute as pc

from tabserve.encoding.categories import MAX_CHARACTERS, MAX_LEVELS
from tabserve.encoding.cells import BadCell, describe_cell
from tabserve.encoding.encoder import Encoder
from tabserve.errors import DataError
from tabserve.problem.problem import Problem
from tabserve.table.columns import Columns, bad_cell, refuse_no_rows
from tabserve.table.conversion import narrowed
from tabserve.table.reader import batches
from tabserve.table.source import Source

Convert = Callable[[Encoder, pa.RecordBatch], object]
"""Converts a batch by an encoder, and raises BadRow of a row that cannot be converted."""


def learn_encoder(
    source: Source, problem: Problem, columns: Columns, convert: Convert
) -> tuple[Encoder, deque[pa.RecordBatch]]:
    """Learn the encoder from all rows, and keep them as `narrowed` batches, so that the table is read once.

    Args:
        source: the table.
        problem: names the columns.
        columns: the columns of the table.
        convert: what the kept batches are for; it may refuse a row above one that cannot be read.

    Raises:
        DataError: a column is invalid, empty, or has too many levels.
    """
    names = Encoder.learned_columns(problem)
    kept: deque[pa.RecordBatch] = deque()
    seen: dict[str, pa.StringArray] = {}
    try:
        for batch, texts in batches(
            source, columns, lambda batch: (narrowed(problem, batch), distinct_texts(names, batch))
        ):
            kept.append(batch)
            seen = add_texts(seen, texts)
    except DataError:
        _refuse_earlier_row(source, problem, columns, convert, seen)
        raise
    refuse_no_rows(source.name, sum(map(len, kept)))
    return encoder_of_texts(source.name, problem, seen), kept


def _refuse_earlier_row(
    source: Source, problem: Problem, columns: Columns, convert: Convert, seen: Mapping[str, pa.StringArray]
) -> None:
    """Refuse the first row that cannot be converted, above one that cannot be read; a file is read again.

    Each batch is converted by an encoder of its own texts and those seen before, or passed over if there is none.

    Raises:
        DataError: naming the row.
    """
    names = Encoder.learned_columns(problem)

    def check(batch: pa.RecordBatch) -> None:
        with suppress(DataError):
            texts = add_texts(seen, distinct_texts(names, batch))
            convert(encoder_of_texts(source.name, problem, texts), batch)

    if source.path is None or source.path.is_file():  # a pipe is read only once
        deque(batches(source, columns, check), maxlen=0)


def encoder_of_texts(table: str, problem: Problem, texts: Mapping[str, pa.StringArray]) -> Encoder:
    """The encoder of a problem, given the distinct texts of each column that it is learned from.

    Raises:
        DataError: a column is invalid, empty, or has too many levels; the message names the table.
    """
    try:
        return Encoder.learn(problem, {name: cells.to_pylist() for name, cells in texts.items()})
    except BadCell as error:
        raise DataError(f"{table}, column {error.column!r}: {error}.") from error
    except DataError as error:
        raise DataError(f"{table}: {error}") from error


def add_texts(seen: Mapping[str, pa.StringArray], more: Mapping[str, pa.StringArray]) -> dict[str, pa.StringArray]:
    """The distinct texts of each column of both, in this order; none are added to more than `MAX_LEVELS`."""
    added = dict(seen)
    for name, texts in more.items():
        known = seen.get(name, texts[:0])
        if len(known) <= MAX_LEVELS:
            new = texts.filter(pc.invert(pc.is_in(texts, known)))
            added[name] = pa.concat_arrays([known, new]) if len(new) else known
    return added


def distinct_texts(names: list[str], batch: pa.RecordBatch) -> dict[str, pa.StringArray]:
    """The distinct texts of each of these columns, in the order of the rows.

    Raises:
        BadRow: a text is too long.
    """
    distinct = {name: batch[name].unique().dictionary_decode() for name in names}
    for name, texts in distinct.items():
        if (pc.max(pc.utf8_length(texts)).as_py() or 0) > MAX_CHARACTERS:
            cells = batch[name].to_pylist()
            rows = [row for row, cell in enumerate(cells) if cell and len(cell) > MAX_CHARACTERS]
            expected = f"a text of at most {MAX_CHARACTERS} characters"
            raise bad_cell(rows, name, expected, describe_cell(cells[rows[0]]))
    return distinct
