"""What an API promises: the routes that its model answers, and of which problem that model must be."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tabserve.errors import ArtifactError
from tabserve.model.model import Model
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.serving.limits import Limits
from tabserve.serving.model import LoadedModel
from tabserve.serving.protocol.document import Bytes
from tabserve.wording import listed


class Answer(NamedTuple):
    """What a route answers.

    Attributes:
        body: in JSON.
        rows: how many records it is about.
    """

    body: bytes
    rows: int


Route = Callable[[Bytes, LoadedModel], Awaitable[Answer]]
"""Answers the body of a POST by a model, or raises a TabserveError."""


@dataclass(frozen=True)
class Contract:
    """What makes one API another than the next.

    Attributes:
        name: of the API; its metrics begin with it.
        records: what the metrics call the rows of a request, such as `products`.
        problem: the columns and the task that its model must have.
        optional: columns that its model may have beside them.
        routes: those that take POST, by their paths.
        document: the OpenAPI document of all routes, for a model under some limits.
    """

    name: str
    records: str
    problem: Problem
    optional: tuple[Column, ...]
    routes: Mapping[str, Route]
    document: Callable[[Model, Limits], dict[str, Any]]

    def check(self, model: Model, folder: Path) -> None:
        """Refuse a model of another problem, whatever its predictor is.

        Raises:
            ArtifactError: its columns or its task are others.
        """
        found, needed, optional = (
            _kinds(each) for each in (model.problem.columns, self.problem.columns, self.optional)
        )
        advice = "name the folder of another in MODEL_PATH"
        if not {*needed} <= {*found} <= {*needed, *optional}:
            beside = f", and perhaps {listed(optional)}" if optional else ""
            needs = f"this API needs {listed(needed)}{beside}"
            raise ArtifactError(f"{folder} holds a model over the columns {listed(found)}; {needs}; {advice}.")
        if (task := model.problem.task) != self.problem.task:
            needs = f"this API needs {self.problem.task!r:.200}"
            raise ArtifactError(f"{folder} holds a model for the task {task!r:.200}; {needs}; {advice}.")


def _kinds(columns: tuple[Column, ...]) -> list[str]:
    """Columns by what a request has of them: `title: text`."""
    return [f"{column.name}: {column.kind}" for column in columns]
