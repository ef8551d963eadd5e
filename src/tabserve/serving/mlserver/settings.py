"""Read a model's folder and its batching from `model-settings.json`."""

import os
from pathlib import Path

from mlserver import ModelSettings
from mlserver.utils import to_absolute_path

import tabserve
from tabserve.errors import ServerError, UsageError

CHOICE = "TABSERVE_MODEL"
"""The variable that overrides the settings' model folder."""

SETTINGS = "settings.json"
"""The file of a server's settings."""


def default_folder() -> Path:
    """The folder of the settings and the model in the installed wheel, or else in the repository."""
    packaged = Path(tabserve.__file__).parent / "deploy"
    return packaged if packaged.is_dir() else Path(tabserve.__file__).parents[2] / "deploy"


def model_folder(settings: ModelSettings) -> Path:
    """The model folder: TABSERVE_MODEL, or `parameters.uri` relative to the settings file.

    Raises:
        ServerError: neither is set.
    """
    if chosen := os.environ.get(CHOICE):
        return Path(chosen)
    if not settings.parameters or not settings.parameters.uri:
        raise ServerError(
            f"Model {settings.name!r} has no `parameters.uri`; expected the path of a model folder there."
        )
    return Path(to_absolute_path(settings, settings.parameters.uri))


def batch_limits(settings: ModelSettings, default_size: int) -> tuple[int, float]:
    """Most rows of a batch, `default_size` if the settings name none, and seconds that its first row waits for others.

    Raises:
        ServerError: one of them is out of range.
    """
    size, time = settings.max_batch_size or default_size, settings.max_batch_time
    if size < 1 or not 0 <= time < float("inf"):
        raise ServerError(
            f"Model {settings.name!r} has `max_batch_size` {size} and `max_batch_time` {time};"
            " expected rows of at least 1 and seconds of at least 0."
        )
    return size, time


def check_choice(models: list[ModelSettings]) -> None:
    """Refuse to serve one model folder as several models.

    Raises:
        UsageError: TABSERVE_MODEL is set, and the settings name several models.
    """
    if os.environ.get(CHOICE) and len(models) > 1:
        names = ", ".join(sorted(repr(model.name) for model in models))
        raise UsageError(
            f"--model or {CHOICE} names one model folder, and the settings name {len(models)} models: {names};"
            " leave it out, and name each model's folder as its `parameters.uri`."
        )
