"""Check settings, models and ports before the server starts."""

import json
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mlserver import ModelSettings, Settings
from mlserver.repository import DEFAULT_MODEL_SETTINGS_FILENAME

from tabserve.errors import ServerError, UsageError
from tabserve.model.folder import MANIFEST
from tabserve.model.model import Model
from tabserve.serving import ports
from tabserve.serving.limits import Limits, reason
from tabserve.serving.mlserver.runtime import FolderModel

RUNTIME = f"{FolderModel.__module__}.{FolderModel.__name__}"
"""Our runtime's name in `model-settings.json`."""


OPTIONS = {"http": "--port", "grpc": "--grpc-port", "metrics": "--metrics-port"}
"""The option of `tabserve serve` for each port."""


def read_limits(path: Path) -> Limits:
    """The limits of a settings.json, key `tabserve`, overridden by variables.

    Raises:
        ServerError: a limit is unknown, or its value is out of range.
    """
    try:
        return Limits(**(json_object(path).get("tabserve", {}) if path.exists() else {}))
    except (ValueError, TypeError, OSError) as error:
        raise ServerError(
            f"The key 'tabserve' of {path}, or a TABSERVE_* variable, is wrong: {reason(error)}."
        ) from error


def check_model_settings(folder: Path) -> None:
    """Refuse a folder without settings of a model, and settings that MLServer would skip silently."""
    paths = sorted(folder.rglob(DEFAULT_MODEL_SETTINGS_FILENAME))
    if not paths:
        raise UsageError(
            f"{folder} is neither a model folder, which has a {MANIFEST}, nor a folder of settings, which has a"
            f" {DEFAULT_MODEL_SETTINGS_FILENAME}; name one of either kind."
        )
    for path in paths:
        try:
            ModelSettings.model_validate(json_object(path))
        except (ValueError, OSError) as error:
            raise ServerError(f"{path} is wrong: {reason(error)}.") from error


def json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ValueError: the file holds something else.
        OSError: it cannot be read.
    """
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
    port, variable = getattr(settings, f"{kind}_port"), f"{OPTIONS[kind]} or MLSERVER_{kind.upper()}_PORT"
    return ports.listen(settings.host, port, port_variable=variable, host_variable="MLSERVER_HOST")
