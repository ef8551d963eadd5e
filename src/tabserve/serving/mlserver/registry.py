"""MLServer's registry with a callback for changes, and its repository with the state of a model that is loading."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from mlserver import MLModel, ModelSettings
from mlserver.handlers import ModelRepositoryHandlers
from mlserver.registry import MultiModelRegistry
from mlserver.types import State

from tabserve.model.model import Model
from tabserve.serving.limits import Limits

if TYPE_CHECKING:
    from tabserve.serving.mlserver.runtime import FolderModel


class Registry(MultiModelRegistry):
    """MLServer's registry that passes the limits to models, and calls back when one is added, ready, or removed."""

    def __init__(
        self, theirs: MultiModelRegistry, notify: Callable[[], None], limits: Limits, verified: dict[Path, Model]
    ) -> None:
        """Take over from MLServer's registry.

        Args:
            theirs: MLServer's registry.
            notify: called after each change.
            limits: the server's.
            verified: models that are loaded already, by folder.
        """
        self.__dict__.update(vars(theirs))
        self._notify, self._limits, self._verified = notify, limits, verified
        self._make, self._model_initialiser = self._model_initialiser, self._create_model
        self._on_model_load = [self._registered, *self._on_model_load]

    async def load(self, model_settings: ModelSettings) -> MLModel:
        """Load or reload a model."""
        with self._notifying():
            return await super().load(model_settings)

    async def unload(self, name: str) -> None:
        """Remove a model."""
        with self._notifying():
            await super().unload(name)

    async def unload_version(self, name: str, version: str | None = None) -> None:
        """Remove one version of a model."""
        with self._notifying():
            await super().unload_version(name, version)

    def _create_model(self, settings: ModelSettings) -> MLModel:
        model = self._make(settings)
        if _is_folder_model(model):
            model.limits, model.verified = self._limits, self._verified
        return model

    async def _registered(self, model: MLModel) -> MLModel:
        self._notify()
        return model

    @contextmanager
    def _notifying(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._notify()


class Repository(ModelRepositoryHandlers):
    """MLServer's repository that lists a model being loaded as LOADING."""

    async def _get_state(self, model_settings: ModelSettings) -> State:
        state = await super()._get_state(model_settings)
        return State.LOADING if state is State.UNKNOWN else state


def _is_folder_model(model: MLModel) -> "TypeGuard[FolderModel]":
    """Whether its runtime is ours; its class cannot be compared, as MLServer imports it anew at each load."""
    return hasattr(model, "verified")
