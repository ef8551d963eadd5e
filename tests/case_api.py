"""Run a case's `api.py` as a process, and send it requests."""

import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tabserve.client.local_server import free_ports, running_process

SECONDS = 30
"""Deadline of an answer."""

OWN = re.compile("MODEL_PATH|PORT|HOST|TABSERVE_LOAD.*|TABSERVE_HISTORY.*")
"""The names of an API's own variables."""


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:  # noqa: ANN401  any JSON
        return json.loads(self.body)


class CaseApi(NamedTuple):
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


@contextmanager
def running_api(script: Path, model: Path | None, probe: str, **variables: str) -> Iterator[CaseApi]:
    """Run an API on a free port, with a model folder or with its default one, until the path `probe` answers 200."""
    (port,) = free_ports(1)
    environment = {**environ(model), "PORT": str(port), **variables}
    url = f"http://127.0.0.1:{port}{probe}"
    with running_process([sys.executable, str(script)], environment, url) as (process, log):
        yield CaseApi(process, port, log)


def environ(model: Path | None) -> dict[str, str]:
    """Environment variables of an API, without the caller's own of APIs."""
    plain = {name: value for name, value in os.environ.items() if not OWN.fullmatch(name)}
    return {**plain, "TABSERVE_DRAIN_SECONDS": "0.01", **({"MODEL_PATH": str(model)} if model else {})}
