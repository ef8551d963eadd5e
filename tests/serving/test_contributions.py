"""A request that names the output `contributions` gets what each feature added to each answer, by every transport."""

import json
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests
import tritonclient.http
from jsonschema import Draft202012Validator
from mlserver.grpc.dataplane_pb2 import ModelInferRequest
from numpy.typing import NDArray
from tests.serving.mixed import COLUMNS, TASKS
from tests.serving.test_both_models import metric
from tests.serving.test_mixed_columns import Columns, array, cells, document, stub
from tests.serving.transports import pack

from santander.problem import PROBLEM
from tabserve.client.client import Client
from tabserve.client.grpc import GrpcClient
from tabserve.client.local_server import Server
from tabserve.client.rest import RestClient
from tabserve.errors import InvalidRequest
from tabserve.model.model import Model, load
from tabserve.predictors.booster import Booster
from tabserve.serving.protocol.contributions import BASE_VALUE, MAX_VALUES, NAME
from tabserve.table.frame_reader import stream

SECONDS = 20
ROWS = 40
MODEL = "xgboost-model"


@pytest.fixture(params=TASKS)
def name(request: pytest.FixtureRequest) -> str:
    """The name of a task and of its model."""
    return str(request.param)


@pytest.fixture
def model(mixed_folders: dict[str, Path], name: str) -> Model:
    """The model, loaded in this process."""
    return load(mixed_folders[name])


@pytest.fixture(params=["rest", "grpc"])
def client(request: pytest.FixtureRequest, mixed_server: Server, name: str) -> Client:
    """A client of a model."""
    if request.param == "grpc":
        return GrpcClient(mixed_server.grpc, name, SECONDS)
    return RestClient(mixed_server.url, name, SECONDS)


def contributions_of(model: Model, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """The contributions by the predictor itself, in the shape of the output."""
    assert isinstance(model.predictor, Booster)
    contributions = model.predictor.contributions(features)
    return contributions if len(model.problem.labels) > 2 else contributions[:, 0]


def expected(model: Model, folder: Path, rows: int = ROWS) -> NDArray[np.float32]:
    """The contributions to the answers for the first rows of the table beside a model's folder."""
    features = np.concatenate(
        [chunk.features for chunk in stream(folder.with_suffix(".csv"), model.problem, model.encoder)]
    )
    return contributions_of(model, features[:rows])


def by_json(server: Server, name: str, columns: Columns) -> NDArray[np.float32]:
    """The contributions over REST, in JSON."""
    request = document(columns) | {"outputs": [{"name": NAME}]}
    response = requests.post(f"{server.url}/v2/models/{name}/infer", json=request, timeout=SECONDS)
    assert response.status_code == 200, response.text
    (output,) = response.json()["outputs"]
    return np.array(output["data"], np.float32).reshape(output["shape"])


def by_binary(server: Server, name: str, columns: Columns) -> NDArray[np.float32]:
    """The contributions by Triton's client over REST, in binary tensors."""
    tensors = [
        tritonclient.http.InferInput(column, [len(values), 1], datatype).set_data_from_numpy(array(datatype, values))
        for column, (datatype, values) in columns.items()
    ]
    with tritonclient.http.InferenceServerClient(server.url.removeprefix("http://"), network_timeout=SECONDS) as client:
        result = client.infer(name, tensors, outputs=[tritonclient.http.InferRequestedOutput(NAME)])
    return np.asarray(result.as_numpy(NAME))


def message(name: str, columns: Columns) -> ModelInferRequest:
    """A request over gRPC without values."""
    request = ModelInferRequest(model_name=name)
    request.outputs.add(name=NAME)
    for column, (datatype, values) in columns.items():
        request.inputs.add(name=column, datatype=datatype, shape=[len(values)])
    return request


def by_raw(server: Server, name: str, columns: Columns) -> NDArray[np.float32]:
    """The contributions over gRPC, in raw contents."""
    request = message(name, columns)
    request.raw_input_contents.extend(pack(*column) for column in columns.values())
    with grpc.insecure_channel(server.grpc) as channel:
        response = stub(channel).ModelInfer(request, timeout=SECONDS)
    return np.frombuffer(response.raw_output_contents[0], np.float32).reshape(response.outputs[0].shape)


def by_typed(server: Server, name: str, columns: Columns) -> NDArray[np.float32]:
    """The contributions over gRPC, in typed contents."""
    request = message(name, columns)
    for tensor, (datatype, values) in zip(request.inputs, columns.values(), strict=True):
        if datatype == "BYTES":
            tensor.contents.bytes_contents.extend([value.encode() for value in values])
        else:
            tensor.contents.fp64_contents.extend([np.nan if value is None else value for value in values])
    with grpc.insecure_channel(server.grpc) as channel:
        (output,) = stub(channel).ModelInfer(request, timeout=SECONDS).outputs
    return np.array(output.contents.fp32_contents, np.float32).reshape(output.shape)


@pytest.mark.parametrize("ask", [by_json, by_binary, by_raw, by_typed])
def test_every_transport_gives_the_predictors_contributions(
    mixed_server: Server,
    mixed_folders: dict[str, Path],
    model: Model,
    name: str,
    ask: Any,  # noqa: ANN401  a client
) -> None:
    """Equal to the bit, for two classes, three classes and an amount."""
    wanted = expected(model, mixed_folders[name])
    found = ask(mixed_server, name, cells(mixed_folders[name]))
    assert found.shape == wanted.shape
    assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("rows", [1, 600])
def test_contributions_come_beside_the_other_outputs(
    client: Client, mixed_folders: dict[str, Path], model: Model, name: str, rows: int
) -> None:
    """In any order, for a row and for a table of several chunks, and they add up to the margins of the answers."""
    table = next(stream(mixed_folders[name].with_suffix(".csv"), model.problem, model.encoder)).features[:rows]
    others = client.metadata.default_outputs
    lines = [line.split(",") for line in mixed_folders[name].with_suffix(".csv").read_text().splitlines()[1 : rows + 1]]
    columns = {
        column.name: [float(cell or "nan") for cell in values] if column.kind == "number" else [*values]
        for column, values in zip(COLUMNS, zip(*lines, strict=True), strict=False)
    }
    found = client.ask_columns(columns, [others[1], NAME, others[0]])
    ordinary = client.ask_columns(columns, others)
    for output in others:
        assert found.outputs[output].tolist() == ordinary.outputs[output].tolist()
    contributions = found.outputs[NAME]
    assert contributions.tobytes() == contributions_of(model, table).tobytes()
    raw = model.predictor.raw(table).astype(np.float64).reshape(contributions.shape[:-1])
    margins = np.log(raw / (1 - raw)) if name == "two" else raw
    np.testing.assert_allclose(contributions.sum(axis=-1), margins, rtol=1e-4, atol=1e-4)


def test_contributions_are_never_answered_by_default(
    mixed_server: Server, mixed_folders: dict[str, Path], model: Model, name: str
) -> None:
    """Nor if the list of outputs is empty."""
    for given in ("null", "[]"):
        request = document(cells(mixed_folders[name])) | {"outputs": json.loads(given)}
        response = requests.post(f"{mixed_server.url}/v2/models/{name}/infer", json=request, timeout=SECONDS).json()
        assert [output["name"] for output in response["outputs"]] == [*model.decision.outputs(model.problem)]


def test_the_metadata_name_the_columns_of_contributions(client: Client, model: Model) -> None:
    """The features with the columns that they are made of, the labels of several classes, and the most rows."""
    output, names = client.metadata.outputs[NAME], model.encoder.names
    assert output.columns == (*names, BASE_VALUE)
    assert output.sources == (*model.encoder.sources, BASE_VALUE)
    assert {*output.sources[:-1]} == {*model.problem.features}
    labels = model.problem.labels if len(model.problem.labels) > 2 else ()
    assert output.labels == labels
    assert output.shape == (*([len(labels)] if labels else []), len(names) + 1)
    assert output.max_rows == 1_000
    assert NAME not in client.metadata.default_outputs
    assert [*client.metadata.outputs] == [*client.metadata.default_outputs, NAME]


def test_the_openapi_document_accepts_and_describes_contributions(
    mixed_server: Server, mixed_folders: dict[str, Path], model: Model, name: str
) -> None:
    """A request that names the output is valid, and its answer too; the document names the columns."""
    openapi = requests.get(f"{mixed_server.url}/v2/models/{name}/docs/dataplane.json", timeout=SECONDS).json()
    request = document(cells(mixed_folders[name])) | {"outputs": [{"name": NAME}]}
    answer = requests.post(f"{mixed_server.url}/v2/models/{name}/infer", json=request, timeout=SECONDS).json()
    schemas = openapi["components"]["schemas"]
    Draft202012Validator(schemas["Request"]).validate(request)
    Draft202012Validator(schemas["Answer"]).validate(answer)
    answer["outputs"][0]["shape"][-1] += 1
    assert not Draft202012Validator(schemas["Answer"]).is_valid(answer)
    (described,) = (
        item for item in schemas["Answer"]["properties"]["outputs"]["items"]["anyOf"] if "description" in item
    )
    assert described["description"] == (
        "Only for a request that names it, of 1000 rows at most."
        f" Columns: {', '.join(model.encoder.names)}, base value."
    )


def test_a_model_without_trees_has_no_contributions(both: Server) -> None:
    """They are an unknown output, and its metadata do not name them."""
    client = RestClient(both.url, "goods", SECONDS)
    assert NAME not in client.metadata.outputs
    with pytest.raises(InvalidRequest) as refused:
        client.ask_columns({client.metadata.columns[0].name: ["papel azul"]}, [NAME])
    assert str(refused.value) == ("Output 'contributions' is unknown; this model answers 'predict', 'predict_proba'.")


def numbers(rows: int) -> NDArray[np.float32]:
    """Rows of the committed model's columns."""
    return np.random.default_rng(rows).normal(5, 5, (rows, len(PROBLEM.features))).astype(np.float32)


def request_of(rows: int) -> dict[str, Any]:
    """A request of rows of numbers for their contributions."""
    features = numbers(rows)
    tensor = {"name": "x", "datatype": "FP32", "shape": features.shape, "data": features.ravel().tolist()}
    return {"inputs": [tensor], "outputs": [{"name": NAME}]}


def test_a_model_over_numbers_is_explained_by_both_commands(server: Server, model_folder: Path) -> None:
    """By `tabserve serve` and by plain MLServer."""
    response = requests.post(f"{server.url}/v2/models/{MODEL}/infer", json=request_of(20), timeout=SECONDS)
    (output,) = response.json()["outputs"]
    wanted = contributions_of(load(model_folder), numbers(20))
    assert (output["shape"], output["datatype"]) == ([20, 201], "FP32")
    assert np.array_equal(np.array(output["data"], np.float32).reshape(20, 201), wanted)


def test_rows_beyond_the_limit_of_contributions_are_refused(served: Server) -> None:
    """With the number of rows that the metadata give; the same rows may ask for other outputs."""
    most = MAX_VALUES // 201
    sentence = (
        f"The request asks for output 'contributions' of {most + 1} rows; ask for it of at most {most} at a time."
    )
    for client in (RestClient(served.url, MODEL, SECONDS), GrpcClient(served.grpc, MODEL, SECONDS)):
        assert client.metadata.outputs[NAME].max_rows == most
        with pytest.raises(InvalidRequest) as refused:
            client.ask(numbers(most + 1), ["predict", NAME])
        assert str(refused.value) == sentence
        assert client.ask(numbers(most + 1), ["predict"]).outputs["predict"].shape == (most + 1, 1)
        assert client.ask(numbers(most), [NAME]).outputs[NAME].shape == (most, 201)
    response = requests.post(f"{served.url}/v2/models/{MODEL}/infer", json=request_of(most + 1), timeout=SECONDS)
    assert (response.status_code, response.json()) == (413, {"error": sentence})


def test_unseen_levels_of_explained_rows_are_counted(
    mixed_server: Server, mixed_folders: dict[str, Path], name: str
) -> None:
    """As those of other requests are, and labels too."""
    line = f'tabserve_unseen_levels_total{{column="city",model="{name}"}}'
    columns, before = cells(mixed_folders[name]), metric(mixed_server, line)
    by_json(mixed_server, name, columns | {"city": ("BYTES", ["Nowhere"] * 3 + columns["city"][1][3:])})
    assert metric(mixed_server, line) == before + 3
