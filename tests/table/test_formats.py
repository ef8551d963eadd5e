"""What a file is, is seen in its bytes: it is read whatever its name, or called by what it is."""

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

CSV = b"id,a\nx,1\ny,2\n"
TABLE = pa.table({"id": ["x", "y"], "a": [1.0, 2.0]})


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    """What is written into a file."""
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def zipped(**members: bytes) -> bytes:
    """A zip of these members; `__` in a name stands for a slash."""

    def write(file: io.BytesIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in members.items():
                archive.writestr(name.replace("__", "/"), content)

    return written(write)


PARQUET = written(lambda file: pyarrow.parquet.write_table(TABLE, file))
READ = {"csv": CSV, "gzip": gzip.compress(CSV), "zip": zipped(**{"wanted.csv": CSV}), "parquet": PARQUET}
NAMES = ("t.csv", "t.csv.gz", "t.zip", "t.parquet", "t.txt", "t")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", READ.values(), ids=READ)
def test_a_table_is_read_whatever_its_name(name: str, content: bytes, tmp_path: Path) -> None:
    """Its columns' names as well as its rows."""
    (tmp_path / name).write_bytes(content)
    found = pa.Table.from_batches(batches(tmp_path / name, Columns(["a"], ["id"]), "wanted.csv", lambda batch: batch))
    assert found.to_pydict() == {"a": [1.0, 2.0], "id": ["x", "y"]}
    assert column_names(tmp_path / name, "wanted.csv") == ["id", "a"]


def database() -> bytes:
    """Of SQLite."""
    with sqlite3.connect(":memory:") as connection:
        connection.execute("create table t (a)")
        return connection.serialize()


def tarred(file: io.BytesIO) -> None:
    """Write an archive of a csv."""
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
    "feather": (written(lambda file: pyarrow.feather.write_feather(TABLE, file)), "a file of Arrow or Feather"),
    "ORC": (written(lambda file: pyarrow.orc.write_table(TABLE, file)), "an ORC file; save the table as parquet"),
    "NumPy": (written(lambda file: np.save(file, np.ones(3))), "an array of NumPy"),
    "bzip2": (bz2.compress(CSV), "packed by bzip2 or xz; unpack it, or pack it by gzip"),
    "xz": (lzma.compress(CSV), "packed by bzip2 or xz; unpack it, or pack it by gzip"),
    "tar": (written(tarred), "a tar archive; unpack the csv you mean"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS; fetch the file"),
}


def test_an_archive_whose_names_are_like_a_workbooks_is_read(tmp_path: Path) -> None:
    """A folder beside the csv, and words within it, say nothing of what it is."""
    held = {"data_xl/readme.txt": b"xl/", "wanted.csv": CSV.replace(b"x", b"xl/0")}
    (tmp_path / "t.zip").write_bytes(zipped(**held))
    assert column_names(tmp_path / "t.zip", "wanted.csv") == ["id", "a"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("content", "said"), REFUSED.values(), ids=REFUSED)
def test_what_no_table_is_read_from_is_called_by_what_it_is(
    name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    """Whatever its name, and with what to do."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        column_names(tmp_path / name, "wanted.csv")
    assert str(error.value).startswith(f"{tmp_path / name} cannot be read as a table: it is {said}")


@pytest.mark.parametrize("pack", [gzip.compress, lambda inside: zipped(**{"wanted.csv": inside})], ids=["gz", "zip"])
@pytest.mark.parametrize(
    ("content", "said"),
    [(written(tarred), "a tar archive; unpack the csv you mean."), (PARQUET, "parquet; unpack it.")],
    ids=["tar", "parquet"],
)
def test_what_is_packed_and_no_csv_is_called_so(
    content: bytes, said: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """As a tar.gz by the name of csv.gz."""
    path = tmp_path / "t.csv.gz"
    path.write_bytes(pack(content))
    with pytest.raises(DataError) as error:
        column_names(path, "wanted.csv")
    assert str(error.value) == f"{path}, once unpacked, cannot be read as a table: it is {said}"


@given(header=st.lists(st.sampled_from(["PAR1", "ORC", "FEA1", "ARROW1", "BZh91AY&SY", "PK", "Obj", "é"]), min_size=1))
def test_a_csv_is_a_csv_whatever_its_columns_are_called(header: list[str]) -> None:
    """Also as the formats that begin with letters, and cut within a character."""
    content = ",".join(header).encode()
    assert {formats.detect_format(content[:length], "t.csv.gz") for length in range(1, len(content) + 1)} == {"csv"}


@pytest.mark.parametrize("write", [pd.DataFrame.to_parquet, pd.DataFrame.to_csv])
@pytest.mark.parametrize("rows", [0, 1, 3_000])
def test_what_pandas_writes_is_known_by_its_bytes(write: Callable[..., None], rows: int, tmp_path: Path) -> None:
    """However many rows there are."""
    write(pd.DataFrame({"a": np.arange(rows, dtype=float)}), tmp_path / "t", index=False)
    expected = "parquet" if write is pd.DataFrame.to_parquet else "csv"
    assert formats.detect_format((tmp_path / "t").read_bytes()[: formats.FIRST_BYTES], "t.zip") == expected
