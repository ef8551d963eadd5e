"""MLServer's registry of models, which tells of each change, and its repository, which tells what is being loaded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mlserver import MLModel, ModelSettings
from mlserver.handlers import ModelRepositoryHandlers
from mlserver.registry import MultiModelRegistry
from mlserver.types import State


class Registry(MultiModelRegistry):
    """Tells that a model has come, has become ready, or has gone."""

    def __init__(self, theirs: MultiModelRegistry, tell: Callable[[], None]) -> None:
        """Take over from MLServer's registry, and what to call after each change."""
        self.__dict__.update(vars(theirs))
        self._tell = tell
        self._on_model_load = [self._registered, *self._on_model_load]

    async def load(self, model_settings: ModelSettings) -> MLModel:
        """Load a model, or load it anew."""
        with self._telling():
            return await super().load(model_settings)

    async def unload(self, name: str) -> None:
        """Forget a model."""
        with self._telling():
            await super().unload(name)

    async def unload_version(self, name: str, version: str | None = None) -> None:
        """Forget one version of a model."""
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
    """MLServer's repository, which tells of a model that is being loaded that it is."""

    async def _get_state(self, model_settings: ModelSettings) -> State:
        state = await super()._get_state(model_settings)
        return State.LOADING if state is State.UNKNOWN else state
