"""The API's other routes, by FastAPI: whether it lives and is ready, its metrics, its documents."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from categories.metrics import Metrics
from tabserve.serving.rest import swagger


def made(is_ready: Callable[[], bool], metrics: Metrics, document: dict[str, Any]) -> FastAPI:
    """The app.

    Args:
        is_ready: whether new requests are welcome.
        metrics: what `/metrics` tells.
        document: of all routes, which `/docs` shows.
    """
    app = FastAPI(
        title=document["info"]["title"],
        docs_url=None,
        redoc_url=None,
        routes=swagger.routes("/docs", "openapi.json"),
        redirect_slashes=False,
        exception_handlers={HTTPException: _refuse},
    )
    app.openapi_schema = document  # complete, so that FastAPI, which sees only these routes, makes none

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/ready")
    async def ready() -> JSONResponse:
        if is_ready():
            return JSONResponse({"status": "ready"})
        return JSONResponse({"error": "The server is about to end."}, 503, {"retry-after": "1"})

    @app.get("/metrics")
    async def told() -> Response:
        return Response(metrics.written(), headers={"content-type": CONTENT_TYPE_LATEST})

    return app


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    """What is not found, or asked for by another method."""
    assert isinstance(error, HTTPException)
    reason = f"{request.method} {request.scope['path']}: {error.detail}; /docs lists what there is."
    return JSONResponse({"error": reason}, error.status_code, error.headers)
