"""The MLServer runtime that `model-settings.json` names: serve a model folder."""

import asyncio
from pathlib import Path

from mlserver import MLModel, ModelSettings
from mlserver.errors import InferenceError, MLServerError
from mlserver.types import InferenceRequest, InferenceResponse, MetadataModelResponse, MetadataTensor, Parameters

from tabserve.errors import InvalidRequest, Overloaded
from tabserve.model.model import Model, load
from tabserve.serving import memory
from tabserve.serving.limits import Limits
from tabserve.serving.metrics import METRICS
from tabserve.serving.mlserver import types
from tabserve.serving.mlserver.settings import batch_limits, model_folder
from tabserve.serving.model import LoadedModel
from tabserve.serving.protocol import metadata
from tabserve.serving.protocol.request import Output, Request
from tabserve.serving.protocol.status import FAILED, status


class FolderModel(MLModel):
    """Serves a model folder.

    Attributes:
        limits: the server's; those of the environment variables if plain MLServer runs the model.
        verified: models that were loaded and verified before the server started, by folder; each is used once.
    """

    def __init__(self, settings: ModelSettings) -> None:
        """Hide `max_batch_time` from MLServer, so that its own batching stays off."""
        super().__init__(settings.model_copy(update={"max_batch_time": 0.0}))
        self._original_settings, self.limits = settings, Limits()
        self.verified = dict[Path, Model]()

    @classmethod
    def check(cls, settings: ModelSettings) -> Model:
        """Check the settings, and load and verify the model folder, before the server starts.

        Raises:
            ServerError: a setting is wrong.
            ArtifactError: the model folder does not verify.
        """
        model = load(model_folder(settings))
        batch_limits(settings, model.predictor.BATCH_ROWS)
        return model

    async def load(self) -> bool:
        """Load and verify the model folder, unless that was done before the server started.

        Raises:
            ArtifactError: the folder does not verify.
        """
        memory.tune_malloc()
        folder = model_folder(self.settings)
        model = self.verified.pop(folder, None)
        if model is None:
            model = await asyncio.to_thread(load, folder)
        self.max_batch_size, self.max_batch_time = batch_limits(self._original_settings, model.predictor.BATCH_ROWS)
        self._loaded = LoadedModel(
            model,
            self.limits,
            METRICS.model(self.name),
            version=self.version or "",
            max_batch_size=self.max_batch_size,
            max_batch_time=self.max_batch_time,
        )
        self.signature = self._loaded.signature
        self.settings.versions = [self.version] if self.version else []
        tensors = metadata.tensors(self.signature)
        self.inputs, self.outputs = ([*map(MetadataTensor.model_validate, each)] for each in tensors.values())
        memory.freeze_gc()
        return True

    async def metadata(self) -> MetadataModelResponse:
        """MLServer's metadata of the model, with the names of the columns of its tables that are no inputs."""
        answer = await super().metadata()
        answer.parameters = Parameters.model_validate(metadata.table_columns(self._loaded.model.problem))
        return answer

    def check_room(self) -> None:
        """Refuse a request if the queue is full, before any work; see `LoadedModel.check_room`."""
        self._loaded.check_room()

    def validate(self, document: object) -> Request:
        """Validate a request; see `LoadedModel.validate`."""
        return self._loaded.validate(document)

    async def answer(self, request: Request) -> list[Output]:
        """The outputs that a valid request asks for; see `LoadedModel.answer`."""
        return await self._loaded.answer(request)

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer a request that MLServer has parsed.

        Raises:
            InferenceError: the request is invalid (HTTP 400, gRPC INVALID_ARGUMENT).
            MLServerError: the server is overloaded (HTTP 503), or scoring failed (HTTP 500, gRPC INTERNAL).
        """
        try:
            outputs = await self.answer(self.validate(types.document(payload)))
        except InvalidRequest as error:
            raise InferenceError(str(error)) from error
        except Overloaded as error:
            raise MLServerError(str(error), status_code=status(error).http) from error
        except Exception as error:
            raise MLServerError(FAILED, status_code=500) from error
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            parameters=Parameters.model_validate(dict(self.signature.parameters)),
            outputs=[types.response_output(output) for output in outputs],
        )
