"""A container of the image: run as documented, and asked from outside by our own and by other clients."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from tests.container.engine import (
    HARDENED,
    MARKS,
    PORTS,
    ROOT,
    Container,
    alone,
    docker,
    documented_arguments,
    removing,
    running,
)
from tests.serving import mixed

from tabserve.client import table
from tabserve.client.rest import RestClient
from tabserve.model.model import load
from tabserve.table.frame_reader import stream

pytestmark = MARKS

INFER = "/v2/models/xgboost-model/infer"

TRITON = """
import json, sys, numpy, tritonclient.grpc, tritonclient.http
rows = numpy.array(json.load(open(sys.argv[1]))["features"], numpy.float32)
for triton, address in zip((tritonclient.http, tritonclient.grpc), sys.argv[2:]):
    tensor = triton.InferInput("predict", rows.shape, "FP32")
    tensor.set_data_from_numpy(rows)
    with triton.InferenceServerClient(address) as client:
        print(json.dumps(client.infer("xgboost-model", [tensor]).as_numpy("predict_proba")[:, 1].tolist()))
"""

Script = Callable[..., "subprocess.CompletedProcess[str]"]


def infer(container: Container, rows: list[list[float]]) -> dict[str, Any]:
    """Send rows and return the values of each output."""
    tensor = {"name": "predict", "datatype": "FP32", "shape": [len(rows), len(rows[0])], "data": rows}
    url = f"http://{container.address('8080')}{INFER}"
    answer = requests.post(url, json={"inputs": [tensor]}, timeout=10)
    assert answer.status_code == 200, answer.text
    return {output["name"]: output["data"] for output in answer.json()["outputs"]}


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A model folder whose model has another checksum than its manifest says."""
    folder = shutil.copytree(ROOT / "deploy/model", tmp_path / "model")
    (folder / "model.ubj").write_bytes(b"another")
    return folder


def test_runs_as_the_readme_says(image: str, golden: dict[str, Any]) -> None:
    """The README's command works, here with another port and tag."""
    option, ports, name = documented_arguments("run")[0].split()
    assert (option, ports, name) == ("-p", "8080:8080", "tabserve")
    container = Container(option, "127.0.0.1::8080", image)
    with removing(container):
        container.wait("ready", container.ready)
        probability = infer(container, golden["features"])["predict_proba"][
            1::2
        ]  # every second one is the positive class's
        docker("stop", container.name)
        assert probability == pytest.approx(golden["probability"], abs=1e-6)
        assert container.inspect("{{.State.ExitCode}}") == "0"


def test_answers_tritons_clients(hardened: Container, golden: dict[str, Any]) -> None:
    """Triton's HTTP and gRPC clients get the golden probabilities."""
    words = [str(ROOT / "deploy/model/golden.json"), *map(hardened.address, PORTS)]
    finished = subprocess.run(
        [sys.executable, "-c", TRITON, *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == 0, finished.stderr
    for line in finished.stdout.splitlines():
        assert json.loads(line) == pytest.approx(golden["probability"], abs=1e-6)


@pytest.mark.parametrize(("protocol", "port", "prefix"), [("rest", "8080", "http://"), ("grpc", "8081", "")])
def test_answers_the_projects_own_script(
    hardened: Container, script: Script, protocol: str, port: str, prefix: str
) -> None:
    """`scripts/request.py` gets its answers over both protocols."""
    url = prefix + hardened.address(port)
    ended = script(ROOT / "scripts/request.py", "--protocol", protocol, "--url", url, "--json")
    assert ended.returncode == 0, ended.stderr
    assert len(json.loads(ended.stdout)["rows"]) == 10


def test_reports_its_health(hardened: Container) -> None:
    """Docker's own health check finds the model ready."""
    hardened.wait("healthy", lambda: hardened.inspect("{{.State.Health.Status}}") == "healthy")


def test_the_health_check_asks_for_the_model_by_the_name_that_it_was_given(image: str) -> None:
    """A model of any other name would not be found."""
    container = Container("--env", "TABSERVE_NAME=my model", image)
    with removing(container):
        container.wait("healthy", lambda: container.inspect("{{.State.Health.Status}}") == "healthy")


def test_serves_without_a_network_as_any_user(image: str) -> None:
    """It needs only the loopback interface, and any user may run it."""
    with alone(image, *HARDENED, "--user", "12345:0") as container:
        assert container.python("import socket; print(socket.if_nameindex())") == "[(1, 'lo')]"


def test_serves_the_model_mounted_at_model(image: str, golden: dict[str, Any], tmp_path: Path) -> None:
    """A folder mounted at /model is served instead of the image's own; this one labels every row 1."""
    manifest = shutil.copytree(ROOT / "deploy/model", tmp_path / "model") / "manifest.json"
    label_all = {"kind": "threshold", "threshold": 0.0}
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"decision": label_all}))
    with running(image, *HARDENED, "--volume", f"{tmp_path}/model:/model:ro") as container:
        assert set(infer(container, golden["features"])["predict"]) == {1}


@pytest.mark.parametrize("task", mixed.TASKS)
def test_serves_a_mounted_folder_of_any_task(image: str, task: str, tmp_path: Path) -> None:
    """As training saved it: numbers, categories and dates in, a label or an amount with its interval out."""
    folder = mixed.train(tmp_path / "model", task)
    model = load(folder)
    rows = next(stream(folder.with_suffix(".csv"), model.problem, model.encoder)).features[:20]
    answers, outputs = model.score(rows), model.decision.outputs(model.problem)
    with running(image, *HARDENED, "--volume", f"{folder}:/model:ro") as container:
        client = RestClient(f"http://{container.address('8080')}", None, 10)
        cells = table.read(folder.with_suffix(".csv"), client.metadata, 20).columns
        answer = client.ask_columns(cells, [*outputs])
    for name, kind in outputs.items():
        assert np.array_equal(answer.outputs[name], kind.values(answers))


def test_a_damaged_model_ends_the_container_with_one_sentence(image: str, broken: Path) -> None:
    """The exit code is that of a bad model folder."""
    command = ["docker", "run", "--rm", *HARDENED, "--volume", f"{broken}:/model:ro", image]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 4
    assert "model.ubj does not have the checksum" in ended.stderr
    assert ended.stderr.count("\n") == 1
