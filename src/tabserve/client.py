"""Asks a served model for predictions over the V2 protocol, by REST or gRPC."""

import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import grpc
import numpy as np
import orjson
import requests
from numpy.typing import NDArray

from tabserve.errors import InvalidRequest, ServerError, UsageError

DTYPES = {"FP32": "<f4", "FP64": "<f8", "INT32": "<i4", "INT64": "<i8"}
"""How gRPC's raw bytes hold the values of each V2 datatype that a classifier answers with."""

REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""What gRPC calls a request that is the client's own mistake, as HTTP's 4xx do."""


class Answer(NamedTuple):
    """A model's answer for some rows.

    Attributes:
        outputs: the values of each output by name, shape (rows, columns).
        threshold: where the model cuts its labels, if it says so.
    """

    outputs: Mapping[str, NDArray[Any]]
    threshold: float | None


class Client(Protocol):
    """What both transports can do."""

    def ready(self) -> bool:
        """Whether the model can answer now."""

    def ask(self, features: NDArray[np.float32], outputs: Sequence[str]) -> Answer:
        """The named outputs for float32 features of shape (rows, features).

        Raises:
            InvalidRequest: the server refuses; the message is its own.
            ServerError: no server answers, in time, or as a V2 server does.
            UsageError: the address is none.
        """


def wait(client: Client, seconds: float) -> None:
    """Return once the model is ready.

    Raises:
        ServerError: it was not, within these seconds.
    """
    deadline = time.monotonic() + seconds
    while not client.ready():
        if time.monotonic() > deadline:
            raise ServerError(f"The model was not ready within {seconds:g} s; the server's log may say why.")
        time.sleep(0.2)


class RestClient:
    """Speaks JSON over HTTP."""

    def __init__(self, url: str, model: str, timeout: float) -> None:
        """Prepare to ask the server at `url`, such as http://localhost:8080; the timeout is in seconds a request."""
        self._url, self._model, self._timeout = url.rstrip("/"), model, timeout
        self._session = requests.Session()

    def ready(self) -> bool:
        """Whether the model can answer now."""
        try:
            return self._send("GET", "ready").ok
        except ServerError:
            return False

    def ask(self, features: NDArray[np.float32], outputs: Sequence[str]) -> Answer:
        """The named outputs for some rows; see `Client`."""
        tensor = {"name": "predict", "datatype": "FP32", "shape": features.shape, "data": features.ravel().tolist()}
        document = {"inputs": [tensor], "outputs": [{"name": name} for name in outputs]}
        response = self._send("POST", "infer", orjson.dumps(document))
        if not response.ok:
            raise self._refusal(response)
        try:
            answer = response.json()
            values = {output["name"]: np.array(output["data"]).reshape(output["shape"]) for output in answer["outputs"]}
            threshold = answer.get("parameters", {}).get("threshold")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._stranger(response) from error
        return Answer(values, threshold and float(threshold))

    def _send(self, method: str, route: str, body: bytes | None = None) -> requests.Response:
        url = f"{self._url}/v2/models/{self._model}/{route}"
        try:
            headers = {"Content-Type": "application/json"}
            return self._session.request(method, url, data=body, headers=headers, timeout=self._timeout)
        except requests.Timeout as error:
            raise ServerError(f"The server at {self._url} did not answer within {self._timeout:g} s.") from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise _nobody(self._url) from error
        except requests.RequestException as error:
            raise UsageError(f"{self._url!r} is not an address such as http://localhost:8080: {error}") from error

    def _refusal(self, response: requests.Response) -> InvalidRequest | ServerError:
        """The server's own sentence, as the error that fits its status."""
        try:
            sentence = response.json()["error"]
        except (ValueError, KeyError, TypeError):
            return self._stranger(response)
        return (ServerError if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR else InvalidRequest)(sentence)

    def _stranger(self, response: requests.Response) -> ServerError:
        answer = f"{response.status_code} {response.reason}: {response.text:.80}"
        return ServerError(f"What answers at {self._url} is no V2 inference server; it says {answer}")


class GrpcClient:
    """Speaks protobuf over HTTP/2."""

    def __init__(self, url: str, model: str, timeout: float) -> None:
        """Prepare to ask the server at `url`, such as localhost:8081; the timeout is in seconds a request.

        Not in one process with `tritonclient.grpc`: both register the protocol's messages under the same names.
        """
        from mlserver.grpc import dataplane_pb2, dataplane_pb2_grpc  # noqa: PLC0415 (seconds to import)

        self._address, self._model, self._timeout = urlsplit(url).netloc or url, model, timeout
        self._messages = dataplane_pb2
        channel = grpc.insecure_channel(self._address)
        self._service = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated code

    def ready(self) -> bool:
        """Whether the model can answer now."""
        try:
            request = self._messages.ModelReadyRequest(name=self._model)
            return bool(self._service.ModelReady(request, timeout=self._timeout).ready)
        except grpc.RpcError:
            return False

    def ask(self, features: NDArray[np.float32], outputs: Sequence[str]) -> Answer:
        """The named outputs for some rows; see `Client`."""
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
        values = {
            output.name: np.frombuffer(raw, DTYPES[output.datatype]).reshape(output.shape)
            for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
        }
        threshold = response.parameters["threshold"].string_param if "threshold" in response.parameters else None
        return Answer(values, threshold and float(threshold))

    def _refusal(self, error: grpc.RpcError) -> InvalidRequest | ServerError:
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return _nobody(self._address)
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return ServerError(f"The server at {self._address} did not answer within {self._timeout:g} s.")
        return (InvalidRequest if error.code() in REFUSALS else ServerError)(error.details())


def _nobody(address: str) -> ServerError:
    return ServerError(f"No server answers at {address}; start one with 'tabserve serve deploy', or name its --url.")
