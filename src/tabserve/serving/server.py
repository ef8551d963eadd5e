"""`tabserve serve`: MLServer on a folder of settings, with all that can be checked before the start checked."""

import asyncio
import errno
import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import uvicorn
from mlserver import MLServer, ModelSettings, Settings
from mlserver.cli.serve import load_settings
from mlserver.logging import configure_logger
from mlserver.repository import DEFAULT_MODEL_SETTINGS_FILENAME
from mlserver.utils import install_uvloop_event_loop
from pydantic import ValidationError

from tabserve import artifact
from tabserve.errors import ServerError, UsageError
from tabserve.serving.runtime import TabularModel, batch_limits, model_folder

RUNTIME = f"{TabularModel.__module__}.{TabularModel.__name__}"


def serve(folder: Path, model: Path | None = None) -> None:
    """Serve what a folder's settings name, until SIGTERM or SIGINT.

    Args:
        folder: holds `settings.json` and, there or below, `model-settings.json`.
        model: the model folder to serve instead of the one that the settings name.

    Raises:
        UsageError: the folder names no model.
        ArtifactError: the model folder is not whole.
        ServerError: a setting is wrong, a port is taken, or the model cannot be loaded.
    """
    if model:
        os.environ["TABSERVE_MODEL"] = str(model.resolve())
    configure_logger()
    logging.getLogger("mlserver").addFilter(_is_worth_saying)
    _check_model_settings(folder)
    install_uvloop_event_loop()  # type: ignore[no-untyped-call]
    asyncio.run(_serve(folder))


def _is_worth_saying(record: logging.LogRecord) -> bool:
    """All but MLServer's warning that a model is not named after the folder of its settings: no model needs to be."""
    return "is different than model's folder name" not in record.getMessage()


async def _serve(folder: Path) -> None:
    try:
        settings, models = await load_settings(str(folder))
    except ValueError as error:
        raise ServerError(
            f"{folder / 'settings.json'} or an MLSERVER_* variable is wrong: {_reason(error)}."
        ) from error
    for model in models:
        _check_model(model)
    _check_ports(settings)
    server = MLServer(settings)
    with _one_signal_handler():
        await server.start(models)
    await _check_loaded(server, models)


def _check_model_settings(folder: Path) -> None:
    """Refuse a folder that names no model, or does so in a way that MLServer would pass over."""
    paths = sorted(folder.rglob(DEFAULT_MODEL_SETTINGS_FILENAME))
    if not paths:
        raise UsageError(f"{folder} has no {DEFAULT_MODEL_SETTINGS_FILENAME}; name the folder that holds the settings.")
    for path in paths:
        try:
            ModelSettings.model_validate(_json_object(path))
        except (ValueError, OSError) as error:
            raise ServerError(f"{path} is wrong: {_reason(error)}.") from error


def _json_object(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_text())
    if not isinstance(document, dict):
        raise ValueError(f"expected a JSON object, found {document!r:.60}")  # noqa: TRY004  as json.loads does
    return document


def _check_model(settings: ModelSettings) -> None:
    """Refuse a model that cannot be loaded; of another runtime than ours, see only whether it is installed."""
    if settings.implementation_ == RUNTIME:
        batch_limits(settings)
        artifact.load(model_folder(settings))
        return
    try:
        _ = settings.implementation
    except (ImportError, ValueError) as error:
        raise ServerError(f"Model {settings.name!r} needs {settings.implementation_!r}: {error}.") from error


def _reason(error: Exception) -> str:
    """The first of pydantic's complaints in one line, or the error's own."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'as a whole'}: {first['msg']}, found {first['input']!r:.60}"


def _check_ports(settings: Settings) -> None:
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


@contextmanager
def _one_signal_handler() -> Iterator[None]:
    """Leave signals to MLServer: uvicorn, of which it runs two, would raise each again once it has ended."""
    theirs = uvicorn.Server.capture_signals
    uvicorn.Server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        uvicorn.Server.capture_signals = theirs  # type: ignore[method-assign]


async def _check_loaded(server: MLServer, models: list[ModelSettings]) -> None:
    """MLServer ends as if all were well when a model fails to load, and has forgotten that model by then."""
    loaded = {model.name for model in await server._model_registry.get_models() if model.ready}  # noqa: SLF001  no other way to ask
    for model in models:
        if model.name not in loaded:
            raise ServerError(f"Model {model.name!r} could not be loaded; the log above says why.")
