"""The API of categories as a process, and requests to it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.case_api import Answer, CaseApi, running_api

API = Path(__file__).parents[1] / "api.py"


class Api(CaseApi):
    """A running API."""

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
    """Run the API on a free port, with a model folder or with its default one, until it is ready."""
    with running_api(API, model, "/ready", **variables) as running:
        yield Api(*running)
