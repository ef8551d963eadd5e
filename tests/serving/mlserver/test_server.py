"""Servers return the model's predictions over every transport, and refuse what they cannot serve in one sentence."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest
import requests
import tritonclient.http
import uvicorn
from mlserver import MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec, NumpyRequestCodec, PandasCodec
from mlserver.grpc import dataplane_pb2, dataplane_pb2_grpc
from mlserver.grpc.converters import ModelInferRequestConverter, ModelInferResponseConverter
from mlserver.registry import SingleModelRegistry
from mlserver.types import InferenceRequest, InferenceResponse, RequestOutput
from numpy.typing import NDArray
from tests.endings import ended_at_start, tell_until_ended
from tests.serving.wire import write_settings
from tritonclient.utils import np_to_triton_dtype

from santander.problem import PROBLEM
from tabserve.client.local_server import SERVE, Server, free_ports, running
from tabserve.errors import ArtifactError, ServerError, UsageError
from tabserve.model.decision import threshold_of
from tabserve.model.model import Model
from tabserve.serving.mlserver import server as serving
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import stream

pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")  # MLServer's converters

MODEL = "/v2/models/xgboost-model"
ROOT = Path(__file__).parents[3]
DEPLOY, SCRIPTS, DOCUMENT = ROOT / "deploy", ROOT / "scripts", ROOT / "docs" / "serving.md"
BIN = Path(sys.executable).parent
SECONDS = 20
"""Deadline for the server's answer."""
Features = NDArray[np.float32]
Answers = dict[str, NDArray[Any]]


def post(server: Server, request: dict[str, Any]) -> requests.Response:
    """The server's response to a request in JSON."""
    return requests.post(f"{server.url}{MODEL}/infer", json=request, timeout=SECONDS)


def plain(request: InferenceRequest) -> dict[str, Any]:
    """The request as plain data for JSON."""
    return dict(request.model_dump())  # type: ignore[no-untyped-call]  # MLServer gives no types here


def values(response: InferenceResponse) -> Answers:
    """The outputs, decoded by MLServer's codec."""
    return {output.name: NumpyCodec.decode_output(output) for output in response.outputs}


def by_rest(server: Server, request: InferenceRequest) -> Answers:
    """The outputs over REST, by MLServer's types."""
    answer = post(server, plain(request))
    answer.raise_for_status()
    return values(InferenceResponse.model_validate(answer.json()))


def by_grpc(server: Server, request: InferenceRequest, *, use_raw: bool) -> Answers:
    """The outputs over gRPC, by MLServer's types, with raw or typed contents."""
    message = ModelInferRequestConverter.from_types(request, "xgboost-model", use_raw=use_raw)
    return values(ModelInferResponseConverter.to_types(call(server, "ModelInfer", message)))


def call(server: Server, method: str, message: Any) -> Any:  # noqa: ANN401 (protobuf's classes have no types)
    """The server's response to a gRPC message."""
    with grpc.insecure_channel(server.grpc) as channel:
        stub = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated code
        return getattr(stub, method)(message, timeout=SECONDS)


def table(features: Features) -> pd.DataFrame:
    """The rows as a data frame with columns in reverse order."""
    return pd.DataFrame(features, columns=PROBLEM.features).iloc[:, ::-1]


def json_flat(server: Server, features: Features) -> Answers:
    """The outputs for one tensor with a flat list of values."""
    tensor = {"datatype": "FP64", "shape": features.shape, "data": features.ravel().tolist()}
    return by_rest(server, InferenceRequest.model_validate({"inputs": [{"name": "any", **tensor}]}))


def json_nested(server: Server, features: Features) -> Answers:
    """The outputs for one tensor with a list for each row."""
    tensor = {"datatype": "FP32", "shape": features.shape, "data": features.tolist()}
    return by_rest(server, InferenceRequest.model_validate({"inputs": [{"name": "predict", **tensor}]}))


def message_of(features: Features, model: str = "xgboost-model") -> dataplane_pb2.ModelInferRequest:
    """A gRPC request for these rows."""
    return ModelInferRequestConverter.from_types(NumpyRequestCodec.encode_request(features), model, use_raw=True)


def numpy_codec(server: Server, features: Features) -> Answers:
    """The outputs over REST, by MLServer's codec for one array."""
    return by_rest(server, NumpyRequestCodec.encode_request(features))


def numpy_codec_by_grpc(server: Server, features: Features) -> Answers:
    """The outputs over gRPC, by MLServer's codec for one array, with typed contents."""
    return by_grpc(server, NumpyRequestCodec.encode_request(features), use_raw=False)


def pandas_codec(server: Server, features: Features) -> Answers:
    """The outputs over REST, by MLServer's codec for data frames: a tensor for each column."""
    return by_rest(server, PandasCodec.encode_request(table(features)))


def pandas_codec_by_grpc(server: Server, features: Features) -> Answers:
    """The outputs over gRPC, by MLServer's codec for data frames, with raw contents."""
    return by_grpc(server, PandasCodec.encode_request(table(features)), use_raw=True)


def triton_http(server: Server, features: Features, outputs: tuple[str, ...] = ()) -> Answers:
    """The outputs by Triton's client over REST, in JSON."""
    tensor = tritonclient.http.InferInput("input-0", features.shape, np_to_triton_dtype(features.dtype))
    tensor.set_data_from_numpy(features, binary_data=False)
    wanted = [tritonclient.http.InferRequestedOutput(name, binary_data=False) for name in outputs] or None
    with tritonclient.http.InferenceServerClient(server.url.removeprefix("http://"), network_timeout=SECONDS) as client:
        result = client.infer("xgboost-model", [tensor], outputs=wanted)
    return {output["name"]: result.as_numpy(output["name"]) for output in result.get_response()["outputs"]}


TRITON_GRPC = """
import sys, numpy, tritonclient.grpc as triton
from tritonclient.utils import np_to_triton_dtype
address, rows, answers, *outputs = sys.argv[1:]
features = numpy.load(rows)
tensor = triton.InferInput("input-0", features.shape, np_to_triton_dtype(features.dtype)).set_data_from_numpy(features)
wanted = [triton.InferRequestedOutput(name) for name in outputs]
with triton.InferenceServerClient(address) as client:
    result = client.infer("xgboost-model", [tensor], outputs=wanted, client_timeout=20)
arrays = {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}
numpy.savez(answers, **arrays)
"""


def triton_grpc(server: Server, features: Features, outputs: tuple[str, ...] = ()) -> Answers:
    """The outputs by Triton's client over gRPC, in its own process, as MLServer and this client cannot share one."""
    with TemporaryDirectory() as folder:
        rows, answers = Path(folder, "rows.npy"), Path(folder, "answers.npz")
        np.save(rows, features)
        subprocess.run(
            [sys.executable, "-c", TRITON_GRPC, server.grpc, rows, answers, *outputs], check=True, timeout=60
        )
        with np.load(answers) as arrays:
            return dict(arrays)


def triton_http_binary(server: Server, features: Features) -> Answers:
    """The outputs by Triton's client over REST by its defaults: binary tensors in both directions."""
    tensor = tritonclient.http.InferInput("input-0", features.shape, np_to_triton_dtype(features.dtype))
    with tritonclient.http.InferenceServerClient(server.url.removeprefix("http://"), network_timeout=SECONDS) as client:
        result = client.infer("xgboost-model", [tensor.set_data_from_numpy(features)])
    return {name: result.as_numpy(name) for name in ("predict", "predict_proba")}


CLIENTS = [
    json_flat,
    json_nested,
    numpy_codec,
    numpy_codec_by_grpc,
    pandas_codec,
    pandas_codec_by_grpc,
    triton_http,
    triton_grpc,
]


@pytest.mark.parametrize("rows", [1, 300])
@pytest.mark.parametrize("ask", CLIENTS, ids=[ask.__name__ for ask in CLIENTS])
def test_every_client_gets_the_models_predictions(
    server: Server, model: Model, sample_frame: Frame, ask: Callable[[Server, Features], Answers], rows: int
) -> None:
    """They are equal to the bit, whichever command started the server."""
    features = sample_frame.features[:rows]
    outputs, expected = ask(server, features), model.score(features)
    assert set(outputs) == {"predict", "predict_proba"}
    assert outputs["predict"].dtype == np.int64
    assert outputs["predict"].tolist() == expected.label[:, np.newaxis].tolist()
    negative_and_positive = np.column_stack([1 - expected.probability, expected.probability])
    assert outputs["predict_proba"].dtype == np.float32
    assert outputs["predict_proba"].tobytes() == negative_and_positive.tobytes()


def shortened(features: Features, kind: str) -> NDArray[Any]:
    """The rows as 16-bit floats, or as booleans of positive values."""
    return features.astype(np.float16) if kind == "FP16" else features > 0


def is_answered(server: Server, model: Model, ask: Callable[[Server, Any], Answers], sent: NDArray[Any]) -> bool:
    """Whether the probabilities are the model's for the same values as 32-bit floats."""
    return bool(
        ask(server, sent)["predict_proba"][:, 1].tolist() == model.score(sent.astype(np.float32)).probability.tolist()
    )


@pytest.mark.parametrize("kind", ["FP16", "BOOL"])
@pytest.mark.parametrize("ask", [triton_http, triton_grpc], ids=["JSON", "gRPC"])
def test_16_bit_floats_and_booleans_are_scored_as_numbers(
    server: Server, model: Model, sample_frame: Frame, ask: Callable[[Server, Any], Answers], kind: str
) -> None:
    """They are equal to the bit, whichever command started the server."""
    assert is_answered(server, model, ask, shortened(sample_frame.features[:300], kind))


@pytest.mark.parametrize("kind", ["FP16", "BOOL"])
def test_16_bit_floats_and_booleans_may_be_binary_over_rest(
    served: Server, model: Model, sample_frame: Frame, kind: str
) -> None:
    """Triton's client sends them so by default."""
    assert is_answered(served, model, triton_http_binary, shortened(sample_frame.features[:300], kind))


@pytest.mark.parametrize("ask", [triton_http, triton_grpc])
@pytest.mark.parametrize("outputs", [("predict",), ("predict_proba",), ("predict_proba", "predict")])
def test_only_requested_outputs_are_returned(
    server: Server, sample_frame: Frame, ask: Callable[..., Answers], outputs: tuple[str, ...]
) -> None:
    """They are in the order of the request."""
    assert tuple(ask(server, sample_frame.features[:2], outputs)) == outputs


def test_a_response_has_model_version_and_threshold(server: Server, model: Model) -> None:
    """The threshold is a string over REST and gRPC."""
    rows = np.zeros((1, 200), np.float32)
    answer = post(server, plain(NumpyRequestCodec.encode_request(rows))).json()
    assert (answer["model_name"], answer["model_version"]) == ("xgboost-model", "v0.1.0")
    assert answer["parameters"] == {"threshold": repr(threshold_of(model.decision))}
    response = call(server, "ModelInfer", message_of(rows))
    assert (response.model_version, response.parameters["threshold"].string_param) == (
        "v0.1.0",
        repr(threshold_of(model.decision)),
    )


def test_metadata_is_the_same_over_both_transports(server: Server) -> None:
    """REST and gRPC list one input and every output, with the same shapes."""
    metadata = requests.get(f"{server.url}{MODEL}", timeout=SECONDS).json()
    assert [tensor["name"] for tensor in metadata["inputs"] + metadata["outputs"]] == [
        "predict",
        "predict",
        "predict_proba",
        "contributions",
    ]
    message = call(server, "ModelMetadata", dataplane_pb2.ModelMetadataRequest(name="xgboost-model"))
    for tensor, document in zip(
        [*message.inputs, *message.outputs], metadata["inputs"] + metadata["outputs"], strict=True
    ):
        expected = document["name"], document["datatype"], document["shape"]
        assert (tensor.name, tensor.datatype, list(tensor.shape)) == expected


def test_a_wrong_request_gets_the_same_sentence_over_both_transports(server: Server) -> None:
    """The status is 400 over REST, and INVALID_ARGUMENT over gRPC."""
    rows = np.zeros((2, 199), np.float32)
    sentence = "Input 'x' has shape [2, 199]; expected [rows, 200], one column for each feature."
    request = InferenceRequest(inputs=[NumpyCodec.encode_input("x", rows)])
    answer = post(server, plain(request))
    assert (answer.status_code, answer.json()) == (400, {"error": sentence})
    with pytest.raises(grpc.RpcError) as raised:
        by_grpc(server, request, use_raw=True)
    assert (raised.value.code(), raised.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, sentence)


@pytest.mark.parametrize("cell", ["null", "true", '"1.5"', "1e39", "[1]", "{}"])
def test_a_json_value_that_is_no_32_bit_float_is_refused(server: Server, cell: str) -> None:
    """The sentence names the row and the column; MLServer alone would convert some of these values."""
    data = ", ".join([cell, *["0"] * 199])
    body = f'{{"inputs": [{{"name": "x", "datatype": "FP32", "shape": [1, 200], "data": [{data}]}}]}}'
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{server.url}{MODEL}/infer", data=body, headers=headers, timeout=SECONDS)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Row 0, column 'var_0', is ")


def test_an_unknown_model_is_not_found(server: Server) -> None:
    """REST answers 404, and gRPC NOT_FOUND."""
    assert requests.get(f"{server.url}/v2/models/nobody/ready", timeout=SECONDS).status_code == 404
    with pytest.raises(grpc.RpcError) as raised:
        call(server, "ModelInfer", message_of(np.zeros((1, 200), np.float32), "nobody"))
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


def test_many_concurrent_clients_get_their_own_answers(server: Server, model: Model, sample_frame: Frame) -> None:
    """Rows, sizes, outputs and transports differ, and every fourth request is wrong."""

    def one(number: int) -> bool:
        features = sample_frame.features[7 * number : 7 * number + 1 + number % 5]
        if number % 4 == 0:
            wrong = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [number]}]}
            return post(server, wrong).status_code == 400
        by_column = PandasCodec.encode_request(table(features))
        request = by_column if number % 2 else NumpyRequestCodec.encode_request(features)
        request.outputs = [RequestOutput(name=name) for name in ("predict_proba", "predict")[: 1 + number % 3 % 2]]
        outputs = by_rest(server, request) if number % 3 else by_grpc(server, request, use_raw=bool(number % 2))
        return bool((outputs["predict_proba"][:, 1] == model.score(features).probability).all())

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(80), timeout=60))


def test_metrics_count_successes_and_failures(server: Server) -> None:
    """The metrics have MLServer's names."""
    assert post(server, plain(NumpyRequestCodec.encode_request(np.zeros((1, 200), np.float32)))).status_code == 200
    text = requests.get(f"{server.metrics}/metrics", timeout=SECONDS).text
    for name in ("model_infer_request_success_total", "model_infer_request_failure_total"):
        assert re.search(rf'^{name}{{model="xgboost-model"', text, re.MULTILINE)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_and_sigint_end_the_server_cleanly(model_folder: Path, ending: signal.Signals) -> None:
    """The exit code is 0, the log has no traceback; the model folder is given by --model."""
    with running(DEPLOY, command=[*SERVE, "--model", str(model_folder)]) as server:
        requests.get(f"{server.url}{MODEL}/ready", timeout=SECONDS).raise_for_status()
        server.process.send_signal(ending)
        assert server.process.wait(SECONDS) == 0
        log = server.log.read_text()
    assert "Traceback" not in log
    assert log.count("Waiting for gRPC server shutdown") == 1


@pytest.mark.parametrize("endings", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM, signal.SIGINT]])
def test_repeated_signals_end_the_server_cleanly(model_folder: Path, endings: list[signal.Signals]) -> None:
    """Signals that come while Python exits do no harm either."""
    with running(DEPLOY, {"TABSERVE_MODEL": str(model_folder)}) as server:
        tell_until_ended(server.process, *endings)
        assert server.process.returncode == 0
        assert "Traceback" not in server.log.read_text()


def run(command: Sequence[str], **options: Any) -> "subprocess.CompletedProcess[str]":  # noqa: ANN401 (subprocess's own)
    """Run a command to its end."""
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`serve` in this process, for errors before the server starts; on free ports and the default event loop."""
    variables = ("MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT")
    for variable, port in zip(variables, free_ports(3), strict=True):
        monkeypatch.setenv(variable, str(port))
    monkeypatch.setenv("MLSERVER_HOST", "127.0.0.1")
    monkeypatch.setattr(serving, "install_uvloop_event_loop", lambda: None)
    monkeypatch.setattr(serving, "configure_logger", lambda: None)
    return serving.serve


def test_a_folder_without_settings_is_refused(start: Callable[..., None], tmp_path: Path) -> None:
    """The folder may be empty, or not exist, or be a file."""
    with pytest.raises(UsageError, match=r"is neither a model folder, which has a manifest\.json, nor a folder of set"):
        start(tmp_path)
    for folder in (tmp_path / "nowhere", DOCUMENT):
        with pytest.raises(UsageError, match=r" is not a folder; name a model folder, or a folder of settings\.$"):
            start(folder)


WRONG_SETTINGS = {
    "not JSON": ("model-settings.json", "{", r"model-settings\.json is wrong: Expecting property name"),
    "no object": ("model-settings.json", "[]", r"model-settings\.json is wrong: expected a JSON object, found \[\]"),
    "no runtime": ("model-settings.json", "{}", r"is wrong: implementation: Field required"),
    "text as a number": (
        "model-settings.json",
        json.dumps({"implementation": "tabserve.serving.mlserver.runtime.FolderModel", "max_batch_size": "many"}),
        "is wrong: max_batch_size: Input should be a valid integer.* found 'many'",
    ),
    "unknown runtime": (
        "model-settings.json",
        '{"name": "x", "implementation": "nothing.Here"}',
        "Model 'x' needs 'nothing.Here': No module named 'nothing'",
    ),
    "server's not JSON": ("settings.json", "nonsense", r"settings\.json or an MLSERVER_\* variable is wrong"),
    "server's no object": ("settings.json", "[]", "variable is wrong: expected a JSON object, found"),
    "server's no truth": ("settings.json", '{"debug": "maybe"}', "is wrong: debug: .* found 'maybe'"),
}


@pytest.mark.parametrize(("name", "content", "sentence"), WRONG_SETTINGS.values(), ids=list(WRONG_SETTINGS))
def test_wrong_settings_are_refused_by_name(
    start: Callable[..., None], tmp_path: Path, name: str, content: str, sentence: str
) -> None:
    """The error names the file, the setting and its value."""
    (write_settings(tmp_path) / name).write_text(content)
    with pytest.raises(ServerError, match=sentence):
        start(tmp_path)


def test_batch_limits_out_of_range_are_refused_before_the_start(
    start: Callable[..., None], tmp_path: Path, model_folder: Path
) -> None:
    """The error is one sentence, not MLServer's traceback."""
    shutil.copytree(model_folder, tmp_path / "model")
    with pytest.raises(ServerError, match="expected rows of at least 1 and seconds of at least 0"):
        start(write_settings(tmp_path, max_batch_time=-1, parameters={"uri": str(model_folder)}))


def test_a_damaged_model_folder_is_refused_before_the_start(
    start: Callable[..., None], tmp_path: Path, model_folder: Path
) -> None:
    """It may be the folder of the settings, or that of --model."""
    broken = shutil.copytree(model_folder, tmp_path / "model")
    (broken / "model.ubj").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"model\.ubj does not have the checksum"):
        start(write_settings(tmp_path))
    with pytest.raises(ArtifactError, match=r"other.* expected a whole model folder"):
        start(DEPLOY, tmp_path / "other")


@pytest.mark.parametrize("variable", ["MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT"])
def test_a_port_in_use_is_named_with_its_variable(
    start: Callable[..., None], model_folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """This includes the gRPC port, which two servers could share unnoticed."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv(variable, str(port))
        with pytest.raises(
            ServerError, match=f"Port {port} is in use; stop what listens there, or set --.*port or {variable}"
        ):
            start(DEPLOY, model_folder)


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        (
            "MLSERVER_HTTP_PORT",
            "70000",
            "Port 70000 does not exist; set --port or MLSERVER_HTTP_PORT to a number up to",
        ),
        ("MLSERVER_GRPC_PORT", "many", "variable is wrong: grpc_port: Input should be a valid integer.* found 'many'"),
        (
            "MLSERVER_HOST",
            "192.0.2.1",
            r"of host '192\.0\.2\.1' cannot be opened: .*; set .* or MLSERVER_HOST to another",
        ),
        (
            "MLSERVER_HOST",
            "2001:db8::1",
            r"of host '2001:db8::1' cannot be opened: .*; set .* or MLSERVER_HOST to another",
        ),
        ("MLSERVER_HOST", "nobody.invalid", r"of host 'nobody\.invalid' cannot be opened: .*; set .* or MLSERVER_HOST"),
        ("MLSERVER_HOST", "a" * 64, r"cannot be opened: it is no name of a host; set .* or MLSERVER_HOST to another"),
    ],
)
def test_an_impossible_address_is_named_with_its_variable(  # noqa: PLR0917 (fixtures and parameters)
    start: Callable[..., None],
    model_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    sentence: str,
) -> None:
    """The error says what was expected, and which variable to set."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ServerError, match=sentence):
        start(DEPLOY, model_folder)


def test_two_equal_ports_are_refused(
    start: Callable[..., None], model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the variable of the second port."""
    monkeypatch.setenv("MLSERVER_GRPC_PORT", os.environ["MLSERVER_HTTP_PORT"])
    with pytest.raises(
        ServerError, match="is in use; stop what listens there, or set --grpc-port or MLSERVER_GRPC_PORT"
    ):
        start(DEPLOY, model_folder)


def test_the_metrics_port_is_not_checked_if_metrics_are_off(
    start: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ports are impossible, and the error is about the REST port."""
    settings = json.loads((DEPLOY / "settings.json").read_text())
    (write_settings(tmp_path) / "settings.json").write_text(
        json.dumps(settings | {"metrics_endpoint": None, "http_port": 70_000})
    )
    monkeypatch.setenv("MLSERVER_METRICS_PORT", "70001")
    monkeypatch.setattr(serving, "check_model", lambda _settings: None)
    with pytest.raises(ServerError, match="Port 70000 does not exist"):
        start(tmp_path)


def test_the_private_parts_of_mlserver_and_uvicorn_that_we_use_exist() -> None:
    """`server.py` looks up models in MLServer's registry, and keeps uvicorn from handling signals."""

    async def loaded() -> list[str]:
        server = MLServer(Settings.model_validate({"parallel_workers": 0, "metrics_endpoint": None}))
        assert server._model_registry._models == {}
        settings = ModelSettings.model_validate({"name": "nobody", "implementation": "mlserver.MLModel"})
        assert SingleModelRegistry(settings)._find_model(None) is None
        return [model.name for model in await server._model_registry.get_models()]

    assert asyncio.run(loaded()) == []
    assert callable(uvicorn.Server.capture_signals)


def test_a_model_that_fails_to_load_ends_the_server_with_an_error(tmp_path: Path) -> None:
    """The exit code is that of ServerError, where MLServer alone would end with 0."""
    (tmp_path / "failing.py").write_text(
        "from mlserver import MLModel\n\n\n"
        "class Failing(MLModel):\n"
        "    async def load(self):\n"
        "        raise RuntimeError('not today')\n"
    )
    write_settings(tmp_path, implementation="failing.Failing")
    ports = dict(zip(("HTTP", "GRPC", "METRICS"), map(str, free_ports(3)), strict=True))
    variables = {f"MLSERVER_{name}_PORT": port for name, port in ports.items()}
    environment = {**os.environ, "MLSERVER_HOST": "127.0.0.1", **variables}
    ended = run([*SERVE, str(tmp_path)], env=environment)
    assert ended.returncode == ServerError.exit_code
    assert ended.stderr.splitlines()[-1] == "Model 'xgboost-model' could not be loaded; the log above says why."


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_gets_a_signal_while_it_starts_ends_cleanly(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code is 0, and there is no output; `test_loading.py` tests a signal while a model loads."""
    for variable, port in zip(("HTTP", "GRPC", "METRICS"), free_ports(3), strict=True):
        monkeypatch.setenv(f"MLSERVER_{variable}_PORT", str(port))
    ended = ended_at_start([*SERVE, str(DEPLOY)], os.environ, number)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def blocks(*languages: str) -> list[tuple[str, str]]:
    """The language and text of the document's fenced blocks in these languages."""
    fenced = re.findall(r"^```(\w+)\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    return [(language, text) for language, text in fenced if language in languages]


def served_at(server: Server, text: str) -> str:
    """A text of the document with this server's addresses."""
    return text.replace("localhost:8080", server.url.removeprefix("http://")).replace("localhost:8081", server.grpc)


def test_the_log_has_the_rest_address(served: Server) -> None:
    """It is logged as MLServer logs the addresses of gRPC and of the metrics."""
    assert f"REST server running on {served.url}\n" in served.log.read_text()


@pytest.mark.needs("curl")
def test_the_documents_commands_work_as_shown(served: Server, tmp_path: Path) -> None:
    """Each command that sends a request succeeds, and its output is the answer that the document shows."""
    (tmp_path / "scripts").symlink_to(SCRIPTS)
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "MLSERVER_HTTP_PORT": served.url.rpartition(":")[2]}
    shown = compared = 0
    for (language, text), (after, answer) in zip(
        blocks("sh", "json"), [*blocks("sh", "json")[1:], ("", "")], strict=True
    ):
        if language != "sh" or text.startswith(("tabserve serve", "mlserver start", "MLSERVER_")):
            continue
        command = ["bash", "-euo", "pipefail", "-c", served_at(served, text)]
        ended = run(command, cwd=tmp_path, env=environment)
        assert ended.returncode == 0, ended.stderr
        shown += 1
        if after == "json" and "implementation" not in answer:
            printed = json.loads(ended.stdout)
            for tensor in [*printed.get("inputs", []), *printed.get("outputs", [])]:
                tensor.pop("parameters", None)  # the names of 200 columns, which the document does not list
            assert printed == json.loads(answer)
            compared += 1
    assert (shown, compared) == (6, 4)


def test_the_documents_python_works_as_shown(served: Server, model: Model) -> None:
    """Two examples print the model's predictions for scripts/rows.csv, and one that the server is ready."""
    (rows,) = stream(SCRIPTS / "rows.csv", PROBLEM, model.encoder)
    expected = model.score(rows.features)
    pandas_example, triton_example, health_example = [served_at(served, text) for _, text in blocks("python")]
    ended = run([sys.executable, "-c", f"{pandas_example}\nprint(labels)"], cwd=ROOT)
    assert json.loads(ended.stdout) == expected.label.tolist()
    ended = run([sys.executable, "-c", f"{triton_example}\nprint(probability.tolist())"], cwd=ROOT)
    assert json.loads(ended.stdout) == expected.probability.tolist()
    assert run([sys.executable, "-c", f"{health_example}\nprint(ready)"]).stdout == "1\n"


def test_the_stock_runtime_serves_the_folder_as_the_document_says(
    tmp_path: Path, model_folder: Path, model: Model, sample_frame: Frame
) -> None:
    """Probabilities are equal to the bit; labels are cut at 0.5."""
    (settings,) = [text for _, text in blocks("json") if "implementation" in text]
    (tmp_path / "model-settings.json").write_text(settings)
    shutil.copytree(model_folder, tmp_path / "model")
    features = sample_frame.features[:50]
    expected = model.score(features).probability
    with running(tmp_path, {"MLSERVER_PARALLEL_WORKERS": "0"}, [str(BIN / "mlserver"), "start"]) as stock:
        outputs = triton_grpc(stock, features, ("predict", "predict_proba"))
    assert outputs["predict_proba"].tobytes() == np.column_stack([1 - expected, expected]).tobytes()
    assert outputs["predict"].ravel().tolist() == (expected > 0.5).astype(int).tolist()
