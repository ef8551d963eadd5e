"""Swagger UI's page on an OpenAPI document, and all that it loads, served by ourselves under a strict policy."""

from collections.abc import Callable
from functools import cache, partial
from hashlib import sha256
from importlib.metadata import distribution
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # the signs that Swagger UI's own style draws
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
"""What a browser lets the page do: use what this server has, and nothing else."""

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",  # kept, but asked for by its tag each time: a new version comes under the same name
}

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API</title>
<link rel="icon" href="{above}docs/favicon-32x32.png">
<link rel="stylesheet" href="{above}docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui" data-document="{above}{document}"></div>
<script src="{above}docs/swagger-ui-bundle.js"></script>
<script src="{above}docs/start.js"></script>
</body>
</html>
"""
"""Its links are relative, so that it holds no name that a client sent, and works behind a proxy that adds a prefix;
`above` leads up from a path that ends with a slash."""

START = """const place = document.getElementById("swagger-ui");
SwaggerUIBundle({domNode: place, url: place.dataset.document, deepLinking: true, validatorUrl: "none"});
"""

PACKAGE, FOLDER = "fastapi-swagger", "fastapi_swagger/resources"
"""Whose files are read; none of its code is run."""

KINDS = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
"""Its files that are served, and no other."""


class File(NamedTuple):
    """What is answered, with a tag that changes with it."""

    body: bytes
    kind: str
    tag: str


def routes(page: str, document: str, check: Callable[..., object] = lambda: None) -> list[BaseRoute]:
    """The routes of a page and, below it, of its files.

    Args:
        page: its path, which ends with `/docs`.
        document: where the OpenAPI document is, as a link from the page.
        check: is called first, with the path's parameters; what it raises refuses the request.
    """

    async def answer(read: Callable[[], File], request: Request) -> Response:
        check(**request.path_params)
        return _response(read(), request.headers.get("if-none-match", ""))

    async def show(request: Request) -> Response:
        above = "../" if request.scope["raw_path"].endswith(b"/") else ""
        return await answer(partial(_page, document, above), request)

    reads: dict[str, Callable[[], File]] = {f"{page}/{name}": partial(_packaged, name) for name in KINDS}
    reads[f"{page}/start.js"] = _start
    return [Route(page, show), *(Route(path, partial(answer, read)) for path, read in reads.items())]


def _response(file: File, known: str) -> Response:
    """The file, or no more than that it is one of those that the client has kept."""
    headers = {**HEADERS, "etag": file.tag}
    if file.tag in known:  # a list of tags in quotes, each perhaps behind `W/`
        return Response(status_code=304, headers=headers)
    return Response(file.body, headers={**headers, "content-type": file.kind})


@cache
def _page(document: str, above: str) -> File:
    return _file(PAGE.format(document=document, above=above).encode(), "text/html; charset=utf-8")


@cache
def _start() -> File:
    return _file(START.encode(), KINDS["swagger-ui-bundle.js"])


@cache
def _packaged(name: str) -> File:
    """A file of the package, read when it is first asked for."""
    return _file(Path(str(distribution(PACKAGE).locate_file(FOLDER)), name).read_bytes(), KINDS[name])


def _file(body: bytes, kind: str) -> File:
    return File(body, kind, f'"{sha256(body).hexdigest()[:32]}"')
