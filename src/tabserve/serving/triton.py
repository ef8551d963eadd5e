"""What Triton's clients ask beside inference: a model's configuration and its statistics, as JSON.

As https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_configuration.md and
`extension_statistics.md` beside it have them.
"""

from typing import Any

from tabserve.errors import UnknownModel
from tabserve.model.decision import OutputKind
from tabserve.serving.metrics import METRICS, Duration
from tabserve.serving.models import Every, Find, is_ours
from tabserve.serving.protocol.datatypes import BYTES
from tabserve.serving.protocol.signature import InputKind
from tabserve.wording import shown

NAMES = ["binary_tensor_data", "model_configuration", "statistics"]
"""What Triton calls the extensions of the protocol that we have."""

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
"""What Triton measures; of these we measure `success` and `fail` for each request, `compute_infer` for each call."""

TYPES = {BYTES: "TYPE_STRING"}
"""What Triton's configuration calls the V2 datatypes that it does not call by their own names."""

Document = dict[str, Any]


def config(model: Any) -> Document:  # noqa: ANN401  a `FolderModel`, or what looks like one
    """A model's configuration. As always where there is a `max_batch_size`, the dimensions leave out the rows."""
    return {
        "name": model.name,
        "platform": model.settings.platform,
        "max_batch_size": model.max_batch_size,
        "input": [
            {**_tensor(name, kind), **({"optional": True} if kind.optional else {})}
            for name, kind in model.signature.inputs.items()
        ],
        "output": [_tensor(name, kind) for name, kind in model.signature.outputs.items()],
        "dynamic_batching": {"max_queue_delay_microseconds": round(model.max_batch_time * 1_000_000)},
    }


def statistics(model: Any) -> Document:  # noqa: ANN401
    """What was counted of a model since the server's start; what is not measured has the count 0."""
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
    """Answers about the models that are served."""

    def __init__(self, find: Find, every: Every) -> None:
        """Take the way to a model, and to all of them; of those of another runtime nothing can be told."""
        self._find, self._every = find, every

    async def config(self, name: str, version: str | None = None) -> Document:
        """The configuration of one model.

        Raises:
            UnknownModel: there is none, or it is of another runtime.
        """
        return config(self._ours(name, version))

    async def statistics(self, name: str | None = None, version: str | None = None) -> Document:
        """The statistics of one model, or of all.

        Raises:
            UnknownModel: there is none of this name and version, or it is of another runtime.
        """
        models = [self._ours(name, version)] if name else filter(is_ours, await self._every())
        return {"model_stats": [statistics(model) for model in models]}

    def _ours(self, name: str, version: str | None) -> Any:  # noqa: ANN401
        model = self._find(name, version)
        if not is_ours(model):
            raise UnknownModel(f"Model {shown(name)} is of another runtime, which tells neither of these.")
        return model


def _tensor(name: str, kind: InputKind | OutputKind) -> Document:
    return {"name": name, "data_type": TYPES.get(kind.datatype, f"TYPE_{kind.datatype}"), "dims": [kind.columns]}


def _duration(duration: Duration) -> Document:
    return {"count": duration.count, "ns": round(duration.seconds * 1e9)}
