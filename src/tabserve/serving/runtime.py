"""The MLServer runtime that `model-settings.json` names: it loads a model folder and answers V2 requests with it."""

import asyncio
import ctypes
import gc
import os
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from mlserver import MLModel, ModelSettings
from mlserver.errors import InferenceError, MLServerError
from mlserver.types import (
    Datatype,
    InferenceRequest,
    InferenceResponse,
    MetadataTensor,
    Parameters,
    ResponseOutput,
    TensorData,
)
from mlserver.utils import to_absolute_path
from numpy.typing import NDArray

from tabserve import artifact
from tabserve.errors import InvalidRequest, Overloaded, ServerError
from tabserve.scoring import Scores
from tabserve.serving import tensors
from tabserve.serving.batching import Batcher
from tabserve.serving.limits import Limits
from tabserve.serving.metrics import METRICS
from tabserve.serving.status import FAILED, status

DEFAULT_BATCH_SIZE = 256
"""Rows in a batch where the settings name no `max_batch_size`: more gain little speed and make others wait longer."""

KEPT_BYTES = 64 * 2**20
"""Of freed memory, that the process keeps: twice the largest piece that glibc takes from what it keeps."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as malloc.h has them


class TabularModel(MLModel):
    """A binary classifier over a table of numbers."""

    def __init__(self, settings: ModelSettings) -> None:
        """Take the batch limits for ourselves: seeing no `max_batch_time`, MLServer leaves its own batching off."""
        super().__init__(settings.model_copy(update={"max_batch_time": 0.0}))
        self.max_batch_size, self.max_batch_time = batch_limits(settings)

    async def load(self) -> bool:
        """Load and verify the model folder.

        Raises:
            ArtifactError: the folder is not whole.
        """
        self._model = await asyncio.to_thread(artifact.load, model_folder(self.settings))
        # One thread a call: on shared cores, threads that wait for each other cost a small batch more than they save.
        self._model.booster.set_param({"nthread": 1})
        self._model.score(np.zeros((1, len(self._model.problem.features)), np.float32))  # it is set up by the first
        limits = Limits()
        self._max_rows = limits.max_rows
        self._batcher = Batcher(self._score, self.max_batch_size, self.max_batch_time, limits.max_queue_rows)
        self.threshold = repr(self._model.threshold)
        self._tell()
        self.settings.versions = [self.version] if self.version else []
        width = len(self._model.problem.features)
        self.inputs = [MetadataTensor(name=tensors.INPUT, datatype=Datatype.FP32, shape=[-1, width])]
        self.outputs = [
            MetadataTensor(name=name, datatype=Datatype(output.datatype), shape=[-1, output.columns])
            for name, output in tensors.OUTPUTS.items()
        ]
        gc.unfreeze()  # also of the model before, if there was one
        gc.collect()
        gc.freeze()  # what is loaded stays: later collections need not walk through it
        _keep_memory()
        return True

    def check_room(self) -> None:
        """Refuse work before any is done for it.

        Raises:
            Overloaded: the model is not loaded yet, or its queue is full.
        """
        if not self.ready:
            raise Overloaded(f"Model {self.name!r} is being loaded; try again in a second.")
        self._batcher.check_room()

    def read(self, document: object) -> tensors.Request:
        """Validate a request; see `tensors.read`."""
        return tensors.read(document, self._model.problem, self._max_rows)

    async def answer(self, request: tensors.Request) -> list[tensors.Output]:
        """The outputs that a valid request asks for; see `Batcher.score`."""
        return tensors.answer(await self._batcher.score(request.features), request.outputs)

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer a request that MLServer has read.

        Raises:
            InferenceError: the request is invalid (HTTP 400, gRPC INVALID_ARGUMENT).
            MLServerError: the server is overloaded (HTTP 503), or scoring failed (HTTP 500, gRPC INTERNAL).
        """
        try:
            outputs = await self.answer(self.read(_document(payload)))
        except InvalidRequest as error:
            raise InferenceError(str(error)) from error
        except Overloaded as error:
            raise MLServerError(str(error), status_code=status(error).http) from error
        except Exception as error:
            raise MLServerError(FAILED, status_code=500) from error
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            parameters=Parameters.model_validate({"threshold": self.threshold}),
            outputs=[_response_output(output) for output in outputs],
        )

    def _score(self, features: NDArray[np.float32]) -> Scores:
        start = perf_counter()
        scores = self._model.score(features)
        self._metrics.count(scores.probability, perf_counter() - start)
        return scores

    def _tell(self) -> None:
        """Say which model this is; after a reload, in the place of the one before."""
        self._metrics = METRICS.model(self.name)
        self._metrics.queue = lambda: self._batcher.rows
        self._metrics.info = {
            "version": self.version or "",
            "problem": self._model.problem.name,
            "threshold": self.threshold,
            "trees": str(self._model.booster.num_boosted_rounds()),
        }


def _keep_memory() -> None:
    """Let glibc keep what a large request has used for the next one; the kernel takes longer than the model to give it.

    See mallopt(3). It would learn as much by itself from one larger piece.
    """
    with suppress(AttributeError):  # another library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES // 2)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def model_folder(settings: ModelSettings) -> Path:
    """Where the model folder is: TABSERVE_MODEL, or else `parameters.uri`, relative to the settings file.

    Raises:
        ServerError: neither is given.
    """
    if chosen := os.environ.get("TABSERVE_MODEL"):
        return Path(chosen)
    if not settings.parameters or not settings.parameters.uri:
        raise ServerError(
            f"Model {settings.name!r} has no `parameters.uri`; expected the path of a model folder there."
        )
    return Path(to_absolute_path(settings, settings.parameters.uri))


def batch_limits(settings: ModelSettings) -> tuple[int, float]:
    """Rows in a batch, and seconds that its first waits for others.

    Raises:
        ServerError: one of them is negative, or no number.
    """
    size, time = settings.max_batch_size or DEFAULT_BATCH_SIZE, settings.max_batch_time
    if size < 1 or not 0 <= time < float("inf"):
        raise ServerError(
            f"Model {settings.name!r} has `max_batch_size` {size} and `max_batch_time` {time};"
            " expected rows of at least 1 and seconds of at least 0."
        )
    return size, time


def _document(payload: InferenceRequest) -> dict[str, Any]:
    """The request as plain data."""
    return {
        "inputs": [
            {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape, "data": tensor.data.root}
            for tensor in payload.inputs
        ],
        "outputs": [{"name": output.name} for output in payload.outputs or []],
    }


def _response_output(output: tensors.Output) -> ResponseOutput:
    return ResponseOutput(
        name=output.name,
        datatype=Datatype(output.datatype),
        shape=list(output.values.shape),
        data=TensorData(root=output.values.ravel().tolist()),
    )
