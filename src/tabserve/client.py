"""Asks a served model for predictions over the V2 protocol, by REST or gRPC."""

import reprlib
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import grpc
import numpy as np
import orjson
import requests
from numpy.typing import NDArray
from urllib3.exceptions import LocationParseError

from tabserve.errors import InvalidRequest, ServerError, UsageError
from tabserve.serving.tensors import OUTPUTS

DTYPES = {"FP32": "<f4", "INT64": "<i8"}
"""How gRPC's raw bytes hold the values of each V2 datatype in `OUTPUTS`."""

REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""What gRPC calls a request that is the client's own mistake, as HTTP's 4xx do."""

NO_ADDRESS = (
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    LocationParseError,
)
"""What requests raises before it asks anyone; its other errors are about who answers."""


class Answer(NamedTuple):
    """A model's answer for some rows.

    Attributes:
        outputs: the values of each output by name, shape (rows, columns).
        threshold: where the model cuts its labels, if it says so.
    """

    outputs: Mapping[str, NDArray[Any]]
    threshold: float | None


class Tensor(NamedTuple):
    """An output as it came: nothing of it is what it should be until it is compared with what was asked."""

    datatype: object
    shape: object
    values: NDArray[Any]


class Client(ABC):
    """Asks one model of one server; how the question travels is a subclass's matter."""

    def __init__(self, address: str, model: str, timeout: float) -> None:
        self._address, self._model, self._timeout = address, model, timeout

    @abstractmethod
    def ready(self) -> bool:
        """Whether the model can answer now."""

    def ask(self, features: NDArray[np.float32], outputs: Sequence[str]) -> Answer:
        """The named outputs, of those in `OUTPUTS`, for float32 features of shape (rows, features).

        Raises:
            InvalidRequest: the server refuses; the message is its own.
            ServerError: no server answers, in time, or as a V2 server does.
            UsageError: the address is none.
        """
        tensors, threshold = self._infer(features, outputs)
        try:
            return Answer({name: _values(tensors, name, len(features)) for name in outputs}, _number(threshold))
        except ValueError as error:
            raise self._stranger(str(error)) from error

    @abstractmethod
    def _infer(self, features: NDArray[np.float32], outputs: Sequence[str]) -> tuple[Mapping[str, Tensor], object]:
        """What came: the outputs by name, and the threshold."""

    def _nobody(self) -> ServerError:
        advice = "start one with 'tabserve serve deploy', or name its --url"
        return ServerError(f"No server answers at {self._address}; {advice}.")

    def _late(self) -> ServerError:
        return ServerError(f"The server at {self._address} did not answer within {self._timeout:g} s.")

    def _stranger(self, reason: str) -> ServerError:
        return ServerError(f"What answers at {self._address} is no V2 inference server; {reason}")


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


class RestClient(Client):
    """Speaks JSON over HTTP."""

    def __init__(self, url: str, model: str, timeout: float) -> None:
        """Prepare to ask the server at `url`, such as http://localhost:8080; the timeout is in seconds a request."""
        super().__init__(url.rstrip("/"), model, timeout)
        self._session = requests.Session()

    def ready(self) -> bool:
        """Whether the model can answer now."""
        try:
            return self._send("GET", "ready").status_code == HTTPStatus.OK
        except ServerError:
            return False

    def _infer(self, features: NDArray[np.float32], outputs: Sequence[str]) -> tuple[Mapping[str, Tensor], object]:
        tensor = {"name": "predict", "datatype": "FP32", "shape": features.shape, "data": features.ravel().tolist()}
        document = {"inputs": [tensor], "outputs": [{"name": name} for name in outputs]}
        response = self._send("POST", "infer", orjson.dumps(document))
        if response.status_code != HTTPStatus.OK:
            raise self._refusal(response)
        try:
            answer = orjson.loads(response.content)
            found = {
                output["name"]: Tensor(output["datatype"], output["shape"], np.array(output["data"]))
                for output in answer["outputs"]
            }
            return found, (answer.get("parameters") or {}).get("threshold")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._foreign(response) from error

    def _send(self, method: str, route: str, body: bytes | None = None) -> requests.Response:
        url = f"{self._address}/v2/models/{quote(self._model, safe='')}/{route}"
        headers = {"Content-Type": "application/json"}
        try:
            return self._session.request(
                method, url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
            )
        except requests.Timeout as error:
            raise self._late() from error
        except NO_ADDRESS as error:
            raise UsageError(f"{self._address!r} is not an address such as http://localhost:8080: {error}") from error
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise self._nobody() from error
        except requests.RequestException as error:
            raise self._stranger(f"its answer cannot be read: {error}") from error

    def _refusal(self, response: requests.Response) -> InvalidRequest | ServerError:
        """The server's own sentence, as the error that fits its status."""
        try:
            sentence = " ".join(orjson.loads(response.content)["error"].split())
        except (ValueError, KeyError, TypeError, AttributeError):
            return self._foreign(response)
        return (InvalidRequest if 400 <= response.status_code < 500 else ServerError)(sentence)

    def _foreign(self, response: requests.Response) -> ServerError:
        said = response.content[:60].decode(errors="replace")
        return self._stranger(f"it says {response.status_code} {response.reason}: {said!r}.")


class GrpcClient(Client):
    """Speaks protobuf over HTTP/2."""

    def __init__(self, url: str, model: str, timeout: float) -> None:
        """Prepare to ask the server at `url`, such as localhost:8081; the timeout is in seconds a request.

        Not in one process with `tritonclient.grpc`: both register the protocol's messages under the same names.
        """
        from mlserver.grpc import dataplane_pb2, dataplane_pb2_grpc  # noqa: PLC0415 (seconds to import)

        super().__init__(_host_and_port(url), model, timeout)
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


def _values(tensors: Mapping[str, Tensor], name: str, rows: int) -> NDArray[Any]:
    """An output's values, shape (rows, columns), if it is what was asked for; a ValueError says what it is not."""
    if name not in tensors:
        raise ValueError(f"its answer lacks the output {name!r}.")
    (datatype, shape, values), expected = tensors[name], OUTPUTS[name]
    wanted = (rows, expected.columns)
    if datatype != expected.datatype or shape != [*wanted]:
        raise ValueError(
            f"its output {name!r} is {reprlib.repr(datatype)} of shape {reprlib.repr(shape)},"
            f" expected {expected.datatype!r} of shape {[*wanted]}."
        )
    dtype = DTYPES[expected.datatype]
    if values.shape not in {wanted, (values.size,)} or values.size != rows * expected.columns:
        raise ValueError(f"its output {name!r} does not hold the values that its shape {shape} promises.")
    if not np.can_cast(values.dtype, dtype, "same_kind") or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"its output {name!r} holds something other than {expected.datatype} from 0 to 1.")
    return values.astype(dtype).reshape(wanted)


def _number(threshold: object) -> float | None:
    """The threshold, which travels as text because gRPC's parameters know no fractions."""
    if threshold is None:
        return None
    try:
        number = float(threshold) if isinstance(threshold, str | float | int) else float("nan")
    except ValueError:
        number = float("nan")
    if not np.isfinite(number):
        raise ValueError(f"its threshold is {reprlib.repr(threshold)}, expected a number.")
    return number
