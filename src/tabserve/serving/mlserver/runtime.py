"""The MLServer runtime that `model-settings.json` names: it loads a model folder and answers V2 requests with it."""

import asyncio
import encodings.cp437  # zipfile would import it on the thread that loads a model, and MLServer the next at that time,
import encodings.idna  # noqa: F401  which has ended starts in Python's own KeyError: 'encodings.idna'
from pathlib import Path
from time import perf_counter
from typing import Any

from mlserver import MLModel, ModelSettings
from mlserver.errors import InferenceError, MLServerError
from mlserver.types import InferenceRequest, InferenceResponse, Parameters
from numpy.typing import NDArray

from tabserve.errors import InvalidRequest, Overloaded
from tabserve.model.model import Model, load
from tabserve.serving import memory
from tabserve.serving.batching import MAX_THREADS, Batcher
from tabserve.serving.limits import Limits
from tabserve.serving.metrics import METRICS
from tabserve.serving.mlserver import types
from tabserve.serving.mlserver.settings import batch_limits, model_folder
from tabserve.serving.protocol.columns import signature
from tabserve.serving.protocol.request import Output, Request, answer, read
from tabserve.serving.protocol.status import FAILED, status


class FolderModel(MLModel):
    """A model folder that is served."""

    def __init__(self, settings: ModelSettings) -> None:
        """Take the batch limits for ourselves: seeing no `max_batch_time`, MLServer leaves its own batching off."""
        super().__init__(settings.model_copy(update={"max_batch_time": 0.0}))
        self._given = settings

    @classmethod
    def check(cls, settings: ModelSettings) -> None:
        """Do what can fail at the start.

        Raises:
            ServerError: a setting is wrong.
            ArtifactError: the model folder is.
        """
        batch_limits(settings, load(model_folder(settings)).predictor.BATCH_ROWS)

    async def load(self) -> bool:
        """Load and verify the model folder.

        Raises:
            ArtifactError: the folder is not whole.
        """
        memory.reuse()
        self._model = model = await asyncio.to_thread(_loaded, model_folder(self.settings))
        predictor = model.predictor
        self.max_batch_size, self.max_batch_time = batch_limits(self._given, predictor.BATCH_ROWS)
        self.signature = signature(model.problem, model.encoder, model.decision)
        limits = Limits()
        self._max_rows = limits.max_rows
        self._batcher = Batcher(
            self._score,
            self.max_batch_size,
            self.max_batch_time,
            max_queue_rows=limits.max_queue_rows,
            large_share=limits.large_share,
            threads=MAX_THREADS if predictor.PARALLEL else 1,
        )
        self._tell()
        self.settings.versions = [self.version] if self.version else []
        self.inputs = [types.input_tensor(name, kind) for name, kind in self.signature.inputs.items()]
        self.outputs = [types.output_tensor(name, kind) for name, kind in self.signature.outputs.items()]
        memory.settle()
        return True

    def check_room(self) -> None:
        """Refuse work before any is done for it.

        Raises:
            Overloaded: the model's queue is full.
        """
        self._batcher.check_room()

    def read(self, document: object) -> Request:
        """Validate a request; see `protocol.request.read`."""
        return read(document, self.signature, self._max_rows)

    async def answer(self, request: Request) -> list[Output]:
        """The outputs that a valid request asks for; see `Batcher.score`."""
        scores = await self._batcher.score(request.features)
        if request.features.unseen:
            self._metrics.unseen.update(request.features.unseen)
        return answer(scores, request.outputs, self.signature)

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer a request that MLServer has read.

        Raises:
            InferenceError: the request is invalid (HTTP 400, gRPC INVALID_ARGUMENT).
            MLServerError: the server is overloaded (HTTP 503), or scoring failed (HTTP 500, gRPC INTERNAL).
        """
        try:
            outputs = await self.answer(self.read(types.document(payload)))
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

    def _score(self, part: NDArray[Any]) -> Any:  # noqa: ANN401  what the decision answers
        model, start = self._model, perf_counter()
        scores = model.score(part)
        seconds = perf_counter() - start
        counts = model.decision.counts(scores, model.problem)
        self._metrics.count(counts, model.decision.watched(scores), seconds)
        return scores

    def _tell(self) -> None:
        """Say which model this is; after a reload, in the place of the one before."""
        model = self._model
        self._metrics = METRICS.model(self.name)
        self._metrics.queue = lambda: self._batcher.rows
        self._metrics.info = {
            "version": self.version or "",
            "problem": model.problem.name,
            **model.predictor.facts,
            **model.decision.parameters,
        }
        self._metrics.watched = self._metrics.amounts if model.problem.task.AMOUNT else self._metrics.probability
        told = {column.name: 0 for column in model.problem.columns if column.kind == "category"}
        self._metrics.unseen.update(told)
        self._metrics.labels.update(dict.fromkeys(model.problem.labels, 0))  # told before the first row gets one


def _loaded(folder: Path) -> Model:
    model = load(folder)
    model.predictor.on_one_thread()
    return model
