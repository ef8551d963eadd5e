"""Run `api.py` as a process, and send it requests."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tabserve.client.local_server import free_ports, running_process

API = Path(__file__).parents[1] / "api.py"
SECONDS = 30
"""Deadline of an answer."""


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:  # noqa: ANN401  any JSON
        return json.loads(self.body)


class Api(NamedTuple):
    """A running API."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request on a new connection."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)) as connection:
            connection.request(method, path, body, dict(headers or {}))  # type: ignore[arg-type]
            response = connection.getresponse()
            lower = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, lower, response.read())

    def post(self, products: object, path: str = "/v1/categorize") -> Answer:
        """Post products to a route."""
        return self.ask("POST", path, json.dumps({"products": products}).encode())

    def categories(self, titles: Sequence[str]) -> list[str]:
        """Ask for the categories of titles."""
        answer = self.post([{"title": title} for title in titles])
        assert answer.status == 200, answer.body
        categories: list[str] = answer.document["categories"]
        return categories


@contextmanager
def api(model: Path | None, **variables: str) -> Iterator[Api]:
    """Run the API on a free port, with a model folder or with its default one."""
    (port,) = free_ports(1)
    environment = {**environ(model), "PORT": str(port), **variables}
    with running_process([sys.executable, str(API)], environment, f"http://127.0.0.1:{port}/ready") as (process, log):
        yield Api(process, port, log)


def environ(model: Path | None) -> dict[str, str]:
    """Environment variables of the API, without the case's own variables of the caller."""
    plain = {name: value for name, value in os.environ.items() if name not in {"MODEL_PATH", "PORT", "HOST"}}
    return {**plain, "TABSERVE_DRAIN_SECONDS": "0.01", **({"MODEL_PATH": str(model)} if model else {})}
