"""Extend MLServer's REST app: our refusals, Triton's extensions, and documents of the loaded models."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from mlserver.errors import MLServerError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from tabserve.errors import TabserveError
from tabserve.serving.models import FindModel, ListModels, is_ours
from tabserve.serving.protocol.status import UNANSWERED, status
from tabserve.serving.rest import openapi, swagger
from tabserve.serving.triton import Document, Extensions

MODELS = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")


def add_routes(app: FastAPI, find: FindModel, every: ListModels, extensions: Extensions, *, admin: bool) -> None:
    """Add routes and error handlers, so that the app answers as `/v2/docs/dataplane.json` says.

    Args:
        app: MLServer's.
        find: finds a model.
        every: lists all models.
        extensions: answers Triton's requests.
        admin: whether clients may load, unload and list models.
    """
    for kind in (HTTPException, RequestValidationError, MLServerError, TabserveError, Exception):
        app.add_exception_handler(kind, _refuse)
    app.router.redirect_slashes = False  # they would follow the client's Host header

    def lookup(name: str | None = None, version: str | None = None) -> Any:  # noqa: ANN401  a model, or none
        return find(name, version) if name else None

    async def docs(name: str | None = None, version: str | None = None) -> Document:
        models = [model] if (model := lookup(name, version)) else await every()
        signatures = [model.signature for model in models if is_ours(model) and model.ready]
        return openapi.document(signatures, admin=admin, name=name, version=version)

    answers = {"config": extensions.config, "stats": extensions.statistics, "docs/dataplane.json": docs}
    ours = {f"{model}/{suffix}": answer for model in MODELS for suffix, answer in answers.items()}
    ours |= {"/v2/models/stats": extensions.statistics, "/v2/docs/dataplane.json": docs, "/openapi.json": docs}
    pages = [
        route for base in ("/v2", *MODELS) for route in swagger.routes(f"{base}/docs", "docs/dataplane.json", lookup)
    ]
    app.routes[:0] = [*(Route(path, partial(_answer, answer)) for path, answer in ours.items()), *pages]


async def _answer(answer: Callable[..., Awaitable[Document]], request: Request) -> JSONResponse:
    return JSONResponse(await answer(**request.path_params))


def _refuse(_request: Request, error: Exception) -> JSONResponse:
    """The response `{"error": …}` to any error."""
    if isinstance(error, HTTPException):
        return _error_response(f"{error.detail}.", error.status_code, error.headers)
    if isinstance(error, RequestValidationError):
        return _error_response(f"The body is not what is expected here: {error.errors()[0]['msg']}.", 400)
    if isinstance(error, TabserveError):
        return _error_response(str(error), status(error).http)
    if isinstance(error, MLServerError):
        return _error_response(str(error), error.status_code)
    return _error_response(UNANSWERED, 500)


def _error_response(reason: str, code: int, headers: Any = None) -> JSONResponse:  # noqa: ANN401  a mapping, or none
    return JSONResponse({"error": reason}, code, headers or ({"retry-after": "1"} if code == 503 else None))
