"""The routes of every API beside its contract's: health, readiness, metrics and documents, by FastAPI."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from tabserve.serving.rest import swagger


def create_app(is_ready: Callable[[], bool], metrics: Callable[[], bytes], document: Callable[[], Any]) -> FastAPI:
    """Create the FastAPI app.

    Args:
        is_ready: whether the server takes new requests.
        metrics: the body of `/metrics`.
        document: the OpenAPI document of all routes, for `/docs`.
    """
    app = FastAPI(
        openapi_url=None,  # FastAPI's own document would lack the contract's routes
        routes=swagger.routes("/docs", "openapi.json"),
        redirect_slashes=False,
        exception_handlers={HTTPException: _refuse},
    )

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/ready")
    async def ready() -> JSONResponse:
        if is_ready():
            return JSONResponse({"status": "ready"})
        return JSONResponse({"error": "The server is about to end."}, 503, {"retry-after": "1"})

    @app.get("/metrics")
    async def prometheus() -> Response:
        return Response(metrics(), headers={"content-type": CONTENT_TYPE_LATEST})

    @app.get("/openapi.json")
    async def openapi() -> JSONResponse:
        return JSONResponse(document())

    return app


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    """Refuse an unknown path or a method that it does not take."""
    assert isinstance(error, HTTPException)
    reason = f"{request.method} {request.scope['path']}: {error.detail}; /docs lists what there is."
    return JSONResponse({"error": reason}, error.status_code, error.headers)
