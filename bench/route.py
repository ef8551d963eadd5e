"""A model behind an ordinary FastAPI route: `python -m bench.route MODEL_FOLDER`."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
import xgboost as xgb
from fastapi import FastAPI
from pydantic import BaseModel


class Tensor(BaseModel):
    """An input of the V2 protocol."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class Output(BaseModel):
    """A requested output."""

    name: str


class Request(BaseModel):
    """A V2 request."""

    inputs: list[Tensor]
    outputs: list[Output] = []


def application(folder: Path) -> FastAPI:
    """Make the application that serves `model.ubj` of a model folder."""
    app, model = FastAPI(), xgb.XGBClassifier()
    model.load_model(folder / "model.ubj")

    @app.get("/v2/models/xgboost-model/ready")
    async def ready() -> dict[str, Any]:
        return {}

    @app.post("/v2/models/xgboost-model/infer")
    async def infer(request: Request) -> dict[str, Any]:
        tensor = request.inputs[0]
        values = model.predict_proba(np.array(tensor.data, dtype=np.float32).reshape(tensor.shape))
        output = {"name": "predict_proba", "datatype": "FP32", "shape": values.shape, "data": values.ravel().tolist()}
        return {"model_name": "xgboost-model", "outputs": [output]}

    return app


if __name__ == "__main__":
    uvicorn.run(application(Path(sys.argv[1])), port=int(os.environ["MLSERVER_HTTP_PORT"]), log_level="warning")
