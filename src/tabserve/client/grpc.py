"""The client over gRPC."""

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
from tabserve.client.proxy import for_grpc_target, grpc_host, is_loopback
from tabserve.errors import InvalidRequest, ServerError, UsageError
from tabserve.serving.protocol.datatypes import Packed, packed, unpacked

REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""The status codes of a request that is the client's own mistake, as HTTP's 4xx are."""

ENABLE_HTTP_PROXY = "grpc.enable_http_proxy"
"""The channel option that decides whether gRPC uses proxies."""


class GrpcClient(Client):
    """The client that sends protobuf over HTTP/2."""

    def __init__(self, url: str, model: str | None, timeout: float) -> None:
        """Create a client of the server at `url`, such as localhost:8081; the rest is as for `RestClient`.

        A process cannot use `tritonclient.grpc` as well: both register the protocol's messages under the same names.
        """
        from mlserver.grpc import dataplane_pb2, dataplane_pb2_grpc  # noqa: PLC0415 (seconds to import)

        target = _host_and_port(url)
        super().__init__(target, model, timeout, for_grpc_target(target))
        self._messages = dataplane_pb2
        options = [(ENABLE_HTTP_PROXY, 0)] if is_loopback(grpc_host(target)) else []
        channel = grpc.insecure_channel(target, options=options)
        self._statistics = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelStatistics",
            dataplane_pb2.ModelMetadataRequest.SerializeToString,
            dataplane_pb2.RepositoryIndexResponse.FromString,  # holds the models' names in the field of the response's
        )
        self._service = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated code

    def ready(self) -> bool:
        """Whether the model can answer requests now; False also if no server answers."""
        try:
            request = self._messages.ModelReadyRequest(name=self.model)
            return bool(self._service.ModelReady(request, timeout=self._timeout).ready)
        except (grpc.RpcError, ServerError):
            return False

    def _model_names(self) -> list[str]:
        try:
            response = self._statistics(self._messages.ModelMetadataRequest(), timeout=self._timeout)
        except grpc.RpcError as error:
            unlisted = error.code() is grpc.StatusCode.UNIMPLEMENTED
            raise self._no_model_list() if unlisted else self._refusal(error) from error
        return [model.name for model in response.models]

    def _metadata_document(self) -> Any:  # noqa: ANN401  any JSON
        try:
            request = self._messages.ModelMetadataRequest(name=self.model)
            response = self._service.ModelMetadata(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise self._refusal(error) from error
        inputs, outputs = ([*map(_tensor, tensors)] for tensors in (response.inputs, response.outputs))
        return {"parameters": _parameters(response), "inputs": inputs, "outputs": outputs}

    def _infer(self, inputs: Sequence[Input], outputs: Sequence[str]) -> tuple[Mapping[str, Tensor], object]:
        kind = self._messages.ModelInferRequest
        request = kind(
            model_name=self.model,
            inputs=[
                kind.InferInputTensor(name=name, datatype=datatype, shape=values.shape)
                for name, datatype, values in inputs
            ],
            outputs=[kind.InferRequestedOutputTensor(name=name) for name in outputs],
            raw_input_contents=[packed(values, datatype) for _, datatype, values in inputs],
        )
        try:
            response = self._service.ModelInfer(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise self._refusal(error) from error
        try:
            tensors = {
                output.name: Tensor(output.datatype, [*output.shape], _values(output, raw))
                for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
            }
        except (ValueError, KeyError, InvalidRequest) as error:
            raise self._not_v2(f"its raw contents do not fit its outputs: {str(error).rstrip('.')}.") from error
        return tensors, response.parameters["threshold"].string_param if "threshold" in response.parameters else None

    def _refusal(self, error: grpc.RpcError) -> InvalidRequest | ServerError:
        """The error of a failed call, with the server's own message."""
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return self._unreachable()
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return self._timed_out()
        sentence = " ".join((error.details() or error.code().name).split())
        return (InvalidRequest if error.code() in REFUSALS else ServerError)(sentence)


def _host_and_port(url: str) -> str:
    """The address without a scheme, as gRPC takes it."""
    try:
        return urlsplit(url).netloc or url
    except ValueError as error:
        raise UsageError(f"{url!r} is not an address such as localhost:8081: {error}.") from error


def _tensor(message: Any) -> dict[str, Any]:  # noqa: ANN401  protobuf's type
    """The metadata of a tensor, in the structure of REST's JSON."""
    shape, parameters = [*message.shape], _parameters(message)
    return {"name": message.name, "datatype": message.datatype, "shape": shape, "parameters": parameters}


def _parameters(message: Any) -> dict[str, Any]:  # noqa: ANN401  protobuf's type
    parameters = message.parameters.items()
    return {name: getattr(value, value.WhichOneof("parameter_choice") or "", None) for name, value in parameters}


def _values(output: Any, raw: bytes) -> NDArray[Any]:  # noqa: ANN401  protobuf's type
    if output.datatype not in DTYPES:
        raise ValueError(f"{output.datatype!r}")
    values = unpacked(raw, output.datatype, f"Output {output.name!r}")
    if isinstance(values, Packed):
        texts = values.texts(math.prod(output.shape), "Value {}".format)
        return np.array([text.decode() for text in texts], np.object_)
    return np.asarray(values)
