"""What an API tells V2 clients of its server and of its model."""

from importlib.metadata import version

from tabserve.serving.api.current import CurrentModel
from tabserve.serving.api.document import Document
from tabserve.serving.protocol import metadata
from tabserve.serving.triton import Extensions

EXTENSIONS = ["binary_tensor_data", "statistics"]
"""Triton's extensions of the V2 protocol that an API has."""


class V2Metadata:
    """The documents of the V2 routes."""

    def __init__(self, name: str, current: CurrentModel) -> None:
        """Tell of the server of this name, and of the model that it serves now."""
        self._name, self._current = name, current
        self._extensions = Extensions(current.find, current.every)

    def server(self) -> Document:
        """The metadata of the server."""
        return {"name": self._name, "version": version("tabserve"), "extensions": EXTENSIONS}

    async def statistics(self) -> Document:
        """Triton's statistics of the model, which also name it."""
        return await self._extensions.statistics()

    def model(self, name: str, version: str | None = None) -> Document:
        """The metadata of the model.

        Raises:
            UnknownModel: it has another name or version.
            NotLoaded: there is none yet.
        """
        found = self._current.find(name, version)
        columns = metadata.table_columns(found.model.problem)
        facts = {"name": name, "versions": [found.version], "platform": "tabserve", "parameters": columns}
        return facts | metadata.tensors(found.signature)
