"""MLServer's REST, gRPC and metrics servers, on our sockets, connections and servicers."""

import asyncio
import logging

import grpc
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server
from mlserver.grpc.dataplane_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from mlserver.grpc.model_repository import ModelRepositoryServicer
from mlserver.grpc.model_repository_pb2_grpc import add_ModelRepositoryServiceServicer_to_server
from mlserver.grpc.server import GRPCServer
from mlserver.metrics import MetricsServer
from mlserver.rest.server import RESTServer

from tabserve.serving.grpc import triton
from tabserve.serving.grpc.health import Health
from tabserve.serving.grpc.message_reader import MessageReader
from tabserve.serving.grpc.methods import MessageReaders, MethodRegistry
from tabserve.serving.grpc.reflection import reflection
from tabserve.serving.grpc.servicer import SERVICE, Servicer, close_repository
from tabserve.serving.limits import Limits
from tabserve.serving.mlserver.startup_checks import listen
from tabserve.serving.ports import authority
from tabserve.serving.rest.exchange import AppHandler
from tabserve.serving.rest.inference import InferenceApp
from tabserve.serving.rest.listener import Listener, configure
from tabserve.serving.rest.paths import with_routes
from tabserve.serving.rest.safe_methods import READING, with_safe_methods
from tabserve.serving.triton import Extensions

OTHER_MESSAGES = 4
"""Most messages other than inference requests that may arrive over gRPC at a time, so that health is answered."""

STREAM_MESSAGES = 2
"""Most calls of several messages at a time; one that waits to send its next message counts."""

WINDOW = [("grpc.http2.bdp_probe", 0)]
"""Keep gRPC's flow-control window at 64 KiB; it would grow with the bandwidth."""

log = logging.getLogger(__name__)


class Rest(RESTServer):
    """MLServer's REST server, with our app around its own and our connections."""

    def __init__(self, theirs: RESTServer, app: InferenceApp, limits: Limits) -> None:
        """Take over from MLServer's server."""
        self.__dict__.update(vars(theirs))
        self._inference_app, self._limits = app, limits

    async def start(self) -> None:
        """Serve until stopped."""
        config = self._get_config()  # type: ignore[no-untyped-call]
        listener = Listener(configure(config, self._inference_app, self._limits), self._limits)
        self._server = listener  # type: ignore[assignment]  # what MLServer stops
        with listen(self._settings, "http") as listening:
            log.info("REST server running on http://%s", authority(self._settings.host, self._settings.http_port))
            await listener.serve_on(listening)


class Metrics(MetricsServer):
    """MLServer's metrics server, without its other routes and with our connections."""

    def __init__(self, theirs: MetricsServer, limits: Limits) -> None:
        """Take over from MLServer's server."""
        self.__dict__.update(vars(theirs))
        self._limits = limits
        routes = self._app.routes  # FastAPI adds pages whose script comes from a public server
        routes[:] = [route for route in routes if getattr(route, "path", "") == self._settings.metrics_endpoint]
        self._app.router.redirect_slashes = False  # they would follow the client's Host header
        self._app = with_safe_methods(with_routes(self._app), READING)

    async def start(self) -> None:
        """Serve until stopped."""
        config = self._get_config()  # type: ignore[no-untyped-call]
        listener = Listener(configure(config, AppHandler(self._app), self._limits), self._limits)
        self._server = listener  # type: ignore[assignment]  # what MLServer stops
        with listen(self._settings, "metrics") as listening:
            address = authority(self._settings.host, self._settings.metrics_port)
            log.info("Metrics are at http://%s%s", address, self._settings.metrics_endpoint)
            await listener.serve_on(listening)


class Grpc(GRPCServer):
    """MLServer's gRPC server, with our servicer and further methods."""

    def __init__(
        self, theirs: GRPCServer, servicer: Servicer, extensions: Extensions, health: Health, limits: Limits
    ) -> None:
        """Take over from MLServer's server."""
        self.__dict__.update(vars(theirs))
        self._servicer, self._extensions, self._health, self._limits = servicer, extensions, health, limits
        counts = (limits.max_receiving_messages, STREAM_MESSAGES, OTHER_MESSAGES)
        self._readers = MessageReaders(*(MessageReader(count, limits.receive_seconds) for count in counts))

    async def start(self) -> None:
        """Serve until stopped."""
        sweeping = [asyncio.create_task(reader.sweep()) for reader in self._readers]
        server = self._create_server()
        try:
            await server.start()
            log.info("gRPC server running on grpc://%s", authority(self._settings.host, self._settings.grpc_port))
            await server.wait_for_termination()
        finally:
            for task in sweeping:
                task.cancel()

    async def stop(self, sig: int | None = None) -> None:
        """Answer pending calls, then end; watches and streams are ended first, as they would last forever."""
        self._health.end()
        self._readers.streams.end()
        await super().stop(sig)

    def _create_server(self) -> grpc.aio.Server:
        repository = ModelRepositoryServicer(self._model_repository_handlers)
        if not self._limits.admin:
            close_repository(self._servicer)
            close_repository(repository)
        self._server = grpc.aio.server(options=[*self._get_options(), *WINDOW])
        methods = MethodRegistry(self._server, self._servicer.request_log, self._readers)
        add_GRPCInferenceServiceServicer_to_server(self._servicer, methods)  # type: ignore[no-untyped-call]
        add_ModelRepositoryServiceServicer_to_server(repository, methods)  # type: ignore[no-untyped-call]
        methods.add_registered_method_handlers(SERVICE, triton.handlers(self._extensions))
        add_HealthServicer_to_server(self._health, methods)
        add_ServerReflectionServicer_to_server(reflection(methods.services), methods)
        self._server.add_insecure_port(authority(self._settings.host, self._settings.grpc_port))
        return self._server
