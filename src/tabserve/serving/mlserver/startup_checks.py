"""What can be checked before a server starts: its settings, its models, its ports."""

import json
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mlserver import ModelSettings, Settings
from mlserver.repository import DEFAULT_MODEL_SETTINGS_FILENAME

from tabserve.errors import ServerError, UsageError
from tabserve.model.model import Model
from tabserve.serving import ports
from tabserve.serving.limits import Limits, reason
from tabserve.serving.mlserver.runtime import FolderModel

RUNTIME = f"{FolderModel.__module__}.{FolderModel.__name__}"
"""Ours, as `model-settings.json` names it."""


def read_limits(folder: Path) -> Limits:
    """The `tabserve` key of a folder's settings.json, where no variable says otherwise.

    Raises:
        ServerError: one of them is unknown, or has a value that it cannot have.
    """
    path = folder / "settings.json"
    try:
        return Limits(**(_json_object(path).get("tabserve", {}) if path.exists() else {}))
    except (ValueError, TypeError, OSError) as error:
        raise ServerError(
            f"The key 'tabserve' of {path}, or a TABSERVE_* variable, is wrong: {reason(error)}."
        ) from error


def check_model_settings(folder: Path) -> None:
    """Refuse a folder that names no model, or does so in a way that MLServer would pass over."""
    paths = sorted(folder.rglob(DEFAULT_MODEL_SETTINGS_FILENAME))
    if not paths:
        raise UsageError(
            f"{folder} has no {DEFAULT_MODEL_SETTINGS_FILENAME}; name the folder that holds the settings, and a model's"
            " own folder by --model."
        )
    for path in paths:
        try:
            ModelSettings.model_validate(_json_object(path))
        except (ValueError, OSError) as error:
            raise ServerError(f"{path} is wrong: {reason(error)}.") from error


def _json_object(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_text())
    if not isinstance(document, dict):
        raise ValueError(f"expected a JSON object, found {document!r:.60}")  # noqa: TRY004  as json.loads does
    return document


def check_model(settings: ModelSettings) -> Model | None:
    """The loaded model, verified; of another runtime than ours, see only whether it is installed."""
    if settings.implementation_ == RUNTIME:
        return FolderModel.check(settings)
    try:
        _ = settings.implementation
    except (ImportError, ValueError) as error:
        raise ServerError(f"Model {settings.name!r} needs {settings.implementation_!r}: {error}.") from error
    return None


def check_ports(settings: Settings) -> None:
    """Open all ports for a moment: MLServer would die with a traceback, or share a gRPC port with another server."""
    kinds = ["http", "grpc", *(["metrics"] if settings.metrics_endpoint else [])]
    with ExitStack() as stack:
        for kind in kinds:
            stack.enter_context(opened(settings, kind))


def opened(settings: Settings, kind: str) -> socket.socket:
    """A socket that listens on the port for `http`, `grpc` or `metrics`; see `ports.opened`."""
    port, variable = getattr(settings, f"{kind}_port"), f"MLSERVER_{kind.upper()}_PORT"
    return ports.opened(settings.host, port, port_variable=variable, host_variable="MLSERVER_HOST")
