"""`tabserve serve`: MLServer on a model folder or a folder of settings, with our REST and gRPC servers."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path

import uvicorn
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.logging import configure_logger
from mlserver.repository import ModelRepositoryFactory
from mlserver.utils import install_uvloop_event_loop

from tabserve.errors import NotLoaded, ServerError, UnknownModel, UsageError
from tabserve.model.model import Model
from tabserve.serving import memory
from tabserve.serving.grpc.health import Health
from tabserve.serving.grpc.servicer import Servicer
from tabserve.serving.history.history import History
from tabserve.serving.history.opening import running_history
from tabserve.serving.limits import Limits, reason
from tabserve.serving.metrics import Outcomes
from tabserve.serving.mlserver.app import add_routes
from tabserve.serving.mlserver.registry import Registry, Repository
from tabserve.serving.mlserver.repository import check_folder, choose_repository, is_model_folder
from tabserve.serving.mlserver.settings import CHOICE, SETTINGS, check_choice, default_folder, model_folder
from tabserve.serving.mlserver.startup_checks import check_model, check_ports, json_object, read_limits
from tabserve.serving.mlserver.transports import Grpc, Metrics, Rest
from tabserve.serving.request_log import RequestLog
from tabserve.serving.rest.inference import InferenceApp
from tabserve.serving.triton import NAMES, Extensions
from tabserve.wording import listed, shown

log = logging.getLogger(__name__)


def serve(
    folder: Path | None = None, model: Path | None = None, name: str | None = None, **settings: str | int
) -> None:
    """Serve a model folder, or what a folder's settings name, until SIGTERM or SIGINT.

    Args:
        folder: a model folder; or one that holds `settings.json` and, there or below, `model-settings.json`. None for
            the settings that come with tabserve.
        model: the model folder to serve instead of the one that the settings name.
        name: what the server calls the model; None for the model folder's name, or the one in the settings.
        settings: replace those of `settings.json` and of the MLSERVER_* variables, such as `http_port`.

    Raises:
        UsageError: the folder names no model, or several where one model folder or one name is chosen.
        ArtifactError: the model folder is not whole.
        ServerError: a setting is wrong, a port is taken, or the model cannot be loaded.
    """
    folder = folder or default_folder()
    if is_model_folder(folder):
        if model:
            raise UsageError(f"{folder} is a model folder already; leave out --model, or name a folder of settings.")
        model = folder
    if model:
        os.environ[CHOICE] = str(model.absolute())  # a link is followed at each load
    memory.tune_malloc()  # before there are threads
    configure_logger()
    logging.getLogger("mlserver").addFilter(_is_relevant)
    ours = logging.getLogger("tabserve")
    ours.setLevel(logging.INFO)
    ours.handlers = [logging.StreamHandler()]
    check_folder(folder)
    path = (default_folder() if model is folder else folder) / SETTINGS
    sys.path[:0] = [str(path.parent), "."]  # a runtime's module may be beside its settings
    read = _read_settings(path, settings)
    choose_repository(read, folder, name)
    install_uvloop_event_loop()  # type: ignore[no-untyped-call]
    asyncio.run(_serve(read, read_limits(path)))


def _is_relevant(record: logging.LogRecord) -> bool:
    """False for MLServer's warning that a model is not named after its settings' folder, which no model needs to be."""
    return "is different than model's folder name" not in record.getMessage()


async def _serve(settings: Settings, limits: Limits) -> None:
    models = await _list_models(settings)
    check_choice(models)
    verified = {model_folder(item): model for item in models if (model := check_model(item))}
    check_ports(settings)
    with running_history(limits) as history, _one_signal_handler():
        server = Server(settings, limits, verified, history)
        await server.start(models)
    await server.check_loaded(models)


def _read_settings(path: Path, chosen: Mapping[str, str | int]) -> Settings:
    """The server's settings: those chosen, of the file, of the variables, or MLServer's own."""
    try:
        return Settings.model_validate({**(json_object(path) if path.is_file() else {}), **chosen})
    except ValueError as error:
        raise ServerError(f"{path} or an MLSERVER_* variable is wrong: {reason(error)}.") from error


async def _list_models(settings: Settings) -> list[ModelSettings]:
    """The settings of the models, as `mlserver start` reads them.

    MLServer's own function imports its command line, which takes a second and 15 MB.
    """
    if not settings.load_models_at_startup:
        return []
    return await ModelRepositoryFactory.resolve_model_repository(settings).list()


class Server(MLServer):
    """MLServer with our REST and gRPC servers."""

    def __init__(
        self, settings: Settings, limits: Limits, verified: dict[Path, Model], history: History | None
    ) -> None:
        """Prepare to serve; models in `verified` are not loaded a second time, and a history records answers."""
        self._limits, self._verified, self._history = limits, verified, history
        self._stopping = False
        settings.extensions = NAMES
        if "server_version" not in settings.model_fields_set:  # it would be MLServer's version
            settings.server_version = version("tabserve")
        super().__init__(settings)

    def _create_servers(self) -> None:
        self._model_repository_handlers = Repository(self._model_repository, self._model_registry)
        super()._create_servers()  # type: ignore[no-untyped-call]
        extensions = Extensions(self._find, self._every)
        add_routes(self._rest_server._app, self._find, self._every, extensions, admin=self._limits.admin)
        plane = self._data_plane
        outcomes = Outcomes(
            plane._ModelInferRequestSuccess, plane._ModelInferRequestFailure, plane._ModelInferRequestDuration
        )
        self._app = InferenceApp(
            self._rest_server._app,
            self._find,
            self._every,
            self._limits,
            RequestLog("rest", outcomes),
            history=self._history,
        )
        self._servicer = Servicer(
            plane, self._model_repository_handlers, self._find, RequestLog("grpc", outcomes), self._history
        )
        self._rest_server = Rest(self._rest_server, self._app, self._limits)
        self._grpc_server = Grpc(self._grpc_server, self._servicer, extensions, self._health, self._limits)
        if self._metrics_server:
            self._metrics_server = Metrics(self._metrics_server, self._limits)

    def _create_model_registry(self) -> Registry:
        self._health = Health(self._find, self._every)
        return Registry(super()._create_model_registry(), self._health.notify, self._limits, self._verified)

    async def _every(self) -> list[MLModel]:
        """All models, in all versions."""
        return [*await self._model_registry.get_models()]

    def _find(self, name: str, version: str | None) -> MLModel:
        """The loaded model of this name and version; MLServer registers a model before it is loaded."""
        versions = self._model_registry._models.get(name)
        model = versions._find_model(version) if versions else None
        if model is None:
            which = shown(name) if version is None else f"{shown(name)} of version {shown(version)}"
            loaded = listed(name for name, versions in self._model_registry._models.items() if not versions.empty())
            raise UnknownModel(f"Model {which} is not found; this server has {loaded or 'none yet'}.")
        if not model.ready:
            raise NotLoaded(f"Model {shown(name)} is being loaded; try again in a second.")
        return model

    async def start(self, models_settings: list[ModelSettings]) -> None:  # type: ignore[override]  # never without
        """Serve until stopped; SIGHUP loads the models again."""
        reload = lambda: asyncio.ensure_future(self._reload(models_settings))  # noqa: E731
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
        await super().start(models_settings)

    async def _reload(self, models_settings: list[ModelSettings]) -> None:
        """Reload each model; the old one answers until the new one is loaded, and stays if that fails."""
        for settings in models_settings:
            try:
                await self._model_registry.load(settings)
            except Exception as error:  # noqa: BLE001  whatever it is, the old model goes on
                log.error("Model %s was not reloaded, and goes on as before: %s", settings.name, error)  # noqa: TRY400
            else:
                log.info("Model %s was reloaded.", settings.name)

    async def stop(self, sig: int | None = None) -> None:  # noqa: ARG002  MLServer names it
        """Report not ready, answer requests for `drain_seconds`, then end; at a second signal, end at once."""
        waits = not self._stopping
        self._stopping = self._app.draining = self._servicer.draining = True
        self._health.drain()
        if waits:
            await asyncio.sleep(self._limits.drain_seconds)
        await super().stop(signal.SIGTERM)  # at a second SIGINT, uvicorn would leave requests unanswered

    async def check_loaded(self, models: list[ModelSettings]) -> None:
        """Raise if a model failed to load, after which MLServer ends with exit code 0 and drops the model."""
        loaded = {model.name for model in await self._model_registry.get_models() if model.ready}
        for model in models:
            if model.name not in loaded:
                raise ServerError(f"Model {model.name!r} could not be loaded; the log above says why.")


@contextmanager
def _one_signal_handler() -> Iterator[None]:
    """Leave signals to MLServer: its two uvicorn servers would raise each signal again at their end."""
    theirs = uvicorn.Server.capture_signals
    uvicorn.Server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        uvicorn.Server.capture_signals = theirs  # type: ignore[method-assign]
