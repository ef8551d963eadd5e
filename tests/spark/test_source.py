"""Files and tables in Spark: every row of them once, and columns of no use refused before any row is read."""

import gzip
import io
import logging
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, cast

import pyarrow as pa
import pyarrow.parquet
import pytest
from py4j.protocol import Py4JNetworkError
from pyspark.sql import DataFrame, SparkSession

from tabserve.encoding.encoder import Encoder
from tabserve.errors import DataError, JobError
from tabserve.problem.columns import numbers
from tabserve.problem.problem import Problem
from tabserve.spark import job
from tabserve.spark.source import Source, files, table
from tabserve.table.frame import stream, to_score

PROBLEM = Problem("small", numbers("a", "b.c"), id="ID_code")
COLUMNS = to_score(PROBLEM)
CSV = "ID_code,a,b.c\n"
ROW = CSV + "r1,1,2\n"


@pytest.fixture
def own(spark: SparkSession) -> SparkSession:
    """A session whose settings a test may change, with those that scoring has."""
    session = spark.newSession()
    session.conf.set("spark.sql.caseSensitive", "true")
    return session


def given(source: Source) -> list[tuple[str, str, float, float]]:
    """File, id and features of each row that workers are given, sorted."""
    schema = COLUMNS.schema()

    def work(read: Callable[..., Any], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for piece in read(batches):
            a, b, ids = piece.batch(schema).columns
            yield pa.record_batch([pa.array([piece.source] * len(ids)), ids, a, b], ["place", "id", "a", "b"])

    found: list[Any] = []
    for frame in source.frames:
        read = frame.mapInArrow(partial(work, source.read), "place string, id string, a double, b double")
        found += job.run(frame.sparkSession, "reading", read.collect)
    return sorted(map(tuple, found))


def test_every_file_below_a_folder_is_read_by_its_own_header(own: SparkSession, tmp_path: Path) -> None:
    """Whatever the file's name, packed or not, with a byte order mark, CRLF, and columns in another order."""
    (tmp_path / "rows" / "target=1").mkdir(parents=True)
    first, second, third = (tmp_path / "rows" / name for name in ("a b%20[1]#.csv", "two.csv.gz", "target=1/3.CSV"))
    first.write_bytes(b"\xef\xbb\xbfID_code,a,b.c\r\nr1,1,2\r\n\r\nr2,3,4")
    second.write_bytes(gzip.compress(b'b.c,"ID_code",target,a\n6,"r,3",0,5\n'))
    third.write_text("a,b.c,ID_code\n7,8,r4\n")
    (tmp_path / "rows" / "_SUCCESS").touch()
    rows = [(first, "r1", 1, 2), (first, "r2", 3, 4), (second, "r,3", 5, 6), (third, "r4", 7, 8)]
    assert given(files(str(tmp_path / "rows"))(own, COLUMNS)) == sorted((str(path), *row) for path, *row in rows)
    assert given(files(str(first))(own, COLUMNS)) == [(str(path), *row) for path, *row in rows[:2]]


def test_a_file_that_is_cut_into_many_blocks_has_every_row_once(own: SparkSession, tmp_path: Path) -> None:
    """And one header."""
    path = tmp_path / "rows.csv"
    path.write_text(CSV + "".join(f"r{row},{row},{row / 7}\n" for row in range(3_000)))
    own.conf.set("spark.sql.files.maxPartitionBytes", "9999")
    own.conf.set("spark.sql.files.openCostInBytes", "0")
    source = files(str(path))(own, COLUMNS)
    assert source.frames[0].rdd.getNumPartitions() > 5
    expected = [
        (str(path), name, *row)
        for part in stream(path, PROBLEM, Encoder.learn(PROBLEM, {}))
        for name, row in zip(part.ids, part.features, strict=True)
    ]
    found = [(place, name, a, pytest.approx(b)) for place, name, a, b in given(source)]
    assert sorted(expected) == found


def test_a_file_is_read_once_whatever_links_lead_to_it(own: SparkSession, tmp_path: Path) -> None:
    """Also where a link leads in a circle, and the file has as many names as one likes."""
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "a.csv").write_text(ROW)
    (folder / "circle").symlink_to(".")
    (folder / "another.csv").symlink_to("a.csv")
    assert given(files(str(folder))(own, COLUMNS)) == [(str(folder / "a.csv"), "r1", 1, 2)]


def test_parquet_is_read_by_each_files_own_types(own: SparkSession, tmp_path: Path) -> None:
    """Whole numbers in one, floats in another, text in a third; other columns that may be there are not looked at."""
    cells: list[dict[str, list[Any]]] = [
        {"ID_code": ["r1"], "a": [1], "b.c": [2.5]},
        {"b.c": [4.5], "a": [3.5], "ID_code": [7], "target": [None]},
        {"ID_code": ["r3"], "a": ["5"], "b.c": [6]},
    ]
    for number, columns in enumerate(cells):
        pyarrow.parquet.write_table(pa.table(columns), tmp_path / f"{number}.parquet")
    found = [row[1:] for row in given(files(str(tmp_path))(own, COLUMNS))]
    assert found == [("r1", 1, 2.5), ("7", 3.5, 4.5), ("r3", 5, 6)]


def test_a_table_is_read_by_its_name(own: SparkSession) -> None:
    """Which stands where a file's would."""
    own.createDataFrame([("r1", 1, 2.5)], ["ID_code", "a", "b.c"]).createOrReplaceTempView("customers")
    assert given(table("customers")(own, COLUMNS)) == [("table customers", "r1", 1, 2.5)]


def written(folder: Path, **contents: bytes | str) -> Path:
    """A folder of files; `_` in a name stands for a dot."""
    for name, content in contents.items():
        path = folder / name.replace("_", ".")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


REFUSED: dict[str, tuple[dict[str, bytes | str], str]] = {
    "a column is missing": ({"x_csv": ROW, "y_csv": "ID_code,a\n"}, r"/y\.csv lacks 'b\.c'; expected 3 columns"),
    "no id": ({"x_csv": "a,b.c\n1,2\n"}, r"/x\.csv lacks 'ID_code'; expected 3 columns"),
    "other capitals": ({"x_csv": "ID_CODE,a,b.c\n"}, r"/x\.csv lacks 'ID_code'; did you mean 'ID_CODE'"),
    "one column twice": ({"x_csv": "ID_code,a,a,b.c\n"}, r"/x\.csv has the column 'a' more than once"),
    "one column more": ({"x_csv": "ID_code,a,b.c,d\n"}, r"/x\.csv has unexpected columns: 'd'"),
    "other separators": ({"x_csv": "ID_code;a;b.c\n"}, r"/x\.csv has one column, named 'ID_code;a;b\.c'"),
    "open quote": ({"x_csv": 'ID_code,"a,b.c\n'}, r"/x\.csv, header: expected its end"),
    "empty": ({"x_csv": ""}, r"/x\.csv is empty; expected a header and rows below it"),
    "blank": ({"x_csv": "\n\n"}, r"/x\.csv is empty; expected a header and rows below it"),
    "not UTF-8": ({"x_csv": b"\xff" + ROW.encode()}, r"/x\.csv cannot be read as a table: it is not UTF-8"),
    "no gz": (
        {"x_csv_gz": ROW},
        r"/x\.csv\.gz cannot .*: it is csv, and Spark goes by the name; rename it to end in \.csv\.",
    ),
    "no parquet": ({"x_parquet": ROW}, r"/x\.parquet cannot be read as a table: it is csv, and Spark goes by the name"),
    "gz by another name": ({"x_csv": gzip.compress(ROW.encode())}, r"/x\.csv .* it is gzip, .* to end in \.csv\.gz\."),
    "zip by another name": ({"x_csv": b"PK\x05\x06" + bytes(18)}, r"/x\.csv .* it is zip, .* the name; unpack it\."),
    "UTF-16": (
        {"x_csv": ROW.encode("utf-16")},
        r"/x\.csv cannot be read as a table: it is UTF-16 text; save it as UTF-8",
    ),
    "damaged gz": ({"x_csv_gz": b"\xff" + ROW.encode()}, r"/x\.csv\.gz cannot be read as a table: not a gzip file"),
    "damaged parquet": ({"x_parquet": b"\xff" + ROW.encode()}, r"/x\.parquet cannot .* is not a Parquet file"),
    "zip": ({"x_zip": ROW}, r"/x\.zip is none of \.csv, \.csv\.gz, \.parquet, which Spark reads; unpack it"),
    "both kinds": ({"x_csv": ROW, "y_parquet": "PAR1"}, r"holds both csv and parquet; name a folder of one kind"),
    "no files": ({}, r"holds no files; expected csv or parquet"),
}


@pytest.mark.parametrize(("contents", "said"), REFUSED.values(), ids=REFUSED)
def test_files_of_no_use_are_refused_by_name(
    contents: dict[str, bytes | str], said: str, own: SparkSession, tmp_path: Path
) -> None:
    """In one sentence, before any row is read."""
    with pytest.raises(DataError, match=said) as found:
        job.run(own, "headers", partial(files(str(written(tmp_path, **contents))), own, COLUMNS))
    assert "\n" not in str(found.value)


def test_a_file_elsewhere_is_known_by_its_first_line(
    own: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it cannot be looked into from here."""
    monkeypatch.setattr("tabserve.spark.source.local_path", lambda _file: None)
    (tmp_path / "x.csv").write_bytes(gzip.compress(ROW.encode()))
    with pytest.raises(DataError, match=r"it is gzip, and Spark goes by the name; rename it to end in \.csv\.gz\."):
        files(str(tmp_path / "x.csv"))(own, COLUMNS)


@pytest.mark.parametrize("address", ["{}/no.csv", "file:{}/no.csv", "file://{}/no.csv"])
def test_a_missing_file_is_refused(address: str, tmp_path: Path) -> None:
    """By name, without a session."""
    place = address.format(tmp_path)
    with pytest.raises(DataError, match=f"^{re.escape(place)} cannot be read as a table: there is no such file or"):
        files(place)


class Gone:
    """A session whose Java was killed."""

    def __getattr__(self, name: str) -> NoReturn:
        """Whatever is asked of it."""
        raise Py4JNetworkError(f"Answer from Java side is empty: {name}")


@pytest.mark.parametrize("name", ["a file", "a table"])
def test_a_java_that_ends_meanwhile_is_no_fault_of_the_rows(name: str, own: SparkSession, tmp_path: Path) -> None:
    """The job fails, and the file or table is not called bad."""
    (tmp_path / "rows.csv").write_text(ROW)
    read = {"a file": files(f"{tmp_path}/rows.csv"), "a table": table("rows")}[name]
    with pytest.raises(JobError, match=r"^Spark failed: its Java was killed, or has ended; "):
        job.run(own, "headers", partial(read, cast("SparkSession", Gone()), COLUMNS))


def test_a_pattern_that_fits_no_file_is_refused(own: SparkSession, tmp_path: Path) -> None:
    """By Spark, which knows its patterns."""
    with pytest.raises(DataError, match=rf"^{tmp_path}/\*\.csv cannot be read as a table: Path does not exist"):
        files(f"{tmp_path}/*.csv")(own, COLUMNS)


def test_a_file_system_that_spark_does_not_know_is_refused(own: SparkSession) -> None:
    """By address."""
    with pytest.raises(DataError, match=r"^moon://sea/rows cannot be read as a table: No FileSystem for scheme"):
        files("moon://sea/rows")(own, COLUMNS)


@pytest.mark.parametrize("name", ["nowhere", "no.where", "bad name!"])
def test_an_unknown_table_is_refused(name: str, own: SparkSession) -> None:
    """By the name that was given."""
    with pytest.raises(DataError, match=f"^Spark knows no table '{name}'; name one of its catalog"):
        table(name)(own, COLUMNS)


def test_a_view_that_is_broken_is_refused_and_nothing_is_logged(own: SparkSession) -> None:
    """PySpark would log pages of its own."""
    own.range(3).createOrReplaceGlobalTempView("below")
    own.sql("create or replace global temp view above as select id from global_temp.below")
    own.catalog.dropGlobalTempView("below")
    told, logger = io.StringIO(), logging.getLogger("SQLQueryContextLogger")
    logger.addHandler(handler := logging.StreamHandler(told))
    with pytest.raises(DataError, match=r"^Spark knows no table 'global_temp\.above'"):
        table("global_temp.above")(own, COLUMNS)
    logger.removeHandler(handler)
    assert told.getvalue() == ""


def test_a_table_that_lacks_a_column_is_refused(own: SparkSession) -> None:
    """As a file is."""
    own.range(3).createOrReplaceTempView("numbers")
    with pytest.raises(DataError, match=r"^table numbers has one column, named 'id'"):
        table("numbers")(own, COLUMNS)


def lists(frame: DataFrame) -> DataFrame:
    """The same with lists in a column of numbers."""
    return frame.selectExpr("ID_code", "array(a) as a", "`b.c`")


def test_a_column_of_no_numbers_is_refused_before_any_row_is_read(own: SparkSession, tmp_path: Path) -> None:
    """By its type."""
    lists(own.createDataFrame([("r1", 1, 2.5)], ["ID_code", "a", "b.c"])).write.parquet(f"{tmp_path}/rows")
    with pytest.raises(DataError, match=r"\.parquet, column 'a': expected numbers, found list<"):
        files(f"{tmp_path}/rows")(own, COLUMNS)
