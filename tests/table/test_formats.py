"""A file is read by the format of its first bytes, whatever its name; another format than a table is refused."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabserve.errors import DataError
from tabserve.table import formats
from tabserve.table.columns import Columns
from tabserve.table.reader import batches, column_names
from tabserve.table.source import Source

CSV = b"id,a\nx,1\ny,2\n"
TABLE = pa.table({"id": ["x", "y"], "a": [1.0, 2.0]})


def content(write: Callable[[io.BytesIO], object]) -> bytes:
    """The bytes that a function writes into a file."""
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def zipped(**members: bytes) -> bytes:
    """The bytes of a zip with these members; `__` in a name stands for a slash."""

    def write(file: io.BytesIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in members.items():
                archive.writestr(name.replace("__", "/"), content)

    return content(write)


PARQUET = content(lambda file: pyarrow.parquet.write_table(TABLE, file))
READ = {"csv": CSV, "gzip": gzip.compress(CSV), "zip": zipped(**{"wanted.csv": CSV}), "parquet": PARQUET}
NAMES = ("t.csv", "t.csv.gz", "t.zip", "t.parquet", "t.txt", "t")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("data", READ.values(), ids=READ)
def test_a_table_is_read_whatever_its_name(name: str, data: bytes, tmp_path: Path) -> None:
    """Both its rows and the names of its columns."""
    (tmp_path / name).write_bytes(data)
    table = pa.Table.from_batches(
        batches(Source(tmp_path / name, "wanted.csv"), Columns(["a"], ["id"]), lambda batch: batch)
    )
    assert table.to_pydict() == {"a": [1.0, 2.0], "id": ["x", "y"]}
    assert column_names(Source(tmp_path / name, "wanted.csv")) == ["id", "a"]


def database() -> bytes:
    """The bytes of an SQLite database."""
    with sqlite3.connect(":memory:") as connection:
        connection.execute("create table t (a)")
        return connection.serialize()


def tarred(file: io.BytesIO) -> None:
    """Write a tar archive with an empty csv."""
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("t.csv"))


OPEN_DOCUMENT = zipped(mimetype=b"application/vnd.oasis.opendocument.spreadsheet")
REFUSED = {
    "xlsx": (zipped(**{"[Content_Types].xml": b"", "xl__workbook.xml": b""}), "an Excel workbook (.xlsx), or the like"),
    "xlsx with a picture before all": (
        zipped(**{"docProps/thumbnail.jpeg": bytes(20_000), "xl/workbook.xml": b"", "[Content_Types].xml": b""}),
        "an Excel workbook (.xlsx), or the like",
    ),
    "ods": (OPEN_DOCUMENT, "a document of LibreOffice, such as .ods"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504), "an Excel workbook (.xls), or the like"),
    "UTF-16": (CSV.decode().encode("utf-16"), "UTF-16 text; save it as UTF-8"),
    "UTF-16, big end first": (b"\xfe\xff" + CSV.decode().encode("utf-16-be"), "UTF-16 text; save it as UTF-8"),
    "UTF-32": (CSV.decode().encode("utf-32"), "UTF-32 text; save it as UTF-8"),
    "SQLite": (database(), "an SQLite database"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF"),
    "HTML": (b"\xef\xbb\xbf\n<!DOCTYPE html><html>", "a page of HTML; download the table itself"),
    "XML": (b"<?xml version='1.0'?>", "XML"),
    "JSON": (json.dumps([{"id": "x", "a": 1}]).encode(), "JSON"),
    "JSON lines": (b'{"id": "x", "a": 1}\n', "JSON"),
    "pickle": (pickle.dumps({"a": [1]}), "a pickle of Python, which is never opened"),
    "feather": (content(lambda file: pyarrow.feather.write_feather(TABLE, file)), "a file of Arrow or Feather"),
    "ORC": (content(lambda file: pyarrow.orc.write_table(TABLE, file)), "an ORC file; save the table as parquet"),
    "NumPy": (content(lambda file: np.save(file, np.ones(3))), "an array of NumPy"),
    "bzip2": (bz2.compress(CSV), "packed by bzip2 or xz; unpack it, or pack it by gzip"),
    "xz": (lzma.compress(CSV), "packed by bzip2 or xz; unpack it, or pack it by gzip"),
    "tar": (content(tarred), "a tar archive; unpack the csv you mean"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS; fetch the file"),
}


def test_a_zip_whose_names_are_like_a_workbooks_is_read(tmp_path: Path) -> None:
    """Neither a folder beside the csv nor the csv's own text makes it a workbook."""
    members = {"data_xl/readme.txt": b"xl/", "wanted.csv": CSV.replace(b"x", b"xl/0")}
    (tmp_path / "t.zip").write_bytes(zipped(**members))
    assert column_names(Source(tmp_path / "t.zip", "wanted.csv")) == ["id", "a"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_file_of_another_format_is_refused_by_its_format(name: str, data: bytes, reason: str, tmp_path: Path) -> None:
    """Whatever its name; the error says what to do."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError) as error:
        column_names(Source(tmp_path / name, "wanted.csv"))
    assert str(error.value).startswith(f"{tmp_path / name} cannot be read as a table: it is {reason}")


@pytest.mark.parametrize("pack", [gzip.compress, lambda inside: zipped(**{"wanted.csv": inside})], ids=["gz", "zip"])
@pytest.mark.parametrize(
    ("data", "reason"),
    [(content(tarred), "a tar archive; unpack the csv you mean."), (PARQUET, "parquet; unpack it.")],
    ids=["tar", "parquet"],
)
def test_a_packed_file_that_is_no_csv_is_refused_by_its_format(
    data: bytes, reason: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """As a tar.gz that is named csv.gz."""
    path = tmp_path / "t.csv.gz"
    path.write_bytes(pack(data))
    with pytest.raises(DataError) as error:
        column_names(Source(path, "wanted.csv"))
    assert str(error.value) == f"{path}, once unpacked, cannot be read as a table: it is {reason}"


@given(header=st.lists(st.sampled_from(["PAR1", "ORC", "FEA1", "ARROW1", "BZh91AY&SY", "PK", "Obj", "é"]), min_size=1))
def test_a_csv_is_a_csv_whatever_its_columns_are_called(header: list[str]) -> None:
    """Also if their names are the first letters of other formats, or the first bytes end within a character."""
    csv = ",".join(header).encode()
    assert {formats.detect_format(csv[:length], "t.csv.gz") for length in range(1, len(csv) + 1)} == {"csv"}


@pytest.mark.parametrize("write", [pd.DataFrame.to_parquet, pd.DataFrame.to_csv])
@pytest.mark.parametrize("rows", [0, 1, 3_000])
def test_the_format_of_what_pandas_writes_is_detected(write: Callable[..., None], rows: int, tmp_path: Path) -> None:
    """With any number of rows."""
    write(pd.DataFrame({"a": np.arange(rows, dtype=float)}), tmp_path / "t", index=False)
    expected = "parquet" if write is pd.DataFrame.to_parquet else "csv"
    assert formats.detect_format((tmp_path / "t").read_bytes()[: formats.FIRST_BYTES], "t.zip") == expected
