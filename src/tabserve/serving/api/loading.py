"""The model of an API: the last one that a client has loaded, or else that of a folder."""

from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from tabserve.model.model import MANIFEST, Model, load
from tabserve.serving.access import access
from tabserve.serving.api.contract import Contract
from tabserve.serving.api.upload import File
from tabserve.serving.load_settings import LoadSettings
from tabserve.serving.uploads import Uploads, current

DIGITS = 12
"""Hexadecimal digits of a version."""


class Verified(NamedTuple):
    """A model that fits the contract, and its version: the beginning of the checksum of its manifest."""

    model: Model
    version: str


class Loading:
    """Loads and verifies models; one after the other, on any thread.

    Attributes:
        check: raises Forbidden unless a client may load a model.
    """

    def __init__(self, contract: Contract, folder: Path | None, settings: LoadSettings) -> None:
        """Prepare to load.

        Args:
            contract: which every model must fit.
            folder: of the model that is served until a client loads another; None for none.
            settings: who may load a model, and where it is kept.
        """
        self._contract, self._folder, self._settings = contract, folder, settings
        self.check = access(settings)

    def latest(self) -> Verified | None:
        """The last model that a client has loaded, or else the folder's; None if there is neither.

        Raises:
            ArtifactError: its folder is not whole, or it does not fit the contract.
            ServerError: loaded models cannot be kept.
        """
        folder = self._kept() or self._folder
        return self._read(folder) if folder else None

    def install(self, file: File) -> Verified:
        """Verify a model that a client has uploaded, and keep it; see `Uploads.install`."""
        return self._uploads.install(file.data, file.name)

    def _kept(self) -> Path | None:
        """The folder of the last model that a client has loaded; where nobody may, only a place that is set counts."""
        if self._settings.load == "off":
            return current(self._settings.load_folder) if self._settings.load_folder else None
        return self._uploads.current() if self._settings.load_folder or self._place.exists() else None

    @cached_property
    def _uploads(self) -> Uploads[Verified]:
        return Uploads(self._place, self._settings, self._read)

    @property
    def _place(self) -> Path:
        return self._settings.load_folder or Path("build", f"{self._contract.name}-loaded")

    def _read(self, folder: Path) -> Verified:
        model = load(folder)
        self._contract.check(model, folder)
        return Verified(model, sha256((folder / MANIFEST).read_bytes()).hexdigest()[:DIGITS])
