"""Files and folders that appear whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tabserve.errors import DataError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, which becomes `path` when the block ends well and vanishes when it does not.

    The folder is made where there is none, and does not stay where the file does not. A refusal of the temporary file
    names `path`.

    Raises:
        DataError: the file cannot be written there, or something that is no regular file would be replaced.
    """
    folder = path.absolute().parent
    with _writing(path):
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise DataError(f"{path} is no regular file and would be replaced by one; name another place.")
        with _made(folder):
            handle, name = tempfile.mkstemp(prefix=f".{path.name[:50]}-", dir=folder)
            temporary = Path(name)
            try:
                os.close(handle)
                with _named(temporary, path):
                    yield temporary
                temporary.chmod(0o644)  # mkstemp's 0600 would keep other readers out
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A place beside `path` for a folder, which becomes `path` when the block ends well and vanishes when it does not.

    What is at `path` by then is replaced; the folder around it is made where there is none, and does not stay where the
    new one does not. A refusal of the place beside it names `path`.

    Raises:
        DataError: the folder cannot be written there.
    """
    with _writing(path), replaced(path.absolute()) as fresh, _named(fresh, path):
        yield fresh


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path} cannot be written: {reason}; nothing was changed there.") from error


@contextmanager
def _named(temporary: Path, path: Path) -> Iterator[None]:
    """Let what is refused of one place name the other, which is the one that people know."""
    try:
        yield
    except DataError as error:
        raise type(error)(str(error).replace(str(temporary), str(path))) from error


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder, and those above it, where there is none; in the end the empty ones of them go again."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for place in missing:
            with suppress(OSError):  # it holds something
                place.rmdir()


@contextmanager
def replaced(place: Path) -> Iterator[Path]:
    """As `whole_folder`, with the system's own errors."""
    with _made(place.parent), beside(place, place.parent) as scratch:
        yield (fresh := Path(scratch, "fresh"))
        _swap(fresh, place, Path(scratch, "replaced"))


def beside(place: Path, parent: Path) -> "tempfile.TemporaryDirectory[str]":
    """A folder for what is not whole yet, with a name that fits wherever the place's does."""
    return tempfile.TemporaryDirectory(prefix=f".{place.name[:50]}-", dir=parent)


def _swap(fresh: Path, folder: Path, aside: Path) -> None:
    """Move `fresh` to `folder`; what was there goes aside, and comes back if the move is interrupted."""
    try:
        if folder.exists():
            folder.rename(aside)
        fresh.rename(folder)
    except BaseException:
        if aside.exists() and not folder.exists():
            aside.rename(folder)
        raise
