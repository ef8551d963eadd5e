"""A model folder's files: written whole or not at all, and each as its manifest says."""

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

Loaded = TypeVar("Loaded")

log = logging.getLogger(__name__)


def placed(folder: Path, models: set[str], write: Callable[[Path], None], load: Callable[[Path], Loaded]) -> Loaded:
    """Write a model folder beside its place, load it there, then move it in.

    Args:
        folder: where it goes, or a link to there; an earlier model folder is replaced, anything else is left alone.
        models: the names that its model file may have.
        write: makes the folder it is given, and writes all files into it.
        load: reads and verifies what was written.

    Returns:
        What was loaded from the new folder.

    Raises:
        ArtifactError: the folder cannot be written or loaded again, or holds something that is not a model folder.
    """
    check_place(folder, models)
    place = _followed(folder)
    try:
        with replaced(place) as fresh:
            write(fresh)
            saved = load(fresh)
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be written: {error.strerror}; nothing was changed there.") from error
    except ArtifactError as error:
        raise ArtifactError(f"{folder} was not written, as it could not be loaded again: {error}") from error
    return saved


def check_place(folder: Path, models: set[str]) -> None:
    """Refuse a place where a model folder could not be moved in, before any work is done for it.

    Args:
        folder: the place.
        models: the names that the model file in a folder that may be replaced may have.

    Raises:
        ArtifactError: something that is not a model folder is there, or the nearest existing parent is no folder that
            can be written to.
    """
    place = _followed(folder)
    try:
        found = {path.name for path in place.iterdir()} if place.exists() else set()
        parent = next(parent for parent in place.parents if parent.exists())
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be written: {error.strerror}.") from error
    if found and not {MANIFEST} <= found <= {*models, GOLDEN, MANIFEST, CARD}:
        raise ArtifactError(f"{folder} holds something other than a model; name another place, or remove it first.")
    try:
        beside(place, parent).cleanup()
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be written: {parent} is not a folder that can be written to.") from error


def seal(folder: Path, model: str, manifest: Manifest, card: str) -> None:
    """Put the card and the manifest, with all checksums, beside the model file and the golden rows."""
    (folder / CARD).write_text(card, encoding="utf-8")
    files = {name: _sha256(content(folder / name)) for name in (model, GOLDEN, CARD)}
    replace(manifest, files=files).write(folder / MANIFEST)
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def opened(folder: Path, manifest: Manifest, name: str) -> bytes:
    """A file of a model folder, if it is what the manifest says.

    Raises:
        ArtifactError: it is missing, or has another checksum.
    """
    found = content(folder / name)
    if _sha256(found) != manifest.files.get(name):
        raise ArtifactError(
            f"{folder / name} does not have the checksum in {MANIFEST}; it was damaged, or comes from another model."
        )
    return found


def check_card(folder: Path, manifest: Manifest) -> None:
    """Warn of a card that is not the manifest's; the model serves without it."""
    try:
        opened(folder, manifest, CARD)
    except ArtifactError:
        log.warning("%s is missing or was changed after the model was saved.", folder / CARD)


def versions(*libraries: str) -> dict[str, str]:
    """Versions of Python, this package and the libraries that make a model."""
    return {"python": platform.python_version(), **{name: _version(name) for name in ("tabserve", *libraries)}}


def _version(library: str) -> str:
    """Of a library, or of its package for processors alone."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return metadata.version(f"{library}-cpu")


def _followed(folder: Path) -> Path:
    """The place itself, where links lead to it."""
    try:
        return folder.resolve()
    except (OSError, RuntimeError) as error:
        raise ArtifactError(f"{folder} cannot be written: its links lead in a circle, or nowhere.") from error


def _sha256(found: bytes) -> str:
    return hashlib.sha256(found).hexdigest()
