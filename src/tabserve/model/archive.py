"""A model folder as one file: a zip, or a .pkl of plain values; to open either runs no code of its author."""

import os
import stat
import struct
import zlib
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from tabserve import files
from tabserve.errors import ArtifactError
from tabserve.model import pickled
from tabserve.model.manifest import content
from tabserve.model.model import CARD, GOLDEN, MANIFEST, PREDICTORS, REPORT
from tabserve.model.pickled import OFFER
from tabserve.predictors.npz import read_member
from tabserve.wording import listed, shown

NAMES = frozenset({*PREDICTORS, CARD, GOLDEN, MANIFEST, REPORT})
"""The files that a model folder may hold, and so the only members of an archive."""

MAX_BYTES, MAX_RATIO = 1 << 29, 100
"""Most bytes of all files together, and most of them for each byte of a zip; a bomb has 1,000."""

ZIP, MEMBER = b"PK\x03\x04", b"PK\x01\x02"
"""How a zip begins, and each entry in its directory."""

MAX_MEMBERS = 32
"""Most members of a zip, counted before its directory is read."""

NO_TIME = (1980, 1, 1, 0, 0, 0)
"""The time of all members, so that the same files give the same zip."""

BROKEN = (BadZipFile, EOFError, NotImplementedError, OSError, OverflowError, RuntimeError, ValueError, struct.error)
"""What `zipfile` raises for damaged and encrypted archives, beside `zlib.error`."""


def to_zip(folder: Path) -> bytes:
    """The files of a model folder as a zip; the same files give the same bytes.

    Raises:
        ArtifactError: the folder has no manifest, or a file cannot be read.
    """
    with ZipFile(data := BytesIO(), "w") as archive:
        for name, file in _files(folder).items():
            member = ZipInfo(name, NO_TIME)
            member.compress_type, member.external_attr = ZIP_DEFLATED, (stat.S_IFREG | 0o644) << 16
            archive.writestr(member, file)
    return data.getvalue()


def to_pickle(folder: Path) -> bytes:
    """The files of a model folder as a .pkl of plain values; the same files give the same bytes.

    Raises:
        ArtifactError: the folder has no manifest, or a file cannot be read.
    """
    return pickled.dumps(_files(folder))


def unpack(data: bytes, into: Path) -> None:
    """Write the files of a zip or a .pkl to a folder, whole or not at all; `model.load` verifies them.

    An archive may still cost seconds, and several times `MAX_BYTES` of memory.

    Raises:
        ArtifactError: the bytes are no archive of a model folder.
        DataError: the folder cannot be written.
    """
    members = _unzip(data) if data.startswith(ZIP) else pickled.loads(data)
    if unknown := members.keys() - NAMES:
        raise ArtifactError(f"The .pkl has the files {listed(unknown)}, which no model folder holds; {OFFER}.")
    if MANIFEST not in members:
        raise ArtifactError(f"The file holds no {MANIFEST}; {OFFER}.")
    with files.whole_folder(into) as fresh:
        fresh.mkdir()
        for name, file in members.items():
            with (fresh / name).open("wb") as opened:
                opened.write(file)
                opened.flush()
                os.fsync(opened.fileno())


def _files(folder: Path) -> dict[str, bytes]:
    return {name: content(folder / name) for name in sorted(NAMES) if name == MANIFEST or (folder / name).exists()}


def _unzip(data: bytes) -> dict[str, bytes]:
    if (count := data.count(MEMBER)) > MAX_MEMBERS:
        raise ArtifactError(f"The zip has {count} members, at most {MAX_MEMBERS} expected; {OFFER}.")
    try:
        with ZipFile(BytesIO(data)) as archive:
            members = _members(archive.infolist())
            _check_size(sum(member.file_size for member in members.values()), len(data))
            return {name: read_member(archive, member.filename) for name, member in members.items()}
    except (*BROKEN, zlib.error) as error:
        raise ArtifactError(f"The zip is damaged or cut short ({str(error)!r:.100}); {OFFER}.") from error


def _members(entries: list[ZipInfo]) -> dict[str, ZipInfo]:
    """The members by their names in the model folder; the zip may have that folder around all of them."""
    members: dict[str, ZipInfo] = {}
    around = entries[0].filename.rpartition("/")[0] if entries else ""
    for entry in entries:
        folder, _, name = entry.filename.rpartition("/")
        if folder != around or folder in {".", ".."} or "/" in folder or name not in {"", *NAMES} - {*members}:
            path = shown(entry.filename)
            raise ArtifactError(f"The zip has the member {path}, expected the files of one model folder, each once.")
        _check_entry(entry, stat.S_IFREG if name else stat.S_IFDIR)
        if name:
            members[name] = entry
    return members


def _check_entry(entry: ZipInfo, expected: int) -> None:
    """Refuse links and other special files, and compressions that need much memory."""
    if stat.S_IFMT(entry.external_attr >> 16) not in {0, expected}:
        raise ArtifactError(f"The zip's member {shown(entry.filename)} is a link or a special file; {OFFER}.")
    if entry.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
        raise ArtifactError(f"The zip's member {shown(entry.filename)} is not compressed by deflate; {OFFER}.")


def _check_size(size: int, packed: int) -> None:
    most = min(MAX_BYTES, MAX_RATIO * packed)
    if size > most:
        raise ArtifactError(f"The zip's {packed} bytes would become {size}, at most {most} expected; {OFFER}.")
