"""What MLServer's repository lists: the models of a folder of settings, or a model folder as the only model."""

import os
import re
import unicodedata
from pathlib import Path

from mlserver import ModelSettings, Settings
from mlserver.repository import DEFAULT_MODEL_SETTINGS_FILENAME, SchemalessModelRepository

from tabserve.errors import UsageError
from tabserve.model.folder import MANIFEST
from tabserve.serving.mlserver.startup_checks import RUNTIME, check_model_settings

UNFIT = re.compile(r"[^A-Za-z0-9._~-]+")
"""What a path of a URL would have to escape."""

DEFAULT_NAME, TAKEN = "model", {"", "stats"}
"""The name of a model whose folder's name does not fit, and names that do not: `stats` is a route."""


class ModelFolder(SchemalessModelRepository):
    """A repository of one model, whose folder is the root."""

    def __init__(self, root: str, name: str) -> None:
        super().__init__(root)
        self._name = name

    async def list(self) -> list[ModelSettings]:
        """Settings of the model alone: its batches have the size that its predictor prefers, and wait for nothing."""
        document = {"name": self._name, "implementation": RUNTIME, "parameters": {"uri": self._root}}
        return [ModelSettings.model_validate(document)]


class Renamed(SchemalessModelRepository):
    """MLServer's repository of a folder of settings, whose only model has another name."""

    def __init__(self, root: str, name: str) -> None:
        super().__init__(root)
        self._name = name

    async def list(self) -> list[ModelSettings]:
        """The models' settings with that name.

        Raises:
            UsageError: there are several models.
        """
        models = await super().list()
        if len(models) > 1:
            raise UsageError(
                f"--name or TABSERVE_NAME names one model, and the settings name {len(models)} models; leave it out."
            )
        return [model.model_copy(update={"name": self._name}) for model in models]


def is_model_folder(folder: Path) -> bool:
    """Whether a folder is a model's own, and not one of settings."""
    return (folder / MANIFEST).is_file() and not (folder / DEFAULT_MODEL_SETTINGS_FILENAME).is_file()


def check_folder(folder: Path) -> None:
    """Refuse a folder of neither kind, and settings that MLServer would skip silently.

    Raises:
        UsageError: the folder does not exist, or is of neither kind.
        ServerError: a file of settings is wrong.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; name a model folder, or a folder of settings.")
    if not is_model_folder(folder):
        check_model_settings(folder)


def choose_repository(settings: Settings, folder: Path, name: str | None) -> None:
    """Have MLServer list the models of a folder; `name` is that of the only one."""
    settings.model_repository_root = str(folder.absolute())
    if is_model_folder(folder):
        settings.model_repository_implementation = ModelFolder
        settings.model_repository_implementation_args = {"name": name or name_of(folder)}
    elif name:
        settings.model_repository_implementation = Renamed
        settings.model_repository_implementation_args = {"name": name}


def name_of(folder: Path) -> str:
    """The name of a model after its folder, in characters that a path of a URL holds as they are."""
    name = Path(os.path.abspath(folder)).name  # noqa: PTH100  follows no link, unlike Path's
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    fit = UNFIT.sub("-", plain).strip("-.")
    return DEFAULT_NAME if fit in TAKEN else fit
