"""A served model is asked over REST and gRPC, by the client and by scripts/request.py; what fails is said plainly."""

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from santander.problem import PROBLEM
from santander.sample import sample
from tabserve import artifact, frame
from tabserve.client import Client, GrpcClient, RestClient, wait
from tabserve.errors import InvalidRequest, ServerError, UsageError
from tabserve.frame import Frame
from tabserve.process import SERVE, Server, free_ports, running

ROOT = Path(__file__).parents[1]
SCRIPT, ROWS = ROOT / "scripts" / "request.py", ROOT / "scripts" / "rows.csv"
BOTH = ["predict", "predict_proba"]
MODEL = "xgboost-model"


@pytest.fixture(scope="module")
def server(model_folder: Path) -> Iterator[Server]:
    """A running server."""
    with running(ROOT / "deploy", {"TABSERVE_MODEL": str(model_folder)}) as started:
        yield started


@pytest.fixture(scope="module")
def model(model_folder: Path) -> artifact.Model:
    """What it serves, at hand."""
    return artifact.load(model_folder)


@pytest.fixture(params=["rest", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Each transport in turn."""
    return str(request.param)


def client_of(protocol: str, address: str, model: str = MODEL, timeout: float = 20) -> Client:
    """A client of whatever listens at host:port."""
    return (
        GrpcClient(address, model, timeout) if protocol == "grpc" else RestClient(f"http://{address}", model, timeout)
    )


def client_for(server: Server, protocol: str, **options: Any) -> Client:  # noqa: ANN401 (the clients' own)
    """A client of this server."""
    return client_of(protocol, server.grpc if protocol == "grpc" else server.url.removeprefix("http://"), **options)


def test_answers_are_the_models(server: Server, model: artifact.Model, sample_frame: Frame, protocol: str) -> None:
    """To the bit, with the threshold, for the outputs asked for."""
    features = sample_frame.features[:70]
    answer, expected = client_for(server, protocol).ask(features, BOTH), model.score(features)
    assert list(answer.outputs) == BOTH
    assert np.array_equal(answer.outputs["predict"][:, 0], expected.label)
    assert np.array_equal(answer.outputs["predict_proba"][:, 1].astype(np.float32), expected.probability)
    assert answer.threshold == model.threshold
    assert list(client_for(server, protocol).ask(features, BOTH[:1]).outputs) == BOTH[:1]


def test_a_refusal_is_the_servers_own_sentence(server: Server, protocol: str) -> None:
    """Whatever is wrong with the rows, the outputs, or the model's name."""
    client = client_for(server, protocol)
    with pytest.raises(InvalidRequest, match=r"has shape \[1, 3\]; expected \[rows, 200\]"):
        client.ask(np.zeros((1, 3), np.float32), BOTH)
    with pytest.raises(InvalidRequest, match="Output 'label' is unknown"):
        client.ask(np.zeros((1, 200), np.float32), ["label"])
    with pytest.raises(InvalidRequest, match=r"Model nobody .*not found"):
        client_for(server, protocol, model="nobody").ask(np.zeros((1, 200), np.float32), BOTH)


def test_a_ready_model_is_not_waited_for(server: Server, protocol: str) -> None:
    """Another one is, until the time is over."""
    wait(client_for(server, protocol), 0.001)
    with pytest.raises(ServerError, match=r"was not ready within 0\.001 s"):
        wait(client_for(server, protocol, model="nobody"), 0.001)


def test_no_server_is_said_plainly(protocol: str) -> None:
    """With the address, and what to do."""
    (port,) = free_ports(1)
    client = client_of(protocol, f"127.0.0.1:{port}")
    assert not client.ready()
    with pytest.raises(ServerError, match=f"^No server answers at .*127.0.0.1:{port}; start one with 'tabserve serve"):
        client.ask(np.zeros((1, 200), np.float32), BOTH)


def test_a_silent_server_is_given_up(protocol: str) -> None:
    """After the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = client_of(protocol, f"127.0.0.1:{silent.getsockname()[1]}", timeout=0.2)
        with pytest.raises(ServerError, match=r"did not answer within 0\.2 s"):
            client.ask(np.zeros((1, 200), np.float32), BOTH)


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """The address of an HTTP server that always says the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}"
        finally:
            http.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (200, "<html>", "is no V2 inference server; it says 200 OK: <html>"),
        (200, '{"outputs": [{"name": "predict"}]}', "is no V2 inference server"),
        (200, "[]", "is no V2 inference server"),
        (404, "nothing here", "is no V2 inference server; it says 404 Not Found: nothing here"),
        (500, '{"error": "Scoring failed."}', r"^Scoring failed\.$"),
    ],
)
def test_what_is_no_answer_is_the_servers_mistake(status: int, body: str, sentence: str) -> None:
    """Not the user's, and no traceback."""
    with answering(status, body) as url, pytest.raises(ServerError, match=sentence):
        RestClient(url, MODEL, 20).ask(np.zeros((1, 200), np.float32), BOTH)


def test_another_address_than_http_is_refused() -> None:
    """With an example of what is expected."""
    with pytest.raises(UsageError, match="'nowhere' is not an address such as http://localhost:8080"):
        RestClient("nowhere", MODEL, 20).ready()


def request(*options: str, server: Server | None = None) -> "subprocess.CompletedProcess[str]":
    """What scripts/request.py ends with; it finds the server by the variables that the server does."""
    environment = dict(os.environ)
    if server:
        environment["MLSERVER_HTTP_PORT"] = server.url.rpartition(":")[2]
        environment["MLSERVER_GRPC_PORT"] = server.grpc.rpartition(":")[2]
    command = [sys.executable, str(SCRIPT), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_default_rows_are_the_samples() -> None:
    """Ten synthetic rows, in the format of Kaggle's test.csv, called synthetic."""
    (rows,), drawn = frame.stream(ROWS, PROBLEM), sample(10, seed=7)
    assert rows.ids.tolist() == drawn.ids.tolist() == [f"synthetic_{number}" for number in range(10)]
    assert np.array_equal(rows.features, drawn.features)
    assert ROWS.read_text().startswith("ID_code,var_0,var_1,")


def test_a_table_is_printed(server: Server, model: artifact.Model) -> None:
    """Aligned: id, label, probability of the positive class."""
    ended = request(server=server)
    assert (ended.returncode, ended.stderr) == (0, "")
    header, *lines = ended.stdout.splitlines()
    assert header.split() == ["ID_code", "label", "probability"]
    assert {len(line) for line in lines} == {len(header)}
    (rows,) = frame.stream(ROWS, PROBLEM)
    expected = zip(rows.ids, *reversed(model.score(rows.features)), strict=True)
    assert [line.split() for line in lines] == [[name, str(label), f"{p:.6f}"] for name, label, p in expected]


def test_json_is_one_document(server: Server, model: artifact.Model, protocol: str) -> None:
    """With the model, its threshold and the first rows asked for, to the bit over either protocol."""
    ended = request("--json", "--rows", "3", "--protocol", protocol, server=server)
    assert (ended.returncode, ended.stderr) == (0, "")
    document = json.loads(ended.stdout)
    (rows,) = frame.stream(ROWS, PROBLEM)
    scores = model.score(rows.features[:3])
    assert (document["model"], document["threshold"]) == (MODEL, model.threshold)
    assert [row["ID_code"] for row in document["rows"]] == rows.ids[:3].tolist()
    assert [row["label"] for row in document["rows"]] == scores.label.tolist()
    assert [np.float32(row["probability"]) for row in document["rows"]] == scores.probability.tolist()


@pytest.mark.parametrize(
    ("outputs", "header"), [("predict", ["ID_code", "label"]), ("predict_proba", ["ID_code", "probability"])]
)
def test_one_output_makes_one_column(server: Server, outputs: str, header: list[str]) -> None:
    """Only what is asked for is printed."""
    assert request("--outputs", outputs, server=server).stdout.splitlines()[0].split() == header


def as_zip(table: pd.DataFrame, folder: Path) -> Path:
    """As Kaggle gives it."""
    with zipfile.ZipFile(folder / "rows.zip", "w") as archive:
        archive.writestr("test.csv", table.drop(columns="target").to_csv(index=False))
    return folder / "rows.zip"


def as_gz(table: pd.DataFrame, folder: Path) -> Path:
    """Compressed, with its target."""
    (folder / "rows.csv.gz").write_bytes(gzip.compress(table.to_csv(index=False).encode()))
    return folder / "rows.csv.gz"


def as_parquet(table: pd.DataFrame, folder: Path) -> Path:
    """In columns."""
    table.to_parquet(folder / "rows.parquet")
    return folder / "rows.parquet"


@pytest.mark.parametrize("written", [as_zip, as_gz, as_parquet])
def test_many_rows_of_any_format_are_answered_in_order(
    server: Server,
    model: artifact.Model,
    sample_frame: Frame,
    tmp_path: Path,
    written: Callable[[pd.DataFrame, Path], Path],
) -> None:
    """In several requests; a target column is not looked at."""
    table = pd.DataFrame(sample_frame.features[:2300], columns=PROBLEM.features)
    table.insert(0, "target", sample_frame.target[:2300])
    table.insert(0, "ID_code", sample_frame.ids[:2300].astype(object))
    ended = request("--json", "--data", str(written(table, tmp_path)), server=server)
    assert (ended.returncode, ended.stderr) == (0, "")
    rows = json.loads(ended.stdout)["rows"]
    expected = model.score(sample_frame.features[:2300])
    assert [row["ID_code"] for row in rows] == sample_frame.ids[:2300].tolist()
    assert [np.float32(row["probability"]) for row in rows] == expected.probability.tolist()


def one_line(text: str) -> str:
    """The text, if it is one line."""
    assert text.count("\n") == 1
    return text.strip()


def test_a_refusal_ends_with_its_sentence(server: Server) -> None:
    """Exit code 3."""
    ended = request("--outputs", "label", server=server)
    assert (ended.returncode, ended.stdout) == (InvalidRequest.exit_code, "")
    assert one_line(ended.stderr) == "Output 'label' is unknown; this model answers 'predict', 'predict_proba'."


def test_a_file_that_cannot_be_read_ends_with_its_sentence(server: Server, tmp_path: Path) -> None:
    """Exit code 3, and the file's name."""
    (tmp_path / "rows.csv").write_text("ID_code,var_0\na,1\n")
    ended = request("--data", str(tmp_path / "rows.csv"), server=server)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert str(tmp_path / "rows.csv") in one_line(ended.stderr)


def test_no_server_ends_with_its_sentence(protocol: str) -> None:
    """Exit code 5."""
    (port,) = free_ports(1)
    ended = request("--url", f"http://127.0.0.1:{port}", "--protocol", protocol)
    assert (ended.returncode, ended.stdout) == (ServerError.exit_code, "")
    assert one_line(ended.stderr).startswith("No server answers at ")


@pytest.mark.parametrize("options", [["--rows", "0"], ["--rows", "few"], ["--timeout", "-1"], ["--wait", "inf"]])
def test_a_wrong_option_is_a_usage_error(options: list[str]) -> None:
    """Exit code 2, as argparse has it."""
    ended = request(*options)
    assert ended.returncode == UsageError.exit_code
    assert f"argument {options[0]}" in ended.stderr


def test_a_reader_that_has_seen_enough_is_no_error(server: Server, sample_frame: Frame, tmp_path: Path) -> None:
    """`| head` leaves quietly, though the table is larger than a pipe holds."""
    table = pd.DataFrame(sample_frame.features, columns=PROBLEM.features)
    table.insert(0, "ID_code", sample_frame.ids.astype(object))
    table.to_parquet(tmp_path / "rows.parquet")
    words = [sys.executable, str(SCRIPT), "--url", server.url, "--data", str(tmp_path / "rows.parquet")]
    pipe = ["bash", "-o", "pipefail", "-c", '"$@" | head -n 2', "bash", *words]
    ended = subprocess.run(pipe, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout.splitlines()) == 2


def test_it_can_wait_for_a_server_that_starts_later(model_folder: Path) -> None:
    """As `make run` does."""
    ports = dict(zip(("HTTP", "GRPC", "METRICS"), map(str, free_ports(3)), strict=True))
    environment = os.environ | {f"MLSERVER_{name}_PORT": port for name, port in ports.items()}
    environment |= {"MLSERVER_HOST": "127.0.0.1", "TABSERVE_MODEL": str(model_folder)}
    asking = [sys.executable, str(SCRIPT), "--wait", "60", "--rows", "1"]
    with subprocess.Popen(asking, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asked:
        time.sleep(0.5)
        assert asked.poll() is None
        serving = [*SERVE, str(ROOT / "deploy")]
        with subprocess.Popen(serving, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                printed, complaint = asked.communicate(timeout=60)
            finally:
                server.terminate()
    assert (asked.returncode, complaint) == (0, b"")
    assert len(printed.splitlines()) == 2


def test_it_can_be_interrupted() -> None:
    """Exit code 130, while it waits for an answer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        words = [sys.executable, str(SCRIPT), "--url", f"http://127.0.0.1:{silent.getsockname()[1]}"]
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as asked:
            connection, _ = silent.accept()
            asked.send_signal(signal.SIGINT)
            _, complaint = asked.communicate(timeout=20)
            connection.close()
    assert asked.returncode == 130
    assert one_line(complaint).startswith("Interrupted")
