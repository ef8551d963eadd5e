"""The routes of every API beside its contract's: health, readiness, metadata, metrics and documents, by FastAPI."""

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, Protocol

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from tabserve.errors import TabserveError
from tabserve.serving.api.document import Document
from tabserve.serving.api.v2 import V2Metadata
from tabserve.serving.history.history import History
from tabserve.serving.history.route import HistoryRoute
from tabserve.serving.protocol.status import status
from tabserve.serving.rest import swagger

HISTORY = "/model/history"
"""The route of every API that shows the requests that were answered."""


class Routes(Protocol):
    """What the routes tell, such as `api.Api`."""

    def health(self) -> Document:
        """What is served, and since when."""

    def unready(self) -> str:
        """Why the server takes no requests, or the empty text."""

    def metrics(self) -> bytes:
        """The body of `/metrics`."""

    def document(self) -> Document:
        """The OpenAPI document of all routes, for `/docs`."""


def create_app(routes: Routes, v2: V2Metadata, history: History | None) -> FastAPI:
    """Create the FastAPI app; a history is shown on its own route."""
    app = FastAPI(
        openapi_url=None,  # FastAPI's own document would lack the contract's routes
        routes=swagger.routes("/docs", "openapi.json"),
        redirect_slashes=False,
        exception_handlers={HTTPException: _refuse, TabserveError: _refuse_request},
    )

    @app.get("/ready")
    async def ready() -> JSONResponse:
        if reason := routes.unready():
            return JSONResponse({"error": reason}, 503, {"retry-after": "1"})
        return JSONResponse({"status": "ready"})

    @app.get("/metrics")
    async def prometheus() -> Response:
        return Response(routes.metrics(), headers={"content-type": CONTENT_TYPE_LATEST})

    app.add_route(HISTORY, HistoryRoute(history).__call__ if history else _no_history)
    model = "/v2/models/{name}"
    documents: dict[str, Callable[..., Document | Awaitable[Document]]] = {
        "/health": routes.health,
        "/openapi.json": routes.document,
        "/v2": v2.server,
        "/v2/models/stats": v2.statistics,
        model: v2.model,
        f"{model}/versions/{{version}}": v2.model,
    }
    for path, make in documents.items():
        app.add_route(path, _answering(make))
    return app


def _answering(make: Callable[..., Document | Awaitable[Document]]) -> Callable[[Request], Any]:
    async def answer(request: Request) -> JSONResponse:
        made = make(**request.path_params)
        return JSONResponse(await made if isawaitable(made) else made)

    return answer


async def _no_history(_request: Request) -> JSONResponse:
    return JSONResponse({"error": "This server keeps no history; an operator names its file by TABSERVE_HISTORY."}, 404)


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    """Refuse an unknown path or a method that it does not take."""
    assert isinstance(error, HTTPException)
    reason = f"{request.method} {request.scope['path']}: {error.detail}; /docs lists what there is."
    return JSONResponse({"error": reason}, error.status_code, error.headers)


async def _refuse_request(_request: Request, error: Exception) -> JSONResponse:
    """Refuse a request as its error says."""
    assert isinstance(error, TabserveError)
    code = status(error).http
    return JSONResponse({"error": str(error)}, code, {"retry-after": "1"} if code == 503 else None)
