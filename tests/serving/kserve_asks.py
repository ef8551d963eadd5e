"""Send requests to a server by KServe's own client, in an environment that has it, and print the answers as JSON.

The arguments are the server's REST and gRPC addresses, and a file of float32 rows of 200 features.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelMetadataRequest
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

MODEL = "xgboost-model"
SECONDS = 20


def request(features: Any, *, binary: bool) -> InferRequest:  # noqa: ANN401  an array
    """A request for these rows; `binary` sends the values as bytes."""
    tensor = InferInput("predict", list(features.shape), "FP32")
    tensor.set_data_from_numpy(features, binary_data=binary)
    return InferRequest(MODEL, [tensor])


def outputs(response: Any) -> dict[str, Any]:  # noqa: ANN401  KServe's InferResponse
    """The outputs by their names."""
    return {output.name: output.as_numpy().tolist() for output in response.outputs}


async def by_rest(url: str, features: Any) -> dict[str, Any]:  # noqa: ANN401
    """The server's health and predictions over REST."""
    async with InferenceRESTClient(RESTConfig(protocol="v2", timeout=SECONDS, retries=0)) as client:
        return {
            "live": await client.is_server_live(url),
            "ready": await client.is_server_ready(url),
            "model": await client.is_model_ready(url, MODEL),
            "json": outputs(await client.infer(url, request(features, binary=False), model_name=MODEL)),
            "binary": outputs(await client.infer(url, request(features, binary=True), model_name=MODEL)),
        }


async def by_grpc(address: str, features: Any) -> dict[str, Any]:  # noqa: ANN401
    """The server's health, metadata and predictions over gRPC; KServe has messages for metadata, but no method."""
    async with InferenceGRPCClient(address, timeout=SECONDS) as client, grpc.aio.insecure_channel(address) as channel:
        metadata = await GRPCInferenceServiceStub(channel).ModelMetadata(ModelMetadataRequest(name=MODEL))
        return {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "model": await client.is_model_ready(MODEL),
            "metadata": [[tensor.name, tensor.datatype, list(tensor.shape)] for tensor in metadata.inputs],
            "typed": outputs(await client.infer(request(features, binary=False))),
            "raw": outputs(await client.infer(request(features, binary=True))),
        }


def main() -> None:
    """Send all requests, and print the answers."""
    url, address, rows = sys.argv[1:]
    features = np.frombuffer(Path(rows).read_bytes(), np.float32).reshape(-1, 200)
    answers = {"rest": asyncio.run(by_rest(url, features)), "grpc": asyncio.run(by_grpc(address, features))}
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main()
