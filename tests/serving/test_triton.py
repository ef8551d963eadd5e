"""Triton's clients are told how a model is configured and what was counted of it, over both transports alike."""

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
from tabserve.serving.batching import MAX_THREADS
from tabserve.serving.grpc import triton_messages
from tabserve.serving.triton import DURATIONS, Extensions

MODEL = "/v2/models/xgboost-model"
SECONDS = 20
"""That a server may take to answer."""

CONFIG = {
    "name": "xgboost-model",
    "platform": "xgboost",
    "max_batch_size": 256,
    "input": [{"name": "predict", "data_type": "TYPE_FP32", "dims": [200]}],
    "output": [
        {"name": "predict", "data_type": "TYPE_INT64", "dims": [1]},
        {"name": "predict_proba", "data_type": "TYPE_FP32", "dims": [2]},
    ],
    "dynamic_batching": {"max_queue_delay_microseconds": 0},
}

TRITON_GRPC = """
import json, sys, tritonclient.grpc as triton
with triton.InferenceServerClient(sys.argv[1]) as client:
    found = {
        "config": client.get_model_config("xgboost-model", as_json=True),
        "of a version": client.get_model_config("xgboost-model", "v0.1.0", as_json=True),
        "statistics": client.get_inference_statistics("xgboost-model", as_json=True),
        "all": client.get_inference_statistics(as_json=True),
    }
    for ask in (client.get_model_config, client.get_inference_statistics):
        for asked in (("nobody",), ("xgboost-model", "v9")):
            try:
                ask(*asked)
            except triton.InferenceServerException as error:
                found.setdefault("errors", []).append(error.status())
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def by_grpc(edge: Server) -> dict[str, Any]:
    """What Triton's client finds over gRPC; in a process of its own, as it cannot be where MLServer is."""
    asked = subprocess.run(
        [sys.executable, "-c", TRITON_GRPC, edge.grpc], capture_output=True, text=True, timeout=60, check=True
    )
    return dict(json.loads(asked.stdout))


def by_rest(server: Server) -> tritonclient.http.InferenceServerClient:
    """Triton's client over REST."""
    return tritonclient.http.InferenceServerClient(server.url.removeprefix("http://"), network_timeout=SECONDS)


def statistics(server: Server) -> dict[str, Any]:
    """Of the one model."""
    with by_rest(server) as client:
        (found,) = client.get_inference_statistics("xgboost-model")["model_stats"]
    return dict(found)


def ask(server: Server, rows: int, columns: int = 200) -> int:
    """The status of a request for so many rows."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [rows, columns], "data": [0.0] * rows * columns}
    return requests.post(f"{server.url}{MODEL}/infer", json={"inputs": [tensor]}, timeout=SECONDS).status_code


def test_the_configuration_is_the_settings(edge: Server, by_grpc: dict[str, Any]) -> None:
    """The same over both transports, with a version or without."""
    with by_rest(edge) as client:
        assert client.get_model_config("xgboost-model") == CONFIG
        assert client.get_model_config("xgboost-model", "v0.1.0") == CONFIG
    expected = triton_messages.serialize("ModelConfigResponse", {"config": CONFIG})
    for found in ("config", "of a version"):
        assert triton_messages.serialize("ModelConfigResponse", by_grpc[found]) == expected


def test_statistics_count_what_was_done(edge: Server) -> None:
    """Rows, calls of the model, answers and refusals, with the time that they took."""
    before = statistics(edge)
    assert [ask(edge, rows) for rows in (1, 3, 600)] == [200] * 3  # of which 600 are scored in three calls
    assert ask(edge, 1, columns=7) == 400
    after = statistics(edge)
    assert (after["name"], after["version"]) == ("xgboost-model", "v0.1.0")
    assert after["inference_count"] - before["inference_count"] == 604
    assert after["execution_count"] - before["execution_count"] == 5
    assert after["last_inference"] > before["last_inference"]
    done = {"success": 3, "fail": 1, "compute_infer": 5}
    for name in DURATIONS:
        grown = {
            part: after["inference_stats"][name][part] - before["inference_stats"][name][part]
            for part in before["inference_stats"][name]
        }
        assert grown["count"] == done.get(name, 0)
        assert (grown["ns"] > 0) == (name in done)
    computed, answered = (after["inference_stats"][name]["ns"] for name in ("compute_infer", "success"))
    assert computed < MAX_THREADS * answered  # as so many calls may go on at a time


def test_statistics_agree_with_the_metrics(edge: Server) -> None:
    """What Prometheus is told is the same."""
    ask(edge, 2)
    text = requests.get(f"{edge.metrics}/metrics", timeout=SECONDS).text
    found = statistics(edge)

    def told(name: str) -> float:
        return sum(map(float, re.findall(rf'^{name}{{model="xgboost-model".*}} (\S+)$', text, re.MULTILINE)))

    assert told("tabserve_batch_rows_sum") == found["inference_count"]
    assert told("tabserve_batch_rows_count") == found["execution_count"]
    counted = found["inference_stats"]["success"], found["inference_stats"]["fail"]
    assert [told(f"model_infer_request_{end}_total") for end in ("success", "failure")] == [
        each["count"] for each in counted
    ]
    seconds = told("model_infer_request_duration_sum")
    assert sum(each["ns"] for each in counted) == pytest.approx(1e9 * seconds)


def test_statistics_over_grpc_are_those_of_one_or_of_all(by_grpc: dict[str, Any]) -> None:
    """Which is the same where there is one."""
    assert by_grpc["statistics"] == by_grpc["all"]
    (found,) = by_grpc["all"]["model_stats"]
    assert (found["name"], found["version"]) == ("xgboost-model", "v0.1.0")
    assert set(found["inference_stats"]) == set(DURATIONS)


def test_statistics_over_rest_are_those_of_one_or_of_all(edge: Server) -> None:
    """Which is the same where there is one."""
    with by_rest(edge) as client:
        found = client.get_inference_statistics()
        assert found == client.get_inference_statistics("xgboost-model", "v0.1.0")
    assert len(found["model_stats"]) == 1


def test_of_what_is_unknown_nothing_is_told(edge: Server, by_grpc: dict[str, Any]) -> None:
    """It is not found."""
    assert by_grpc["errors"] == ["StatusCode.NOT_FOUND"] * 4
    with by_rest(edge) as client:
        for method in (client.get_model_config, client.get_inference_statistics):
            for asked in (("nobody",), ("xgboost-model", "v9")):
                with pytest.raises(InferenceServerException, match="is not found; this server has 'xgboost-model'"):
                    method(*asked)


def test_the_server_names_its_extensions(edge: Server) -> None:
    """As Triton calls them."""
    with by_rest(edge) as client:
        extensions = client.get_server_metadata()["extensions"]
    assert extensions == ["binary_tensor_data", "model_configuration", "statistics"]


def test_of_another_runtimes_model_nothing_is_told() -> None:
    """It is left out, and refused where it is asked for."""
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
