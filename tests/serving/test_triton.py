"""Triton's clients get a model's configuration and statistics, the same over REST and gRPC."""

import asyncio
import json
import re
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import tritonclient.http
from tritonclient.utils import InferenceServerException

from tabserve.client.local_server import Server
from tabserve.errors import UnknownModel
from tabserve.serving.grpc import triton_messages
from tabserve.serving.slices import MAX_THREADS
from tabserve.serving.triton import DURATIONS, Extensions

MODEL = "/v2/models/xgboost-model"
SECONDS = 20
"""Deadline for the server's answer."""

CONFIG = {
    "name": "xgboost-model",
    "platform": "xgboost",
    "max_batch_size": 256,
    "input": [{"name": "predict", "data_type": "TYPE_FP32", "dims": [200]}],
    "output": [
        {"name": "predict", "data_type": "TYPE_INT64", "dims": [1]},
        {"name": "predict_proba", "data_type": "TYPE_FP32", "dims": [2]},
        {"name": "contributions", "data_type": "TYPE_FP32", "dims": [201]},
    ],
    "dynamic_batching": {"max_queue_delay_microseconds": 0},
}

TRITON_GRPC = """
import json, sys, tritonclient.grpc as triton
with triton.InferenceServerClient(sys.argv[1]) as client:
    answers = {
        "config": client.get_model_config("xgboost-model", as_json=True),
        "of a version": client.get_model_config("xgboost-model", "v0.1.0", as_json=True),
        "statistics": client.get_inference_statistics("xgboost-model", as_json=True),
        "all": client.get_inference_statistics(as_json=True),
    }
    for ask in (client.get_model_config, client.get_inference_statistics):
        for unknown in (("nobody",), ("xgboost-model", "v9")):
            try:
                ask(*unknown)
            except triton.InferenceServerException as error:
                answers.setdefault("errors", []).append(error.status())
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def by_grpc(edge: Server) -> dict[str, Any]:
    """The answers to Triton's gRPC client, in its own process, as MLServer and this client cannot share one."""
    ended = subprocess.run(
        [sys.executable, "-c", TRITON_GRPC, edge.grpc], capture_output=True, text=True, timeout=60, check=True
    )
    return dict(json.loads(ended.stdout))


def by_rest(server: Server) -> tritonclient.http.InferenceServerClient:
    """Triton's client over REST."""
    return tritonclient.http.InferenceServerClient(server.url.removeprefix("http://"), network_timeout=SECONDS)


def statistics(server: Server) -> dict[str, Any]:
    """The statistics of the only model, over REST."""
    with by_rest(server) as client:
        (model,) = client.get_inference_statistics("xgboost-model")["model_stats"]
    return dict(model)


def ask(server: Server, rows: int, columns: int = 200) -> int:
    """The status of an inference request of this size."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [rows, columns], "data": [0.0] * rows * columns}
    return requests.post(f"{server.url}{MODEL}/infer", json={"inputs": [tensor]}, timeout=SECONDS).status_code


def test_the_configuration_is_that_of_the_settings(edge: Server, by_grpc: dict[str, Any]) -> None:
    """REST and gRPC give the same configuration, with a version and without."""
    with by_rest(edge) as client:
        assert client.get_model_config("xgboost-model") == CONFIG
        assert client.get_model_config("xgboost-model", "v0.1.0") == CONFIG
    expected = triton_messages.serialize("ModelConfigResponse", {"config": CONFIG})
    for name in ("config", "of a version"):
        assert triton_messages.serialize("ModelConfigResponse", by_grpc[name]) == expected


def test_statistics_count_rows_calls_and_requests(edge: Server) -> None:
    """They have rows, and the number and duration of calls of the model, of answers and of refusals."""
    before = statistics(edge)
    assert [ask(edge, rows) for rows in (1, 3, 600)] == [200] * 3  # 600 rows are scored in three calls
    assert ask(edge, 1, columns=7) == 400
    after = statistics(edge)
    assert (after["name"], after["version"]) == ("xgboost-model", "v0.1.0")
    assert after["inference_count"] - before["inference_count"] == 604
    assert after["execution_count"] - before["execution_count"] == 5
    assert after["last_inference"] > before["last_inference"]
    counts = {"success": 3, "fail": 1, "compute_infer": 5}
    for name in DURATIONS:
        grown = {
            part: after["inference_stats"][name][part] - before["inference_stats"][name][part]
            for part in before["inference_stats"][name]
        }
        assert grown["count"] == counts.get(name, 0)
        assert (grown["ns"] > 0) == (name in counts)
    computed, answered = (after["inference_stats"][name]["ns"] for name in ("compute_infer", "success"))
    assert computed < MAX_THREADS * answered  # at most so many calls run at a time


def test_statistics_agree_with_the_metrics(edge: Server) -> None:
    """Prometheus gets the same counts and durations."""
    ask(edge, 2)
    text = requests.get(f"{edge.metrics}/metrics", timeout=SECONDS).text
    model = statistics(edge)

    def metric(name: str) -> float:
        return sum(map(float, re.findall(rf'^{name}{{model="xgboost-model".*}} (\S+)$', text, re.MULTILINE)))

    assert metric("tabserve_batch_rows_sum") == model["inference_count"]
    assert metric("tabserve_batch_rows_count") == model["execution_count"]
    durations = model["inference_stats"]["success"], model["inference_stats"]["fail"]
    assert [metric(f"model_infer_request_{end}_total") for end in ("success", "failure")] == [
        duration["count"] for duration in durations
    ]
    seconds = metric("model_infer_request_duration_sum")
    assert sum(duration["ns"] for duration in durations) == pytest.approx(1e9 * seconds)


def test_statistics_over_grpc_are_of_one_model_or_of_all(by_grpc: dict[str, Any]) -> None:
    """Both are the same for a server with one model."""
    assert by_grpc["statistics"] == by_grpc["all"]
    (model,) = by_grpc["all"]["model_stats"]
    assert (model["name"], model["version"]) == ("xgboost-model", "v0.1.0")
    assert set(model["inference_stats"]) == set(DURATIONS)


def test_statistics_over_rest_are_of_one_model_or_of_all(edge: Server) -> None:
    """Both are the same for a server with one model."""
    with by_rest(edge) as client:
        every = client.get_inference_statistics()
        assert every == client.get_inference_statistics("xgboost-model", "v0.1.0")
    assert len(every["model_stats"]) == 1


def test_an_unknown_model_or_version_is_not_found(edge: Server, by_grpc: dict[str, Any]) -> None:
    """REST and gRPC refuse its configuration and its statistics."""
    assert by_grpc["errors"] == ["StatusCode.NOT_FOUND"] * 4
    with by_rest(edge) as client:
        for method in (client.get_model_config, client.get_inference_statistics):
            for unknown in (("nobody",), ("xgboost-model", "v9")):
                with pytest.raises(InferenceServerException, match="is not found; this server has 'xgboost-model'"):
                    method(*unknown)


def test_the_server_lists_its_extensions(edge: Server) -> None:
    """The names are Triton's."""
    with by_rest(edge) as client:
        extensions = client.get_server_metadata()["extensions"]
    assert extensions == ["binary_tensor_data", "model_configuration", "statistics"]


def test_a_model_of_another_runtime_has_no_statistics_or_configuration() -> None:
    """It is left out of the statistics of all models, and a request for it is refused."""
    foreign = SimpleNamespace(name="foreign")

    def find(_name: str, _version: str | None) -> object:
        return foreign

    async def every() -> list[object]:
        return [foreign]

    extensions = Extensions(find, every)
    assert asyncio.run(extensions.statistics()) == {"model_stats": []}
    for answer in (extensions.config("foreign"), extensions.statistics("foreign")):
        with pytest.raises(UnknownModel, match="'foreign' is of another runtime"):
            asyncio.run(answer)
