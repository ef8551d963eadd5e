"""Detect a file's format by its first bytes, as its name may say something else."""

import codecs
import re
from pathlib import PurePath

from tabserve.errors import DataError

FIRST_BYTES = 512
"""Bytes that are looked at; the signature of tar comes after 257 bytes."""

CSV, GZIP, ZIP, PARQUET = "csv", "gzip", "zip", "parquet"
"""Formats of tables: gzip holds a csv, and a zip one among others."""

ENDINGS = {".gz": GZIP, ".zip": ZIP, ".parquet": PARQUET}
"""Formats by the ending of a file's name; any other ending means csv."""

SIGNATURES = {b"PAR1": PARQUET, b"\x1f\x8b": GZIP, b"PK\x03\x04": ZIP, b"PK\x05\x06": ZIP}
"""Formats by the first bytes of a file."""

AS_CSV, AS_PARQUET, AS_UTF8 = "save the table as a csv in UTF-8", "save the table as parquet", "save it as UTF-8"

ForeignFormat = tuple[bytes, str, str]
"""A format that no table is read from: the pattern of its first bytes, its name, and what to do with such a file."""

FOREIGN_TEXTS: tuple[ForeignFormat, ...] = (
    (rb"\s*<(?i:!doctype\s+html|html[\s>])", "a page of HTML", "download the table itself"),
    (rb"\s*<\?xml\s", "XML", AS_CSV),
    (rb"\s*(?:\{\s*\"|\[\s*[\[{])", "JSON", AS_CSV),
    (rb"version https://git-lfs\.github\.com/spec/", "a pointer of Git LFS", "fetch the file itself by git lfs pull"),
    (rb"%PDF-", "a PDF", AS_CSV),
)

FOREIGN_BINARIES: tuple[ForeignFormat, ...] = (
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

OFFICE_DOCUMENTS = {
    "[Content_Types].xml": "an Excel workbook (.xlsx), or the like",
    "mimetype": "a document of LibreOffice, such as .ods",
}
"""Documents that are zip archives, by the name of a member."""

CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
"""Characters that every binary format has among its first bytes, and no text."""


def detect_format(first: bytes, name: str) -> str:
    """The format of a table's file by its first bytes, or by its name if the bytes are of no known format.

    Args:
        first: the first bytes, up to `FIRST_BYTES`.
        name: the file's name or path.

    Raises:
        DataError: no table is read from files of this format.
    """
    text = _is_text(first)
    for pattern, title, advice in FOREIGN_TEXTS if text else (*FOREIGN_TEXTS, *FOREIGN_BINARIES):
        if re.match(pattern, first.removeprefix(codecs.BOM_UTF8), re.DOTALL):
            raise DataError(f"{name} cannot be read as a table: it is {title}; {advice}.")
    if text:
        return CSV
    return next((known for magic, known in SIGNATURES.items() if first.startswith(magic)), format_of_name(name))


def format_of_name(name: str) -> str:
    """The format that a file's name promises."""
    return ENDINGS.get(PurePath(name).suffix.lower(), CSV)


def _is_text(first: bytes) -> bool:
    """Whether the bytes begin a text in UTF-8; its last character may be cut off."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(first)
    except UnicodeDecodeError:
        return False
    return bool(first) and not CONTROL.search(first)
