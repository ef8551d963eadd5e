"""MLServer's registry of models, which tells of each change, and its repository, which tells what is being loaded."""

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
    """Gives models the server's limits; tells that a model has come, has become ready, or has gone."""

    def __init__(
        self, theirs: MultiModelRegistry, tell: Callable[[], None], limits: Limits, verified: dict[Path, Model]
    ) -> None:
        """Take over from MLServer's registry.

        Args:
            theirs: MLServer's.
            tell: what to call after each change.
            limits: of the server.
            verified: the models that are loaded already, by their folders.
        """
        self.__dict__.update(vars(theirs))
        self._tell, self._limits, self._verified = tell, limits, verified
        self._make, self._model_initialiser = self._model_initialiser, self._made
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

    def _made(self, settings: ModelSettings) -> MLModel:
        made = self._make(settings)
        if _is_of_a_folder(made):
            made.limits, made.verified = self._limits, self._verified
        return made

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


def _is_of_a_folder(model: MLModel) -> "TypeGuard[FolderModel]":
    """Whether its runtime is ours; not told by its type, as MLServer imports that anew at each load."""
    return hasattr(model, "verified")
