"""The served models as REST and gRPC see them, and ids for requests without one."""

import uuid
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Protocol, TypeGuard

from tabserve.errors import NotLoaded
from tabserve.serving.protocol.request import Output, Request
from tabserve.serving.protocol.signature import Signature

CLOSED = "The model repository is closed; an operator opens it by the setting `admin`."

ID_PREFIX, ID_NUMBERS = str(uuid.uuid4())[:24], count()


class Model(Protocol):
    """A model that REST and gRPC call directly, such as `runtime.FolderModel`."""

    name: str
    version: str | None
    ready: bool
    signature: Signature

    def check_room(self) -> None:
        """Raise Overloaded if its queue is full."""

    def validate(self, document: object) -> Request:
        """Validate a request."""

    async def answer(self, request: Request) -> list[Output]:
        """The outputs that a valid request asks for."""


FindModel = Callable[[str, str | None], Any]
"""Finds the loaded model of a name and version; raises UnknownModel, or NotLoaded while it is being loaded."""

ListModels = Callable[[], Awaitable[Any]]
"""Lists all models that are served."""


def is_ours(model: Any) -> TypeGuard[Model]:  # noqa: ANN401  any of MLServer's
    """Whether it can be called directly; its class cannot be compared, as MLServer imports it anew at each load."""
    return hasattr(model, "answer")


def is_ready(find: FindModel, name: str, version: str | None) -> bool:
    """Whether a model takes requests.

    Raises:
        UnknownModel: there is no model of this name and version.
    """
    try:
        return bool(find(name, version).ready)
    except NotLoaded:
        return False


async def all_ready(every: ListModels) -> bool:
    """Whether every model takes requests."""
    return all(model.ready for model in await every())


def new_id() -> str:
    """A new request id in the form of a UUID: the process's own prefix and a counter."""
    return f"{ID_PREFIX}{next(ID_NUMBERS):012x}"


def identified(request: Request) -> Request:
    """The request, with a new id if it has none."""
    return request if request.id else request._replace(id=new_id())
