"""The limit of a Python server: bare uvicorn, orjson, and one prediction for all requests of a loop iteration.

It has no validation, no metrics and no metadata. `python -m bench.limit MODEL_FOLDER`.
"""

import asyncio
import json
import os
import sys
from datetime import date
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import uvicorn
import xgboost as xgb
from numpy.typing import NDArray

HEAD_LENGTH = b"inference-header-content-length"

JSON = [(b"content-type", b"application/json")]

EPOCH = date(1970, 1, 1).toordinal()


class Limit:
    """An ASGI application that validates nothing."""

    def __init__(self, model: Path) -> None:
        """Load `model.ubj` of a model folder."""
        self._booster = xgb.Booster({"nthread": 1}, model_file=model / "model.ubj")
        manifest = json.loads((model / "manifest.json").read_text())
        self._columns = [column["name"] for column in manifest["columns"]]
        self._dates = {name for name, encoding in manifest["encodings"].items() if "hours" in encoding}
        self._codes = {
            name: {level: code for code, level in enumerate(encoding["levels"])}
            for name, encoding in manifest["encodings"].items()
            if "levels" in encoding
        }
        self._waiting: list[tuple[NDArray[np.float32], asyncio.Future[NDArray[np.float32]]]] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401  as ASGI has it
        """Answer one request; a GET asks whether the server is ready."""
        headers, answer = JSON, b"{}"
        if scope["method"] == "POST":
            length = next((value for name, value in scope["headers"] if name == HEAD_LENGTH), None)
            headers, answer = await self._infer(await _body(receive), length)
        headers = [*headers, (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _infer(self, body: bytes, length: bytes | None) -> tuple[list[tuple[bytes, bytes]], bytes]:
        inputs = orjson.loads(body[: int(length)] if length else body)["inputs"]
        if len(inputs) > 1:
            values = await self._score(self._row({tensor["name"]: tensor["data"][0] for tensor in inputs}))
        else:
            values = (
                np.frombuffer(body, "<f4", offset=int(length)) if length else np.array(inputs[0]["data"], np.float32)
            )
            values = await self._score(values.reshape(inputs[0]["shape"]))
        output: dict[str, Any] = {"name": "predict_proba", "datatype": "FP32", "shape": values.shape}
        if not length:
            output["data"] = values.ravel()
        else:
            output["parameters"] = {"binary_data_size": values.nbytes}
        head = orjson.dumps({"model_name": "xgboost-model", "outputs": [output]}, option=orjson.OPT_SERIALIZE_NUMPY)
        return ([(HEAD_LENGTH, b"%d" % len(head))], head + values.tobytes()) if length else (JSON, head)

    def _row(self, cells: dict[str, Any]) -> NDArray[np.float32]:
        """The features of one row of mixed columns."""
        features: list[float] = []
        for name in self._columns:
            if name in self._codes:
                features.append(self._codes[name].get(cells[name], nan))
            elif name in self._dates:
                day = date.fromisoformat(cells[name])
                features += (day.toordinal() - EPOCH, day.month, day.weekday())
            else:
                features.append(cells[name])
        return np.array([features], np.float32)

    def _score(self, features: NDArray[np.float32]) -> asyncio.Future[NDArray[np.float32]]:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._score_all)
        self._waiting.append((features, loop.create_future()))
        return self._waiting[-1][1]

    def _score_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        features = np.concatenate([features for features, _ in waiting]) if len(waiting) > 1 else waiting[0][0]
        positive = self._booster.inplace_predict(features, validate_features=False)
        both, start = np.column_stack([1 - positive, positive]), 0
        for features, future in waiting:
            end = start + len(features)
            if not future.done():
                future.set_result(both[start:end])
            start = end


async def _body(receive: Any) -> bytes:  # noqa: ANN401
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


if __name__ == "__main__":
    port = int(os.environ["MLSERVER_HTTP_PORT"])
    uvicorn.run(
        Limit(Path(sys.argv[1])), port=port, http="httptools", loop="uvloop", lifespan="off", log_level="warning"
    )
