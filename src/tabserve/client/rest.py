"""The client over REST."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import numpy as np
import orjson
import requests
from numpy.typing import NDArray
from urllib3.exceptions import HTTPError

from tabserve.client import proxy
from tabserve.client.answer import Tensor
from tabserve.client.client import MALFORMED, Client, Input
from tabserve.client.proxy import ADDRESS_ERRORS
from tabserve.errors import InvalidRequest, ServerError, UsageError
from tabserve.serving.protocol.datatypes import BYTES

Parsed = TypeVar("Parsed")


class RestClient(Client):
    """The client that sends JSON over HTTP."""

    def __init__(self, url: str, model: str | None, timeout: float) -> None:
        """Create a client; it sends nothing yet.

        Args:
            url: the server's address, such as http://localhost:8080.
            model: the model's name; None for the server's only model.
            timeout: seconds for one request.
        """
        super().__init__(url.rstrip("/"), model, timeout, proxy.for_url(url))
        self._session = proxy.session(url)

    def ready(self) -> bool:
        """Whether the model can answer requests now; False also if no server answers."""
        try:
            return self._send("GET", self._route("/ready")).status_code == HTTPStatus.OK
        except ServerError:
            return False

    def _model_names(self) -> list[str]:
        response = self._send("GET", "models/stats")
        if _is_unknown_route(response):
            raise self._no_route(response)
        return self._parse(response, lambda document: [str(model["name"]) for model in document["model_stats"]])

    def _metadata_document(self) -> Any:  # noqa: ANN401  any JSON
        return self._parse(self._send("GET", self._route("")), dict)

    def _infer(self, inputs: Sequence[Input], outputs: Sequence[str]) -> tuple[Mapping[str, Tensor], object]:
        document = {"inputs": [*map(_tensor, inputs)], "outputs": [{"name": name} for name in outputs]}
        return self._parse(self._send("POST", self._route("/infer"), orjson.dumps(document)), _outputs)

    def _route(self, suffix: str) -> str:
        return f"models/{quote(self.model, safe='')}{suffix}"

    def _send(self, method: str, route: str, body: bytes | None = None) -> requests.Response:
        url, headers = f"{self._address}/v2/{route}", {"Content-Type": "application/json"}
        try:
            return self._session.request(
                method, url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
            )
        except (requests.RequestException, HTTPError) as error:
            raise self._failure(error) from error

    def _parse(self, response: requests.Response, parse: Callable[[Any], Parsed]) -> Parsed:
        """Parse a response's JSON, or raise the error that the response stands for."""
        if response.status_code != HTTPStatus.OK:
            raise self._no_route(response) if _is_unknown_route(response) else self._refusal(response)
        try:
            return parse(orjson.loads(response.content))
        except MALFORMED as error:
            raise self._foreign(response) from error

    def _failure(self, error: Exception) -> ServerError | UsageError:
        """The error for the user that an error of requests, or of urllib3 below it, stands for."""
        if self._proxy and proxy.is_failure(error, self._address):
            return proxy.failure(self._proxy, self._address)
        if isinstance(error, requests.Timeout):
            return self._timed_out()
        if isinstance(error, ADDRESS_ERRORS):
            return UsageError(
                f"{proxy.without_password(self._address)!r} is not an address such as http://localhost:8080."
            )
        if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
            return self._unreachable()
        return self._not_v2(f"its answer cannot be read: {error}")

    def _refusal(self, response: requests.Response) -> InvalidRequest | ServerError:
        """The error of a refused request, with the server's own message."""
        try:
            sentence = " ".join(orjson.loads(response.content)["error"].split())
        except MALFORMED:
            return self._foreign(response)
        return (InvalidRequest if 400 <= response.status_code < 500 else ServerError)(sentence)

    def _foreign(self, response: requests.Response) -> ServerError:
        start = response.content[:60].decode(errors="replace")
        return self._not_v2(f"it says {response.status_code} {response.reason}: {start!r}.")

    def _no_route(self, response: requests.Response) -> UsageError:
        split = urlsplit(proxy.without_password(self._address))
        return UsageError(
            f"{proxy.without_password(response.url)} is not found; name the address of the server alone, such as"
            f" {split.scheme}://{split.netloc}, and a model that it has."
        )


def _is_unknown_route(response: requests.Response) -> bool:
    """Whether the response means that the route does not exist; an unknown model has another message."""
    try:
        document = orjson.loads(response.content)
        message = str(document.get("error", document.get("detail")))
    except MALFORMED:
        return False
    return response.status_code == HTTPStatus.NOT_FOUND and message.rstrip(".").lower() == "not found"


def _tensor(tensor: Input) -> dict[str, Any]:
    """The tensor as it is written to JSON; orjson writes NaN, a missing number, as null."""
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": tensor.values.shape,
        "data": tensor.values.ravel().tolist(),
    }


def _outputs(document: Any) -> tuple[Mapping[str, Tensor], object]:  # noqa: ANN401  any JSON
    tensors = {
        output["name"]: Tensor(output["datatype"], output["shape"], _array(output["datatype"], output["data"]))
        for output in document["outputs"]
    }
    return tensors, (document.get("parameters") or {}).get("threshold")


def _array(datatype: object, data: Any) -> NDArray[Any]:  # noqa: ANN401  any JSON
    """The values as an array; numpy must not turn other JSON values among texts into texts."""
    return np.array(data, np.object_ if datatype == BYTES else None)
