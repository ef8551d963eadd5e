"""Run `api.py` as a process, and send it requests."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import requests

from tabserve.client.local_server import free_ports, running_process

API = Path(__file__).parents[1] / "api.py"
SECONDS = 30
"""Deadline of an answer."""

LOAD_SECONDS = 150
"""Deadline of a load, which starts a process."""

OWN = {"MODEL_PATH", "PORT", "HOST"}


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

    def predict(self, flights: object) -> Answer:
        """Ask about flights."""
        return self.ask("POST", "/model/predict/", json.dumps(flights).encode())

    def load(self, name: str, data: bytes, field: str = "file", **headers: str) -> requests.Response:
        """Upload a model."""
        return requests.post(
            f"{self.url}/model/load/", files={field: (name, data)}, headers=headers, timeout=LOAD_SECONDS
        )


@contextmanager
def api(model: Path | None, **variables: str) -> Iterator[Api]:
    """Run the API on a free port, with a model folder or with its default one, until it is ready."""
    (port,) = free_ports(1)
    environment = {**environ(model), "PORT": str(port), **variables}
    with running_process([sys.executable, str(API)], environment, f"http://127.0.0.1:{port}/health") as (process, log):
        yield Api(process, port, log)


def environ(model: Path | None) -> dict[str, str]:
    """Environment variables of the API, without the caller's own of this case."""
    plain = {
        name: value for name, value in os.environ.items() if name not in OWN and not name.startswith("TABSERVE_LOAD")
    }
    plain.pop("TABSERVE_HISTORY", None)
    return {**plain, "TABSERVE_DRAIN_SECONDS": "0.01", **({"MODEL_PATH": str(model)} if model else {})}
