"""The model that an API serves now, and its replacement by another."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from tabserve.errors import NotLoaded, UnknownModel
from tabserve.serving import memory
from tabserve.serving.api.loading import Verified
from tabserve.serving.limits import Limits
from tabserve.serving.metrics import ModelMetrics
from tabserve.serving.model import LoadedModel
from tabserve.wording import shown

NONE_YET = "No model is loaded yet; send one to /model/load."

NOTHING = SimpleNamespace(ready=False)
"""The one model of V2's readiness while none is loaded."""


class CurrentModel:
    """Holds the model; for one event loop. A request asks for it once, so that one model answers it to its end."""

    def __init__(self, name: str, limits: Limits, metrics: ModelMetrics, first: Verified | None) -> None:
        """Serve a first model, if there is one.

        Args:
            name: of every model, in V2 requests.
            limits: of requests.
            metrics: where each model counts.
            first: None to serve none yet.
        """
        self._name, self._limits, self._metrics, self._changing = name, limits, metrics, asyncio.Lock()
        self._model: LoadedModel | None = self._prepare(first) if first else None
        memory.freeze_gc()

    def facts(self) -> dict[str, str] | None:
        """The model's name and version, or None if there is none yet."""
        return {"name": self._name, "version": self._model.version} if self._model else None

    def get(self) -> LoadedModel:
        """The model that answers now.

        Raises:
            NotLoaded: there is none yet.
        """
        if self._model is None:
            raise NotLoaded(NONE_YET)
        return self._model

    def find(self, name: str, version: str | None) -> LoadedModel:
        """The model of a V2 request.

        Raises:
            UnknownModel: it is for another name or version.
            NotLoaded: there is none yet.
        """
        if name != self._name:
            raise UnknownModel(f"Model {shown(name)} is not found; this server has {shown(self._name)}.")
        model = self.get()
        if version not in (None, model.version):
            raise UnknownModel(f"Version {shown(version)} is not found; {name!r} is of version {model.version!r}.")
        return model

    async def every(self) -> list[Any]:
        """The model, or what is never ready in its place."""
        return [self._model or NOTHING]

    async def change(self, load: Callable[[], Verified | None]) -> dict[str, str] | None:
        """Load another model on a thread, and serve it; changes take turns, so that the last one counts.

        Returns:
            Its name and version.
        """
        async with self._changing:
            if verified := await asyncio.to_thread(load):
                self._model = self._prepare(verified)
                memory.freeze_gc()
            return self.facts()

    def _prepare(self, verified: Verified) -> LoadedModel:
        model, version = verified
        return LoadedModel(model, self._limits, self._metrics, name=self._name, version=version)
