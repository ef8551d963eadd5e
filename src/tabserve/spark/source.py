"""What rows are read from: files or a table, their columns checked before anything else is done."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

import pyarrow as pa
from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F  # noqa: N812  as everybody calls it

from tabserve.errors import DataError
from tabserve.spark.java import FAILED, GONE
from tabserve.spark.job import reason
from tabserve.spark.paths import check_input, existing, literal, local, plain
from tabserve.spark.rows import CellsReader, CsvReader, Piece
from tabserve.table.columns import Columns, check_names, typed
from tabserve.table.content import reading
from tabserve.table.csv_blocks import BadRow, header
from tabserve.table.formats import CSV, FIRST_BYTES, GZIP, PARQUET, kind, promised
from tabserve.table.reader import located

SUFFIXES = {".csv": CSV, ".csv.gz": GZIP, ".parquet": PARQUET}
"""What Spark reads, and by which name it knows that."""

AT_A_TIME = 8
"""Files that are looked into side by side."""

PLACE = "_metadata.file_path"

Found = TypeVar("Found")


class Source(NamedTuple):
    """Rows in Spark, and what makes pieces of them in a worker.

    Attributes:
        name: what sentences call it.
        frames: one for each schema that files have.
        read: takes the batches of a frame.
        files: that are read; of a table as far as Spark knows them.
    """

    name: str
    frames: Sequence[DataFrame]
    read: Callable[[Iterator[pa.RecordBatch]], Iterator[Piece]]
    files: Sequence[str]


Read = Callable[[SparkSession, Columns], Source]
"""Finds rows, once there is a session, and checks that they have these columns.

It raises DataError, naming the file or table that cannot be read, or lacks a column.
"""


def files(place: str) -> Read:
    """A file, or all files in and below a folder; csv, csv.gz or parquet, each with its own order of columns.

    Args:
        place: a path, or an address that Spark knows, with Spark's patterns such as `*`.

    Raises:
        DataError: it is a path, and nothing is there.
    """
    check_input(place)
    return partial(_found, place)


def table(name: str) -> Read:
    """A table or view by its name, such as `database.table`."""
    return partial(_known, name)


def _found(place: str, spark: SparkSession, columns: Columns) -> Source:
    found = _listed(spark, place)
    kinds = {_suffix(file) == ".parquet" for file in found}
    if len(kinds) > 1:
        raise DataError(f"{place} holds both csv and parquet; name a folder of one kind.")
    _each(found, _check_file)
    return (_parquet if kinds == {True} else _csv)(place, spark, found, columns)


def _known(name: str, spark: SparkSession, columns: Columns) -> Source:
    try:
        frame = spark.table(name)
    except GONE:
        raise
    except FAILED as error:
        raise DataError(f"Spark knows no table {name!r}; name one of its catalog, as database.table.") from error
    where = f"table {name}"
    check_names(where, frame.columns, columns)
    read = [*map(plain, _readable(where, frame.inputFiles))]
    return Source(where, [_checked(frame, F.lit(where), where, columns)], _cells(columns), read)


def _listed(spark: SparkSession, place: str) -> list[str]:
    """Every file with rows; Spark passes over those whose names begin with `_` or a dot."""
    found = _readable(place, lambda: _files(spark).text(existing(place)).inputFiles())
    if not found:
        raise DataError(
            f"{place} holds no files; expected csv or parquet, under names that begin with no _ and no dot."
        )
    return _once(map(plain, found))


def _once(found: Iterable[str]) -> list[str]:
    """Each file by its shortest name, though links lead to it by others, and some of them in a circle."""
    shortest_last = sorted(found, key=len, reverse=True)
    return sorted({path.resolve() if (path := local(file)) else file: file for file in shortest_last}.values())


def _suffix(file: str) -> str:
    known = [suffix for suffix in SUFFIXES if file.lower().endswith(suffix)]
    if not known:
        raise DataError(f"{file} is none of {', '.join(SUFFIXES)}, which Spark reads; unpack it, or move it elsewhere.")
    return known[0]


def _check_file(file: str) -> None:
    """Look into a file of this machine; what is elsewhere is looked into as far as its header is read."""
    if path := local(file):
        with reading(file), path.open("rb") as content:
            _check_name(file, content.peek(FIRST_BYTES), promised(file))


def _check_name(file: str, first: bytes, expected: str) -> None:
    """Refuse bytes that are not what the name of their file says, which Spark goes by."""
    if (found := kind(first, file)) != expected:
        ending = next((suffix for suffix, each in SUFFIXES.items() if each == found), None)
        advice = f"rename it to end in {ending}" if ending else "unpack it"
        raise DataError(f"{file} cannot be read as a table: it is {found}, and Spark goes by the name; {advice}.")


def _csv(place: str, spark: SparkSession, found: Sequence[str], columns: Columns) -> Source:
    headers = dict(zip(found, _each(found, lambda file: _header(spark, file)), strict=True))
    for file, names in headers.items():
        check_names(file, names, columns)
    frame = _files(spark).text([*map(literal, found)])
    frame = frame.select(F.col("value").cast("binary"), PLACE, "_metadata.file_block_start")
    return Source(place, [frame], CsvReader(headers), found)


def _header(spark: SparkSession, file: str) -> list[str]:
    lines = spark.read.text(literal(file)).where("_metadata.file_block_start = 0 and value != ''")
    first = _readable(file, lines.select(F.col("value").cast("binary")).first)
    if first is None:
        raise DataError(f"{file} is empty; expected a header and rows below it.")
    with reading(file):
        _check_name(file, bytes(first[0])[:FIRST_BYTES], CSV)
        try:
            return header(bytes(first[0]) + b"\n")[0]
        except BadRow as error:
            raise located(file, error) from error


def _parquet(place: str, spark: SparkSession, found: Sequence[str], columns: Columns) -> Source:
    """Files of one schema together: Spark would read all of them by the schema of one."""
    same = defaultdict(list)
    schemas = _each(found, lambda file: _readable(file, lambda: spark.read.parquet(literal(file)).schema))
    for file, schema in zip(found, schemas, strict=True):
        check_names(file, schema.names, columns)
        same[schema.json()].append((file, schema))
    frames = []
    for members in same.values():
        (first, schema), names = members[0], [literal(file) for file, _ in members]
        frames.append(_checked(_files(spark).schema(schema).parquet(*names), F.col(PLACE), first, columns))
    return Source(place, frames, _cells(columns), found)


def _cells(columns: Columns) -> CellsReader:
    return CellsReader(columns.schema().names)


def _checked(frame: DataFrame, place: Column, where: str, columns: Columns) -> DataFrame:
    """The place of each row and the columns wanted, whose types were seen to be of use."""
    schema = columns.schema()
    wanted = [F.col(f"`{name.replace('`', '``')}`") for name in schema.names]
    found = _readable(where, frame.select(*wanted).limit(0).toArrow)
    typed(where, pa.RecordBatch.from_pylist([], found.schema), schema)
    numbered = [cell.alias(str(number)) for number, cell in enumerate(wanted)]  # Spark takes a dot in a name for more
    return frame.select(place.alias("place"), *numbered)


def _files(spark: SparkSession) -> DataFrameReader:
    """Reads every file below a folder, and takes no column from a folder's name."""
    return spark.read.option("recursiveFileLookup", "true")


def _each(found: Sequence[str], look: Callable[[str], Found]) -> list[Found]:
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        return [*threads.map(look, found)]


def _readable(place: str, look: Callable[[], Found]) -> Found:
    try:
        return look()
    except GONE:  # which is no fault of the place
        raise
    except FAILED as error:
        raise DataError(f"{place} cannot be read as a table: {reason(error)}.") from error
