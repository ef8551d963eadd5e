"""The contract of an API: its routes, and the problem that its model must solve."""

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

LOAD = "/model/load"
"""The route of every API to which a client uploads a model."""


class Answer(NamedTuple):
    """The answer of a route.

    Attributes:
        body: JSON.
        rows: the number of records in the request.
        id: of the request, if the body has it; else the API makes one.
    """

    body: bytes
    rows: int
    id: str = ""


Route = Callable[[Bytes, LoadedModel], Awaitable[Answer]]
"""Answers the body of a POST with a model; raises a TabserveError to refuse it."""


@dataclass(frozen=True)
class Contract:
    """All that is special to one API.

    Attributes:
        name: of the API, and the prefix of its metrics.
        records: the name of a request's rows in the metrics, such as `products`.
        problem: the columns and the task that its model must have.
        optional: columns that its model may have as well.
        routes: the routes that take POST, by path.
        document: makes the OpenAPI document of all routes from a model and the limits.
    """

    name: str
    records: str
    problem: Problem
    optional: tuple[Column, ...]
    routes: Mapping[str, Route]
    document: Callable[[Model, Limits], dict[str, Any]]

    def check(self, model: Model, folder: Path) -> None:
        """Check that a model of a folder solves the contract's problem; its predictor may be any.

        Raises:
            ArtifactError: its columns or its task are others.
        """
        columns, needed, optional = map(_kinds, (model.problem.columns, self.problem.columns, self.optional))
        advice = "choose another model"
        if not {*needed} <= {*columns} <= {*needed, *optional}:
            allowed = f", and perhaps {listed(optional)}" if optional else ""
            needs = f"this API needs {listed(needed)}{allowed}"
            raise ArtifactError(f"{folder} holds a model over the columns {listed(columns)}; {needs}; {advice}.")
        if (task := model.problem.task) != self.problem.task:
            needs = f"this API needs {self.problem.task!r:.200}"
            raise ArtifactError(f"{folder} holds a model for the task {task!r:.200}; {needs}; {advice}.")


def _kinds(columns: tuple[Column, ...]) -> list[str]:
    """Each column with its kind, such as `title: text`."""
    return [f"{column.name}: {column.kind}" for column in columns]
