"""What both front doors know: a model as it is asked there, the way to it, and the id of a request that has none."""

import uuid
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Protocol, TypeGuard

from tabserve.errors import NotLoaded
from tabserve.serving.protocol.request import Output, Request
from tabserve.serving.protocol.signature import Signature

CLOSED = "The model repository is closed; an operator opens it by the setting `admin`."

ORIGIN, MADE = str(uuid.uuid4())[:24], count()


class Model(Protocol):
    """What a model must do to be asked here; `runtime.FolderModel` does."""

    name: str
    version: str | None
    ready: bool
    signature: Signature

    def check_room(self) -> None:
        """Raise Overloaded when its queue is full."""

    def read(self, document: object) -> Request:
        """Validate a request."""

    async def answer(self, request: Request) -> list[Output]:
        """The outputs that a valid request asks for."""


Find = Callable[[str, str | None], Any]
"""The loaded model of this name and version; raises UnknownModel, or NotLoaded while it is being loaded."""

Every = Callable[[], Awaitable[Any]]
"""All models that are served."""


def is_ours(model: Any) -> TypeGuard[Model]:  # noqa: ANN401  any of MLServer's
    """Whether it can be asked here; not told by its type, as MLServer imports that anew at each load."""
    return hasattr(model, "answer")


def is_ready(find: Find, name: str, version: str | None) -> bool:
    """Whether requests for a model are welcome.

    Raises:
        UnknownModel: there is no model of this name and version.
    """
    try:
        return bool(find(name, version).ready)
    except NotLoaded:
        return False


async def all_ready(every: Every) -> bool:
    """Whether requests for each of the models are welcome."""
    return all(model.ready for model in await every())


def made_id() -> str:
    """An id for a request that has none, in a UUID's form: this process's beginning, and a number."""
    return f"{ORIGIN}{next(MADE):012x}"
