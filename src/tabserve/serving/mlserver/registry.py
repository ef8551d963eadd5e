"""MLServer's registry with a callback for changes, and its repository with the state of a model that is loading."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mlserver import MLModel, ModelSettings
from mlserver.handlers import ModelRepositoryHandlers
from mlserver.registry import MultiModelRegistry
from mlserver.types import State


class Registry(MultiModelRegistry):
    """MLServer's registry that calls back when a model is added, becomes ready, or is removed."""

    def __init__(self, theirs: MultiModelRegistry, tell: Callable[[], None]) -> None:
        """Take over from MLServer's registry; `tell` is called after each change."""
        self.__dict__.update(vars(theirs))
        self._tell = tell
        self._on_model_load = [self._registered, *self._on_model_load]

    async def load(self, model_settings: ModelSettings) -> MLModel:
        """Load or reload a model."""
        with self._telling():
            return await super().load(model_settings)

    async def unload(self, name: str) -> None:
        """Remove a model."""
        with self._telling():
            await super().unload(name)

    async def unload_version(self, name: str, version: str | None = None) -> None:
        """Remove one version of a model."""
        with self._telling():
            await super().unload_version(name, version)

    async def _registered(self, model: MLModel) -> MLModel:
        self._tell()
        return model

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._tell()


class Repository(ModelRepositoryHandlers):
    """MLServer's repository that lists a model being loaded as such."""

    async def _get_state(self, model_settings: ModelSettings) -> State:
        state = await super()._get_state(model_settings)
        return State.LOADING if state is State.UNKNOWN else state
