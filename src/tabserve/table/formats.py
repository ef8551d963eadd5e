"""What a file is, by its first bytes: its name may say something else."""

import codecs
import re
from pathlib import PurePath

from tabserve.errors import DataError

FIRST_BYTES = 512
"""How much of a file is looked at: tar says what it is behind 257 bytes."""

CSV, GZIP, ZIP, PARQUET = "csv", "gzip", "zip", "parquet"
"""What tables are read from: gzip holds a csv, and a zip one among others."""

ENDINGS = {".gz": GZIP, ".zip": ZIP, ".parquet": PARQUET}
"""What a name promises; any other ending promises a csv."""

TABLES = {b"PAR1": PARQUET, b"\x1f\x8b": GZIP, b"PK\x03\x04": ZIP, b"PK\x05\x06": ZIP}

AS_CSV, AS_PARQUET, AS_UTF8 = "save the table as a csv in UTF-8", "save the table as parquet", "save it as UTF-8"

Other = tuple[bytes, str, str]
"""The pattern of the first bytes of what no table is read from, what it is, and what to do with it."""

TEXTS: tuple[Other, ...] = (
    (rb"\s*<(?i:!doctype\s+html|html[\s>])", "a page of HTML", "download the table itself"),
    (rb"\s*<\?xml\s", "XML", AS_CSV),
    (rb"\s*(?:\{\s*\"|\[\s*[\[{])", "JSON", AS_CSV),
    (rb"version https://git-lfs\.github\.com/spec/", "a pointer of Git LFS", "fetch the file itself by git lfs pull"),
    (rb"%PDF-", "a PDF", AS_CSV),
)

BINARIES: tuple[Other, ...] = (
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls), or the like", AS_CSV),
    (rb"\xff\xfe\x00\x00|\x00\x00\xfe\xff", "UTF-32 text", AS_UTF8),
    (rb"\xff\xfe|\xfe\xff", "UTF-16 text", AS_UTF8),
    (rb"SQLite format 3\x00", "an SQLite database", AS_CSV),
    (rb"\x80[\x02-\x05]", "a pickle of Python, which is never opened", AS_CSV),
    (rb"ARROW1|FEA1", "a file of Arrow or Feather", AS_PARQUET),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file", AS_PARQUET),
    (rb"ORC", "an ORC file", AS_PARQUET),
    (rb"Obj\x01", "an Avro file", AS_PARQUET),
    (rb"\x93NUMPY", "an array of NumPy", AS_CSV),
    (rb"BZh[1-9]1AY&SY|\xfd7zXZ\x00", "packed by bzip2 or xz", "unpack it, or pack it by gzip"),
    (rb"\x28\xb5\x2f\xfd|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07", "packed by zstd, 7-Zip or RAR", "unpack it"),
    (rb".{257}ustar", "a tar archive", "unpack the csv you mean"),
)

DOCUMENTS = {
    "[Content_Types].xml": "an Excel workbook (.xlsx), or the like",
    "mimetype": "a document of LibreOffice, such as .ods",
}
"""What an archive is that has a member of this name."""

CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
"""What no text holds, but every binary format, within its first bytes."""


def kind(first: bytes, name: str) -> str:
    """Of a table's file: what its bytes say, or its name where they say nothing.

    Args:
        first: the first bytes, up to `FIRST_BYTES`.
        name: what the file is called, in whatever folder.

    Raises:
        DataError: it is something that no table is read from.
    """
    text = _is_text(first)
    for pattern, what, advice in TEXTS if text else (*TEXTS, *BINARIES):
        if re.match(pattern, first.removeprefix(codecs.BOM_UTF8), re.DOTALL):
            raise DataError(f"{name} cannot be read as a table: it is {what}; {advice}.")
    if text:
        return CSV
    found = [each for magic, each in TABLES.items() if first.startswith(magic)]
    return found[0] if found else promised(name)


def promised(name: str) -> str:
    """What a name says that its file is."""
    return ENDINGS.get(PurePath(name).suffix.lower(), CSV)


def _is_text(first: bytes) -> bool:
    """Whether they begin a text in UTF-8, which may be cut within a character."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(first)
    except UnicodeDecodeError:
        return False
    return bool(first) and not CONTROL.search(first)
