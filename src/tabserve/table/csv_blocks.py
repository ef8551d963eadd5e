"""A csv's bytes in, blocks of whole rows out; each is parsed by itself, so that many can be side by side."""

import codecs
import re
from collections.abc import Callable, Iterator, Sequence
from typing import IO

import pyarrow as pa
import pyarrow.csv

BLOCK_BYTES = 1 << 21
"""Bytes of csv in a block."""

ROW_BYTES = 1 << 24
"""Bytes within which a row must end."""

MISSING = ["", "NA", "NaN", "nan", "null", "NULL", "None"]
"""How a csv spells an empty cell."""

QUOTED = re.compile(rb'"(?<![^,\r\n]")[^"]*+(?:(?:""|",")[^"]*+)*+(?:"|\Z)')
"""Quoted cells side by side; to Arrow too a quote means something only where a cell begins."""

FIRST_ROW = re.compile(rb'(?:[^"\n]++|%b|")*+\n' % QUOTED.pattern)


class BadRow(Exception):
    """A row that its table has no place for, and why.

    Attributes:
        row: its number within its block, from 1; the header is row 0.
        rows: all that the same check refuses, in rising order; it is the first of them.
        column: the name of the cell's column, if it is one cell's fault.
    """

    def __init__(self, rows: Sequence[int], reason: str, column: str | None = None) -> None:
        super().__init__(reason)
        self.row, self.rows, self.column = rows[0], rows, column


def blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Cut a csv into blocks of whole rows, of about `BLOCK_BYTES`, in memory that does not grow with the file.

    Each ends with a line end that no quotes enclose, unless its only row never ends; then it is the last.
    """
    rest = file.read(len(codecs.BOM_UTF8)).removeprefix(codecs.BOM_UTF8)
    while len(rest) <= ROW_BYTES and (more := file.read(max(BLOCK_BYTES, len(rest)))):
        rest += more + file.readline(ROW_BYTES)  # at least doubled, so that searching it anew stays linear
        if end := end_of_rows(rest):
            yield rest[:end]
            rest = rest[end:]
    if rest:
        yield rest + b"\n" if len(rest) <= ROW_BYTES else rest


def header(block: bytes) -> tuple[list[str], bytes]:
    """Split a csv's first block into the names of the columns and the rows below.

    Raises:
        BadRow: the header never ends, or is not written as a csv's.
        pyarrow.ArrowInvalid: there is none.
    """
    block = block.lstrip(b"\r\n") or b"\n"
    first = FIRST_ROW.match(block)
    if not first:
        raise _endless(0)
    line = first[0].rstrip(b"\r\n")
    if b"\0" in line:
        raise BadRow([0], "holds a NUL, as UTF-16 and binary files do; save the table as a csv in UTF-8")
    if b"\r" in line.replace(b"\r\n", b""):  # the first line that ends otherwise would be taken for the header
        raise BadRow([0], "ends a line with CR alone; save the file with LF or CRLF line ends")
    read = pyarrow.csv.ReadOptions(block_size=len(line) + 2)
    return pyarrow.csv.open_csv(pa.BufferReader(line + b"\n"), read).schema.names, block[first.end() :]


def conversion(schema: pa.Schema) -> pyarrow.csv.ConvertOptions:
    """What makes the columns of the schema of a block; to make it takes as long as parsing a dozen rows."""
    return pyarrow.csv.ConvertOptions(
        column_types=schema, include_columns=schema.names, null_values=MISSING, strings_can_be_null=False
    )


def parse(block: bytes, names: list[str], convert: pyarrow.csv.ConvertOptions) -> Iterator[pa.RecordBatch]:
    """Parse a block into the columns wanted, or all of them into text where a cell is not of its column's type.

    What stands above a bad row comes before it is raised.

    Args:
        block: whole rows, without a header.
        names: of all columns, in the file's order.
        convert: the columns to take, and their types; see `conversion`.

    Raises:
        BadRow: a row never ends, or has more or fewer cells than there are names.
        UnicodeDecodeError: the block is no UTF-8 text.
    """
    if end_of_rows(block) < len(block):
        raise _endless(1)
    try:
        yield from _parse(block, names, convert).to_batches()
    except pa.ArrowInvalid:
        yield from _parse_texts(block, names, convert.include_columns)


def _parse_texts(block: bytes, names: list[str], wanted: list[str]) -> Iterator[pa.RecordBatch]:
    try:
        block.decode()
    except UnicodeDecodeError as error:
        above = block[: end_of_rows(block[: error.start])]
        if above.strip(b"\r\n"):
            yield from _parse_texts(above, names, wanted)
        raise
    bad: list[pyarrow.csv.InvalidRow] = []

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        bad.append(row)
        return "skip"

    table = _parse(block, names, conversion(pa.schema([(name, pa.string()) for name in wanted])), skip)
    yield from table[: bad[0].number - 1 if bad else None].to_batches()
    if bad:
        rows = [row.number for row in bad]
        raise BadRow(rows, f"expected {bad[0].expected_columns} columns, found {bad[0].actual_columns}")


def _parse(
    block: bytes,
    names: list[str],
    convert: pyarrow.csv.ConvertOptions,
    on_bad_row: Callable[[pyarrow.csv.InvalidRow], str] | None = None,
) -> pa.Table:
    if block.startswith(codecs.BOM_UTF8):  # Arrow takes one away, and a file's own is gone by now
        block = codecs.BOM_UTF8 + block
    read = pyarrow.csv.ReadOptions(column_names=names, use_threads=False, block_size=len(block) + 1)
    split = pyarrow.csv.ParseOptions(
        newlines_in_values=True,
        ignore_empty_lines=len(names) > 1,  # a column alone may have an empty cell, and that is all of its line
        invalid_row_handler=on_bad_row,
    )
    return pyarrow.csv.read_csv(pa.BufferReader(block), read, split, convert)


def _endless(row: int) -> BadRow:
    return BadRow(
        [row], f"expected its end within {ROW_BYTES >> 20} MiB, found none; a quote may be opened and never closed"
    )


def end_of_rows(text: bytes) -> int:
    """The place behind the last line end that no quotes enclose, in text that begins with a row."""
    if b'"' not in text:
        return text.rfind(b"\n") + 1
    end = outside = 0
    for quoted in QUOTED.finditer(text):
        end = max(end, text.rfind(b"\n", outside, quoted.start()) + 1)
        outside = quoted.end()
    return max(end, text.rfind(b"\n", outside) + 1)
