"""The gRPC servicer: it answers inference itself, and leaves all else to MLServer's servicer."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import grpc
import numpy as np
from mlserver.grpc import dataplane_pb2 as messages
from mlserver.grpc.servicers import InferenceServicer
from mlserver.handlers import DataPlane, ModelRepositoryHandlers

from tabserve.encoding.numbers import BOOL, HALF, Values
from tabserve.errors import InvalidRequest, TabserveError
from tabserve.serving.history import v2
from tabserve.serving.history.history import History
from tabserve.serving.history.recording import Record, recording
from tabserve.serving.models import CLOSED, FindModel, Model, identified, is_ours, is_ready
from tabserve.serving.protocol import parameters
from tabserve.serving.protocol.datatypes import BYTES, packed, plain, unpacked
from tabserve.serving.protocol.request import Output, Request, check_count
from tabserve.serving.protocol.status import CANCELLED, FAILED, status
from tabserve.serving.request_log import RequestLog
from tabserve.wording import shown

SERVICE = "inference.GRPCInferenceService"

CONTENTS: dict[str, tuple[str, Callable[[Any], Values]]] = {
    "FP32": ("fp32_contents", np.array),
    "FP64": ("fp64_contents", np.array),
    "INT8": ("int_contents", np.array),
    "INT16": ("int_contents", np.array),
    "INT32": ("int_contents", np.array),
    "INT64": ("int64_contents", np.array),
    "UINT8": ("uint_contents", np.array),
    "UINT16": ("uint_contents", np.array),
    "UINT32": ("uint_contents", np.array),
    "UINT64": ("uint64_contents", np.array),
    BOOL: ("bool_contents", list),
    BYTES: ("bytes_contents", list),
}
"""By datatype: the field of typed (not raw) values, and the function that converts them."""

log = logging.getLogger(__name__)


class Servicer(InferenceServicer):
    """MLServer's servicer with inference of our own."""

    def __init__(
        self,
        data_plane: DataPlane,
        repository: ModelRepositoryHandlers,
        find: FindModel,
        request_log: RequestLog,
        history: History | None = None,
    ) -> None:
        """Extend MLServer's servicer: find models by `find`, log requests, and record those that are answered."""
        super().__init__(data_plane, repository)
        self._find, self.request_log, self._history = find, request_log, history
        self.draining = False

    async def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802,ANN401  gRPC's names and types
        """Whether the server takes requests."""
        return (
            messages.ServerReadyResponse(ready=False) if self.draining else await super().ServerReady(request, context)
        )

    async def ModelReady(self, request: Any, _context: Any) -> Any:  # noqa: N802,ANN401
        """Whether a model takes requests."""
        ready = is_ready(self._find, request.name, request.version or None)
        return messages.ModelReadyResponse(ready=ready and not self.draining)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802,ANN401
        """The inputs and outputs of a model."""
        self._find(request.name, request.version or None)
        return await super().ModelMetadata(request, context)

    async def ModelStreamInfer(self, _requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802,ANN401
        """Refuse: MLServer's servicer would answer the first request only."""
        yield await context.abort(grpc.StatusCode.UNIMPLEMENTED, "This server streams nothing; ask by ModelInfer.")

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802,ANN401
        """Answer an inference request."""
        start, name, version = time.perf_counter(), request.model_name, request.model_version or None
        identity, raw, served = request.id, bool(request.raw_input_contents), None
        try:
            model = self._find(name, version)
            served = (name, version)
            if not is_ours(model):
                return await super().ModelInfer(request, context)
            model.check_room()
            valid = model.validate(document := _document(request, model.signature.datatypes))
            record = recording(self._history, "grpc", partial(v2.request, document))
            request = None
            del document  # so that the message is not kept while its rows wait
            response = await self._respond(model, valid, record, raw=raw)
        except TabserveError as error:
            code, reason = status(error).grpc, str(error)
        except asyncio.CancelledError:
            self.request_log.refused(grpc.StatusCode.CANCELLED.name, CANCELLED, identity, served, start)
            raise
        except Exception:
            log.exception("Answering a request failed.")
            code, reason = grpc.StatusCode.INTERNAL, FAILED
        else:
            self.request_log.answered(name, version, start)
            return response
        request = None  # so that the message is not kept while the refusal is sent
        self.request_log.refused(code.name, reason, identity, served, start)
        return await context.abort(code, reason)

    async def _respond(self, model: Model, request: Request, record: Record, *, raw: bool) -> Any:  # noqa: ANN401
        """The response to a valid request."""
        with record:
            outputs = await model.answer(request)
            request = identified(request)
            record.add(*v2.facts(model, request), v2.response(model, request, outputs))
        return _response(model, request, outputs, raw=raw)


def close_repository(servicer: Any) -> None:  # noqa: ANN401  either of MLServer's two
    """Refuse listing, loading and unloading of models."""
    for method in ("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"):
        setattr(servicer, method, _closed)


async def _closed(_request: object, context: Any) -> None:  # noqa: ANN401  gRPC's type
    await context.abort(grpc.StatusCode.PERMISSION_DENIED, CLOSED)


def _document(request: Any, datatypes: tuple[str, ...]) -> dict[str, Any]:  # noqa: ANN401  protobuf's type
    """The request as plain data; inputs of other datatypes than `datatypes` get no values, and are refused later."""
    check_count("inputs", len(request.inputs))
    check_count("outputs", len(request.outputs))
    raw = request.raw_input_contents
    if raw:
        _check_raw(request)
    inputs = [_tensor(tensor, raw[index] if raw else None, datatypes) for index, tensor in enumerate(request.inputs)]
    return {
        "inputs": inputs,
        "outputs": [{"name": output.name, "parameters": _parameters(output)} for output in request.outputs],
        "id": request.id or None,
        "parameters": _parameters(request),
    }


def _check_raw(request: Any) -> None:  # noqa: ANN401  protobuf's type
    """Refuse a request with raw contents if an input has other contents, or none."""
    for tensor in request.inputs:
        if tensor.HasField("contents") and (typed := [*_typed(tensor)]):
            raise InvalidRequest(
                f"Input {shown(tensor.name)} has values in {typed[0]} beside the request's raw_input_contents;"
                " send the values of all inputs in one of both."
            )
    if len(request.raw_input_contents) != len(request.inputs):
        for tensor in request.inputs:
            parameters.check(
                {"parameters": _parameters(tensor)}, f"Input {shown(tensor.name)}"
            )  # such as shared memory
        raise InvalidRequest(
            f"The request has {len(request.inputs)} inputs and {len(request.raw_input_contents)} raw contents;"
            " expected as many."
        )


def _tensor(tensor: Any, raw: bytes | None, datatypes: tuple[str, ...]) -> dict[str, Any]:  # noqa: ANN401
    if raw is not None:
        data = unpacked(raw, tensor.datatype, f"Input {shown(tensor.name)}")
    else:
        data = _values(tensor) if tensor.datatype in datatypes else []  # validation refuses the datatype later
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": list(tensor.shape),
        "data": data,
        "parameters": _parameters(tensor),
    }


def _typed(tensor: Any) -> dict[str, Any]:  # noqa: ANN401
    """The typed values of an input, by field."""
    return {field.name: values for field, values in tensor.contents.ListFields()}


def _values(tensor: Any) -> Values:  # noqa: ANN401
    """The typed values of an input."""
    if tensor.datatype == HALF:
        raise InvalidRequest(
            f"Input {shown(tensor.name)} has datatype {HALF!r}; send its values in raw_input_contents."
        )
    (name, convert), typed = CONTENTS[tensor.datatype], _typed(tensor)
    if others := [other for other in typed if other != name]:
        raise InvalidRequest(
            f"Input {shown(tensor.name)} has datatype {tensor.datatype!r} and values in {others[0]};"
            f" expected them in {name} alone."
        )
    return convert(typed.get(name, []))


def _parameters(message: Any) -> dict[str, Any] | None:  # noqa: ANN401  protobuf's type
    """The parameters of a request or of a tensor as plain data."""
    if not message.parameters:
        return None
    return {
        name: getattr(value, value.WhichOneof("parameter_choice") or "", None)
        for name, value in message.parameters.items()
    }


def _response(model: Model, request: Request, outputs: list[Output], *, raw: bool) -> Any:  # noqa: ANN401  protobuf's type
    """The response, with raw values if the request had raw values."""
    kind = messages.ModelInferResponse
    response = kind(model_name=model.name, model_version=model.version or "", id=request.id or "")
    for name, value in model.signature.parameters.items():
        response.parameters[name].string_param = value
    for output in outputs:
        tensor = response.outputs.add(name=output.name, datatype=output.datatype, shape=output.values.shape)
        if raw:
            response.raw_output_contents.append(packed(output.values, output.datatype))
        else:
            name, _ = CONTENTS[output.datatype]
            getattr(tensor.contents, name).extend(plain(output.values, output.datatype))
    return response
