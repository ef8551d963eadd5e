"""Asks a served model over REST."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from urllib.parse import quote

import numpy as np
import orjson
import requests
from numpy.typing import NDArray
from urllib3.exceptions import HTTPError

from tabserve.client import proxy
from tabserve.client.client import Client, Tensor
from tabserve.client.proxy import NO_ADDRESS
from tabserve.errors import InvalidRequest, ServerError, UsageError


class RestClient(Client):
    """Speaks JSON over HTTP."""

    def __init__(self, url: str, model: str, timeout: float) -> None:
        """Prepare to ask the server at `url`, such as http://localhost:8080; the timeout is in seconds a request."""
        super().__init__(url.rstrip("/"), model, timeout, proxy.before(url))
        self._session = proxy.session(url)

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
        except (requests.RequestException, HTTPError) as error:
            raise self._failure(error) from error

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
        except (ValueError, KeyError, TypeError, AttributeError):
            return self._foreign(response)
        return (InvalidRequest if 400 <= response.status_code < 500 else ServerError)(sentence)

    def _foreign(self, response: requests.Response) -> ServerError:
        said = response.content[:60].decode(errors="replace")
        return self._stranger(f"it says {response.status_code} {response.reason}: {said!r}.")
