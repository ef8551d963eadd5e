"""The page of Swagger UI and all that it loads, served under a strict content-security policy."""

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
        "img-src 'self' data:",  # icons of Swagger UI's own style
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
"""The page may load from this server only."""

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",  # revalidated by its tag each time, as a new version has the same name
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
"""Its links are relative, so that it holds no name that a client sent and works behind a prefix; `above` is `../` on a
path that ends with a slash."""

START = """const page = document.getElementById("swagger-ui");
SwaggerUIBundle({domNode: page, url: page.dataset.document, deepLinking: true, validatorUrl: "none"});
"""

PACKAGE, FOLDER = "fastapi-swagger", "fastapi_swagger/resources"
"""The package whose files are served; none of its code is run."""

KINDS = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
"""The files that are served, with their content type."""


class File(NamedTuple):
    """A served file with its entity tag."""

    body: bytes
    kind: str
    tag: str


def routes(page: str, document: str, check: Callable[..., object] = lambda: None) -> list[BaseRoute]:
    """The routes of the page and of its files below it.

    Args:
        page: its path, which ends with `/docs`.
        document: the relative link from the page to the OpenAPI document.
        check: called first with the path's parameters; it raises to refuse the request.
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
    """The file, or 304 if the client has it."""
    headers = {**HEADERS, "etag": file.tag}
    if file.tag in known:  # a list of quoted tags, some with the prefix `W/`
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
    """A file of the package, read at its first request."""
    return _file(Path(str(distribution(PACKAGE).locate_file(FOLDER)), name).read_bytes(), KINDS[name])


def _file(body: bytes, kind: str) -> File:
    return File(body, kind, f'"{sha256(body).hexdigest()[:32]}"')
