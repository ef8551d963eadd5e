"""A server of two models, one over numbers and one over texts, gives the predictions of each."""

import json
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
import pytest
import requests
import tritonclient.http
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.grpc import dataplane_pb2
from mlserver.grpc.converters import ModelInferRequestConverter, ModelInferResponseConverter
from mlserver.types import InferenceRequest, InferenceResponse
from tests.conftest import GOODS as PROBLEM
from tests.serving.wire import GOODS, SECONDS, write_both_settings

from tabserve.client.local_server import Server, running
from tabserve.encoding.ngrams import has_letter_or_digit
from tabserve.errors import ArtifactError, UsageError
from tabserve.model.decision import threshold_of
from tabserve.model.model import Model
from tabserve.serving.mlserver.server import serve

pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")  # MLServer's converters

INFER = f"{GOODS}/infer"
SERVICE = "inference.GRPCInferenceService"
LABELS = list(PROBLEM.labels)
TEXTS = ["Carrinho de Bebê azul", "quadro", "CONVITE de papel, para casamento", "nada disso"]

fuzzed = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=9) | st.sampled_from(TEXTS)
titles = st.lists(any_text.filter(has_letter_or_digit), min_size=1, max_size=4)


class Answer(NamedTuple):
    """Labels, and the bytes of all probabilities."""

    labels: list[str]
    probability: bytes


def expected(model: Model, texts: list[str]) -> Answer:
    """The model's predictions for each text, scored alone."""
    scores = [model.score(np.array([text], np.object_)) for text in texts]
    probability = b"".join(score.probability.tobytes() for score in scores)
    return Answer([LABELS[int(score.label[0])] for score in scores], probability)


def document(texts: list[Any], **members: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON
    """A request in JSON."""
    return {"inputs": [{"name": "title", "datatype": "BYTES", "shape": [len(texts)], "data": texts}], **members}


def post(server: Server, request: object, path: str = INFER) -> requests.Response:
    """The server's response to a request in JSON."""
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    return requests.post(server.url + path, data=body, headers={"Content-Type": "application/json"}, timeout=SECONDS)


def to_answer(label: list[Any], probability: Any) -> Answer:  # noqa: ANN401  whatever numpy takes
    """An answer from the values of its two outputs."""
    labels = [text.decode() if isinstance(text, bytes) else text for text in label]
    return Answer(labels, np.asarray(probability, np.float32).tobytes())


def by_json(server: Server, texts: list[str]) -> Answer:
    """The answer over REST, to strings in JSON."""
    label, proba = post(server, document(texts)).json()["outputs"]
    assert (label["shape"], proba["shape"]) == ([len(texts), 1], [len(texts), 3])
    return to_answer(label["data"], proba["data"])


def by_codec(server: Server, texts: list[str]) -> Answer:
    """The answer over REST, by MLServer's codec."""
    request = InferenceRequest(inputs=[StringCodec.encode_input("title", texts, use_bytes=False)])
    answer = post(server, request.model_dump())  # type: ignore[no-untyped-call]
    return decode_by_codec(InferenceResponse.model_validate(answer.json()))


def by_codec_over_grpc(server: Server, texts: list[str], *, use_raw: bool = False) -> Answer:
    """The answer over gRPC, by MLServer's codec."""
    request = InferenceRequest(inputs=[StringCodec.encode_input("title", texts)])
    message = ModelInferRequestConverter.from_types(request, "goods", use_raw=use_raw)
    with grpc.insecure_channel(server.grpc) as channel:
        return decode_by_codec(ModelInferResponseConverter.to_types(infer(channel, message)))


def by_raw_codec_over_grpc(server: Server, texts: list[str]) -> Answer:
    """The answer over gRPC, by MLServer's codec in raw contents."""
    return by_codec_over_grpc(server, texts, use_raw=True)


def decode_by_codec(response: InferenceResponse) -> Answer:
    """An answer, decoded by MLServer's codecs."""
    label, proba = response.outputs
    return to_answer(StringCodec.decode_output(label), NumpyCodec.decode_output(proba))


def by_triton(server: Server, texts: list[str]) -> Answer:
    """The answer by Triton's client over REST, with binary tensors in both directions."""
    tensor = tritonclient.http.InferInput("title", [len(texts), 1], "BYTES")
    tensor.set_data_from_numpy(np.array(texts, np.object_)[:, np.newaxis])
    with tritonclient.http.InferenceServerClient(server.url.removeprefix("http://"), network_timeout=SECONDS) as client:
        result = client.infer("goods", [tensor])
    return to_answer(result.as_numpy("predict").ravel().tolist(), result.as_numpy("predict_proba"))


TRITON_GRPC = """
import json, sys, numpy, tritonclient.grpc as triton
texts = numpy.array(json.loads(sys.argv[2]), object)[:, None]
tensor = triton.InferInput("title", texts.shape, "BYTES").set_data_from_numpy(texts)
with triton.InferenceServerClient(sys.argv[1]) as client:
    result = client.infer("goods", [tensor], client_timeout=20)
labels = [label.decode() for label in result.as_numpy("predict").ravel()]
print(json.dumps([labels, result.as_numpy("predict_proba").tolist()]))
"""

TRITON_CONFIG = """
import json, sys, tritonclient.grpc as triton
with triton.InferenceServerClient(sys.argv[1]) as client:
    print(json.dumps(client.get_model_config("goods", as_json=True)["config"]))
"""


def triton_grpc(script: str, *arguments: str) -> Any:  # noqa: ANN401  any JSON
    """The JSON that a script prints; in its own process, as MLServer and Triton's gRPC client cannot share one."""
    command = [sys.executable, "-c", script, *arguments]
    return json.loads(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout)


def by_triton_over_grpc(server: Server, texts: list[str]) -> Answer:
    """The answer by Triton's client over gRPC."""
    return to_answer(*triton_grpc(TRITON_GRPC, server.grpc, json.dumps(texts)))


def by_curl(server: Server, texts: list[str]) -> Answer:
    """The answer by curl."""
    command = ["curl", "--fail", "--silent", "-d", "@-", "-H", "Content-Type: application/json", server.url + INFER]
    ended = subprocess.run(command, input=json.dumps(document(texts)).encode(), capture_output=True, check=True)
    label, proba = json.loads(ended.stdout)["outputs"]
    return to_answer(label["data"], proba["data"])


CLIENTS = [by_json, by_codec, by_codec_over_grpc, by_raw_codec_over_grpc, by_triton_over_grpc]


@pytest.fixture(params=["both", "both_plain"], ids=["tabserve-serve", "mlserver-start"])
def either(request: pytest.FixtureRequest) -> Server:
    """A server started by `tabserve serve`, then one started by `mlserver start`."""
    server: Server = request.getfixturevalue(request.param)
    return server


@pytest.mark.parametrize("rows", [1, 4, 150])
@pytest.mark.parametrize("ask", [*CLIENTS, pytest.param(by_curl, marks=pytest.mark.needs("curl"))])
def test_every_client_gets_the_models_predictions(
    either: Server, goods: Model, ask: Callable[[Server, list[str]], Answer], rows: int
) -> None:
    """They are equal to the bit, whichever command started the server; 150 texts are scored in slices."""
    texts = (TEXTS * rows)[:rows]
    assert ask(either, texts) == expected(goods, texts)


def test_tritons_client_gets_the_predictions_in_binary(both: Server, goods: Model) -> None:
    """Binary tensors in both directions are its default over REST."""
    assert by_triton(both, TEXTS) == expected(goods, TEXTS)


@pytest.fixture(scope="module")
def channel(both: Server) -> Iterator[grpc.Channel]:
    """A gRPC channel to the server."""
    with grpc.insecure_channel(both.grpc) as opened:
        yield opened


def message(
    typed: list[bytes] | None = None, raw: bytes | None = None, rows: int = 1, name: str = "title", kind: str = "BYTES"
) -> dataplane_pb2.ModelInferRequest:
    """A gRPC request with one input of typed or raw texts."""
    request = dataplane_pb2.ModelInferRequest(model_name="goods")
    request.inputs.add(name=name, datatype=kind, shape=[rows, 1]).contents.bytes_contents.extend(typed or [])
    if raw is not None:
        request.raw_input_contents.append(raw)
    return request


def infer(channel: grpc.Channel, request: Any) -> Any:  # noqa: ANN401  protobuf's types
    """The server's response to a gRPC request."""
    parse = dataplane_pb2.ModelInferResponse.FromString
    call = channel.unary_unary(f"/{SERVICE}/ModelInfer", response_deserializer=parse)
    return call(request.SerializeToString(), timeout=SECONDS)


def pack_texts(texts: list[bytes]) -> bytes:
    """Texts in the form of raw contents: each prefixed by its length."""
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def unpack_texts(raw: bytes) -> list[bytes]:
    """The texts in raw contents."""
    texts = []
    while raw:
        end = 4 + struct.unpack_from("<I", raw)[0]
        texts.append(raw[4:end])
        raw = raw[end:]
    return texts


def typed_answer(response: Any) -> Answer:  # noqa: ANN401  protobuf's type
    """The answer in a gRPC response with typed contents."""
    label, proba = response.outputs
    return to_answer(list(label.contents.bytes_contents), list(proba.contents.fp32_contents))


def raw_answer(response: Any) -> Answer:  # noqa: ANN401
    """The answer in a gRPC response with raw contents."""
    label, proba = response.raw_output_contents
    return to_answer(unpack_texts(label), np.frombuffer(proba, np.float32))


def binary(texts: list[bytes]) -> tuple[bytes, dict[str, str]]:
    """A body with binary texts behind its JSON, which asks for binary outputs, and its headers."""
    raw = pack_texts(texts)
    tensor = {"name": "title", "datatype": "BYTES", "shape": [len(texts), 1]}
    request = {"inputs": [{**tensor, "parameters": {"binary_data_size": len(raw)}}]}
    head = json.dumps({**request, "parameters": {"binary_data_output": True}}).encode()
    return head + raw, {"Inference-Header-Content-Length": str(len(head))}


def by_binary(server: Server, texts: list[str]) -> Answer:
    """The answer over REST, with binary tensors behind the JSON in both directions."""
    body, headers = binary([text.encode() for text in texts])
    answer = requests.post(server.url + INFER, data=body, headers=headers, timeout=SECONDS)
    end = int(answer.headers["Inference-Header-Content-Length"])
    sizes = [output["parameters"]["binary_data_size"] for output in json.loads(answer.content[:end])["outputs"]]
    label, proba = answer.content[end : end + sizes[0]], answer.content[end + sizes[0] :]
    assert len(proba) == sizes[1]
    return to_answer(unpack_texts(label), np.frombuffer(proba, np.float32))


def test_any_texts_get_the_same_answer_in_every_encoding(both: Server, channel: grpc.Channel, goods: Model) -> None:
    """Encodings are JSON, binary, typed and raw; concurrent requests, scored in one batch, get the same answers too."""
    call = channel.unary_unary(
        f"/{SERVICE}/ModelInfer", response_deserializer=dataplane_pb2.ModelInferResponse.FromString
    )

    @fuzzed
    @given(st.lists(titles, min_size=2, max_size=5))
    def ask(requests_: list[list[str]]) -> None:
        want = [expected(goods, texts) for texts in requests_]
        assert by_json(both, requests_[0]) == by_binary(both, requests_[0]) == want[0]
        encoded = [[text.encode() for text in texts] for texts in requests_]
        typed = [message(texts, rows=len(texts)) for texts in encoded]
        raw = [message(raw=pack_texts(texts), rows=len(texts)) for texts in encoded]
        assert (typed_answer(infer(channel, typed[0])), raw_answer(infer(channel, raw[0]))) == (want[0], want[0])
        calls = [call.future(request.SerializeToString(), timeout=SECONDS) for request in [*typed, *raw]]
        answers = [pending.result(SECONDS) for pending in calls]
        assert [typed_answer(answer) for answer in answers[: len(want)]] == want
        assert [raw_answer(answer) for answer in answers[len(want) :]] == want

    ask()


def test_any_body_gets_an_answer_or_a_refusal(both: Server, goods: Model) -> None:
    """Bodies are mutated valid requests, in JSON and in binary; each refusal is a sentence."""
    body, headers = binary([text.encode() for text in TEXTS])

    @fuzzed
    @given(st.data(), st.sampled_from([(body, headers), (json.dumps(document(TEXTS)).encode(), {})]))
    def send(data: st.DataObject, good: tuple[bytes, dict[str, str]]) -> None:
        start, length = data.draw(st.integers(0, len(good[0]))), data.draw(st.integers(0, 30))
        changed = good[0][:start] + data.draw(st.binary(max_size=9)) + good[0][start + length :]
        response = requests.post(both.url + INFER, data=changed, headers=good[1], timeout=SECONDS)
        assert response.status_code in {200, 400, 413}, response.text
        assert response.status_code == 200 or response.json()["error"].endswith(".")

    send()
    assert by_json(both, TEXTS) == expected(goods, TEXTS)


def test_the_texts_of_a_rows_columns_are_joined(both: Server, goods: Model) -> None:
    """They are joined in the problem's order, whatever their order in the request; the id column is ignored."""
    columns = {"product_id": ["1", "2"], "tags": ["azul", ""], "title": ["quadro", "papel"]}
    inputs = [
        {"name": name, "datatype": "BYTES", "shape": [2, 1], "data": [[text] for text in texts]}
        for name, texts in columns.items()
    ]
    label, proba = post(both, {"inputs": inputs}).json()["outputs"]
    assert to_answer(label["data"], proba["data"]) == expected(goods, ["quadro azul", "papel"])


@pytest.mark.parametrize("names", [["predict"], ["predict_proba"], ["predict_proba", "predict"]])
def test_only_requested_outputs_are_returned(either: Server, names: list[str]) -> None:
    """They are in the order of the request."""
    answer = post(either, document(["azul"], outputs=[{"name": name} for name in names])).json()
    assert [output["name"] for output in answer["outputs"]] == names


def test_only_a_model_with_a_threshold_returns_one(both: Server, channel: grpc.Channel, model: Model) -> None:
    """The answers of `goods` have no parameters; those of the model over numbers have its threshold."""
    assert post(both, document(["azul"])).json()["parameters"] == {}
    assert dict(infer(channel, message([b"azul"])).parameters) == {}
    rows = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 200], "data": [0.5] * 200}]}
    answer = post(both, rows, "/v2/models/xgboost-model/infer").json()
    assert answer["parameters"] == {"threshold": repr(threshold_of(model.decision))}
    scores = model.score(np.full((1, 200), 0.5, np.float32))
    assert answer["outputs"][1]["data"][1] == scores.probability[0]


def test_metadata_name_the_columns_and_the_labels(either: Server) -> None:
    """Labels are in the order of the probabilities; REST and gRPC give the same metadata."""
    metadata = requests.get(either.url + GOODS, timeout=SECONDS).json()
    assert metadata["inputs"] == [
        {"name": "title", "datatype": "BYTES", "shape": [-1, 1], "parameters": {"kind": "text"}},
        {"name": "tags", "datatype": "BYTES", "shape": [-1, 1], "parameters": {"optional": True, "kind": "text"}},
    ]
    label, proba = metadata["outputs"]
    assert label == {"name": "predict", "datatype": "BYTES", "shape": [-1, 1]}
    assert (proba["datatype"], proba["shape"]) == ("FP32", [-1, 3])
    assert json.loads(proba["parameters"]["labels"]) == LABELS
    with grpc.insecure_channel(either.grpc) as channel:
        request = dataplane_pb2.ModelMetadataRequest(name="goods").SerializeToString()
        parse = dataplane_pb2.ModelMetadataResponse.FromString
        call = channel.unary_unary(f"/{SERVICE}/ModelMetadata", response_deserializer=parse)
        message = call(request, timeout=SECONDS)
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in [*message.inputs, *message.outputs]] == [
        (tensor["name"], tensor["datatype"], tensor["shape"]) for tensor in metadata["inputs"] + metadata["outputs"]
    ]
    assert message.inputs[1].parameters["optional"].bool_param
    assert message.outputs[1].parameters["labels"].string_param == proba["parameters"]["labels"]


BAD: dict[str, tuple[bytes | dict[str, Any], int, str]] = {
    "a number": (document(["a", 5]), 400, "Row 1, column 'title', is 5; expected a text"),
    "null": (document([None]), 400, "Row 0, column 'title', is null; expected a text"),
    "true": (document([True]), 400, "Row 0, column 'title', is true; expected a text"),
    "blank": (document(["a", " "]), 400, "Row 1, column 'title', is ' '; expected a text with letters or digits"),
    "too long": (document(["a" * 1_001]), 413, "Row 0, column 'title', has 1001 characters; send at most 1000"),
    "too many rows": (document(["a"] * 10_001), 413, "has 10001 rows; send at most 10000"),
    "a late mistake": (document(["a"] * 5_000 + [""]), 400, "Row 5000, column 'title', is ''; expected a text"),
    "half a letter": (b'{"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": ["\\ud800"]}]}', 400, ""),
    "no UTF-8": (json.dumps(document(["a"])).encode().replace(b'"a"', b'"\xff"'), 400, "The body is not JSON"),
    "numbers": (
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 200], "data": [0.5] * 200}]},
        400,
        "has shape [1, 200]; expected [rows] or [rows, 1]",
    ),
    "unknown output": (document(["a"], outputs=[{"name": "label"}]), 400, "Output 'label' is unknown"),
}


@pytest.mark.parametrize(("body", "status", "sentence"), BAD.values(), ids=list(BAD))
def test_a_wrong_request_is_refused_and_the_next_one_answered(
    both: Server, goods: Model, body: bytes | dict[str, Any], status: int, sentence: str
) -> None:
    """The refusal has the right status and sentence."""
    answer = post(both, body)
    assert answer.status_code == status, answer.text
    assert sentence in answer.json()["error"]
    assert by_json(both, TEXTS) == expected(goods, TEXTS)


BAD_MESSAGES = {
    "typed, no UTF-8": (message([b"\xff"]), "INVALID_ARGUMENT", r"Row 0, column 'title', is b'\xff'; expected UTF-8"),
    "raw, no UTF-8": (message(raw=pack_texts([b"\xff"])), "INVALID_ARGUMENT", "expected UTF-8"),
    "raw, cut off": (message(raw=pack_texts([b"azul"])[:-1]), "INVALID_ARGUMENT", "ends beyond the 7 bytes"),
    "raw, a lying length": (message(raw=b"\xff\xff\xff\x7fa"), "INVALID_ARGUMENT", "ends beyond the 5 bytes"),
    "raw, one too many": (message(raw=pack_texts([b"a", b"b"])), "INVALID_ARGUMENT", "5 bytes follow"),
    "raw, empty": (message(raw=b""), "INVALID_ARGUMENT", "ends beyond the 0 bytes"),
    "typed, none": (message([]), "INVALID_ARGUMENT", "expected data of length 1, or 1 if nested, found 0"),
    "typed, blank": (message([b" "]), "INVALID_ARGUMENT", "is ' '; expected a text with letters or digits"),
    "typed, too long": (message([b"a" * 1_001]), "RESOURCE_EXHAUSTED", "has 1001 characters; send at most 1000"),
    "another datatype": (message([b"a"], kind="INT8"), "INVALID_ARGUMENT", "has datatype 'INT8'; expected 'BYTES'"),
    "16 bits": (message(kind="FP16"), "INVALID_ARGUMENT", "has datatype 'FP16'; expected 'BYTES'"),
    "16 bits, raw": (message(raw=b"ab", kind="FP16"), "INVALID_ARGUMENT", "has datatype 'FP16'; expected 'BYTES'"),
    "BOOL, raw": (message(raw=b"\1", kind="BOOL"), "INVALID_ARGUMENT", "has datatype 'BOOL'; expected 'BYTES'"),
    "typed and raw": (
        message([b"a"], pack_texts([b"b"])),
        "INVALID_ARGUMENT",
        "Input 'title' has values in bytes_contents beside the request's raw_input_contents",
    ),
    "another column": (message([b"a"], name="tags"), "INVALID_ARGUMENT", "no inputs for the features 'title'"),
}


@pytest.mark.parametrize(("wrong", "code", "sentence"), BAD_MESSAGES.values(), ids=list(BAD_MESSAGES))
def test_a_wrong_message_is_refused_and_the_next_one_answered(
    channel: grpc.Channel,
    wrong: Any,  # noqa: ANN401  protobuf's type
    code: str,
    sentence: str,
) -> None:
    """The refusal has the right gRPC code and sentence."""
    with pytest.raises(grpc.RpcError) as raised:
        infer(channel, wrong)
    assert raised.value.code().name == code
    assert sentence in raised.value.details()
    assert infer(channel, message([b"azul"])).model_name == "goods"


def metric(server: Server, line: str) -> float:
    """The sum of the metrics whose line begins so, a regular expression."""
    text = requests.get(f"{server.metrics}/metrics", timeout=SECONDS).text
    return sum(map(float, re.findall(rf"^{line} (\S+)$", text, re.MULTILINE)))


def test_metrics_distinguish_the_models(both: Server, goods: Model) -> None:
    """Each model has its own labels, probabilities and description."""

    def labels(model: str) -> dict[str, float]:
        text = requests.get(f"{both.metrics}/metrics", timeout=SECONDS).text
        counts = re.findall(rf'^tabserve_labels_total{{label="([^"]*)",model="{model}"}} (\S+)$', text, re.MULTILINE)
        return {label: float(count) for label, count in counts}

    before, other = labels("goods"), labels("xgboost-model")
    assert (set(before), set(other)) == (set(LABELS), {"0", "1"})
    sum_before = metric(both, 'tabserve_probability_sum{model="goods"}')
    by_json(both, TEXTS * 50)
    scores = goods.score(np.array(TEXTS * 50, np.object_))
    grown = {name: count - before[name] for name, count in labels("goods").items()}
    assert grown == {name: float((scores.label == index).sum()) for index, name in enumerate(LABELS)}
    assert labels("xgboost-model") == other
    added = metric(both, 'tabserve_probability_sum{model="goods"}') - sum_before
    assert added == pytest.approx(float(scores.probability.max(axis=1).sum()), rel=1e-4)
    assert metric(both, 'tabserve_model_info{grams=".*",model="goods",problem="goods",version="v1"}') == 1


def test_statistics_and_configuration_distinguish_the_models(both: Server) -> None:
    """Triton's clients get them over REST and gRPC."""
    with tritonclient.http.InferenceServerClient(both.url.removeprefix("http://"), network_timeout=SECONDS) as client:
        assert client.get_model_config("goods") == {
            "name": "goods",
            "platform": "",
            "max_batch_size": 64,
            "input": [
                {"name": "title", "data_type": "TYPE_STRING", "dims": [1]},
                {"name": "tags", "data_type": "TYPE_STRING", "dims": [1], "optional": True},
            ],
            "output": [
                {"name": "predict", "data_type": "TYPE_STRING", "dims": [1]},
                {"name": "predict_proba", "data_type": "TYPE_FP32", "dims": [3]},
            ],
            "dynamic_batching": {"max_queue_delay_microseconds": 0},
        }
        models = client.get_inference_statistics()["model_stats"]
        assert {model["name"] for model in models} == {"goods", "xgboost-model"}
        (before,) = client.get_inference_statistics("goods")["model_stats"]
        by_json(both, TEXTS)
        (after,) = client.get_inference_statistics("goods")["model_stats"]
        assert after["inference_count"] - before["inference_count"] == len(TEXTS)
        assert client.is_model_ready("goods")
    index = post(both, {}, "/v2/repository/index").json()
    assert {(entry["name"], entry["state"]) for entry in index} == {("goods", "READY"), ("xgboost-model", "READY")}
    config = triton_grpc(TRITON_CONFIG, both.grpc)
    assert [tensor["data_type"] for tensor in config["input"] + config["output"]] == [*["TYPE_STRING"] * 3, "TYPE_FP32"]
    assert config["input"][1]["optional"]


def test_sighup_reloads_both_models(texts_folder: Path, model_folder: Path, tmp_path: Path) -> None:
    """A model whose folder is damaged keeps answering as before."""
    texts = shutil.copytree(texts_folder, tmp_path / "model")
    (tmp_path / "settings").mkdir()
    with running(write_both_settings(tmp_path / "settings", model_folder, texts), ready=f"{GOODS}/ready") as server:
        before = by_json(server, TEXTS)
        server.process.send_signal(signal.SIGHUP)
        wait_for_log(server, "Model goods was reloaded.", "Model xgboost-model was reloaded.")
        assert by_json(server, TEXTS) == before
        (texts / "golden.json").write_text("{}")
        server.process.send_signal(signal.SIGHUP)
        wait_for_log(server, "Model goods was not reloaded, and goes on as before: ")
        assert by_json(server, TEXTS) == before


def wait_for_log(server: Server, *sentences: str) -> None:
    """Wait until all sentences are in the server's log."""
    deadline = time.monotonic() + SECONDS
    while not all(sentence in server.log.read_text() for sentence in sentences):
        assert time.monotonic() < deadline, f"not in the log within {SECONDS} s: {sentences}"
        time.sleep(0.05)


def test_one_chosen_folder_is_not_served_as_two_models(both_folder: Path, texts_folder: Path) -> None:
    """The error names both models."""
    with pytest.raises(UsageError, match=r"names one model folder, and the settings name 2 models: 'goods', 'xgboost-"):
        serve(both_folder, texts_folder)


def test_a_bad_folder_of_a_text_model_is_refused_before_the_start(
    texts_folder: Path, model_folder: Path, tmp_path: Path
) -> None:
    """A folder is bad if its model is damaged, or its decision is of a kind for other models."""
    damaged, undecided = (shutil.copytree(texts_folder, tmp_path / name) for name in ("model", "other"))
    (damaged / "model.npz").write_bytes(b"")
    manifest = json.loads((undecided / "manifest.json").read_text())
    decision = json.loads((model_folder / "manifest.json").read_text())["decision"]
    (undecided / "manifest.json").write_text(json.dumps(manifest | {"decision": decision}))
    for texts, sentence in (
        (damaged, r"model\.npz does not have the checksum"),
        (undecided, r"has a decision of kind 'threshold', which makes no answers between 3 labels"),
    ):
        name = f"served {texts.name}"
        (tmp_path / name).mkdir()
        with pytest.raises(ArtifactError, match=sentence):
            serve(write_both_settings(tmp_path / name, model_folder, texts))
