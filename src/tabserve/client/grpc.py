"""Asks a served model over gRPC."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import grpc
import numpy as np
from numpy.typing import NDArray

from tabserve.client.client import DTYPES, Client, Tensor
from tabserve.client.proxy import before_grpc, grpc_host, is_here
from tabserve.errors import InvalidRequest, ServerError, UsageError

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

    def __init__(self, url: str, model: str, timeout: float) -> None:
        """Prepare to ask the server at `url`, such as localhost:8081; the timeout is in seconds a request.

        Not in one process with `tritonclient.grpc`: both register the protocol's messages under the same names.
        """
        from mlserver.grpc import dataplane_pb2, dataplane_pb2_grpc  # noqa: PLC0415 (seconds to import)

        target = _host_and_port(url)
        super().__init__(target, model, timeout, before_grpc(target))
        self._messages = dataplane_pb2
        channel = grpc.insecure_channel(target, options=[(PROXIES, 0)] if is_here(grpc_host(target)) else [])
        self._service = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated code

    def ready(self) -> bool:
        """Whether the model can answer now."""
        try:
            request = self._messages.ModelReadyRequest(name=self._model)
            return bool(self._service.ModelReady(request, timeout=self._timeout).ready)
        except grpc.RpcError:
            return False

    def _infer(self, features: NDArray[np.float32], outputs: Sequence[str]) -> tuple[Mapping[str, Tensor], object]:
        kind = self._messages.ModelInferRequest
        request = kind(
            model_name=self._model,
            inputs=[kind.InferInputTensor(name="predict", datatype="FP32", shape=features.shape)],
            outputs=[kind.InferRequestedOutputTensor(name=name) for name in outputs],
            raw_input_contents=[features.astype(DTYPES["FP32"]).tobytes()],
        )
        try:
            response = self._service.ModelInfer(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise self._refusal(error) from error
        try:
            found = {
                output.name: Tensor(output.datatype, [*output.shape], np.frombuffer(raw, DTYPES[output.datatype]))
                for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
            }
        except (ValueError, KeyError) as error:
            raise self._stranger(f"its raw contents do not fit its outputs: {error}.") from error
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
