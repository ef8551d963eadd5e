"""What can be checked before a server starts: its settings, its models, its ports."""

import errno
import json
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mlserver import ModelSettings, Settings
from mlserver.repository import DEFAULT_MODEL_SETTINGS_FILENAME
from pydantic import ValidationError

from tabserve.errors import ServerError, UsageError
from tabserve.serving.limits import Limits
from tabserve.serving.runtime import FolderModel, TabularModel, TextsModel

RUNTIMES: dict[str, type[FolderModel]] = {
    f"{kind.__module__}.{kind.__name__}": kind for kind in (TabularModel, TextsModel)
}
"""Ours, as `model-settings.json` names them."""


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
        raise UsageError(f"{folder} has no {DEFAULT_MODEL_SETTINGS_FILENAME}; name the folder that holds the settings.")
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


def check_model(settings: ModelSettings) -> None:
    """Refuse a model that cannot be loaded; of another runtime than ours, see only whether it is installed."""
    if ours := RUNTIMES.get(settings.implementation_):
        ours.check(settings)
        return
    try:
        _ = settings.implementation
    except (ImportError, ValueError) as error:
        raise ServerError(f"Model {settings.name!r} needs {settings.implementation_!r}: {error}.") from error


def reason(error: Exception) -> str:
    """The first of pydantic's complaints in one line, or the error's own."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'as a whole'}: {first['msg']}, found {first['input']!r:.60}"


def check_ports(settings: Settings) -> None:
    """Open all ports for a moment: MLServer would die with a traceback, or share a gRPC port with another server."""
    ports = {"MLSERVER_HTTP_PORT": settings.http_port, "MLSERVER_GRPC_PORT": settings.grpc_port}
    if settings.metrics_endpoint:
        ports["MLSERVER_METRICS_PORT"] = settings.metrics_port
    with ExitStack() as opened:
        for variable, port in ports.items():
            listener = opened.enter_context(socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET))
            _listen(listener, settings.host, port, variable)


def _listen(listener: socket.socket, host: str, port: int, variable: str) -> None:
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OverflowError as error:
        raise ServerError(f"Port {port} does not exist; set {variable} to a number up to 65535.") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ServerError(
                f"Port {port} is in use; stop what listens there, or set {variable} to another."
            ) from error
        advice = f"set {variable} or MLSERVER_HOST to another"
        raise ServerError(f"Port {port} of host {host!r} cannot be opened: {error.strerror}; {advice}.") from error
