"""The front door of gRPC: inference is answered here, all else by MLServer's own servicer."""

import logging
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
import numpy as np
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from mlserver.grpc import dataplane_pb2 as messages
from mlserver.grpc.servicers import InferenceServicer
from mlserver.handlers import DataPlane, ModelRepositoryHandlers

from tabserve.errors import InvalidRequest, Overloaded, TabserveError, TooLarge, UnknownModel
from tabserve.serving.edge import CLOSED, Find, Model
from tabserve.serving.journal import Journal
from tabserve.serving.tensors import Output, Request, check_count
from tabserve.serving.values import DATATYPES
from tabserve.serving.wording import shown

STATUS: dict[type[TabserveError], grpc.StatusCode] = {
    UnknownModel: grpc.StatusCode.NOT_FOUND,
    TooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    Overloaded: grpc.StatusCode.UNAVAILABLE,
}

CONTENTS = {
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
}
"""Where the protocol keeps the values of each datatype, if they are not raw."""

log = logging.getLogger(__name__)


class Servicer(InferenceServicer):
    """MLServer's servicer, with inference of our own."""

    def __init__(
        self, data_plane: DataPlane, repository: ModelRepositoryHandlers, find: Find, journal: Journal
    ) -> None:
        """Take what MLServer's servicer needs, and the way to a model."""
        super().__init__(data_plane, repository)
        self._find, self._journal = find, journal
        self.draining = False

    async def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802,ANN401  gRPC's names and types
        """Whether requests should come here."""
        return (
            messages.ServerReadyResponse(ready=False) if self.draining else await super().ServerReady(request, context)
        )

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802,ANN401
        """Whether requests for a model should come here."""
        try:
            model = await self._find(request.name, request.version or None)
        except UnknownModel as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        return messages.ModelReadyResponse(ready=model.ready and not self.draining)

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802,ANN401
        """Answer an inference request."""
        start, name, version = time.perf_counter(), request.model_name, request.model_version or None
        served = None
        try:
            model = await self._find(name, version)
            served = (name, version)
            if not hasattr(model, "answer"):
                return await super().ModelInfer(request, context)
            model.check_room()
            valid = model.read(_document(request))
            outputs = await model.answer(valid)
        except TabserveError as error:
            code = next(code for kind, code in STATUS.items() if isinstance(error, kind))
            reason = str(error)
        except Exception:
            log.exception("Answering a request failed.")
            code, reason = grpc.StatusCode.INTERNAL, "Scoring failed; the server's log says why."
        else:
            self._journal.answered(name, version, start)
            return _response(model, valid, outputs, raw=bool(request.raw_input_contents))
        self._journal.refused(code.name, reason, request.id, served, start)
        return await context.abort(code, reason)


def handlers(service: ServiceDescriptor, servicer: Any) -> grpc.GenericRpcHandler:  # noqa: ANN401  any of MLServer's
    """What answers the service's methods: the servicer, or a refusal where the message cannot be read."""
    found = {method.name: _handler(method, getattr(servicer, method.name)) for method in service.methods}
    return grpc.method_handlers_generic_handler(service.full_name, found)


def _handler(method: MethodDescriptor, answer: Callable[..., Any]) -> grpc.RpcMethodHandler:
    kinds = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(answer, kinds[0].FromString, kinds[1].SerializeToString)

    async def answered(request: Any, context: Any) -> Any:  # noqa: ANN401  protobuf's and gRPC's types
        if request is None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"The message is no {method.input_type.name}.")
        return await answer(request, context)

    return grpc.unary_unary_rpc_method_handler(answered, partial(_parsed, kinds[0]), kinds[1].SerializeToString)


def _parsed(kind: type[Message], message: bytes) -> Message | None:
    """The message, if it is one: what is raised here would reach the client as UNKNOWN."""
    try:
        return kind.FromString(message)
    except DecodeError:
        return None


def close_repository(servicer: Any) -> None:  # noqa: ANN401  either of MLServer's two
    """Refuse what lists, loads and unloads models."""
    for method in ("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"):
        setattr(servicer, method, _closed)


async def _closed(_request: object, context: Any) -> None:  # noqa: ANN401  gRPC's type
    await context.abort(grpc.StatusCode.PERMISSION_DENIED, CLOSED)


def _document(request: Any) -> dict[str, Any]:  # noqa: ANN401  protobuf's type
    """The request as plain data."""
    check_count("inputs", len(request.inputs))
    check_count("outputs", len(request.outputs))
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidRequest(
            f"The request has {len(request.inputs)} inputs and {len(raw)} raw contents; expected as many."
        )
    inputs = [_tensor(tensor, raw[place] if raw else None) for place, tensor in enumerate(request.inputs)]
    return {
        "inputs": inputs,
        "outputs": [{"name": output.name} for output in request.outputs],
        "id": request.id or None,
    }


def _tensor(tensor: Any, raw: bytes | None) -> dict[str, Any]:  # noqa: ANN401  protobuf's type
    described = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    kind = DATATYPES.get(tensor.datatype)
    if kind is None:  # the validation says so
        return {**described, "data": []}
    if raw is None:
        return {**described, "data": np.array(getattr(tensor.contents, CONTENTS[tensor.datatype]))}
    if len(raw) % kind.itemsize:
        raise InvalidRequest(
            f"Input {shown(tensor.name)} has {len(raw)} bytes of raw contents; {tensor.datatype} needs multiples of"
            f" {kind.itemsize}."
        )
    return {**described, "data": np.frombuffer(raw, kind)}


def _response(model: Model, request: Request, outputs: list[Output], *, raw: bool) -> Any:  # noqa: ANN401  protobuf's type
    """The response, its values as raw as the request's were."""
    kind = messages.ModelInferResponse
    response = kind(model_name=model.name, model_version=model.version or "", id=request.id or str(uuid.uuid4()))
    response.parameters["threshold"].string_param = model.threshold
    for output in outputs:
        tensor = response.outputs.add(name=output.name, datatype=output.datatype, shape=output.values.shape)
        if raw:
            response.raw_output_contents.append(output.values.astype(DATATYPES[output.datatype], copy=False).tobytes())
        else:
            getattr(tensor.contents, CONTENTS[output.datatype]).extend(output.values.ravel().tolist())
    return response
