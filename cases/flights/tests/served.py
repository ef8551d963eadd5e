"""The API of flights as a process, and requests to it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from tests.case_api import Answer, CaseApi, running_api

API = Path(__file__).parents[1] / "api.py"

LOAD_SECONDS = 150
"""Deadline of a load, which starts a process."""


class Api(CaseApi):
    """A running API."""

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
    """Run the API on a free port, with a model folder or with its default one, until it is live."""
    with running_api(API, model, "/health", **variables) as running:
        yield Api(*running)
