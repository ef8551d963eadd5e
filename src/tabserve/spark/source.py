"""The files or the table that rows are read from; their columns are checked before any row is read."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

import pyarrow as pa
from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F  # noqa: N812  as everybody calls it

from tabserve.errors import DataError
from tabserve.spark.java import JAVA_GONE, SPARK_ERRORS
from tabserve.spark.job import reason
from tabserve.spark.paths import check_input, display_path, input_address, literal_address, local_path
from tabserve.spark.rows import CellsReader, CsvReader, Piece
from tabserve.table.cast import Caster
from tabserve.table.columns import Columns, check_names
from tabserve.table.content import refuse_unreadable
from tabserve.table.csv_blocks import BLOCK_BYTES, BadRow, split_header
from tabserve.table.dialect import MOST_ROWS, Dialect, find_dialect
from tabserve.table.formats import CSV, FIRST_BYTES, GZIP, PARQUET, detect_format, format_of_name
from tabserve.table.reader import locate_error

SUFFIXES = {".csv": CSV, ".csv.gz": GZIP, ".parquet": PARQUET}
"""The endings of files that Spark reads, and the format that it expects behind each."""

PARALLEL_FILES = 8
"""Files whose headers are read at the same time."""

FILE_PATH = "_metadata.file_path"

Result = TypeVar("Result")


class Source(NamedTuple):
    """Rows in Spark, and the function that turns them into pieces in a worker.

    Attributes:
        name: name in messages.
        frames: one for each schema among the files.
        read: turns the batches of a frame into pieces.
        files: the files that are read; of a table those that Spark knows of.
    """

    name: str
    frames: Sequence[DataFrame]
    read: Callable[[Iterator[pa.RecordBatch]], Iterator[Piece]]
    files: Sequence[str]


OpenSource = Callable[[SparkSession, Columns], Source]
"""Finds the rows in a session and checks that they have the columns.

Raises DataError, naming the file or table, if it cannot be read or has other columns.
"""


def files(path: str) -> OpenSource:
    """A file, or all files in and below a folder: csv, csv.gz or parquet, each with its own order of columns.

    Args:
        path: a path, or an address that Spark knows; may hold Spark's patterns such as `*`.

    Raises:
        DataError: the path is of this machine, and nothing is there.
    """
    check_input(path)
    return partial(_open_files, path)


def table(name: str) -> OpenSource:
    """A table or view by its name, such as `database.table`."""
    return partial(_open_table, name)


def _open_files(path: str, spark: SparkSession, columns: Columns) -> Source:
    files = _list_files(spark, path)
    parquet = {_suffix(file) == ".parquet" for file in files}
    if len(parquet) > 1:
        raise DataError(f"{path} holds both csv and parquet; name a folder of one kind.")
    _map_files(files, _check_file)
    return (_open_parquet if parquet == {True} else _open_csv)(path, spark, files, columns)


def _open_table(name: str, spark: SparkSession, columns: Columns) -> Source:
    try:
        frame = spark.table(name)
    except JAVA_GONE:
        raise
    except SPARK_ERRORS as error:
        raise DataError(f"Spark knows no table {name!r}; name one of its catalog, as database.table.") from error
    title = f"table {name}"
    check_names(title, frame.columns, columns)
    files = [*map(display_path, _try_read(title, frame.inputFiles))]
    return Source(title, [_select_columns(frame, F.lit(title), title, columns)], _cells_reader(columns), files)


def _list_files(spark: SparkSession, path: str) -> list[str]:
    """All files that Spark reads; it passes over those whose names begin with `_` or a dot."""
    uris = _try_read(path, lambda: _file_reader(spark).text(input_address(path)).inputFiles())
    if not uris:
        raise DataError(f"{path} holds no files; expected csv or parquet, under names that begin with no _ and no dot.")
    return _without_duplicates(map(display_path, uris))


def _without_duplicates(files: Iterable[str]) -> list[str]:
    """Each file once, by its shortest name: links may give it further names, even endlessly many in a circle."""
    shortest_last = sorted(files, key=len, reverse=True)
    return sorted({path.resolve() if (path := local_path(file)) else file: file for file in shortest_last}.values())


def _suffix(file: str) -> str:
    suffix = next((suffix for suffix in SUFFIXES if file.lower().endswith(suffix)), None)
    if not suffix:
        raise DataError(f"{file} is none of {', '.join(SUFFIXES)}, which Spark reads; unpack it, or move it elsewhere.")
    return suffix


def _check_file(file: str) -> None:
    """Check the format of a file of this machine; that of a csv elsewhere is checked when its header is read."""
    if path := local_path(file):
        with refuse_unreadable(file), path.open("rb") as content:
            _check_format(file, content.peek(FIRST_BYTES), format_of_name(file))


def _check_format(file: str, first: bytes, expected: str) -> None:
    """Refuse a file whose first bytes are of another format than its name, by which Spark reads it."""
    if (actual := detect_format(first, file)) != expected:
        suffix = next((suffix for suffix, known in SUFFIXES.items() if known == actual), None)
        advice = f"rename it to end in {suffix}" if suffix else "unpack it"
        raise DataError(f"{file} cannot be read as a table: it is {actual}, and Spark goes by the name; {advice}.")


def _open_csv(path: str, spark: SparkSession, files: Sequence[str], columns: Columns) -> Source:
    starts = dict(zip(files, _map_files(files, lambda file: _read_header(spark, file)), strict=True))
    headers = {file: names for file, (names, _) in starts.items()}
    for file, names in headers.items():
        check_names(file, names, columns)
    frame = _file_reader(spark).text([*map(literal_address, files)])
    frame = frame.select(F.col("value").cast("binary"), FILE_PATH, "_metadata.file_block_start")
    return Source(path, [frame], CsvReader(headers, {file: dialect for file, (_, dialect) in starts.items()}), files)


def _read_header(spark: SparkSession, file: str) -> tuple[list[str], Dialect]:
    """The names of a csv's columns, and its dialect."""
    first = _first_lines(spark, file, MOST_ROWS)
    if not first:
        raise DataError(f"{file} is empty; expected a header and rows below it.")
    with refuse_unreadable(file):
        _check_format(file, first[0][:FIRST_BYTES], CSV)
        dialect = find_dialect(b"".join(first))
        if dialect != Dialect():  # its decimals may come later, and one machine looks for them in a whole block
            lines = max(len(first), BLOCK_BYTES * len(first) // sum(map(len, first)))
            dialect = find_dialect(b"".join(_first_lines(spark, file, lines))[:BLOCK_BYTES])
        try:
            return split_header(first[0], dialect)[0], dialect
        except BadRow as error:
            raise locate_error(file, error) from error


def _first_lines(spark: SparkSession, file: str, count: int) -> list[bytes]:
    """At most so many lines from the start of a csv, without empty ones."""
    lines = spark.read.text(literal_address(file)).where("_metadata.file_block_start = 0 and value != ''")
    rows = _try_read(file, lambda: lines.select(F.col("value").cast("binary")).take(count))
    return [bytes(row[0]) + b"\n" for row in rows]


def _open_parquet(path: str, spark: SparkSession, files: Sequence[str], columns: Columns) -> Source:
    """One frame for the files of each schema: in a single frame Spark would read all files by the schema of one."""
    by_schema = defaultdict(list)
    schemas = _map_files(files, lambda file: _try_read(file, lambda: spark.read.parquet(literal_address(file)).schema))
    for file, schema in zip(files, schemas, strict=True):
        check_names(file, schema.names, columns)
        by_schema[schema.json()].append((file, schema))
    frames = []
    for members in by_schema.values():
        (first, schema), addresses = members[0], [literal_address(file) for file, _ in members]
        frame = _file_reader(spark).schema(schema).parquet(*addresses)
        frames.append(_select_columns(frame, F.col(FILE_PATH), first, columns))
    return Source(path, frames, _cells_reader(columns), files)


def _cells_reader(columns: Columns) -> CellsReader:
    return CellsReader(columns.schema().names)


def _select_columns(frame: DataFrame, source: Column, name: str, columns: Columns) -> DataFrame:
    """Select the source of each row and the wanted columns, null if lacking, once their types are known to be castable.

    Args:
        frame: all columns.
        source: the file or table of each row.
        name: the source's name in messages.
        columns: the wanted columns.
    """
    schema = columns.schema()
    known = {*frame.columns}
    cells = [named_column(name) if name in known else F.lit(None).cast("string") for name in schema.names]
    empty = _try_read(name, frame.select(*cells).limit(0).toArrow)
    Caster(name, columns).cast_batch(pa.RecordBatch.from_pylist([], empty.schema))
    numbered = [cell.alias(str(number)) for number, cell in enumerate(cells)]  # to Spark a dot in a name is a field
    return frame.select(source.alias("source"), *numbered)


def named_column(name: str) -> Column:
    """The column of this name; in a name without backticks, a dot would mean a field to Spark."""
    return F.col(f"`{name.replace('`', '``')}`")


def _file_reader(spark: SparkSession) -> DataFrameReader:
    """Reads every file below a folder, and takes no column from a folder's name."""
    return spark.read.option("recursiveFileLookup", "true")


def _map_files(files: Sequence[str], function: Callable[[str], Result]) -> list[Result]:
    with ThreadPoolExecutor(PARALLEL_FILES) as threads:
        return [*threads.map(function, files)]


def _try_read(name: str, action: Callable[[], Result]) -> Result:
    try:
        return action()
    except JAVA_GONE:  # no fault of the file or table
        raise
    except SPARK_ERRORS as error:
        raise DataError(f"{name} cannot be read as a table: {reason(error)}.") from error
