"""The files of a model folder: written whole or not at all, and read with their checksums verified."""

import hashlib
import logging
import os
import platform
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from tabserve.errors import ArtifactError
from tabserve.files import beside, replaced
from tabserve.model.manifest import Manifest, content

GOLDEN, MANIFEST, CARD = "golden.json", "manifest.json", "MODEL_CARD.md"

REPORT = "report.html"
"""A page for people that a folder may hold; nothing reads it, so the manifest has no checksum of it."""

Loaded = TypeVar("Loaded")

log = logging.getLogger(__name__)


def write_verified(
    folder: Path, models: set[str], write: Callable[[Path], None], load: Callable[[Path], Loaded]
) -> Loaded:
    """Write a model folder under a temporary name, load it, then rename it to its own.

    Args:
        folder: its path, or a link to it; an earlier model folder is replaced, anything else is left alone.
        models: the names that its model file may have.
        write: creates the folder that it is given, and writes all files into it.
        load: reads and verifies that folder.

    Returns:
        What `load` returned for the new folder.

    Raises:
        ArtifactError: the folder cannot be written or loaded again, or holds something that is not a model folder.
    """
    check_place(folder, models)
    try:
        with replaced(_resolved(folder)) as fresh:
            write(fresh)
            saved = load(fresh)
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be written: {error.strerror}; nothing was changed there.") from error
    except ArtifactError as error:
        raise ArtifactError(f"{folder} was not written, as it could not be loaded again: {error}") from error
    return saved


def check_place(folder: Path, models: set[str]) -> None:
    """Refuse a path that no model folder could be written to, before any work is done for it.

    Args:
        folder: the path.
        models: the names that a model file may have in a folder that is replaced.

    Raises:
        ArtifactError: the path holds something that is not a model folder, or its nearest existing parent is not a
            folder that can be written to.
    """
    path = _resolved(folder)
    try:
        files = {file.name for file in path.iterdir()} if path.exists() else set()
        parent = next(parent for parent in path.parents if parent.exists())
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be written: {error.strerror}.") from error
    if files and not {MANIFEST} <= files <= {*models, GOLDEN, MANIFEST, CARD, REPORT}:
        raise ArtifactError(f"{folder} holds something other than a model; name another place, or remove it first.")
    try:
        beside(path, parent).cleanup()
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be written: {parent} is not a folder that can be written to.") from error


def seal(folder: Path, model: str, manifest: Manifest, card: str) -> None:
    """Write the card and the manifest, with all checksums, beside the model file and the golden rows."""
    (folder / CARD).write_text(card, encoding="utf-8")
    files = {name: _sha256(content(folder / name)) for name in (model, GOLDEN, CARD)}
    replace(manifest, files=files).write(folder / MANIFEST)
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def read_verified(folder: Path, manifest: Manifest, name: str) -> bytes:
    """The bytes of a file of a model folder.

    Raises:
        ArtifactError: the file is missing, or its checksum is not the manifest's.
    """
    file = content(folder / name)
    if _sha256(file) != manifest.files.get(name):
        raise ArtifactError(
            f"{folder / name} does not have the checksum in {MANIFEST}; it was damaged, or comes from another model."
        )
    return file


def check_card(folder: Path, manifest: Manifest) -> None:
    """Log a warning if the card is missing or changed; a model needs none to serve."""
    try:
        read_verified(folder, manifest, CARD)
    except ArtifactError:
        log.warning("%s is missing or was changed after the model was saved.", folder / CARD)


def versions(*libraries: str) -> dict[str, str]:
    """Versions of Python, this package and the libraries that make a model."""
    return {"python": platform.python_version(), **{name: _version(name) for name in ("tabserve", *libraries)}}


def _version(library: str) -> str:
    """The version of a library, or of its package without GPU support."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return metadata.version(f"{library}-cpu")


def _resolved(folder: Path) -> Path:
    """The path with all links resolved."""
    try:
        return folder.resolve()
    except (OSError, RuntimeError) as error:
        raise ArtifactError(f"{folder} cannot be written: its links lead in a circle, or nowhere.") from error


def _sha256(file: bytes) -> str:
    return hashlib.sha256(file).hexdigest()
