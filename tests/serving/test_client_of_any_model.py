"""The client works with any model by its metadata alone: over numbers, texts, or several kinds of columns."""

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
from tabserve.predictors.booster import Booster
from tabserve.score import score_file
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import stream

SCRIPT = Path(__file__).parents[2] / "scripts" / "request.py"
SECONDS = 20
DATATYPES = {"number": "FP32", "category": "BYTES", "date": "BYTES", "text": "BYTES"}
TEXTS = [("carrinho azul", "bebê"), ("quadro, para sala", ""), ("convite", "papel casamento")]
RunScript = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=["rest", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Each transport in turn."""
    return str(request.param)


def client(server: Server, protocol: str, model: str | None) -> Client:
    """A client of a model, or of the server's only model if `model` is None."""
    if protocol == "grpc":
        return GrpcClient(server.grpc, model, SECONDS)
    return RestClient(server.url, model, SECONDS)


def address(server: Server, protocol: str) -> str:
    """The server's address for a protocol."""
    return server.grpc if protocol == "grpc" else server.url


@pytest.fixture
def ask(script: RunScript, mixed_server: Server, protocol: str) -> RunScript:
    """Run scripts/request.py with a model of `mixed_server`, the rows of a file, and further options."""
    server = ("--protocol", protocol, "--url", address(mixed_server, protocol))
    return lambda model, data, *options: script(SCRIPT, *server, "--model", model, "--data", data, *options)


def check_metadata(metadata: Metadata, model: Model) -> None:
    """The metadata describe each column of the problem and each output of the decision."""
    problem = model.problem
    assert [*metadata.columns] == [
        (column.name, DATATYPES[column.kind], column.missing, column.kind) for column in problem.columns
    ]
    kinds, outputs = model.decision.outputs(problem), metadata.outputs
    assert {name: (outputs[name].datatype, outputs[name].shape, outputs[name].labels) for name in kinds} == {
        name: (kind.datatype, kind.shape, kind.labels) for name, kind in kinds.items()
    }
    assert metadata.default_outputs == (*kinds,)
    assert (metadata.id, metadata.ignored) == (problem.id, (problem.target,))


@pytest.mark.parametrize("task", TASKS)
def test_a_client_learns_the_columns_of_each_kind(
    mixed_server: Server, mixed_folders: dict[str, Path], task: str, protocol: str
) -> None:
    """It also learns the outputs, for two labels, three labels, and an amount."""
    metadata = client(mixed_server, protocol, task).metadata
    check_metadata(metadata, load(mixed_folders[task]))
    assert metadata.tensor is None


def test_a_client_learns_the_columns_of_numbers_and_of_texts(
    served: Server, both: Server, model: Model, goods: Model, protocol: str
) -> None:
    """A model over numbers takes all of its columns in one tensor."""
    numbers = client(served, protocol, None)
    check_metadata(numbers.metadata, model)
    assert (numbers.model, numbers.metadata.tensor) == ("xgboost-model", "predict")
    texts = client(both, protocol, "goods")
    check_metadata(texts.metadata, goods)
    assert texts.metadata.tensor is None


def test_a_client_of_several_models_must_name_one(both: Server, protocol: str) -> None:
    """The message lists all models."""
    with pytest.raises(UsageError, match=r"has the models 'goods', 'xgboost-model'; name the one to ask\.$"):
        _ = client(both, protocol, None).metadata


def expected(model: Model, path: Path) -> dict[str, list[Any]]:
    """The model's own predictions for a file's rows, in the columns of a scored file."""
    features = np.concatenate([rows.features for rows in stream(path, model.problem, model.encoder)])
    table = model.decision.table(model.score(features), model.problem)
    return {name: values.tolist() for name, values in table.items()}


def printed_columns(ended: subprocess.CompletedProcess[str]) -> dict[str, list[Any]]:
    """The columns that the script printed, with floats as 32-bit floats, as the server computes them."""
    assert (ended.returncode, ended.stderr) == (0, "")
    table = pd.DataFrame(json.loads(ended.stdout)["rows"])
    return {str(name): as_32_bits(table[name].to_numpy()) for name in table}


def as_32_bits(values: NDArray[Any]) -> list[Any]:
    """The values, with floats rounded to 32 bits."""
    return (values.astype(np.float32) if values.dtype.kind == "f" else values).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("task", TASKS)
def test_the_script_predicts_a_file_of_columns_of_each_kind(
    ask: RunScript, mixed_folders: dict[str, Path], task: str
) -> None:
    """Predictions are the folder's own to the bit, whatever the order of columns, with the target or without."""
    path = mixed_folders[task].with_suffix(".csv")
    columns = printed_columns(ask(task, path, "--json"))
    assert columns.pop("row") == [*range(1, 601)]
    assert columns == expected(load(mixed_folders[task]), path)


@pytest.mark.parametrize("task", TASKS)
def test_a_written_file_is_that_of_a_scored_one(
    ask: RunScript, mixed_folders: dict[str, Path], task: str, tmp_path: Path
) -> None:
    """To the byte, over both protocols; nothing but one sentence is printed."""
    path = mixed_folders[task].with_suffix(".csv")
    ended = ask(task, path, "--out", tmp_path / "asked.csv")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"Wrote the answers to 600 rows into {tmp_path}/asked.csv.\n"
    score_file(load(mixed_folders[task]), path, tmp_path / "scored.csv")
    assert (tmp_path / "asked.csv").read_bytes() == (tmp_path / "scored.csv").read_bytes()


def test_the_script_predicts_a_file_of_texts(
    script: RunScript, both: Server, goods: Model, protocol: str, tmp_path: Path
) -> None:
    """It prints the ids, or numbers of rows where the file has none, and the columns that a scored file has."""
    path = tmp_path / "titles.csv"
    ids = [f"p{row}" for row in range(len(TEXTS))]
    pd.DataFrame(TEXTS, columns=GOODS.features).assign(product_id=ids).to_csv(path, index=False)
    options = ("--model", "goods", "--protocol", protocol, "--url", address(both, protocol), "--data", path)
    columns = printed_columns(script(SCRIPT, *options, "--json"))
    assert columns.pop("product_id") == ids
    assert columns == expected(goods, path)
    pd.DataFrame(TEXTS, columns=GOODS.features).to_csv(tmp_path / "nameless.csv", index=False)
    nameless = printed_columns(script(SCRIPT, *options[:-1], tmp_path / "nameless.csv", "--json"))
    assert nameless.pop("row") == [*range(1, len(TEXTS) + 1)]
    assert nameless == columns
    header, *lines = script(SCRIPT, *options, "--outputs", "predict").stdout.splitlines()
    assert header.split() == ["product_id", "label"]
    assert [line.split(maxsplit=1)[1].strip() for line in lines] == columns["label"]


def test_a_file_may_lack_columns_whose_cells_may_be_missing(
    ask: RunScript, mixed_folders: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The predictions are those for empty cells in these columns, and one warning names them."""
    table = pd.read_csv(mixed_folders["two"].with_suffix(".csv"), dtype=str)[:30]
    optional = [column.name for column in COLUMNS if column.missing]
    table.drop(columns=optional).to_csv(tmp_path / "few.csv", index=False)
    table.assign(**dict.fromkeys(optional, "")).to_csv(tmp_path / "empty.csv", index=False)
    few, empty = (ask("two", tmp_path / f"{name}.csv", "--json") for name in ("few", "empty"))
    assert printed_columns(few) == printed_columns(empty)
    (warning,) = caplog.messages
    assert warning.startswith(f"{tmp_path / 'few.csv'} lacks 'age', 'plan', 'rooms', 'owner', 'since'; each row is")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"income": "dear"}, "t.csv, row 1002, column 'income': expected a number, found 'dear'."),
        ({"income": ""}, "t.csv, row 1002, column 'income': expected a number, found an empty cell."),
        (
            {"income": "inf"},
            "row 1002, column 'income': expected a number that 32 bits can hold, up to 3.403e+38, found",
        ),
        ({"seen": "soon"}, "t.csv, row 1002, column 'seen', is 'soon'; expected a date"),
        ({"plan": "z"}, "t.csv, row 1002, column 'plan', is 'z'; expected one of 'a', 'b'."),
    ],
)
def test_a_wrong_cell_of_a_file_is_named_by_its_row(
    ask: RunScript, mixed_folders: dict[str, Path], tmp_path: Path, wrong: dict[str, str], sentence: str
) -> None:
    """The row is that of the file, whether the client refuses it, or the server in a later request; exit code 3."""
    table = pd.read_csv(mixed_folders["two"].with_suffix(".csv"), dtype=str, keep_default_na=False)
    table = pd.concat([table, table], ignore_index=True)
    table.loc[1001, [*wrong]] = [*wrong.values()]
    table.to_csv(tmp_path / "t.csv", index=False)
    ended = ask("two", tmp_path / "t.csv")
    assert (ended.returncode, ended.stdout) == (InvalidRequest.exit_code, "")
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("named", [[], ["--model", "xgboost-model"]], ids=["no model", "a model"])
@pytest.mark.parametrize("path", ["/v2", "/v2/", "/somewhere"])
def test_an_address_with_a_path_that_does_not_exist_gets_advice(
    script: RunScript, served: Server, path: str, named: list[str]
) -> None:
    """The message advises to name the server's address alone; exit code 2."""
    ended = script(SCRIPT, "--url", served.url + path, *named)
    assert (ended.returncode, ended.stdout) == (UsageError.exit_code, "")
    end = f"is not found; name the address of the server alone, such as {served.url}, and a model that it has.\n"
    assert ended.stderr.endswith(end)
    assert ended.stderr.startswith(f"{served.url}{path.rstrip('/')}/v2/models/")


def test_cells_may_be_python_objects_of_a_data_frame(
    mixed_server: Server, mixed_folders: dict[str, Path], protocol: str
) -> None:
    """Numbers and booleans become the levels of the same spelling; every missing value of a frame is a missing cell."""
    model, path = load(mixed_folders["amount"]), mixed_folders["amount"].with_suffix(".csv")
    frame = pd.read_csv(path, keep_default_na=True, dtype={"city": "str", "rooms": "Int64", "owner": "boolean"})[:50]
    frame = frame.astype({"rooms": object, "owner": object}).mask(frame.isna(), None)
    regressor = client(mixed_server, protocol, "amount")
    columns = {name: frame[name].to_numpy() for name in model.problem.features}
    assert {type(cell) for cell in columns["rooms"]} >= {int}
    assert {type(cell) for cell in columns["owner"]} >= {bool}
    predictions = regressor.ask_columns(columns, ["predict"]).outputs["predict"][:, 0]
    assert predictions.tolist() == expected(model, path)["prediction"][:50]


def as_dates(path: Path) -> pd.DataFrame:
    """The first rows of a table, their dates as pandas keeps them: moments, NaT where one is missing."""
    texts = {"city": "str", "plan": "str", "rooms": "str", "owner": "str"}
    return pd.read_csv(path, dtype=texts, parse_dates=["since", "seen"])[:50]


@pytest.mark.parametrize("unit", ["ns", "us", "s"])
def test_dates_of_a_data_frame_are_those_of_the_file(
    mixed_server: Server, mixed_folders: dict[str, Path], protocol: str, unit: str
) -> None:
    """As an array of moments in any unit, or as Python's own; some column has days alone, another has times."""
    model, path = load(mixed_folders["two"]), mixed_folders["two"].with_suffix(".csv")
    frame, classifier = as_dates(path), client(mixed_server, protocol, "two")
    frame = frame.astype(dict.fromkeys(("since", "seen"), f"datetime64[{unit}]"))
    assert frame["since"].isna().any()
    columns: dict[str, Any] = {name: frame[name].to_numpy() for name in model.problem.features}
    others: dict[str, Any] = {"since": [*frame["since"].dt.date], "seen": frame["seen"]}  # Python's, and a column
    for dates in ({}, others):
        answer = classifier.ask_columns(columns | dates, ["predict"])
        labels = [model.problem.labels[label] for label in answer.outputs["predict"][:, 0]]
        assert labels == expected(model, path)["label"][:50]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_moments_of_a_time_zone_are_those_of_utc(  # noqa: PLR0917 (fixtures and parameters)
    ask: RunScript, mixed_server: Server, mixed_folders: dict[str, Path], protocol: str, zone: str, tmp_path: Path
) -> None:
    """Whether a file holds them, that is asked about or scored, or a data frame that the client sends."""
    model, path = load(mixed_folders["two"]), mixed_folders["two"].with_suffix(".csv")
    plain = as_dates(path)
    frame = plain.assign(seen=plain["seen"].dt.tz_localize("UTC").dt.tz_convert(zone))
    frame.to_parquet(tmp_path / "rows.parquet", index=False)
    first = {name: values[:50] for name, values in expected(model, path).items()}
    columns = printed_columns(ask("two", tmp_path / "rows.parquet", "--json"))
    assert columns.pop("row") == [*range(1, 51)]
    assert columns == first == expected(model, tmp_path / "rows.parquet")
    classifier = client(mixed_server, protocol, "two")
    for seen in (frame["seen"], [*frame["seen"].dt.to_pydatetime()]):
        cells: dict[str, Any] = {name: frame[name].to_numpy() for name in model.problem.features} | {"seen": seen}
        labels = classifier.ask_columns(cells, ["predict"]).outputs["predict"][:, 0]
        assert [model.problem.labels[label] for label in labels] == first["label"]


def test_a_parquet_file_of_moments_is_answered_and_scored_as_the_csv(
    ask: RunScript, mixed_folders: dict[str, Path], tmp_path: Path
) -> None:
    """A column of days is written as moments at midnight by pandas."""
    model, path = load(mixed_folders["two"]), mixed_folders["two"].with_suffix(".csv")
    as_dates(path).to_parquet(tmp_path / "rows.parquet", index=False)
    columns = printed_columns(ask("two", tmp_path / "rows.parquet", "--json"))
    assert columns.pop("row") == [*range(1, 51)]
    first = {name: values[:50] for name, values in expected(model, path).items()}
    assert columns == first == expected(model, tmp_path / "rows.parquet")


def test_columns_that_do_not_fit_the_model_are_refused_before_they_are_sent(
    mixed_server: Server, protocol: str
) -> None:
    """The client refuses unknown and missing columns, infinite numbers, and cells of a wrong type."""
    classifier = client(mixed_server, protocol, "two")
    right: dict[str, list[Any]] = {"income": [1.0], "city": ["Recife"], "seen": ["2020-01-01 08:30"]}
    assert classifier.ask_columns(right, ["predict"]).outputs["predict"].shape == (1, 1)
    with pytest.raises(InvalidRequest, match=r"^The model has no columns 'incom'; it takes 'income', 'age'"):
        classifier.ask_columns(right | {"incom": [1.0]}, ["predict"])
    with pytest.raises(InvalidRequest, match=r"^The model needs the columns 'income', 'city', 'seen'; found 'city'\.$"):
        classifier.ask_columns({"city": ["Recife"]}, ["predict"])
    with pytest.raises(InvalidRequest, match=r"column 0 of input 'income', is infinite; expected a finite number"):
        classifier.ask_columns(right | {"income": [np.inf]}, ["predict"])
    with pytest.raises(InvalidRequest, match=r"^Column 'income' holds something other than numbers: .*'dear'"):
        classifier.ask_columns(right | {"income": ["dear"]}, ["predict"])
    for cell in (np.inf, ["Recife"], b"Recife"):
        with pytest.raises(InvalidRequest, match=r"^Row 0, column 'city', is .*; expected a text, a number, true or"):
            classifier.ask_columns(right | {"city": [cell]}, ["predict"])
    for cell in (1577867400, 1.5, True, b"2020-01-01"):
        with pytest.raises(InvalidRequest, match=r"^Row 0, column 'seen', is .*; expected a date, or a text that is"):
            classifier.ask_columns(right | {"seen": [cell]}, ["predict"])
    with pytest.raises(UsageError, match="takes no matrix of numbers, but a tensor for each of 'income', 'age'"):
        classifier.ask(np.zeros((1, 8), np.float32), ["predict"])


@pytest.mark.parametrize("task", TASKS)
def test_the_script_explains_answers(ask: RunScript, mixed_folders: dict[str, Path], task: str) -> None:
    """It names the columns with the largest contributions, by the predictor's own, with the cells of the file."""
    path, model = mixed_folders[task].with_suffix(".csv"), load(mixed_folders[task])
    plain, explained = (ask(task, path, "--rows", "20", "--json", *options) for options in ((), ("--explain",)))
    assert (explained.returncode, explained.stderr) == (0, "")
    rows, lines = json.loads(explained.stdout)["rows"], pd.read_csv(path, dtype=str, keep_default_na=False)
    assert [{key: cell for key, cell in row.items() if key != "contributions"} for row in rows] == json.loads(
        plain.stdout
    )["rows"]
    features = next(stream(path, model.problem, model.encoder)).features[:20]
    assert isinstance(model.predictor, Booster)
    contributions, raw = model.predictor.contributions(features), model.predictor.raw(features)
    for number, row in enumerate(rows):
        of_answer = contributions[number, raw[number].argmax(), :-1]
        by_column = pd.Series(of_answer, model.encoder.names).groupby(list(model.encoder.sources)).sum()
        assert [each["contribution"] for each in row["contributions"]] == pytest.approx(
            by_column[[each["column"] for each in row["contributions"]]].tolist(), abs=1e-6
        )
        assert abs(row["contributions"][-1]["contribution"]) >= by_column.abs().nlargest(4).iloc[-1]
        for each in row["contributions"]:
            cell = lines.loc[number, each["column"]]
            assert each["cell"] == (float(cell) if isinstance(each["cell"], float) else cell or None)
    table = ask(task, path, "--rows", "20", "--explain").stdout.splitlines()
    assert table[0].endswith(" contributions")
    first = rows[0]["contributions"][0]
    assert f"{first['column']}={first['cell']} {first['contribution']:+,.2f}, " in table[1]


def test_the_script_explains_no_answers_of_a_model_without_contributions(
    script: RunScript, both: Server, protocol: str, tmp_path: Path
) -> None:
    """The message says which models have them, and what to do; the table is not read."""
    path = tmp_path / "titles.csv"
    options = ("--url", address(both, protocol), "--protocol", protocol, "--model", "goods", "--data", path)
    ended = script(SCRIPT, *options, "--explain")
    assert (ended.returncode, ended.stdout) == (2, "")
    message = ended.stderr.splitlines()[-1]
    assert "The model 'goods' has no contributions: models of XGBoost have them, linear models and " in message
    assert message.endswith("leave out --explain, or serve a model of XGBoost.")


def test_the_script_explains_more_rows_than_a_request_may_have(
    script: RunScript, served: Server, protocol: str, sample_frame: Frame, tmp_path: Path
) -> None:
    """It sends as many at a time as the metadata allow."""
    rows = pd.DataFrame(sample_frame.features, columns=list(sample_frame.problem.features)).iloc[:1_001]
    rows.to_parquet(tmp_path / "rows.parquet")
    options = ("--url", address(served, protocol), "--protocol", protocol, "--data", tmp_path / "rows.parquet")
    ended = script(SCRIPT, *options, "--explain", "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [len(row["contributions"]) for row in json.loads(ended.stdout)["rows"]] == [3] * 1_001
