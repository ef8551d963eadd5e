"""Check settings, models and ports before the server starts."""

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
"""Our runtime's name in `model-settings.json`."""


def read_limits(folder: Path) -> Limits:
    """The limits of a folder's settings.json, key `tabserve`, overridden by variables.

    Raises:
        ServerError: a limit is unknown, or its value is out of range.
    """
    path = folder / "settings.json"
    try:
        return Limits(**(_json_object(path).get("tabserve", {}) if path.exists() else {}))
    except (ValueError, TypeError, OSError) as error:
        raise ServerError(
            f"The key 'tabserve' of {path}, or a TABSERVE_* variable, is wrong: {reason(error)}."
        ) from error


def check_model_settings(folder: Path) -> None:
    """Refuse a folder without a model, and settings that MLServer would skip silently."""
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
    """Load and verify a model; of another runtime, check only that it is installed, and return None."""
    if settings.implementation_ == RUNTIME:
        return FolderModel.check(settings)
    try:
        _ = settings.implementation
    except (ImportError, ValueError) as error:
        raise ServerError(f"Model {settings.name!r} needs {settings.implementation_!r}: {error}.") from error
    return None


def check_ports(settings: Settings) -> None:
    """Open all ports briefly: MLServer would end with a traceback, or share a gRPC port with another server."""
    kinds = ["http", "grpc", *(["metrics"] if settings.metrics_endpoint else [])]
    with ExitStack() as stack:
        for kind in kinds:
            stack.enter_context(listen(settings, kind))


def listen(settings: Settings, kind: str) -> socket.socket:
    """A listening socket for `http`, `grpc` or `metrics`; see `ports.listen`."""
    port, variable = getattr(settings, f"{kind}_port"), f"MLSERVER_{kind.upper()}_PORT"
    return ports.listen(settings.host, port, port_variable=variable, host_variable="MLSERVER_HOST")
