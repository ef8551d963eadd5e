"""Files and tables in Spark: every row is read once, and wrong columns are refused before any row is read."""

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
from tabserve.table.conversion import scoring_columns
from tabserve.table.frame_reader import stream

PROBLEM = Problem("small", numbers("a", "b.c"), id="ID_code")
COLUMNS = scoring_columns(PROBLEM)
CSV = "ID_code,a,b.c\n"
ROW = CSV + "r1,1,2\n"


@pytest.fixture
def own(spark: SparkSession) -> SparkSession:
    """A session with the settings of scoring, which a test may change."""
    session = spark.newSession()
    session.conf.set("spark.sql.caseSensitive", "true")
    return session


def read_all(source: Source) -> list[tuple[str, str, float, float]]:
    """File, id and features of every row that the workers read, sorted."""

    def work(read: Callable[..., Any], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for piece in read(batches):
            a, b, ids = piece.batch(COLUMNS).columns
            yield pa.record_batch([pa.array([piece.source] * len(ids)), ids, a, b], ["source", "id", "a", "b"])

    rows: list[Any] = []
    for frame in source.frames:
        read = frame.mapInArrow(partial(work, source.read), "source string, id string, a double, b double")
        rows += job.run(frame.sparkSession, "reading", read.collect)
    return sorted(map(tuple, rows))


def test_every_file_below_a_folder_is_read_by_its_own_header(own: SparkSession, tmp_path: Path) -> None:
    """Whatever its name, packed or not, with a byte order mark, CRLF, and columns in another order."""
    (tmp_path / "rows" / "target=1").mkdir(parents=True)
    first, second, third = (tmp_path / "rows" / name for name in ("a b%20[1]#.csv", "two.csv.gz", "target=1/3.CSV"))
    first.write_bytes(b"\xef\xbb\xbfID_code,a,b.c\r\nr1,1,2\r\n\r\nr2,3,4")
    second.write_bytes(gzip.compress(b'b.c,"ID_code",target,a\n6,"r,3",0,5\n'))
    third.write_text("a,b.c,ID_code\n7,8,r4\n")
    (tmp_path / "rows" / "_SUCCESS").touch()
    rows = [(first, "r1", 1, 2), (first, "r2", 3, 4), (second, "r,3", 5, 6), (third, "r4", 7, 8)]
    assert read_all(files(str(tmp_path / "rows"))(own, COLUMNS)) == sorted((str(path), *row) for path, *row in rows)
    assert read_all(files(str(first))(own, COLUMNS)) == [(str(path), *row) for path, *row in rows[:2]]


def test_the_signs_of_each_file_are_found_out(own: SparkSession, tmp_path: Path) -> None:
    """Semicolons with decimal commas in one file, tabs in another, commas in the third."""
    texts = {
        "a.csv": "ID_code;a;b.c\nr1;1,5;2\n",
        "b.csv": "ID_code\ta\tb.c\nr2\t2.5\t3\n",
        "c.csv": CSV + "r3,3.5,4\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    rows = [("a.csv", "r1", 1.5, 2.0), ("b.csv", "r2", 2.5, 3.0), ("c.csv", "r3", 3.5, 4.0)]
    assert read_all(files(str(tmp_path))(own, COLUMNS)) == [(str(tmp_path / name), *row) for name, *row in rows]


def test_a_file_that_is_cut_into_many_blocks_has_every_row_once(own: SparkSession, tmp_path: Path) -> None:
    """The header is not read as a row."""
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
    rows = [(file, name, a, pytest.approx(b)) for file, name, a, b in read_all(source)]
    assert sorted(expected) == rows


def test_a_file_is_read_once_whatever_links_lead_to_it(own: SparkSession, tmp_path: Path) -> None:
    """Also if links in a circle give the file endlessly many names."""
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "a.csv").write_text(ROW)
    (folder / "circle").symlink_to(".")
    (folder / "another.csv").symlink_to("a.csv")
    assert read_all(files(str(folder))(own, COLUMNS)) == [(str(folder / "a.csv"), "r1", 1, 2)]


def test_parquet_is_read_by_each_files_own_types(own: SparkSession, tmp_path: Path) -> None:
    """Integers in one file, floats in another, text in a third; the ignored column is not read."""
    cells: list[dict[str, list[Any]]] = [
        {"ID_code": ["r1"], "a": [1], "b.c": [2.5]},
        {"b.c": [4.5], "a": [3.5], "ID_code": [7], "target": [None]},
        {"ID_code": ["r3"], "a": ["5"], "b.c": [6]},
    ]
    for number, columns in enumerate(cells):
        pyarrow.parquet.write_table(pa.table(columns), tmp_path / f"{number}.parquet")
    rows = [row[1:] for row in read_all(files(str(tmp_path))(own, COLUMNS))]
    assert rows == [("r1", 1, 2.5), ("7", 3.5, 4.5), ("r3", 5, 6)]


def test_a_table_is_read_by_its_name(own: SparkSession) -> None:
    """The name is the source of its rows."""
    own.createDataFrame([("r1", 1, 2.5)], ["ID_code", "a", "b.c"]).createOrReplaceTempView("customers")
    assert read_all(table("customers")(own, COLUMNS)) == [("table customers", "r1", 1, 2.5)]


def test_decimals_that_come_late_in_a_file_are_found(own: SparkSession, tmp_path: Path) -> None:
    """One machine looks for them in more rows than those that show the delimiter."""
    rows = [f"r{number:03};{number};2" for number in range(300)]
    (tmp_path / "a.csv").write_text("\n".join(["ID_code;a;b.c", *rows, "r999;1,5;2"]))
    assert read_all(files(f"{tmp_path}/a.csv")(own, COLUMNS))[-1][1:] == ("r999", 1.5, 2.0)


def write_files(folder: Path, **contents: bytes | str) -> Path:
    """Write files into a folder; `_` in a name stands for a dot."""
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
    "other separators": ({"x_csv": "ID_code:a:b.c\n"}, r"/x\.csv has one column, named 'ID_code:a:b\.c'"),
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


@pytest.mark.parametrize(("contents", "message"), REFUSED.values(), ids=REFUSED)
def test_unusable_files_are_refused_by_name(
    contents: dict[str, bytes | str], message: str, own: SparkSession, tmp_path: Path
) -> None:
    """In one sentence, before any row is read."""
    with pytest.raises(DataError, match=message) as error:
        job.run(own, "headers", partial(files(str(write_files(tmp_path, **contents))), own, COLUMNS))
    assert "\n" not in str(error.value)


def test_the_format_of_a_file_elsewhere_is_detected_in_its_first_line(
    own: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver cannot open such a file itself."""
    monkeypatch.setattr("tabserve.spark.source.local_path", lambda _file: None)
    (tmp_path / "x.csv").write_bytes(gzip.compress(ROW.encode()))
    with pytest.raises(DataError, match=r"it is gzip, and Spark goes by the name; rename it to end in \.csv\.gz\."):
        files(str(tmp_path / "x.csv"))(own, COLUMNS)


@pytest.mark.parametrize("address", ["{}/no.csv", "file:{}/no.csv", "file://{}/no.csv"])
def test_a_missing_file_is_refused(address: str, tmp_path: Path) -> None:
    """The error names it, and no session is needed."""
    path = address.format(tmp_path)
    with pytest.raises(DataError, match=f"^{re.escape(path)} cannot be read as a table: there is no such file or"):
        files(path)


class GoneSession:
    """A session whose Java was killed."""

    def __getattr__(self, name: str) -> NoReturn:
        """Raise what each call of such a session raises."""
        raise Py4JNetworkError(f"Answer from Java side is empty: {name}")


@pytest.mark.parametrize("name", ["a file", "a table"])
def test_a_killed_java_is_no_fault_of_the_rows(name: str, own: SparkSession, tmp_path: Path) -> None:
    """The error is one of the job, and does not call the file or table bad."""
    (tmp_path / "rows.csv").write_text(ROW)
    read = {"a file": files(f"{tmp_path}/rows.csv"), "a table": table("rows")}[name]
    with pytest.raises(JobError, match=r"^Spark failed: its Java was killed, or has ended; "):
        job.run(own, "headers", partial(read, cast("SparkSession", GoneSession()), COLUMNS))


def test_a_pattern_that_matches_no_file_is_refused(own: SparkSession, tmp_path: Path) -> None:
    """By Spark, which matches its patterns."""
    with pytest.raises(DataError, match=rf"^{tmp_path}/\*\.csv cannot be read as a table: Path does not exist"):
        files(f"{tmp_path}/*.csv")(own, COLUMNS)


def test_a_file_system_that_spark_does_not_know_is_refused(own: SparkSession) -> None:
    """The error names the address."""
    with pytest.raises(DataError, match=r"^moon://sea/rows cannot be read as a table: No FileSystem for scheme"):
        files("moon://sea/rows")(own, COLUMNS)


@pytest.mark.parametrize("name", ["nowhere", "no.where", "bad name!"])
def test_an_unknown_table_is_refused(name: str, own: SparkSession) -> None:
    """The error names it."""
    with pytest.raises(DataError, match=f"^Spark knows no table '{name}'; name one of its catalog"):
        table(name)(own, COLUMNS)


def test_a_broken_view_is_refused_and_nothing_is_logged(own: SparkSession) -> None:
    """PySpark would log pages."""
    own.range(3).createOrReplaceGlobalTempView("below")
    own.sql("create or replace global temp view above as select id from global_temp.below")
    own.catalog.dropGlobalTempView("below")
    log, logger = io.StringIO(), logging.getLogger("SQLQueryContextLogger")
    logger.addHandler(handler := logging.StreamHandler(log))
    with pytest.raises(DataError, match=r"^Spark knows no table 'global_temp\.above'"):
        table("global_temp.above")(own, COLUMNS)
    logger.removeHandler(handler)
    assert log.getvalue() == ""


def test_a_table_that_lacks_a_column_is_refused(own: SparkSession) -> None:
    """In the words in which such a file is refused."""
    own.range(3).createOrReplaceTempView("numbers")
    with pytest.raises(DataError, match=r"^table numbers has one column, named 'id'"):
        table("numbers")(own, COLUMNS)


def lists(frame: DataFrame) -> DataFrame:
    """The frame with lists in a column of numbers."""
    return frame.selectExpr("ID_code", "array(a) as a", "`b.c`")


def test_a_column_whose_type_is_no_number_is_refused_before_any_row_is_read(own: SparkSession, tmp_path: Path) -> None:
    """The error names the column and its type."""
    lists(own.createDataFrame([("r1", 1, 2.5)], ["ID_code", "a", "b.c"])).write.parquet(f"{tmp_path}/rows")
    with pytest.raises(DataError, match=r"\.parquet, column 'a': expected numbers, found list<"):
        files(f"{tmp_path}/rows")(own, COLUMNS)
