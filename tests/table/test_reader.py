"""A table of any format is read by column name in batches; an error names its file, row and column."""

import csv
import gzip
import io
import os
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from threading import Thread
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from tabserve.encoding.cells import SPACES
from tabserve.errors import DataError
from tabserve.table import csv_blocks, reader
from tabserve.table.columns import Columns
from tabserve.table.reader import batches, column_names
from tabserve.table.source import Source, as_source

COLUMNS = Columns(["a", "b", "c"], ["id"], ["target"])
SMALL_BLOCK = 256
"""Bytes of csv in a block: a few rows, so that even a small table comes in several batches."""

Writer = Callable[[pd.DataFrame, Path], Path]


def as_csv(data: pd.DataFrame, folder: Path) -> Path:
    """Write a csv."""
    data.to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def as_gz(data: pd.DataFrame, folder: Path) -> Path:
    """Write a csv.gz."""
    (folder / "table.csv.gz").write_bytes(gzip.compress(data.to_csv(index=False).encode()))
    return folder / "table.csv.gz"


def as_zip(data: pd.DataFrame, folder: Path) -> Path:
    """Write a zip like Kaggle's, which holds more than the wanted csv."""
    with zipfile.ZipFile(folder / "table.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sample_submission.csv", "id,target\n")
        archive.writestr("wanted.csv", data.to_csv(index=False))
    return folder / "table.zip"


def as_parquet(data: pd.DataFrame, folder: Path) -> Path:
    """Write a parquet file."""
    data.to_parquet(folder / "table.parquet", index=False)
    return folder / "table.parquet"


def read(path: Path, columns: Columns = COLUMNS) -> pa.Table:
    """Read the whole table."""
    return pa.Table.from_batches(batches(Source(path, "wanted.csv"), columns, lambda batch: batch))


def refused(path: Path, columns: Columns = COLUMNS) -> str:
    """The error that refuses a file."""
    with pytest.raises(DataError) as error:
        read(path, columns)
    return str(error.value)


def data(values: NDArray[np.float64]) -> pd.DataFrame:
    """A table with these numbers."""
    return pd.DataFrame(values, columns=["a", "b", "c"]).assign(id=[f"row {row}" for row in range(len(values))])


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a few rows at a time."""
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", SMALL_BLOCK)
    monkeypatch.setattr(reader, "ARROW_ROWS", 3)


NUMBERS = npst.arrays(np.float64, st.tuples(st.integers(1, 30), st.just(3)), elements=st.floats(-1e6, 1e6))


@pytest.mark.parametrize("write", [as_csv, as_gz, as_zip, as_parquet])
@given(values=NUMBERS, order=st.permutations(["a", "b", "c", "id"]))
def test_columns_are_read_by_name_in_every_format(
    write: Writer, values: NDArray[np.float64], order: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Columns in any order are read back to the bit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_blocks, "BLOCK_BYTES", SMALL_BLOCK)
        table = read(write(data(values)[order], tmp_path_factory.getbasetemp()))
    assert table.column_names == ["a", "b", "c", "id"]
    assert np.array_equal(np.column_stack([table[name].to_numpy() for name in "abc"]), values)
    assert table["id"].to_pylist() == data(values)["id"].tolist()


@pytest.mark.parametrize("ends", [{0, 1, 2, 3, 4}, {0}, {0, 1, 2}], ids=["all", "header", "mixed"])
def test_lines_that_end_with_cr_alone_are_refused(ends: set[int], tmp_path: Path) -> None:
    """Rows that end so would be read as part of the header, and be lost."""
    lines = ["a,b,c,id", "1,2,3,x", "4,5,6,y", "7,8,9,z", "1,1,1,w"]
    text = "".join(line + ("\r" if number in ends else "\n") for number, line in enumerate(lines))
    (tmp_path / "cr.csv").write_bytes(text.encode())
    assert "ends a line with CR alone" in refused(tmp_path / "cr.csv")


@pytest.mark.parametrize("write", [as_csv, as_gz, as_zip, as_parquet])
def test_a_file_whose_name_is_in_capitals_is_read(write: Writer, tmp_path: Path) -> None:
    """As some systems write names."""
    path = write(data(np.ones((1, 3))), tmp_path)
    assert read(path.rename(tmp_path / path.name.upper())).num_rows == 1


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("write", [as_csv, as_gz, as_zip, as_parquet])
def test_a_table_comes_in_batches(write: Writer, tmp_path: Path) -> None:
    """No batch is the whole table, and the first ones come before the last row is read."""
    broken = data(np.ones((100, 3))).astype({"a": str})
    broken.loc[99, "a"] = "twelve"
    sizes: list[int] = []
    with pytest.raises(DataError, match="row 100"):
        sizes.extend(
            batch.num_rows
            for batch in batches(Source(write(broken, tmp_path), "wanted.csv"), COLUMNS, lambda batch: batch)
        )
    assert 80 < sum(sizes) < 100
    assert max(sizes) < 20


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("write", [as_csv, as_gz, as_zip, as_parquet])
@pytest.mark.parametrize(("row", "column"), [(0, "a"), (41, "b"), (99, "c")])
def test_a_text_in_a_column_of_numbers_is_named_with_its_row_and_column(
    write: Writer, row: int, column: str, tmp_path: Path
) -> None:
    """Rows are numbered from 1 below the header, over all batches."""
    bad = data(np.ones((100, 3))).astype({column: str})
    bad.loc[row, column] = "twelve"
    path = write(bad, tmp_path)
    assert refused(path) == f"{path}, row {row + 1}, column '{column}': expected a number, found 'twelve'."


@pytest.mark.parametrize("spelling", ["", "NA", "NaN", "nan", "null", "NULL", "None"])
def test_an_empty_cell_is_null_however_it_is_spelled(spelling: str, tmp_path: Path) -> None:
    """In a column of texts the same spelling is the text itself."""
    path = tmp_path / "table.csv"
    path.write_text(f"id,a,b,c\n{spelling},1,{spelling},3\n")
    assert read(path).to_pylist() == [{"id": spelling, "a": 1.0, "b": None, "c": 3.0}]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="Windows line ends"),
        pytest.param(lambda text: "\ufeff" + text, id="byte order mark"),
        pytest.param(lambda text: text.rstrip("\n"), id="no line end at the end"),
        pytest.param(lambda text: text.rstrip("\n") + "\r", id="CR at the end"),
        pytest.param(lambda text: "\n\r\n" + text + "\n\n", id="blank lines"),
        pytest.param(lambda text: "\ufeff" + text.replace("id", '"id"'), id="byte order mark before a quote"),
        pytest.param(lambda text: text.replace("1.5", "+1.5"), id="plus sign"),
        pytest.param(lambda text: text.replace("1.5", '"1.5"'), id="quotes"),
        pytest.param(lambda text: text.replace("1.5", " 1.5 "), id="spaces"),
        pytest.param(lambda text: text.replace("1.5", "15e-1"), id="exponent"),
        pytest.param(lambda text: text.replace("id,", "id,target,").replace("r,", "r,maybe,"), id="ignored column"),
    ],
)
def test_harmless_differences_change_nothing(change: Callable[[str], str], tmp_path: Path) -> None:
    """The table that is read is the same."""
    path = tmp_path / "table.csv"
    path.write_text(change("id,a,b,c\nr,1.5,2,3\n"), newline="")
    assert read(path).to_pylist() == [{"a": 1.5, "b": 2.0, "c": 3.0, "id": "r"}]


def test_numbers_of_any_parquet_type_are_numbers(tmp_path: Path) -> None:
    """Integers and 32-bit floats too; ids may be integers."""
    columns = {"a": pa.array([1], pa.int8()), "b": pa.array([2.5], pa.float32()), "c": pa.array([3]), "id": [7]}
    path = tmp_path / "table.parquet"
    pa.parquet.write_table(pa.table(columns), path)
    assert read(path).to_pylist() == [{"a": 1.0, "b": 2.5, "c": 3.0, "id": "7"}]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        pytest.param("id,a,b", "lacks 'c'; expected 4 columns, found 3.", id="missing"),
        pytest.param("id,alpha,b,gamma", "lacks 'a', 'c'; its columns are 'id', 'alpha', 'b'", id="several missing"),
        pytest.param("id,a,b,c,a", "has the column 'a' more than once", id="duplicate"),
        pytest.param("id,a,b,c, a", "has the column 'a' more than once", id="duplicate but for a space"),
        pytest.param("id,a,b,c,day", "has unexpected columns: 'day'; remove them, or train anew by", id="extra"),
        pytest.param("id,a,b,c,", "has no name for column 5 of its header; remove it, or", id="a comma too many"),
        pytest.param("id,a,b,,,", "has no name for column 4 of its header; remove it, or", id="several without a name"),
        pytest.param("id,a,,b", "has no name for column 3 of its header; remove it, or", id="no name, and missing"),
        pytest.param("id;a;b;c", "has one column, named 'id;a;b;c'; expected 4.", id="delimiter"),
    ],
)
def test_wrong_columns_are_named(header: str, message: str, tmp_path: Path) -> None:
    """Missing, repeated and unexpected ones; a wrong delimiter is not reported as missing columns."""
    path = tmp_path / "table.csv"
    path.write_text(header + "\n" + ",".join("1" for _ in header.split(",")) + "\n")
    assert refused(path).startswith(f"{path} {message}")


RENAME = "or, where it is a column that is expected, give it that name."
FIRST_NAMELESS = (
    "a first column without a name, as pandas' to_csv writes its index; save the table by to_csv(index=False), "
    + RENAME
)
INDEXED: dict[str, tuple[Callable[[pd.DataFrame, Path], None], str]] = {
    "to_csv": (
        lambda frame, path: frame.to_csv(path),
        FIRST_NAMELESS,
    ),
    "two levels": (
        lambda frame, path: frame.set_index([frame["id"], frame["a"]]).rename_axis([None, None]).to_csv(path),
        FIRST_NAMELESS,
    ),
    "to_csv, twice": (
        lambda frame, path: pd.read_csv(io.StringIO(frame.to_csv())).to_csv(path, index=False),
        f"the column 'Unnamed: 0', an index that pandas saved; save the table with index=False, {RENAME}",
    ),
    "to_parquet": (
        lambda frame, path: frame.set_index(pd.Index(["x", "y", "z"])).to_parquet(path),
        f"the column '__index_level_0__', an index that pandas saved; save the table with index=False, {RENAME}",
    ),
}


@pytest.mark.parametrize("lacking", [[], ["id"]], ids=["beside all columns", "in place of the id"])
@pytest.mark.parametrize(("save", "message"), INDEXED.values(), ids=INDEXED)
def test_an_index_that_pandas_saved_is_refused_as_one(
    save: Callable[[pd.DataFrame, Path], None], message: str, lacking: list[str], tmp_path: Path
) -> None:
    """The error says how to save the table without it."""
    frame = data(np.ones((3, 3)))
    save(frame, tmp_path / "t")
    columns = Columns(COLUMNS.numbers, [*COLUMNS.texts, *(f"{name} of mine" for name in lacking)], COLUMNS.texts)
    assert refused(tmp_path / "t", columns) == f"{tmp_path / 't'} has {message}"


def test_the_advice_about_an_index_can_be_followed(tmp_path: Path) -> None:
    """The table is read without the index, or with the index under the name of the id."""
    path, frame = tmp_path / "t.csv", data(np.ones((3, 3)))
    frame.to_csv(path, index=False)
    assert read(path).num_rows == 3
    path.write_text(frame.drop(columns="id").to_csv().replace(",", "id,", 1))
    assert read(path)["id"].to_pylist() == ["0", "1", "2"]


def test_a_similar_name_is_suggested_for_a_missing_column(tmp_path: Path) -> None:
    """If the table has an unexpected column of such a name."""
    path = tmp_path / "table.csv"
    path.write_text("incme,age\n1,2\n")
    assert refused(path, Columns(["income", "age"], [])) == f"{path} lacks 'income'; did you mean 'incme'?"


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
def test_spaces_around_the_name_of_a_column_count_for_nothing(kind: str, tmp_path: Path) -> None:
    """Also at the end of the header, where they cannot be seen; those within a name stay."""
    path, names = tmp_path / f"table.{kind}", ["income ", "\tage in years  "]
    if kind == "csv":
        path.write_text(",".join(names) + "\r\n1,2\r\n")
    table = pa.table([[1.0], [2.0]], names)
    if kind == "parquet":
        pa.parquet.write_table(table, path)
    source = as_source(table if kind == "arrow" else path)
    assert column_names(source) == ["income", "age in years"]
    (batch,) = batches(source, Columns(["age in years", "income"], []), lambda batch: batch)
    assert batch.to_pylist() == [{"income": 1.0, "age in years": 2.0}]
    with pytest.raises(DataError, match=r"lacks 'income '; did you mean 'income'\?"):
        [*batches(source, Columns(["income "], ["age in years"]), len)]


@pytest.mark.usefixtures("small_batches")
def test_any_number_of_blank_lines_may_stand_before_the_header(tmp_path: Path) -> None:
    """Also more of them than a block holds."""
    path = tmp_path / "table.csv"
    path.write_bytes(b"\n\r\n" * SMALL_BLOCK + CSV)
    assert read(path).num_rows == 50


@pytest.mark.usefixtures("small_batches")
def test_a_blank_line_of_a_single_column_is_an_empty_cell(tmp_path: Path) -> None:
    """If it were skipped, the next row would get its row's answer."""
    path = tmp_path / "table.csv"
    path.write_text("a\n" + "1\n\n2\n" * 200)
    assert read(path, Columns(["a"], []))["a"].to_pylist() == [1.0, None, 2.0] * 200


@pytest.mark.timeout(60)
def test_a_header_may_be_long(tmp_path: Path) -> None:
    """Megabytes of names are read within the time limit."""
    names = [f"feature_number_{number:08}" for number in range(100_000)]
    (tmp_path / "t.csv").write_text(",".join(names) + "\n" + "1," * (len(names) - 1) + "1\n")
    assert "has unexpected columns: 'feature_number_00000001'" in refused(tmp_path / "t.csv", Columns(names[:1], []))
    assert read(tmp_path / "t.csv", Columns(names[-1:], [], names[:-1])).num_rows == 1


def test_an_error_names_the_first_of_many_missing_columns(tmp_path: Path) -> None:
    """And the number of the others."""
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n")
    message = refused(path, Columns(["a", *(f"v{number}" for number in range(20))], []))
    assert "lacks 'v0', 'v1', 'v2', " in message
    assert "'v11' and 8 more;" in message


def zipped(text: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    """The bytes of a zip with a csv, stored by default, so that a cut through the zip cuts the csv."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("wanted.csv", text)
    return packed.getvalue()


def encrypted(archive: bytes) -> bytes:
    """The zip of one member with the flags that say that it needs a password."""
    local, central = archive.index(b"PK\x03\x04") + 6, archive.index(b"PK\x01\x02") + 8
    return bytes(byte | (index in {local, central}) for index, byte in enumerate(archive))


CSV = b"id,a,b,c\n" + b"".join(b"r%d,%d,2,3\n" % (row, row) for row in range(50))
NOT_UTF8 = "it is not UTF-8 text; save it as UTF-8."


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        pytest.param("t.csv", b"", "it is empty; it needs a header", id="empty"),
        pytest.param("t.csv", b"\n\n", "it is empty; it needs a header", id="blank"),
        pytest.param("t.csv", b"\xef\xbb\xbf", "it is empty; it needs a header", id="byte order mark alone"),
        pytest.param("t.csv", CSV + "é,1,2,3\n".encode("latin-1"), NOT_UTF8, id="Latin-1 text"),
        pytest.param("t.csv", CSV + "r50,é,2,3\n".encode("latin-1"), NOT_UTF8, id="Latin-1 in a number"),
        pytest.param("t.csv", CSV + "é,1\n".encode("latin-1"), NOT_UTF8, id="Latin-1 in a short row"),
        pytest.param("t.csv", "id,a,b,c\né,1,2,3\n".encode("latin-1"), NOT_UTF8, id="Latin-1 in the first row"),
        pytest.param("t.csv", CSV.replace(b"a", b"\xe9", 1), NOT_UTF8, id="Latin-1 in the header"),
        pytest.param("t.csv.gz", b"", "it is empty; it needs a header", id="empty gz"),
        pytest.param("t.csv.gz", b"\xff" + CSV, "Not a gzipped file", id="gz that is none"),
        pytest.param("t.csv.gz", gzip.compress(CSV) + b"junk", "Not a gzipped file", id="gz with more behind it"),
        pytest.param("t.csv.gz", gzip.compress(CSV)[:-20], "ended before", id="truncated gz"),
        pytest.param("t.csv.gz", gzip.compress(CSV)[:8], "ended before", id="gz truncated in its header"),
        pytest.param("t.zip", b"", "File is not a zip file", id="empty zip"),
        pytest.param("t.zip", zipped(CSV)[:-20], "File is not a zip file", id="truncated zip"),
        pytest.param("t.zip", zipped(CSV).replace(b"r30", b"x30", 1), "Bad CRC-32", id="changed zip"),
        pytest.param("t.zip", encrypted(zipped(CSV)), "is encrypted", id="encrypted zip"),
        pytest.param("t.parquet", b"\xff" + CSV, "not a parquet file", id="parquet that is none"),
        pytest.param("t.parquet", b"", "0 bytes", id="empty parquet"),
    ],
)
def test_an_unreadable_file_is_refused_with_the_reason(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    """One line that names the file and what is wrong with it."""
    (tmp_path / name).write_bytes(content)
    message = refused(tmp_path / name)
    assert message.startswith(f"{tmp_path / name} cannot be read as a table: ")
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.zip", "t.parquet"])
def test_a_missing_file_and_a_folder_are_refused_as_such(name: str, tmp_path: Path) -> None:
    """Whatever format the name promises."""
    assert "No such file or directory" in refused(tmp_path / name)
    (tmp_path / name).mkdir()
    assert "is a directory" in refused(tmp_path / name).lower()


def test_the_error_of_a_zip_without_the_csv_lists_its_members(tmp_path: Path) -> None:
    """So that the user sees which one to unpack."""
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("test.csv", CSV)
    reason = "holds no wanted.csv, only 'test.csv'; unpack the csv you mean."
    assert refused(tmp_path / "t.zip") == f"{tmp_path / 't.zip'} {reason}"


def test_an_empty_zip_is_refused_as_empty(tmp_path: Path) -> None:
    """It has no members to list."""
    zipfile.ZipFile(tmp_path / "t.zip", "w").close()
    assert refused(tmp_path / "t.zip") == f"{tmp_path / 't.zip'} holds no wanted.csv, it is an empty archive."


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=["bzip2", "lzma"])
def test_a_zip_that_unpacks_in_unbounded_memory_is_refused(method: int, tmp_path: Path) -> None:
    """Python may make a gigabyte at once of a kilobyte of such a file."""
    (tmp_path / "t.zip").write_bytes(zipped(CSV, method))
    reason = "packs wanted.csv otherwise than by deflate, which zip programs do by default; pack it anew."
    assert refused(tmp_path / "t.zip") == f"{tmp_path / 't.zip'} {reason}"


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize(
    ("name", "end"),
    [
        pytest.param("t.csv", lambda text: text + "é,1,2,3\n".encode("latin-1"), id="Latin-1"),
        pytest.param("t.csv.gz", lambda text: gzip.compress(text)[:-4], id="cut off"),
    ],
)
@pytest.mark.parametrize("row", [1, 25, 35])
def test_a_bad_row_is_named_before_damage_further_down_the_file(
    row: int, name: str, end: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """So that a table can be mended from the top."""
    (tmp_path / name).write_bytes(end(CSV.replace(b"r%d,%d,2" % (row - 1, row - 1), b"r,1,x")))
    assert refused(tmp_path / name) == f"{tmp_path / name}, row {row}, column 'b': expected a number, found 'x'."


def test_too_little_memory_is_no_fault_of_the_table(tmp_path: Path) -> None:
    """Arrow's MemoryError is also one of the errors that a damaged file raises."""
    (tmp_path / "t.csv").write_bytes(CSV)

    def convert(_: pa.RecordBatch) -> None:
        raise pa.ArrowMemoryError("malloc failed")

    with pytest.raises(MemoryError):
        list(batches(Source(tmp_path / "t.csv"), COLUMNS, convert))


def test_a_nan_in_a_column_of_texts_is_an_empty_cell(tmp_path: Path) -> None:
    """Pandas writes integers with a gap as floats and NaN."""
    columns = {"a": [1, 2], "b": [1, 2], "c": [1, 2], "id": [7.0, float("nan")]}
    pa.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet")["id"].to_pylist() == ["7", None]


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.struct({"x": pa.int8()}), pa.timestamp("us")])
def test_a_parquet_column_whose_type_is_no_number_is_named_with_its_type(kind: pa.DataType, tmp_path: Path) -> None:
    """The error names no row."""
    columns = {"a": [1], "b": pa.array([None], kind), "c": [1], "id": ["r"]}
    pa.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    message = f"{tmp_path / 't.parquet'}, column 'b': expected numbers, found {str(kind).split('<')[0]}"
    assert refused(tmp_path / "t.parquet").startswith(message)


@pytest.mark.parametrize("texts", [pa.array([b"x", b"\xff"]), pa.array([b"x", b"\xff"]).view(pa.string())])
def test_a_parquet_text_that_is_not_utf8_is_refused(texts: pa.Array, tmp_path: Path) -> None:
    """Whether its type is text or binary."""
    pa.parquet.write_table(pa.table({"id": texts, "a": [1, 2], "b": [1, 2], "c": [1, 2]}), tmp_path / "t.parquet")
    message = refused(tmp_path / "t.parquet")
    assert NOT_UTF8 in message or "row 2, column 'id': expected a text, found" in message


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(pa.array([2**53 + 1, None]), id="integers that float64 rounds"),
        pytest.param(pa.array([Decimal(9007199254740993), None]), id="decimals"),
        pytest.param(pa.array(["9007199254740993", "NA"]).dictionary_encode(), id="categories"),
        pytest.param(pa.array([" 9007199254740993\t", ""], pa.large_string()), id="large text"),
    ],
)
def test_a_parquet_number_is_rounded_as_in_a_csv(column: pa.Array, tmp_path: Path) -> None:
    """Cells that are empty in a csv are empty in parquet too."""
    columns = {"a": column, "b": [1, 2], "c": [1, 2], "id": ["x", "y"]}
    pa.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet")["a"].to_pylist() == [2.0**53, None]


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize(("bad", "cells"), [("r,1", 2), ("r,1,2,3,4", 5), ("  ", 1)])
@pytest.mark.parametrize("row", ["r{},1,2,3", '"r\n{}",1,2,3', "r{},1,2,3\n\n"], ids=["plain", "quoted", "blank"])
@pytest.mark.parametrize("rows", [0, 40, 99])
def test_a_row_of_another_length_is_named(bad: str, cells: int, row: str, rows: int, tmp_path: Path) -> None:
    """Blocks, quoted line ends and blank lines before it do not change its number; nor that of a bad cell's row."""
    lines = [row.format(number) for number in range(100)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["id,a,b,c", *lines[:rows], bad, *lines[rows:], ""]))
    assert refused(path) == (
        f"{path}, row {rows + 1}: expected 4 columns, found {cells}; put a cell that holds ',' in double quotes,"
        " write ',' between all cells, or name another --delimiter in training."
    )
    path.write_text("\n".join(["id,a,b,c", *lines[:rows], "r,1,x,3", *lines[rows:], ""]))
    assert refused(path) == f"{path}, row {rows + 1}, column 'b': expected a number, found 'x'."


@pytest.mark.parametrize("cell", ["٣", "0x1", "1d5", "- 1", "1\0", "1-", "twelve"])
def test_a_number_in_another_notation_is_named(cell: str, tmp_path: Path) -> None:
    """Python's `float` reads some of these, other csv readers read others."""
    path = tmp_path / "table.csv"
    path.write_text(f"id,a,b,c\nx,1,2,3\ny,1,{cell},3\n")
    assert refused(path) == f"{path}, row 2, column 'b': expected a number, found {cell!r}."


@given(cell=st.text("019+-_.eEinfaN \t٣x\xa0", max_size=8) | st.text(st.characters(codec="utf-8"), max_size=8))
def test_any_cell_is_a_number_or_named(cell: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No cell is refused without its row and column."""
    path = tmp_path_factory.getbasetemp() / "cell.csv"
    quoted = cell.replace('"', '""')
    path.write_text(f'id,a,b,c\nx,1,2,3\ny,1,"{quoted}",3\nz,1,2,3\n', newline="")
    try:
        result = f"{read(path).num_rows} rows"
    except DataError as error:
        result = str(error)
    expected = ("a number", "a number without separators of thousands and with '.' before its decimals")
    reasons = [f"{path}, row 2, column 'b': expected {what}, found {cell!r}." for what in expected]
    assert result in {"3 rows", *reasons}


ROWS = st.lists(st.tuples(st.text(st.characters(codec="utf-8")), *[st.floats(allow_nan=False)] * 3), min_size=1)


@pytest.mark.parametrize(
    ("quoting", "end"),
    [(csv.QUOTE_MINIMAL, "\r\n"), (csv.QUOTE_ALL, "\n"), (csv.QUOTE_ALL, "\r\n"), (csv.QUOTE_NONNUMERIC, "\n")],
)
@given(rows=ROWS, block=st.integers(1, 64))
def test_any_text_is_read_as_it_was_written(
    quoting: Literal[0, 1, 2],
    end: str,
    rows: list[tuple[object, ...]],
    block: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """With quotes, commas and line ends, also at the ends of blocks; spaces and tabs around texts are cut off."""
    path = tmp_path_factory.getbasetemp() / "any.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=quoting, lineterminator=end).writerows([("id", "a", "b", "c"), *rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_blocks, "BLOCK_BYTES", block)
        table = read(path)
    assert list(zip(*(table[name].to_pylist() for name in ("id", "a", "b", "c")), strict=True)) == [
        (str(text).strip(SPACES), *cells) for text, *cells in rows
    ]


@given(texts=st.lists(st.text(st.sampled_from('ab",\n;'), min_size=1), min_size=1), block=st.integers(1, 64))
def test_what_pandas_writes_is_read_as_pandas_reads_it(
    texts: list[str], block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Quoted in pandas' way."""
    path = tmp_path_factory.getbasetemp() / "pandas.csv"
    pd.DataFrame({"a": 1.5, "b": 2, "c": 3, "id": texts}).to_csv(path, index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_blocks, "BLOCK_BYTES", block)
        assert read(path)["id"].to_pylist() == [text.strip(SPACES) for text in texts]


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("row", ['"r50,1,2,3', 'r50,1,2,"3', '"r50"",1,2,3', 'r50,"1""'])
@pytest.mark.parametrize("after", ["", "\n", "\nr51,1,2,3\n"])
def test_a_quote_that_is_never_closed_is_named_with_its_row(row: str, after: str, tmp_path: Path) -> None:
    """All that follows would be read into one cell."""
    path = tmp_path / "table.csv"
    path.write_bytes(CSV + (row + after).encode())
    reason = "expected its end within 16 MiB, found none; a quote may be opened and never closed."
    assert refused(path) == f"{path}, row 51: {reason}"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        pytest.param(b'"' + CSV, "expected its end within 16 MiB, found none", id="open quote"),
        pytest.param(
            CSV.decode().encode("utf-16-le"), "holds a NUL, as UTF-16 and binary files do", id="UTF-16 without"
        ),
    ],
)
def test_a_malformed_header_is_refused(header: bytes, reason: str, tmp_path: Path) -> None:
    """The error names the header in place of a row."""
    path = tmp_path / "table.csv"
    path.write_bytes(header)
    assert refused(path).startswith(f"{path}, header: {reason}")


@pytest.mark.timeout(30)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["csv", "gz"])
@pytest.mark.parametrize("end", [b"", b"r50,1,x,3\n"], ids=["good", "bad"])
def test_a_pipe_is_read_once(pack: Callable[[bytes], bytes], end: bytes, tmp_path: Path) -> None:
    """A bad cell is named although the pipe's bytes cannot be read twice."""
    pipe = tmp_path / f"pipe.{'csv' if pack is bytes else 'gz'}"
    os.mkfifo(pipe)
    Thread(target=pipe.write_bytes, args=(pack(CSV + end),), daemon=True).start()
    if end:
        assert refused(pipe) == f"{pipe}, row 51, column 'b': expected a number, found 'x'."
    else:
        assert read(pipe).num_rows == 50


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ["pipe.zip", "pipe.parquet"])
def test_a_pipe_of_zip_or_parquet_is_refused(name: str, tmp_path: Path) -> None:
    """Their tables of contents are at their ends, and a pipe cannot be searched."""
    os.mkfifo(tmp_path / name)
    Thread(target=(tmp_path / name).write_bytes, args=(b"",), daemon=True).start()
    assert refused(tmp_path / name).startswith(f"{tmp_path / name} cannot be read as a table: ")


def test_joined_gzip_files_are_one_table(tmp_path: Path) -> None:
    """As `cat one.gz two.gz` joins them."""
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(CSV) + gzip.compress(CSV.split(b"\n", 1)[1]))
    assert read(path).num_rows == 100
