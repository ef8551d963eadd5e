"""Asks a served model over gRPC."""

import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import grpc
import numpy as np
from numpy.typing import NDArray

from tabserve.client.answer import Tensor
from tabserve.client.client import Client, Input
from tabserve.client.metadata import DTYPES
from tabserve.client.proxy import before_grpc, grpc_host, is_here
from tabserve.errors import InvalidRequest, ServerError, UsageError
from tabserve.serving.protocol.datatypes import Packed, packed, unpacked

REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""What gRPC calls a request that is the client's own mistake, as HTTP's 4xx do."""


PROXIES = "grpc.enable_http_proxy"
"""gRPC's option that lets a channel go through proxies."""


class GrpcClient(Client):
    """Speaks protobuf over HTTP/2."""

    def __init__(self, url: str, model: str | None, timeout: float) -> None:
        """Prepare to ask the server at `url`, such as localhost:8081; the rest is as for `RestClient`.

        Not in one process with `tritonclient.grpc`: both register the protocol's messages under the same names.
        """
        from mlserver.grpc import dataplane_pb2, dataplane_pb2_grpc  # noqa: PLC0415 (seconds to import)

        target = _host_and_port(url)
        super().__init__(target, model, timeout, before_grpc(target))
        self._messages = dataplane_pb2
        channel = grpc.insecure_channel(target, options=[(PROXIES, 0)] if is_here(grpc_host(target)) else [])
        self._statistics = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelStatistics",
            dataplane_pb2.ModelMetadataRequest.SerializeToString,
            dataplane_pb2.RepositoryIndexResponse.FromString,  # has a name for each model where the true answer has
        )
        self._service = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated code

    def ready(self) -> bool:
        """Whether the model can answer now."""
        try:
            request = self._messages.ModelReadyRequest(name=self.model)
            return bool(self._service.ModelReady(request, timeout=self._timeout).ready)
        except (grpc.RpcError, ServerError):
            return False

    def _names(self) -> list[str]:
        try:
            found = self._statistics(self._messages.ModelMetadataRequest(), timeout=self._timeout)
        except grpc.RpcError as error:
            raise self._untold() if error.code() is grpc.StatusCode.UNIMPLEMENTED else self._refusal(error) from error
        return [model.name for model in found.models]

    def _described(self) -> Any:  # noqa: ANN401  any JSON
        try:
            request = self._messages.ModelMetadataRequest(name=self.model)
            found = self._service.ModelMetadata(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise self._refusal(error) from error
        tensors = {"inputs": found.inputs, "outputs": found.outputs}
        return {"parameters": _parameters(found)} | {name: [*map(_tensor, some)] for name, some in tensors.items()}

    def _infer(self, inputs: Sequence[Input], outputs: Sequence[str]) -> tuple[Mapping[str, Tensor], object]:
        kind = self._messages.ModelInferRequest
        request = kind(
            model_name=self.model,
            inputs=[
                kind.InferInputTensor(name=each.name, datatype=each.datatype, shape=each.values.shape)
                for each in inputs
            ],
            outputs=[kind.InferRequestedOutputTensor(name=name) for name in outputs],
            raw_input_contents=[packed(each.values, each.datatype) for each in inputs],
        )
        try:
            response = self._service.ModelInfer(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise self._refusal(error) from error
        try:
            found = {
                output.name: Tensor(output.datatype, [*output.shape], _values(output, raw))
                for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
            }
        except (ValueError, KeyError, InvalidRequest) as error:
            raise self._stranger(f"its raw contents do not fit its outputs: {str(error).rstrip('.')}.") from error
        return found, response.parameters["threshold"].string_param if "threshold" in response.parameters else None

    def _refusal(self, error: grpc.RpcError) -> InvalidRequest | ServerError:
        """The server's own sentence, as the error that fits its code."""
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return self._nobody()
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return self._late()
        sentence = " ".join((error.details() or error.code().name).split())
        return (InvalidRequest if error.code() in REFUSALS else ServerError)(sentence)


def _host_and_port(url: str) -> str:
    """What gRPC calls an address, which knows no scheme."""
    try:
        return urlsplit(url).netloc or url
    except ValueError as error:
        raise UsageError(f"{url!r} is not an address such as localhost:8081: {error}.") from error


def _tensor(message: Any) -> dict[str, Any]:  # noqa: ANN401  protobuf's type
    """A tensor of the metadata, as REST has it."""
    shape, parameters = [*message.shape], _parameters(message)
    return {"name": message.name, "datatype": message.datatype, "shape": shape, "parameters": parameters}


def _parameters(message: Any) -> dict[str, Any]:  # noqa: ANN401  protobuf's type
    found = message.parameters.items()
    return {name: getattr(value, value.WhichOneof("parameter_choice") or "", None) for name, value in found}


def _values(output: Any, raw: bytes) -> NDArray[Any]:  # noqa: ANN401  protobuf's type
    if output.datatype not in DTYPES:
        raise ValueError(f"{output.datatype!r}")
    found = unpacked(raw, output.datatype, f"Output {output.name!r}")
    if isinstance(found, Packed):
        texts = found.texts(math.prod(output.shape), "Value {}".format)
        return np.array([text.decode() for text in texts], np.object_)
    return np.asarray(found)
