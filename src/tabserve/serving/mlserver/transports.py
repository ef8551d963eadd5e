"""MLServer's three servers, of REST, gRPC and metrics, on our sockets and with our front doors."""

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
from tabserve.serving.mlserver.startup_checks import opened
from tabserve.serving.ports import authority
from tabserve.serving.rest.exchange import AppHandler
from tabserve.serving.rest.inference import InferenceApp
from tabserve.serving.rest.listener import Listener, configured
from tabserve.serving.rest.paths import with_routes
from tabserve.serving.rest.safe_methods import READING, with_safe_methods
from tabserve.serving.triton import Extensions

OTHER_MESSAGES = 4
"""Messages, beside requests for inference, that may be arriving over gRPC at a time: health is asked for meanwhile."""

STREAM_MESSAGES = 2
"""Messages of calls that may send several, of which one that waits to send its next keeps a place."""

WINDOW = [("grpc.http2.bdp_probe", 0)]
"""Let gRPC's window of a message that nobody reads stay at 64 KiB, and not grow with the speed of the line."""

log = logging.getLogger(__name__)


class Rest(RESTServer):
    """MLServer's REST server, with our edge around its app and our connections below it."""

    def __init__(self, theirs: RESTServer, edge: InferenceApp, limits: Limits) -> None:
        """Take over from MLServer's server."""
        self.__dict__.update(vars(theirs))
        self._edge, self._limits = edge, limits

    async def start(self) -> None:
        """Serve until stopped."""
        config = self._get_config()  # type: ignore[no-untyped-call]
        listener = Listener(configured(config, self._edge, self._limits), self._limits)
        self._server = listener  # type: ignore[assignment]  # what MLServer stops
        with opened(self._settings, "http") as listening:
            log.info("REST server running on http://%s", authority(self._settings.host, self._settings.http_port))
            await listener.serve_on(listening)


class Metrics(MetricsServer):
    """MLServer's server of metrics, with no other route, and with our connections below it."""

    def __init__(self, theirs: MetricsServer, limits: Limits) -> None:
        """Take over from MLServer's server."""
        self.__dict__.update(vars(theirs))
        self._limits = limits
        routes = self._app.routes  # FastAPI adds pages whose script comes from a public server
        routes[:] = [route for route in routes if getattr(route, "path", "") == self._settings.metrics_endpoint]
        self._app.router.redirect_slashes = False  # to where the client's own Host header says
        self._app = with_safe_methods(with_routes(self._app), READING)

    async def start(self) -> None:
        """Serve until stopped."""
        config = self._get_config()  # type: ignore[no-untyped-call]
        listener = Listener(configured(config, AppHandler(self._app), self._limits), self._limits)
        self._server = listener  # type: ignore[assignment]  # what MLServer stops
        with opened(self._settings, "metrics") as listening:
            address = authority(self._settings.host, self._settings.metrics_port)
            log.info("Metrics are at http://%s%s", address, self._settings.metrics_endpoint)
            await listener.serve_on(listening)


class Grpc(GRPCServer):
    """MLServer's gRPC server, with our servicer, and with methods that MLServer's lacks."""

    def __init__(
        self, theirs: GRPCServer, servicer: Servicer, extensions: Extensions, health: Health, limits: Limits
    ) -> None:
        """Take over from MLServer's server."""
        self.__dict__.update(vars(theirs))
        self._servicer, self._extensions, self._health, self._limits = servicer, extensions, health, limits
        places = (limits.max_receiving_messages, STREAM_MESSAGES, OTHER_MESSAGES)
        self._readers = MessageReaders(*(MessageReader(each, limits.receive_seconds) for each in places))

    async def start(self) -> None:
        """Serve until stopped."""
        sweeping = [asyncio.create_task(reader.sweep()) for reader in self._readers]
        server = self._create_server()
        try:
            await server.start()
            log.info("gRPC server running on grpc://%s", authority(self._settings.host, self._settings.grpc_port))
            await server.wait_for_termination()
        finally:
            for each in sweeping:
                each.cancel()

    async def stop(self, sig: int | None = None) -> None:
        """Answer who has asked, then end; who watches, or may ask more, would never have done."""
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
