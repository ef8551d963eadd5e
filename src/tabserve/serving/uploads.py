"""Models that clients upload: each is verified, then takes the place of the one before it in a single step."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

from tabserve.errors import ArtifactError, InvalidUpload, ServerError, TabserveError, TooLarge
from tabserve.serving.load_settings import LoadSettings
from tabserve.serving.verification import verify
from tabserve.wording import shown

ENDINGS = (".zip", ".pkl")

CURRENT, LOCK = "current", ".lock"
"""A link to the model that is served, and a file that one process at a time locks, in the folder of uploads."""

PREFIX = "uploaded-"
"""Of the folders that hold a model each; no other folder is ever removed."""

Loaded = TypeVar("Loaded")


def current(folder: Path) -> Path | None:
    """The folder of the last model that was uploaded into a folder, which may be read-only; None if there is none."""
    link = folder / CURRENT
    return folder / link.readlink() if link.is_symlink() else None


class Uploads(Generic[Loaded]):
    """Keeps the last uploaded model in a folder; several processes may share it.

    Each upload gets a folder of its own, and only the link `current` says which one counts. So a crash leaves nothing
    worse than a folder without a link to it, which the next start or upload removes.
    """

    def __init__(self, folder: Path, limits: LoadSettings, load: Callable[[Path], Loaded]) -> None:
        """Create the folder, and remove what a crash has left in it.

        Args:
            folder: on a disk that outlives the process.
            limits: of an upload.
            load: loads a verified model folder, or refuses it by a TabserveError, as other models are expected.

        Raises:
            ServerError: the folder cannot be written.
        """
        self._folder, self._limits, self._load = folder.absolute(), limits, load
        with _about(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with suppress(BlockingIOError), self._turn(fcntl.LOCK_NB):  # another process that uploads will remove it
                self._remove_others()

    def current(self) -> Path | None:
        """The folder of the last uploaded model, or None if there is none."""
        return current(self._folder)

    def install(self, data: bytes, name: str) -> Loaded:
        """Verify an uploaded model and make it the current one; uploads take turns, and the last one stays.

        Args:
            data: a zip or a .pkl, as of `model.archive`.
            name: the file's name as the client gave it.

        Returns:
            What `load` returned for the new model.

        Raises:
            InvalidUpload: it is no model, or not one that `load` accepts; the current model stays.
            TooLarge: it has too many bytes.
            ServerError: it cannot be stored or verified here.
        """
        if not name.lower().endswith(ENDINGS):
            raise InvalidUpload(f"The file is called {shown(name)}; expected a name in .zip or .pkl.")
        if len(data) > self._limits.load_max_bytes:
            raise TooLarge(f"{shown(name)} has {len(data)} bytes; send at most {self._limits.load_max_bytes}.")
        with _about(self._folder), self._turn(), self._fresh() as fresh:
            try:
                verify(data, fresh, self._limits.load_seconds, self._limits.load_max_memory)
                loaded = self._load(fresh)
            except (ArtifactError, InvalidUpload, ServerError) as error:
                kind = InvalidUpload if isinstance(error, ArtifactError) else type(error)
                raise kind(f"{shown(name)} was not loaded: {_without(fresh, error)}") from error
            self._point_to(fresh)
        return loaded

    @contextmanager
    def _fresh(self) -> Iterator[Path]:
        """The path of a folder to be created; it is removed at the end unless it is the current one."""
        prefix = f"{PREFIX}{datetime.now(UTC):%Y%m%dT%H%M%SZ}-"
        try:
            yield Path(tempfile.mkdtemp(prefix=prefix, dir=self._folder), "model")
        finally:
            self._remove_others()

    def _point_to(self, folder: Path) -> None:
        """Let the link lead to another folder, in one step."""
        link = folder.parent / CURRENT
        link.symlink_to(folder.relative_to(self._folder))
        link.replace(self._folder / CURRENT)

    def _remove_others(self) -> None:
        """Remove all uploaded models but the current one."""
        current = self.current()
        for path in self._folder.glob(f"{PREFIX}*"):
            if current is None or path != current.parent:
                shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def _turn(self, flags: int = 0) -> Iterator[None]:
        """Hold the lock; wait for it, or with LOCK_NB raise BlockingIOError."""
        with (self._folder / LOCK).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | flags)
            yield


@contextmanager
def _about(folder: Path) -> Iterator[None]:
    """Turn the system's errors into a sentence."""
    try:
        yield
    except OSError as error:
        raise ServerError(f"Models cannot be kept in {folder}: {error.strerror or error}; free or mount it.") from error


def _without(folder: Path, error: TabserveError) -> str:
    """The sentence of an error, with the paths of files within the archive."""
    return str(error).replace(f"{folder}{os.sep}", "").replace(str(folder), "the file")
