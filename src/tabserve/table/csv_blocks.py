"""Cut a csv into blocks of whole rows, which can be parsed in parallel, and parse a block."""

import codecs
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import IO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from tabserve.encoding.cells import SPACES
from tabserve.table.dialect import MISSING, Dialect, find_dialect

COMMA_AND_POINT = Dialect()

BLOCK_BYTES = 1 << 22
"""About how many bytes of csv a block has."""

MAX_ROW_BYTES = 1 << 24
"""Bytes of a row at most."""

FEW_BYTES = 1 << 12
"""Bytes in which a regular expression finds quotes faster than numpy does."""

QUOTED = rb'"(?<![^%(delimiter)b\r\n]")[^"]*+(?:(?:""|"%(delimiter)b")[^"]*+)*+(?:"|\Z)'
"""Adjacent quoted cells; as for Arrow, a quote counts only where a cell begins."""

FIRST_ROW = rb'(?:[^"\n]++|%(quoted)b|")*+\n'


class BadRow(Exception):
    """Rows that the table cannot take, and why.

    Attributes:
        row: the first of `rows`.
        rows: numbers of the rows that one check refuses, in rising order: from 1 within the block, 0 for the header.
        column: the name of the bad cell's column; None if the whole row is bad.
    """

    def __init__(self, rows: Sequence[int], reason: str, column: str | None = None) -> None:
        super().__init__(reason)
        self.row, self.rows, self.column = rows[0], rows, column


class Csv(NamedTuple):
    """An open csv.

    Attributes:
        dialect: its signs.
        names: of its columns.
        blocks: its rows, as blocks of whole rows.
    """

    dialect: Dialect
    names: list[str]
    blocks: Iterator[bytes]


def open_csv(file: IO[bytes], dialect: Dialect | None = None) -> Csv:
    """Read the header of a csv; blank lines above it are skipped.

    Args:
        file: the csv from its start.
        dialect: its signs; None to find them out.

    Raises:
        BadRow: the header never ends, or is not that of a csv.
        pyarrow.ArrowInvalid: there is no header.
    """
    start = file.read(BLOCK_BYTES + len(codecs.BOM_UTF8)).removeprefix(codecs.BOM_UTF8)
    dialect = dialect or find_dialect(start)
    blocks = split_blocks(file, dialect, start)
    names, rows = split_header(next((block for block in blocks if block.strip(b"\r\n")), b"\n"), dialect)
    return Csv(dialect, names, filter(None, chain([rows], blocks)))


def split_blocks(file: IO[bytes], dialect: Dialect = COMMA_AND_POINT, start: bytes = b"") -> Iterator[bytes]:
    """Cut a csv into blocks of whole rows, of about `BLOCK_BYTES`, in memory that does not grow with the file.

    A block ends with a line end outside quotes, unless its only row has more than `MAX_ROW_BYTES`; then it is the last.

    Args:
        file: the csv.
        dialect: its signs.
        start: what has been read of the file already.
    """
    rest = start
    while True:
        if end := end_of_rows(rest, dialect):
            yield rest[:end]
            rest = rest[end:]
        if len(rest) > MAX_ROW_BYTES or not (more := file.read(max(BLOCK_BYTES, len(rest)))):
            break
        rest += more + file.readline(MAX_ROW_BYTES)  # at least doubled: searching it again stays linear
    if rest:
        yield rest + b"\n" if len(rest) <= MAX_ROW_BYTES else rest


def split_header(block: bytes, dialect: Dialect = COMMA_AND_POINT) -> tuple[list[str], bytes]:
    """Split a csv's first block into the names of the columns, trimmed as cells are, and the rows below.

    Raises:
        BadRow: the header never ends, or is not that of a csv.
        pyarrow.ArrowInvalid: there is no header.
    """
    block = block.lstrip(b"\r\n") or b"\n"
    first = _patterns(dialect.delimiter).first_row.match(block)
    if not first:
        raise _endless_row(0)
    line = first[0].rstrip(b"\r\n")
    if b"\0" in line:
        raise BadRow([0], "holds a NUL, as UTF-16 and binary files do; save the table as a csv in UTF-8")
    if b"\r" in line.replace(b"\r\n", b""):  # rows that end with CR alone would be read as part of the header
        raise BadRow([0], "ends a line with CR alone; save the file with LF or CRLF line ends")
    read = pyarrow.csv.ReadOptions(block_size=len(line) + 2)
    split = pyarrow.csv.ParseOptions(delimiter=dialect.delimiter)
    names = pyarrow.csv.open_csv(pa.BufferReader(line + b"\n"), read, split).schema.names
    return [name.strip(SPACES) for name in names], block[first.end() :]


def convert_options(
    schema: pa.Schema, dialect: Dialect = COMMA_AND_POINT, blanks: Sequence[str] = ()
) -> pyarrow.csv.ConvertOptions:
    """Options that convert a block to the schema; making them takes as long as parsing a dozen rows."""
    return pyarrow.csv.ConvertOptions(
        column_types=schema,
        include_columns=schema.names,
        null_values=[*MISSING, *blanks],
        strings_can_be_null=False,
        decimal_point=dialect.decimal,
    )


def parse(
    block: bytes, names: list[str], convert: pyarrow.csv.ConvertOptions, dialect: Dialect = COMMA_AND_POINT
) -> Iterator[pa.RecordBatch]:
    """Parse the wanted columns of a block; all of them come as text if a cell is not of its column's type.

    The rows above a bad row are yielded before its error is raised.

    Args:
        block: whole rows, without a header.
        names: names of all columns, in the file's order.
        convert: the wanted columns and their types, of `convert_options`.
        dialect: the signs of the csv.

    Raises:
        BadRow: a row never ends, or has more or fewer cells than there are names.
        UnicodeDecodeError: the block is not UTF-8 text.
    """
    if end_of_rows(block, dialect) < len(block):
        raise _endless_row(1)
    try:
        yield from _parse(block, names, convert, dialect).to_batches()
    except pa.ArrowInvalid:
        yield from _parse_texts(block, names, convert.include_columns, dialect)


def _parse_texts(block: bytes, names: list[str], wanted: list[str], dialect: Dialect) -> Iterator[pa.RecordBatch]:
    try:
        block.decode()
    except UnicodeDecodeError as error:
        above = block[: end_of_rows(block[: error.start], dialect)]
        if above.strip(b"\r\n"):
            yield from _parse_texts(above, names, wanted, dialect)
        raise
    bad: list[pyarrow.csv.InvalidRow] = []

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        bad.append(row)
        return "skip"

    texts = convert_options(pa.schema([(name, pa.string()) for name in wanted]))
    table = _parse(block, names, texts, dialect, skip)
    yield from table[: bad[0].number - 1 if bad else None].to_batches()
    if bad:
        rows = [row.number for row in bad]
        raise BadRow(rows, _ragged(bad[0], dialect))


def _ragged(row: pyarrow.csv.InvalidRow, dialect: Dialect) -> str:
    """Why a row has more or fewer cells than the header, and what to do."""
    sign = repr(dialect.delimiter)
    return (
        f"expected {row.expected_columns} columns, found {row.actual_columns}; put a cell that holds {sign} in double"
        f" quotes, write {sign} between all cells, or name another --delimiter in training"
    )


def _parse(
    block: bytes,
    names: list[str],
    convert: pyarrow.csv.ConvertOptions,
    dialect: Dialect,
    on_bad_row: Callable[[pyarrow.csv.InvalidRow], str] | None = None,
) -> pa.Table:
    if block.startswith(codecs.BOM_UTF8):  # Arrow drops one, and the file's own is gone already
        block = codecs.BOM_UTF8 + block
    read = pyarrow.csv.ReadOptions(column_names=names, use_threads=False, block_size=len(block) + 1)
    split = pyarrow.csv.ParseOptions(
        delimiter=dialect.delimiter,
        newlines_in_values=b'"' in block,
        ignore_empty_lines=len(names) > 1,  # the line of a single empty cell is empty
        invalid_row_handler=on_bad_row,
    )
    return pyarrow.csv.read_csv(pa.BufferReader(block), read, split, convert)


def _endless_row(row: int) -> BadRow:
    return BadRow(
        [row], f"expected its end within {MAX_ROW_BYTES >> 20} MiB, found none; a quote may be opened and never closed"
    )


def end_of_rows(text: bytes, dialect: Dialect = COMMA_AND_POINT) -> int:
    """The index after the last line end outside quotes, or 0 if there is none; the text begins with a row."""
    if b'"' not in text:
        return text.rfind(b"\n") + 1
    if len(text) > FEW_BYTES and (quotes := _paired_quotes(text, dialect)) is not None:
        return _end_outside(text, quotes)
    end = outside = 0
    for quoted in _patterns(dialect.delimiter).quoted.finditer(text):
        end = max(end, text.rfind(b"\n", outside, quoted.start()) + 1)
        outside = quoted.end()
    return max(end, text.rfind(b"\n", outside) + 1)


def _paired_quotes(text: bytes, dialect: Dialect) -> NDArray[np.intp] | None:
    """The indices of all quotes, if each of them opens or closes a cell or is one of two within a cell; else None.

    Each quote of an even index must then come after an edge of a cell or the quote before it, and each of an odd index
    must come before an edge or the next quote.
    """
    characters = np.frombuffer(text, np.uint8)
    quotes = np.flatnonzero(characters == ord('"'))
    edges = np.isin(np.arange(256), [*f'{dialect.delimiter}\r\n"'.encode()])
    before, after = quotes[0::2] - 1, quotes[1::2] + 1
    opened = edges[characters[before[before >= 0]]].all()
    return quotes if opened and edges[characters[after[after < len(text)]]].all() else None


def _end_outside(text: bytes, quotes: NDArray[np.intp]) -> int:
    """The index after the last line end before a quote of an even index, or after all quotes if they are even."""
    starts = np.concatenate([[0], quotes[1::2]])
    ends = np.concatenate([quotes[0::2], [len(text)]])[: len(starts)]
    pieces = zip(starts[::-1], ends[::-1], strict=True)
    return next((end for start, stop in pieces if (end := text.rfind(b"\n", start, stop) + 1)), 0)


class _Patterns(NamedTuple):
    quoted: re.Pattern[bytes]
    first_row: re.Pattern[bytes]


@lru_cache
def _patterns(delimiter: str) -> _Patterns:
    """Patterns of adjacent quoted cells and of the first row."""
    quoted = QUOTED % {b"delimiter": re.escape(delimiter).encode()}
    return _Patterns(re.compile(quoted), re.compile(FIRST_ROW % {b"quoted": quoted}))
