"""A server of models over numbers, categories and dates gives every client the model's own predictions."""

import json
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests
import tritonclient.http
from jsonschema import Draft202012Validator
from mlserver.grpc.dataplane_pb2 import ModelInferRequest, ModelMetadataRequest
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from numpy.typing import NDArray
from tests.serving.mixed import COLUMNS, LARGE, TASKS
from tests.serving.test_both_models import metric, triton_grpc

from tabserve.client.local_server import Server
from tabserve.model.model import Model, load
from tabserve.model.reference import Quantiles, Reference
from tabserve.serving.protocol.datatypes import packed
from tabserve.table.frame_reader import stream

SECONDS = 20
SECOND_OUTPUT = {"two": "predict_proba", "three": "predict_proba", "amount": "predict_interval"}
DATATYPES = {"number": "FP32", "category": "BYTES", "date": "BYTES"}
ROWS = 40
Columns = dict[str, tuple[str, list[Any]]]
"""The datatype and the cells of each column."""


@pytest.fixture(scope="module", params=TASKS)
def name(request: pytest.FixtureRequest) -> str:
    """The name of a task and of its model."""
    return str(request.param)


@pytest.fixture
def model(mixed_folders: dict[str, Path], name: str) -> Model:
    """The model, loaded in this process."""
    return load(mixed_folders[name])


def cells(folder: Path) -> Columns:
    """The first rows of the table beside a model folder: numbers as FP64, all else as BYTES."""
    lines = [line.split(",") for line in folder.with_suffix(".csv").read_text().splitlines()[1 : ROWS + 1]]
    columns = zip(COLUMNS, zip(*lines, strict=True), strict=False)
    return {
        column.name: ("FP64", [float(cell) if cell else None for cell in values])
        if column.kind == "number"
        else ("BYTES", [*values])
        for column, values in columns
    }


def expected(model: Model, folder: Path, rows: int = ROWS) -> list[NDArray[Any]]:
    """The values of each output that the model itself predicts for the file's first rows."""
    chunk = next(stream(folder.with_suffix(".csv"), model.problem, model.encoder))
    scores = model.score(chunk.features[:rows])
    return [kind.values(scores) for kind in model.decision.outputs(model.problem).values()]


def check_equal(outputs: list[Any], wanted: list[NDArray[Any]]) -> None:
    """Each output has the wanted values, equal to the bit."""
    for output, values in zip(outputs, wanted, strict=True):
        cells = np.asarray(output).ravel().tolist()
        assert [cell.decode() if isinstance(cell, bytes) else cell for cell in cells] == values.ravel().tolist()


def document(columns: Columns) -> dict[str, Any]:
    """A request in JSON."""
    return {
        "inputs": [
            {"name": name, "datatype": datatype, "shape": [len(values)], "data": values}
            for name, (datatype, values) in columns.items()
        ]
    }


def post(server: Server, name: str, columns: Columns) -> requests.Response:
    """The response to a request in JSON."""
    return requests.post(f"{server.url}/v2/models/{name}/infer", json=document(columns), timeout=SECONDS)


def by_json(server: Server, name: str, columns: Columns) -> list[Any]:
    """The outputs over REST, in JSON."""
    response = post(server, name, columns)
    assert response.status_code == 200, response.text
    return [
        np.array(output["data"], np.float32 if output["datatype"] == "FP32" else None)
        for output in response.json()["outputs"]
    ]


def array(datatype: str, values: list[Any]) -> NDArray[Any]:
    """A column as an array of shape (rows, 1), as Triton's clients send it; NaN is missing."""
    kinds = {"FP64": np.float64, "FP32": np.float32, "INT64": np.int64, "BOOL": np.bool_, "BYTES": np.object_}
    return np.array([[value] for value in values], kinds[datatype])


def by_binary(server: Server, name: str, columns: Columns) -> list[Any]:
    """The outputs by Triton's client over REST, with binary tensors in both directions."""
    tensors = []
    for column, (datatype, values) in columns.items():
        tensor = tritonclient.http.InferInput(column, [len(values), 1], datatype)
        tensors.append(tensor.set_data_from_numpy(array(datatype, values)))
    with tritonclient.http.InferenceServerClient(server.url.removeprefix("http://"), network_timeout=SECONDS) as client:
        result = client.infer(name, tensors)
    return [result.as_numpy("predict"), result.as_numpy(SECOND_OUTPUT[name])]


TRITON_GRPC = """
import json, sys, numpy, tritonclient.grpc as triton
kinds = {"FP64": "f8", "FP32": "f4", "INT64": "i8", "BOOL": "?", "BYTES": "O"}
tensors = []
for name, (datatype, values) in json.loads(sys.argv[3]).items():
    data = numpy.array([[value] for value in values], kinds[datatype])
    tensors.append(triton.InferInput(name, data.shape, datatype).set_data_from_numpy(data))
with triton.InferenceServerClient(sys.argv[1]) as client:
    result = client.infer(sys.argv[2], tensors, client_timeout=20)
outputs = [result.as_numpy(name).tolist() for name in sys.argv[4:]]
print(json.dumps(outputs, default=bytes.decode))
"""


def by_raw(server: Server, name: str, columns: Columns) -> list[Any]:
    """The outputs by Triton's client over gRPC, which sends raw contents."""
    return triton_grpc(TRITON_GRPC, server.grpc, name, json.dumps(columns), "predict", SECOND_OUTPUT[name])  # type: ignore[no-any-return]


def stub(channel: grpc.Channel) -> Any:  # noqa: ANN401  generated without types
    """The client stub of the inference service on a channel."""
    return GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]


FIELDS = {
    "FP64": "fp64_contents",
    "FP32": "fp32_contents",
    "INT64": "int64_contents",
    "BOOL": "bool_contents",
    "BYTES": "bytes_contents",
}


def by_typed(server: Server, name: str, columns: Columns) -> list[Any]:
    """The outputs over gRPC, with typed contents."""
    message = ModelInferRequest(model_name=name)
    for column, (datatype, values) in columns.items():
        tensor = message.inputs.add(name=column, datatype=datatype, shape=[len(values)])
        field = getattr(tensor.contents, FIELDS[datatype])
        field.extend(
            [value.encode() if datatype == "BYTES" else np.nan if value is None else value for value in values]
        )
    with grpc.insecure_channel(server.grpc) as channel:
        response = stub(channel).ModelInfer(message, timeout=SECONDS)
    return [getattr(output.contents, FIELDS[output.datatype]) for output in response.outputs]


CLIENTS = [by_json, by_binary, by_typed, by_raw]


@pytest.mark.parametrize("ask", CLIENTS)
def test_every_client_gets_the_models_predictions(
    mixed_server: Server,
    mixed_folders: dict[str, Path],
    model: Model,
    name: str,
    ask: Any,  # noqa: ANN401  a client
) -> None:
    """Labels, probabilities and intervals are equal to the bit; null, NaN and the empty text are missing cells."""
    check_equal(ask(mixed_server, name, cells(mixed_folders[name])), expected(model, mixed_folders[name]))


@pytest.mark.parametrize("ask", CLIENTS)
def test_a_level_may_be_sent_as_a_whole_number_or_a_boolean(
    mixed_server: Server,
    mixed_folders: dict[str, Path],
    name: str,
    ask: Any,  # noqa: ANN401  a client
) -> None:
    """It stands for the level of that spelling, also for a whole number larger than a float holds."""
    columns = {key: (kind, values[:3]) for key, (kind, values) in cells(mixed_folders[name]).items()}
    spelled = columns | {"rooms": ("BYTES", ["1", "2", str(LARGE)]), "owner": ("BYTES", ["true", "false", "true"])}
    others = columns | {"rooms": ("INT64", [1, 2, LARGE]), "owner": ("BOOL", [True, False, True])}
    wanted = by_json(mixed_server, name, spelled)
    check_equal(ask(mixed_server, name, others), wanted)


@pytest.mark.parametrize("ask", CLIENTS)
def test_a_column_that_is_left_out_is_missing(
    mixed_server: Server,
    mixed_folders: dict[str, Path],
    name: str,
    ask: Any,  # noqa: ANN401  a client
) -> None:
    """The predictions are those for null in each of its cells."""
    columns = cells(mixed_folders[name])
    optional = [column.name for column in COLUMNS if column.missing]
    nulls = columns | {column: (columns[column][0], [None] * ROWS) for column in optional}
    required = {column: values for column, values in columns.items() if column not in optional}
    check_equal(ask(mixed_server, name, required), by_json(mixed_server, name, nulls))


def test_metadata_name_every_column(mixed_server: Server, name: str) -> None:
    """REST and gRPC give its datatype, its shape, and whether it may be left out."""
    over_rest = requests.get(f"{mixed_server.url}/v2/models/{name}", timeout=SECONDS).json()["inputs"]
    assert [(tensor["name"], tensor["datatype"], tensor["shape"]) for tensor in over_rest] == [
        (column.name, DATATYPES[column.kind], [-1, 1]) for column in COLUMNS
    ]
    optional = [bool((tensor.get("parameters") or {}).get("optional")) for tensor in over_rest]
    assert optional == [column.missing for column in COLUMNS]
    assert [tensor["parameters"]["kind"] for tensor in over_rest] == [column.kind for column in COLUMNS]
    with grpc.insecure_channel(mixed_server.grpc) as channel:
        over_grpc = stub(channel).ModelMetadata(ModelMetadataRequest(name=name), timeout=SECONDS).inputs
    assert [(tensor.name, tensor.datatype, [*tensor.shape]) for tensor in over_grpc] == [
        (tensor["name"], tensor["datatype"], tensor["shape"]) for tensor in over_rest
    ]
    assert [tensor.parameters["optional"].bool_param for tensor in over_grpc] == optional
    assert [tensor.parameters["kind"].string_param for tensor in over_grpc] == [column.kind for column in COLUMNS]


def test_the_openapi_documents_describe_requests_and_answers(
    mixed_server: Server, mixed_folders: dict[str, Path], name: str
) -> None:
    """A model's own document accepts the answers of that model alone; the server's document accepts all models'."""
    request = document(cells(mixed_folders[name]))
    answers = {task: post(mixed_server, task, cells(mixed_folders[task])).json() for task in TASKS}
    for base in (f"/v2/models/{name}", "/v2"):
        openapi = requests.get(f"{mixed_server.url}{base}/docs/dataplane.json", timeout=SECONDS).json()
        valid = {
            schema: Draft202012Validator(openapi["components"]["schemas"][schema]).is_valid
            for schema in ("Request", "Answer")
        }
        assert valid["Request"](request)
        assert not valid["Request"]({"inputs": [{**request["inputs"][0], "datatype": "BF16"}]})
        assert {task for task in TASKS if valid["Answer"](answers[task])} == (set(TASKS) if base == "/v2" else {name})


def unseen(server: Server, name: str) -> float:
    """The count of rows whose city training did not see."""
    return metric(server, f'tabserve_unseen_levels_total{{column="city",model="{name}"}}')


@pytest.mark.parametrize("ask", CLIENTS)
def test_an_unseen_level_is_treated_as_missing_and_counted(
    mixed_server: Server,
    mixed_folders: dict[str, Path],
    name: str,
    ask: Any,  # noqa: ANN401  a client
) -> None:
    """The count is by column, and leaves out refused requests."""
    columns, before = cells(mixed_folders[name]), unseen(mixed_server, name)
    strange = columns | {"city": ("BYTES", ["Nowhere"] * 3 + columns["city"][1][3:])}
    outputs, model = ask(mixed_server, name, strange), load(mixed_folders[name])
    features = (
        next(stream(mixed_folders[name].with_suffix(".csv"), model.problem, model.encoder)).features[:ROWS].copy()
    )
    features[:3, model.encoder.names.index("city")] = np.nan
    scores = model.score(features)
    check_equal(outputs, [kind.values(scores) for kind in model.decision.outputs(model.problem).values()])
    assert unseen(mixed_server, name) == before + 3
    refused = strange | {"seen": ("BYTES", ["soon", *strange["seen"][1][1:]])}
    assert post(mixed_server, name, refused).status_code == 400
    assert unseen(mixed_server, name) == before + 3


def holdout_edge(folder: Path) -> tuple[np.float32, float]:
    """A quantile in the middle of the hold-out's amounts, and the share of them at or below it."""
    score = Reference.from_json(load(folder).data).score
    assert isinstance(score, Quantiles)
    middle = len(score.edges) // 2
    return score.edges[middle], float(score.below[middle])


def test_amounts_are_counted_apart_from_probabilities(mixed_server: Server, mixed_folders: dict[str, Path]) -> None:
    """Metrics of amounts have a count, a sum and the counts below the hold-out's quantiles, and no labels."""
    edge, share = holdout_edge(mixed_folders["amount"])
    lines = [
        'tabserve_amount_sum{model="amount"}',
        f'tabserve_amount_quantiles_bucket{{le="{edge!s}",model="amount"}}',
        r'tabserve_amount_quantiles_bucket{le="\+Inf",model="amount"}',
    ]
    before = [metric(mixed_server, line) for line in lines]
    prediction, _ = by_json(mixed_server, "amount", cells(mixed_folders["amount"]))
    added = [metric(mixed_server, line) - earlier for line, earlier in zip(lines, before, strict=True)]
    assert added == pytest.approx([prediction.sum(), (prediction <= edge).sum(), len(prediction)], rel=1e-5)
    assert metric(mixed_server, f'tabserve_amount_holdout{{le="{edge!s}",model="amount"}}') == pytest.approx(share)
    text = requests.get(f"{mixed_server.metrics}/metrics", timeout=SECONDS).text
    assert 'tabserve_probability_count{model="two"}' in text
    assert 'tabserve_probability_count{model="amount"}' not in text
    assert 'tabserve_amount_count{model="two"}' not in text
    assert 'tabserve_labels_total{label="yes",model="two"}' in text
    assert not any(line.startswith("tabserve_labels_total") and 'model="amount"' in line for line in text.splitlines())


def test_the_error_names_a_missing_required_column(mixed_server: Server) -> None:
    """The sentence also says what was expected."""
    response = post(mixed_server, "two", {"income": ("FP64", [1.0]), "seen": ("BYTES", ["2020-02-01 08:30"])})
    assert response.status_code == 400
    assert response.json()["error"].startswith("The request has no inputs for the features 'city'; expected one tensor")


def test_a_single_tensor_of_an_unknown_name_is_refused(mixed_server: Server) -> None:
    """A model over texts or numbers alone would take it, whatever its name."""
    response = post(mixed_server, "two", {"predict": ("FP64", [1.0])})
    assert response.status_code == 400
    assert "'predict'" in response.json()["error"]


def test_metadata_name_the_columns_of_a_matrix(served: Server, sample_frame: Any) -> None:  # noqa: ANN401
    """The parameter `columns` holds the names as JSON."""
    (tensor,) = requests.get(f"{served.url}/v2/models/xgboost-model", timeout=SECONDS).json()["inputs"]
    assert json.loads(tensor["parameters"]["columns"]) == [*sample_frame.problem.features]


def test_bytes_behind_the_last_packed_text_are_refused(mixed_server: Server) -> None:
    """Raw contents of a category that are longer than its texts get INVALID_ARGUMENT."""
    message = ModelInferRequest(model_name="two")
    for column, datatype in (("income", "FP64"), ("city", "BYTES"), ("seen", "BYTES")):
        message.inputs.add(name=column, datatype=datatype, shape=[1])
    city, seen = (packed(np.array([text], np.object_), "BYTES") for text in ("Recife", "2020-02-01 08:30"))
    message.raw_input_contents.extend([np.float64(1).tobytes(), city + b"more", seen])
    with grpc.insecure_channel(mixed_server.grpc) as channel, pytest.raises(grpc.RpcError) as error:
        stub(channel).ModelInfer(message, timeout=SECONDS)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.details() == "Row 0, column 'city', is the last, and 4 bytes follow; expected none."
