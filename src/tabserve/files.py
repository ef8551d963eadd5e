"""Write files and folders whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tabserve.errors import DataError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`: renamed to `path` if the block succeeds, removed if it fails.

    Missing folders are created, and removed again if the block fails. An error about the temporary file names `path`.

    Raises:
        DataError: the file cannot be written, or would replace something that is not a regular file.
    """
    folder = path.absolute().parent
    with _writing(path):
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise DataError(f"{path} is no regular file and would be replaced by one; name another place.")
        with _created(folder):
            handle, name = tempfile.mkstemp(prefix=f".{path.name[:50]}-", dir=folder)
            temporary = Path(name)
            try:
                os.close(handle)
                with _errors_about(path, temporary):
                    yield temporary
                temporary.chmod(0o644)  # mkstemp's 0600 would keep other readers out
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """The path of a temporary folder beside `path`: renamed to `path` if the block succeeds, removed if it fails.

    The block creates the folder; an earlier one at `path` is replaced. Missing parents are created, and
    removed again if the block fails. An error about the temporary folder names `path`.

    Raises:
        DataError: the folder cannot be written.
    """
    with _writing(path), replaced(path.absolute()) as fresh, _errors_about(path, fresh):
        yield fresh


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path} cannot be written: {reason}; nothing was changed there.") from error


@contextmanager
def _errors_about(path: Path, temporary: Path) -> Iterator[None]:
    """Name the path in errors that name its temporary file or folder."""
    try:
        yield
    except DataError as error:
        raise type(error)(str(error).replace(str(temporary), str(path))) from error


@contextmanager
def _created(folder: Path) -> Iterator[None]:
    """Create a folder and its missing parents; at the end, remove those that are empty."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for path in missing:
            with suppress(OSError):  # it is not empty
                path.rmdir()


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """As `whole_folder`, with the system's own errors."""
    with _created(path.parent), beside(path, path.parent) as scratch:
        yield (fresh := Path(scratch, "fresh"))
        _swap(fresh, path, Path(scratch, "replaced"))


def beside(path: Path, parent: Path) -> "tempfile.TemporaryDirectory[str]":
    """A temporary folder in `parent`, named after the path and not longer than a file system allows."""
    return tempfile.TemporaryDirectory(prefix=f".{path.name[:50]}-", dir=parent)


def _swap(fresh: Path, folder: Path, aside: Path) -> None:
    """Rename `fresh` to `folder`; an earlier folder is moved aside, and back if this is interrupted."""
    try:
        if folder.exists():
            folder.rename(aside)
        fresh.rename(folder)
    except BaseException:
        if aside.exists() and not folder.exists():
            aside.rename(folder)
        raise
