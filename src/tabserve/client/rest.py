"""Asks a served model over REST."""

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
from tabserve.client.proxy import NO_ADDRESS
from tabserve.errors import InvalidRequest, ServerError, UsageError
from tabserve.serving.protocol.datatypes import BYTES

Read = TypeVar("Read")


class RestClient(Client):
    """Speaks JSON over HTTP."""

    def __init__(self, url: str, model: str | None, timeout: float) -> None:
        """Prepare to ask.

        Args:
            url: of the server, such as http://localhost:8080.
            model: its name; None stands for the only one that the server has.
            timeout: seconds for one request.
        """
        super().__init__(url.rstrip("/"), model, timeout, proxy.before(url))
        self._session = proxy.session(url)

    def ready(self) -> bool:
        """Whether the model can answer now."""
        try:
            return self._send("GET", self._route("/ready")).status_code == HTTPStatus.OK
        except ServerError:
            return False

    def _names(self) -> list[str]:
        response = self._send("GET", "models/stats")
        if _is_unknown_route(response):
            raise self._no_route(response)
        return self._read(response, lambda answer: [str(each["name"]) for each in answer["model_stats"]])

    def _described(self) -> Any:  # noqa: ANN401  any JSON
        return self._read(self._send("GET", self._route("")), dict)

    def _infer(self, inputs: Sequence[Input], outputs: Sequence[str]) -> tuple[Mapping[str, Tensor], object]:
        document = {"inputs": [*map(_tensor, inputs)], "outputs": [{"name": name} for name in outputs]}
        return self._read(self._send("POST", self._route("/infer"), orjson.dumps(document)), _outputs)

    def _route(self, last: str) -> str:
        return f"models/{quote(self.model, safe='')}{last}"

    def _send(self, method: str, route: str, body: bytes | None = None) -> requests.Response:
        url, headers = f"{self._address}/v2/{route}", {"Content-Type": "application/json"}
        try:
            return self._session.request(
                method, url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
            )
        except (requests.RequestException, HTTPError) as error:
            raise self._failure(error) from error

    def _read(self, response: requests.Response, read: Callable[[Any], Read]) -> Read:
        """What is read of an answer, if it is one."""
        if response.status_code != HTTPStatus.OK:
            raise self._no_route(response) if _is_unknown_route(response) else self._refusal(response)
        try:
            return read(orjson.loads(response.content))
        except MALFORMED as error:
            raise self._foreign(response) from error

    def _failure(self, error: Exception) -> ServerError | UsageError:
        """What an error of requests, or one of urllib3 that it lets through, is to people."""
        if self._proxy and proxy.failed(error, self._address):
            return proxy.failure(self._proxy, self._address)
        if isinstance(error, requests.Timeout):
            return self._late()
        if isinstance(error, NO_ADDRESS):
            return UsageError(
                f"{proxy.without_password(self._address)!r} is not an address such as http://localhost:8080."
            )
        if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
            return self._nobody()
        return self._stranger(f"its answer cannot be read: {error}")

    def _refusal(self, response: requests.Response) -> InvalidRequest | ServerError:
        """The server's own sentence, as the error that fits its status."""
        try:
            sentence = " ".join(orjson.loads(response.content)["error"].split())
        except MALFORMED:
            return self._foreign(response)
        return (InvalidRequest if 400 <= response.status_code < 500 else ServerError)(sentence)

    def _foreign(self, response: requests.Response) -> ServerError:
        said = response.content[:60].decode(errors="replace")
        return self._stranger(f"it says {response.status_code} {response.reason}: {said!r}.")

    def _no_route(self, response: requests.Response) -> UsageError:
        split = urlsplit(proxy.without_password(self._address))
        return UsageError(
            f"{proxy.without_password(response.url)} is not found; name the address of the server alone, such as"
            f" {split.scheme}://{split.netloc}, and a model that it has."
        )


def _is_unknown_route(response: requests.Response) -> bool:
    """Whether a server, or a proxy before it, says of an address that nothing is there, and not of a model."""
    try:
        document = orjson.loads(response.content)
        said = str(document.get("error", document.get("detail")))
    except MALFORMED:
        return False
    return response.status_code == HTTPStatus.NOT_FOUND and said.rstrip(".").lower() == "not found"


def _tensor(given: Input) -> dict[str, Any]:
    """A tensor in JSON, in which a missing number is null, as a missing text is."""
    return {
        "name": given.name,
        "datatype": given.datatype,
        "shape": given.values.shape,
        "data": given.values.ravel().tolist(),
    }


def _outputs(answer: Any) -> tuple[Mapping[str, Tensor], object]:  # noqa: ANN401  any JSON
    found = {
        output["name"]: Tensor(output["datatype"], output["shape"], _array(output["datatype"], output["data"]))
        for output in answer["outputs"]
    }
    return found, (answer.get("parameters") or {}).get("threshold")


def _array(datatype: object, data: Any) -> NDArray[Any]:  # noqa: ANN401  any JSON
    """The values; texts stay what they are, beside whatever else stands among them."""
    return np.array(data, np.object_ if datatype == BYTES else None)
