"""A client knows nothing of a model but what the server says: numbers, several kinds of columns, or texts."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from tests.conftest import GOODS
from tests.serving.mixed import COLUMNS, TASKS

from tabserve.client.client import Client
from tabserve.client.grpc import GrpcClient
from tabserve.client.local_server import Server
from tabserve.client.metadata import Metadata
from tabserve.client.rest import RestClient
from tabserve.errors import InvalidRequest, UsageError
from tabserve.model.model import Model, load
from tabserve.table.frame import stream

SCRIPT = Path(__file__).parents[2] / "scripts" / "request.py"
SECONDS = 20
DATATYPES = {"number": "FP32", "category": "BYTES", "date": "BYTES", "text": "BYTES"}
TEXTS = [("carrinho azul", "bebê"), ("quadro, para sala", ""), ("convite", "papel casamento")]
Asking = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=["rest", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Each transport in turn."""
    return str(request.param)


def client(server: Server, protocol: str, model: str | None) -> Client:
    """That asks a server for a model, or for its only one."""
    if protocol == "grpc":
        return GrpcClient(server.grpc, model, SECONDS)
    return RestClient(server.url, model, SECONDS)


def address(server: Server, protocol: str) -> str:
    """That of the server."""
    return server.grpc if protocol == "grpc" else server.url


@pytest.fixture
def ask(script: Asking, mixed_server: Server, protocol: str) -> Asking:
    """Run scripts/request.py about the rows of a file, given the name of a model of columns of each kind."""
    server = ("--protocol", protocol, "--url", address(mixed_server, protocol))
    return lambda model, data, *options: script(SCRIPT, *server, "--model", model, "--data", data, *options)


def check_described(found: Metadata, model: Model) -> None:
    """The metadata are those of the problem, column by column, and of what its decision answers."""
    problem = model.problem
    assert [(each.name, each.datatype, each.optional) for each in found.columns] == [
        (each.name, DATATYPES[each.kind], each.missing) for each in problem.columns
    ]
    kinds = model.decision.outputs(problem)
    assert {name: (each.datatype, each.columns, each.labels) for name, each in found.outputs.items()} == {
        name: (kind.datatype, kind.columns, kind.labels) for name, kind in kinds.items()
    }
    assert (found.id, found.ignored) == (problem.id, (problem.target,))


@pytest.mark.parametrize("task", TASKS)
def test_a_client_learns_the_columns_of_each_kind(
    mixed_server: Server, mixed_folders: dict[str, Path], task: str, protocol: str
) -> None:
    """And the outputs, for two labels, several, and an amount."""
    found = client(mixed_server, protocol, task).metadata
    check_described(found, load(mixed_folders[task]))
    assert found.tensor is None


def test_a_client_learns_the_columns_of_numbers_and_of_texts(
    served: Server, both: Server, model: Model, goods: Model, protocol: str
) -> None:
    """Of numbers, those that the one tensor holds."""
    numbers = client(served, protocol, None)
    check_described(numbers.metadata, model)
    assert (numbers.model, numbers.metadata.tensor) == ("xgboost-model", "predict")
    texts = client(both, protocol, "goods")
    check_described(texts.metadata, goods)
    assert texts.metadata.tensor is None


def test_of_several_models_one_must_be_named(both: Server, protocol: str) -> None:
    """In a sentence that has them all."""
    with pytest.raises(UsageError, match=r"has the models 'goods', 'xgboost-model'; name the one to ask\.$"):
        _ = client(both, protocol, None).metadata


def expected(model: Model, path: Path) -> dict[str, list[Any]]:
    """What the model says of a file's rows, in the columns of a scored file."""
    features = np.concatenate([rows.features for rows in stream(path, model.problem, model.encoder)])
    table = model.decision.table(model.score(features), model.problem)
    return {name: values.tolist() for name, values in table.items()}


def answered(ended: subprocess.CompletedProcess[str]) -> dict[str, list[Any]]:
    """What the script printed, by columns; as 32-bit floats, which the answers are."""
    assert (ended.returncode, ended.stderr) == (0, "")
    table = pd.DataFrame(json.loads(ended.stdout)["rows"])
    return {str(name): as_32_bits(table[name].to_numpy()) for name in table}


def as_32_bits(values: NDArray[Any]) -> list[Any]:
    """As the model has them."""
    return (values.astype(np.float32) if values.dtype.kind == "f" else values).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("task", TASKS)
def test_the_script_answers_a_file_of_columns_of_each_kind(
    ask: Asking, mixed_folders: dict[str, Path], task: str
) -> None:
    """As the folder scores it, to the bit; in any order of columns, its target there or not."""
    path = mixed_folders[task].with_suffix(".csv")
    found = answered(ask(task, path, "--json"))
    assert found.pop("row") == [*range(600)]
    assert found == expected(load(mixed_folders[task]), path)


def test_the_script_answers_a_file_of_texts(
    script: Asking, both: Server, goods: Model, protocol: str, tmp_path: Path
) -> None:
    """With its ids, in the columns that a scored file has."""
    path = tmp_path / "titles.csv"
    ids = [f"p{row}" for row in range(len(TEXTS))]
    pd.DataFrame(TEXTS, columns=GOODS.features).assign(product_id=ids).to_csv(path, index=False)
    said = ("--model", "goods", "--protocol", protocol, "--url", address(both, protocol), "--data", path)
    found = answered(script(SCRIPT, *said, "--json"))
    assert found.pop("product_id") == ids
    assert found == expected(goods, path)
    header, *lines = script(SCRIPT, *said, "--outputs", "predict").stdout.splitlines()
    assert header.split() == ["product_id", "label"]
    assert [line.split(maxsplit=1)[1].strip() for line in lines] == found["label"]


def test_a_column_that_may_be_missing_may_be_no_column_of_the_file(
    ask: Asking, mixed_folders: dict[str, Path], tmp_path: Path
) -> None:
    """It is answered as if all of its cells were empty."""
    table = pd.read_csv(mixed_folders["two"].with_suffix(".csv"), dtype=str)[:30]
    optional = [column.name for column in COLUMNS if column.missing]
    table.drop(columns=optional).to_csv(tmp_path / "few.csv", index=False)
    table.assign(**dict.fromkeys(optional, "")).to_csv(tmp_path / "empty.csv", index=False)
    few, empty = (answered(ask("two", tmp_path / f"{name}.csv", "--json")) for name in ("few", "empty"))
    assert few == empty


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"income": "dear"}, "t.csv, row 1002, column 'income': expected a number, found 'dear'."),
        ({"income": ""}, "t.csv, row 1002, column 'income': expected a number, found an empty cell."),
        (
            {"income": "inf"},
            "row 1002, column 'income': expected a number that 32 bits can hold, up to 3.403e+38, found",
        ),
        (
            {"seen": "soon"},
            "t.csv, rows 1001 to 1200, of which the first is row 0: Row 1, column 'seen', is 'soon'; exp",
        ),
        ({"plan": "z"}, "of which the first is row 0: Row 1, column 'plan', is 'z'; expected one of 'a', 'b'."),
    ],
)
def test_a_wrong_cell_of_a_file_is_called_by_its_row(
    ask: Asking, mixed_folders: dict[str, Path], tmp_path: Path, wrong: dict[str, str], said: str
) -> None:
    """Whether the client sees it, or the server, to which rows come in several requests; exit code 3."""
    table = pd.read_csv(mixed_folders["two"].with_suffix(".csv"), dtype=str, keep_default_na=False)
    table = pd.concat([table, table], ignore_index=True)
    table.loc[1001, [*wrong]] = [*wrong.values()]
    table.to_csv(tmp_path / "t.csv", index=False)
    ended = ask("two", tmp_path / "t.csv")
    assert (ended.returncode, ended.stdout) == (InvalidRequest.exit_code, "")
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("named", [[], ["--model", "xgboost-model"]], ids=["no model", "a model"])
@pytest.mark.parametrize("path", ["/v2", "/v2/", "/somewhere"])
def test_an_address_with_a_path_that_is_not_there_ends_with_what_to_name(
    script: Asking, served: Server, path: str, named: list[str]
) -> None:
    """The server alone; exit code 2."""
    ended = script(SCRIPT, "--url", served.url + path, *named)
    assert (ended.returncode, ended.stdout) == (UsageError.exit_code, "")
    end = f"is not found; name the address of the server alone, such as {served.url}, and a model that it has.\n"
    assert ended.stderr.endswith(end)
    assert ended.stderr.startswith(f"{served.url}{path.rstrip('/')}/v2/models/")


def test_cells_may_be_what_a_data_frame_has(
    mixed_server: Server, mixed_folders: dict[str, Path], protocol: str
) -> None:
    """Numbers and truths are spelled as levels are, and whatever a frame has for a missing cell is one."""
    model, path = load(mixed_folders["amount"]), mixed_folders["amount"].with_suffix(".csv")
    frame = pd.read_csv(path, keep_default_na=True, dtype={"city": "str", "rooms": "Int64", "owner": "boolean"})[:50]
    frame = frame.astype({"rooms": object, "owner": object}).mask(frame.isna(), None)
    asking = client(mixed_server, protocol, "amount")
    columns = {name: frame[name].to_numpy() for name in model.problem.features}
    assert {type(cell) for cell in columns["rooms"]} >= {int}
    assert {type(cell) for cell in columns["owner"]} >= {bool}
    found = asking.ask_columns(columns, ["predict"]).outputs["predict"][:, 0]
    assert found.tolist() == expected(model, path)["prediction"][:50]


def test_columns_that_the_model_has_not_are_refused_before_they_are_sent(mixed_server: Server, protocol: str) -> None:
    """So are those that it needs and does not get, and numbers that are infinite."""
    asking = client(mixed_server, protocol, "two")
    right: dict[str, list[Any]] = {"income": [1.0], "city": ["Recife"], "seen": ["2020-01-01 08:30"]}
    assert asking.ask_columns(right, ["predict"]).outputs["predict"].shape == (1, 1)
    with pytest.raises(InvalidRequest, match=r"^The model has no columns 'incom'; it takes 'income', 'age'"):
        asking.ask_columns(right | {"incom": [1.0]}, ["predict"])
    with pytest.raises(InvalidRequest, match=r"^The model needs the columns 'income', 'city', 'seen'; found 'city'\.$"):
        asking.ask_columns({"city": ["Recife"]}, ["predict"])
    with pytest.raises(InvalidRequest, match=r"column 0 of input 'income', is infinite; expected a finite number"):
        asking.ask_columns(right | {"income": [np.inf]}, ["predict"])
    with pytest.raises(InvalidRequest, match=r"^Column 'income' holds something other than numbers: .*'dear'"):
        asking.ask_columns(right | {"income": ["dear"]}, ["predict"])
    for cell in (np.inf, ["Recife"], b"Recife"):
        with pytest.raises(InvalidRequest, match=r"^Row 0, column 'city', is .*; expected a text, a number, true or"):
            asking.ask_columns(right | {"city": [cell]}, ["predict"])
    with pytest.raises(UsageError, match="takes no matrix of numbers, but a tensor for each of 'income', 'age'"):
        asking.ask(np.zeros((1, 8), np.float32), ["predict"])
