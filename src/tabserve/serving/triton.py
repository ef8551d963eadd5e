"""Triton's extensions of the protocol: a model's configuration and its statistics, as JSON.

See https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_configuration.md and
`extension_statistics.md` beside it.
"""

from typing import Any

from tabserve.errors import UnknownModel
from tabserve.serving.metrics import METRICS, Duration
from tabserve.serving.models import FindModel, ListModels, is_ours
from tabserve.serving.protocol.datatypes import BYTES
from tabserve.wording import shown

NAMES = ["binary_tensor_data", "model_configuration", "statistics"]
"""Triton's names of the extensions that this server has."""

DURATIONS = (
    "success",
    "fail",
    "queue",
    "compute_input",
    "compute_infer",
    "compute_output",
    "cache_hit",
    "cache_miss",
)
"""Triton's durations; we measure `success` and `fail` of requests, and `compute_infer` of calls of the model."""

TYPES = {BYTES: "TYPE_STRING"}
"""Triton's types of the V2 datatypes that have another name there."""

Document = dict[str, Any]


def config(model: Any) -> Document:  # noqa: ANN401  a `FolderModel`, or what looks like one
    """A model's configuration; its dimensions leave out the rows, as Triton's do if there is a `max_batch_size`."""
    return {
        "name": model.name,
        "platform": model.settings.platform,
        "max_batch_size": model.max_batch_size,
        "input": [
            {**_tensor(name, kind.datatype, [kind.columns]), **({"optional": True} if kind.optional else {})}
            for name, kind in model.signature.inputs.items()
        ],
        "output": [_tensor(name, kind.datatype, [*kind.shape]) for name, kind in model.signature.outputs.items()],
        "dynamic_batching": {"max_queue_delay_microseconds": round(model.max_batch_time * 1_000_000)},
    }


def statistics(model: Any) -> Document:  # noqa: ANN401
    """A model's counts since the server's start; durations that are not measured have the count 0."""
    metrics = METRICS.model(model.name)
    measured = {"success": metrics.success, "fail": metrics.failure, "compute_infer": metrics.calls}
    return {
        "name": model.name,
        "version": model.version or "",
        "last_inference": round(metrics.last * 1000),
        "inference_count": round(metrics.rows.sum),
        "execution_count": metrics.calls.count,
        "inference_stats": {name: _duration(measured.get(name, Duration())) for name in DURATIONS},
    }


class Extensions:
    """Answers Triton's requests about the served models."""

    def __init__(self, find: FindModel, every: ListModels) -> None:
        """Find one model by `find`, and list all by `every`; models of other runtimes are left out."""
        self._find, self._every = find, every

    async def config(self, name: str, version: str | None = None) -> Document:
        """The configuration of one model.

        Raises:
            UnknownModel: the model does not exist, or is of another runtime.
        """
        return config(self._ours(name, version))

    async def statistics(self, name: str | None = None, version: str | None = None) -> Document:
        """The statistics of one model, or of all.

        Raises:
            UnknownModel: the model does not exist, or is of another runtime.
        """
        models = [self._ours(name, version)] if name else filter(is_ours, await self._every())
        return {"model_stats": [statistics(model) for model in models]}

    def _ours(self, name: str, version: str | None) -> Any:  # noqa: ANN401
        model = self._find(name, version)
        if not is_ours(model):
            raise UnknownModel(f"Model {shown(name)} is of another runtime, which tells neither of these.")
        return model


def _tensor(name: str, datatype: str, sizes: list[int]) -> Document:
    return {"name": name, "data_type": TYPES.get(datatype, f"TYPE_{datatype}"), "dims": sizes}


def _duration(duration: Duration) -> Document:
    return {"count": duration.count, "ns": round(duration.seconds * 1e9)}
