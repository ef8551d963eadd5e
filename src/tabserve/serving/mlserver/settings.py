"""What `model-settings.json` says of a model: where its folder is, and how its requests are batched."""

import os
from pathlib import Path

from mlserver import ModelSettings
from mlserver.utils import to_absolute_path

from tabserve.errors import ServerError, UsageError

CHOICE = "TABSERVE_MODEL"
"""The variable that names a model folder instead of the settings'."""


def model_folder(settings: ModelSettings) -> Path:
    """Where the model folder is: TABSERVE_MODEL, or else `parameters.uri`, relative to the settings file.

    Raises:
        ServerError: neither is given.
    """
    if chosen := os.environ.get(CHOICE):
        return Path(chosen)
    if not settings.parameters or not settings.parameters.uri:
        raise ServerError(
            f"Model {settings.name!r} has no `parameters.uri`; expected the path of a model folder there."
        )
    return Path(to_absolute_path(settings, settings.parameters.uri))


def batch_limits(settings: ModelSettings, default_size: int) -> tuple[int, float]:
    """Rows in a batch, `default_size` where they name none, and seconds that its first waits for others.

    Raises:
        ServerError: one of them is negative, or no number.
    """
    size, time = settings.max_batch_size or default_size, settings.max_batch_time
    if size < 1 or not 0 <= time < float("inf"):
        raise ServerError(
            f"Model {settings.name!r} has `max_batch_size` {size} and `max_batch_time` {time};"
            " expected rows of at least 1 and seconds of at least 0."
        )
    return size, time


def check_choice(models: list[ModelSettings]) -> None:
    """Refuse to serve one chosen folder as several models.

    Raises:
        UsageError: a folder is chosen, and the settings name more than one model.
    """
    if os.environ.get(CHOICE) and len(models) > 1:
        names = ", ".join(sorted(repr(model.name) for model in models))
        raise UsageError(
            f"--model or {CHOICE} names one model folder, and the settings name {len(models)} models: {names};"
            " leave it out, and name each model's folder as its `parameters.uri`."
        )
