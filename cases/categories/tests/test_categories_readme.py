"""The case's README is true: its commands give the output that it shows."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from tests.case_page import CasePage, fresh_environment

from categories.problem import PROBLEM
from categories.sample import products
from tabserve.client.local_server import free_ports, running

ROOT = Path(__file__).parents[3]

SECONDS = 120
"""Deadline of a small training and of a server's answer."""


PAGE = CasePage(ROOT / "cases/categories/README.md", SECONDS)
block, shell = PAGE.block, PAGE.shell


@contextmanager
def make_run(folder: Path, *variables: str, clone: Path = ROOT) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """Run `make run CASE=categories` in its own process group, as in a terminal; yields process and output file."""
    command = ["make", "-o", ".venv/.ready", "run", "CASE=categories", f"OUT={folder}/model", "ROWS=4000", *variables]
    output = folder / "output"
    with output.open("w") as file:
        process = subprocess.Popen(
            command, cwd=clone, env=fresh_environment(), stdout=file, stderr=file, text=True, start_new_session=True
        )
    try:
        yield process, output
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)


def wait_until_ready(port: int, process: "subprocess.Popen[str]", output: Path) -> None:
    """Wait until the API answers."""
    deadline = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"The API did not become ready within {SECONDS} s:\n{output.read_text()}")


@pytest.mark.slow
@pytest.mark.needs("curl")
def test_make_run_trains_and_answers_as_the_page_shows_until_ctrl_c(clone: Path, tmp_path: Path) -> None:
    """In a clone with an odd name, the page's request gets the page's answer; Ctrl-C ends all processes."""
    (port,) = free_ports(1)
    with make_run(tmp_path, f"PORT={port}", clone=clone) as (process, output):
        wait_until_ready(port, process, output)
        answer = shell(block("localhost:5000").replace("localhost:5000", f"127.0.0.1:{port}"))
        assert json.loads(answer) == json.loads(block('{"categories":'))
        assert len(shell(f"PORT={port} {block('scripts/request.py')}").splitlines()) == 10
        os.killpg(process.pid, signal.SIGINT)
        # make may end by the signal or with 2
        assert process.wait(timeout=60) in {0, -signal.SIGINT, 2}, output.read_text()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
    assert "Traceback" not in output.read_text()


@pytest.mark.slow
def test_make_run_once_stops_after_the_answers(clone: Path, tmp_path: Path) -> None:
    """The exit code is 0, and the port is closed."""
    (port,) = free_ports(1)
    with make_run(tmp_path, f"PORT={port}", "ONCE=1", clone=clone) as (process, output):
        assert process.wait(timeout=SECONDS) == 0, output.read_text()
    answers = [line for line in output.read_text().splitlines() if line.endswith(PROBLEM.labels) and "\t" in line]
    assert len(answers) == 10
    assert "Traceback" not in output.read_text()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (["PORT={busy}"], "Port {busy} is in use"),
        (["PORT={free}", "DATASET_PATH=/nowhere/products.csv"], "/nowhere/products.csv"),
    ],
)
def test_make_run_says_what_stops_it_and_serves_nothing(
    variables: Sequence[str], sentence: str, tmp_path: Path
) -> None:
    """A port in use stops it before the training, a missing table before serving."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        busy = other.getsockname()[1]
        (free,) = free_ports(1)
        settings = [variable.format(busy=busy, free=free) for variable in variables]
        with make_run(tmp_path, *settings) as (process, output):
            assert process.wait(timeout=SECONDS) != 0
    assert sentence.format(busy=busy) in output.read_text()
    assert "Traceback" not in output.read_text()
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("word", ["train", "run"])
@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ("CASE=categories", "build/categories"),
        ("CASE=categories MODEL_PATH=build/mine", "build/mine"),
        ("CASE=categories MODEL_PATH=build/mine OUT=build/other", "build/other"),
        ("MODEL_PATH=build/mine", "build/model"),
    ],
)
def test_make_writes_the_folder_that_model_path_names(word: str, variables: str, folder: str) -> None:
    """MODEL_PATH counts for this case alone, and OUT overrides it."""
    assert f'--out "{folder}"' in shell(f"export {variables}; make -n -o .venv/.ready {word}")


def test_every_published_port_is_changed_by_a_variable_of_the_page() -> None:
    """Without the variable, the service's own port is published."""
    compose = yaml.safe_load((ROOT / "cases/categories/deploy/compose.yaml").read_text(encoding="utf-8"))
    ports = [port for service in compose["services"].values() for port in service["ports"]]
    matches = [re.fullmatch(r"\$\{(\w+):-(\d+)\}:\2", port) for port in ports]
    assert len(matches) == 3
    assert all(match and f"`{match[1]}`" in PAGE.text for match in matches)


@pytest.mark.slow
def test_a_real_table_is_trained_on_and_served_as_the_page_says(tmp_path: Path) -> None:
    """The page's variables are enough; a synthetic table stands in for the fetched one."""
    table, model = tmp_path / "products.csv", tmp_path / "model"
    products(4_000, seed=3).to_csv(table, index=False)
    fetch, train, serve = block("fetch_data.py").splitlines()
    assert fetch.startswith(".venv/bin/python cases/categories/scripts/fetch_data.py --out data/products.csv")
    small = " -o .venv/.ready CANDIDATES=linear-svm-words,majority"
    paths = {"data/products.csv": str(table), "build/metrics.json": str(tmp_path / "metrics.json")}
    for shown, path in paths.items():
        train = train.replace(shown, path)
    shell(f"MODEL_PATH={model} {train}{small}")
    assert "Bebê" in (tmp_path / "metrics.json").read_text(encoding="utf-8")
    assert serve == "MODEL_PATH=build/categories .venv/bin/python cases/categories/api.py"
    shell(serve.replace("build/categories", str(model)) + " --help")


@pytest.mark.needs("curl")
def test_the_same_folder_answers_v2_as_the_page_says() -> None:
    """The page's request gets an answer from the server that the page's command starts."""
    serve, *ask = block("tabserve serve").splitlines()
    assert serve == ".venv/bin/tabserve serve cases/categories/deploy"
    with running(ROOT / "cases/categories/deploy", ready="/v2/models/categories/ready") as server:
        answer = json.loads(shell("\n".join(ask).replace("localhost:8080", server.url.split("//")[1])))
    assert answer["outputs"][0]["data"] == ["Bijuterias e Jóias"]
