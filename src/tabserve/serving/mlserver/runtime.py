"""The MLServer runtimes that `model-settings.json` names: each loads a model folder and answers V2 requests with it."""

import asyncio
import encodings.cp437  # zipfile would import it on the thread that loads a model, and MLServer the next at that time,
import encodings.idna  # noqa: F401  which has ended starts in Python's own KeyError: 'encodings.idna'
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar, NamedTuple

import numpy as np
from mlserver import MLModel, ModelSettings
from mlserver.errors import InferenceError, MLServerError
from mlserver.types import InferenceRequest, InferenceResponse, Parameters
from numpy.typing import NDArray

from tabserve.errors import InvalidRequest, Overloaded
from tabserve.model import artifact, text_artifact
from tabserve.model.scoring import Scores
from tabserve.serving import memory
from tabserve.serving.batching import MAX_THREADS, Batcher
from tabserve.serving.limits import Limits
from tabserve.serving.metrics import METRICS
from tabserve.serving.mlserver import types
from tabserve.serving.mlserver.settings import batch_limits, model_folder
from tabserve.serving.protocol import features, texts
from tabserve.serving.protocol.request import Output, Request, answer, read
from tabserve.serving.protocol.signature import Signature
from tabserve.serving.protocol.status import FAILED, status


class Served(NamedTuple):
    """A model that is loaded, whatever it is over.

    Attributes:
        signature: what it takes and gives.
        score: the scores of a part of its features; called on several threads.
        labels: what a label is the place of, in their order.
        probability: of a batch of scores, the one of each row that is watched, float32 of shape (rows,).
        facts: what tells it from others.
    """

    signature: Signature
    score: Callable[[NDArray[Any]], Scores]
    labels: tuple[str, ...]
    probability: Callable[[Scores], NDArray[np.float32]]
    facts: Mapping[str, str]


class FolderModel(MLModel, ABC):
    """A model folder that is served; a subclass knows what kind of model it holds.

    Attributes:
        default_batch_size: rows in a batch where the settings name no `max_batch_size`: more gain little speed and make
            others wait longer.
        threads: that score slices of large requests at the same time.
    """

    default_batch_size: ClassVar[int]
    threads: ClassVar[int]

    def __init__(self, settings: ModelSettings) -> None:
        """Take the batch limits for ourselves: seeing no `max_batch_time`, MLServer leaves its own batching off."""
        super().__init__(settings.model_copy(update={"max_batch_time": 0.0}))
        self.max_batch_size, self.max_batch_time = batch_limits(settings, self.default_batch_size)

    @staticmethod
    @abstractmethod
    def served(folder: Path) -> Served:
        """Load and verify a model folder.

        Raises:
            ArtifactError: it is not whole, or holds a model of another kind.
        """

    @classmethod
    def check(cls, settings: ModelSettings) -> None:
        """Do what can fail at the start.

        Raises:
            ServerError: a setting is wrong.
            ArtifactError: the model folder is.
        """
        batch_limits(settings, cls.default_batch_size)
        cls.served(model_folder(settings))

    async def load(self) -> bool:
        """Load and verify the model folder.

        Raises:
            ArtifactError: the folder is not whole.
        """
        memory.reuse()
        self._served = await asyncio.to_thread(self.served, model_folder(self.settings))
        self.signature = self._served.signature
        limits = Limits()
        self._max_rows = limits.max_rows
        self._batcher = Batcher(
            self._score,
            self.max_batch_size,
            self.max_batch_time,
            max_queue_rows=limits.max_queue_rows,
            large_share=limits.large_share,
            threads=self.threads,
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
        return answer(await self._batcher.score(request.features), request.outputs, self.signature)

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

    def _score(self, part: NDArray[Any]) -> Scores:
        start = perf_counter()
        scores = self._served.score(part)
        seconds = perf_counter() - start
        self._metrics.count(self._served.labels, scores.label, self._served.probability(scores), seconds)
        return scores

    def _tell(self) -> None:
        """Say which model this is; after a reload, in the place of the one before."""
        self._metrics = METRICS.model(self.name)
        self._metrics.queue = lambda: self._batcher.rows
        self._metrics.info = {"version": self.version or "", **self._served.facts}
        self._metrics.labels.update(dict.fromkeys(self._served.labels, 0))  # told before the first row gets one


class TabularModel(FolderModel):
    """A binary classifier over a table of numbers."""

    default_batch_size = 256
    threads = MAX_THREADS

    @staticmethod
    def served(folder: Path) -> Served:
        """See `FolderModel.served`."""
        model = artifact.load(folder)
        # One thread a call: on shared cores, threads that wait for each other cost a small batch more than they save.
        model.booster.set_param({"nthread": 1})
        model.score(np.zeros((1, len(model.problem.features)), np.float32))  # it is set up by the first
        facts = {
            "problem": model.problem.name,
            "threshold": repr(model.threshold),
            "trees": str(model.booster.num_boosted_rounds()),
        }
        signature = features.signature(model.problem, model.threshold)
        return Served(signature, model.score, model.problem.labels, lambda scores: scores.probability, facts)


class TextsModel(FolderModel):
    """A classifier over texts."""

    default_batch_size = 64  # a text takes longer than a row of numbers, and Python's lock all the while
    threads = 1  # for the same reason

    @staticmethod
    def served(folder: Path) -> Served:
        """See `FolderModel.served`."""
        model = text_artifact.load(folder)
        problem = model.problem
        facts = {"problem": problem.name, "labels": str(len(problem.labels)), "grams": str(len(model.linear.grams))}
        return Served(texts.signature(problem), model.score, problem.labels, _of_the_label, facts)


def _of_the_label(scores: Scores) -> NDArray[np.float32]:
    return np.take_along_axis(scores.probability, scores.label[:, np.newaxis], axis=1)[:, 0]
