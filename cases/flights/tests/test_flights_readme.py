"""The case's README is true: its commands run, its answer has the API's form, and its figures are the models'."""

import json
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cases.flights.tests.served import Api, api
from tests.case_page import CasePage, fresh_environment

from tabserve.client.local_server import free_ports

ROOT = Path(__file__).parents[3]
CASE = ROOT / "cases/flights"

SECONDS = 200
"""Deadline of a small training and of a server's answer."""


PAGE = CasePage(ROOT / "cases/flights/README.md", SECONDS)
block, shell = PAGE.block, PAGE.shell


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API with the committed model and a history, into which this machine loads models."""
    folder = tmp_path_factory.mktemp("committed")
    with api(None, TABSERVE_HISTORY=str(folder / "history.db"), TABSERVE_LOAD_FOLDER=str(folder / "loaded")) as running:
        yield running


def form(document: Any) -> Any:  # noqa: ANN401  any JSON
    """The members of a document and the types of its values."""
    if isinstance(document, dict):
        return {name: form(value) for name, value in document.items()}
    return [*map(form, document)] if isinstance(document, list) else type(document)


@pytest.mark.needs("curl")
def test_the_pages_commands_ask_the_committed_model(committed: Api, tmp_path: Path) -> None:
    """Its answer has the form that the page shows; then the other model is packed and loaded, and needs more."""
    ask, _ = block("/model/predict/").splitlines()
    answer = json.loads(shell(ask.replace("localhost:8000", f"127.0.0.1:{committed.port}")))
    assert form(answer) == form(json.loads(block('{"predictions":')))
    delay = answer["predictions"][0]
    assert delay["low"] < delay["arr_delay"] < delay["high"]
    lines = shell(f"PORT={committed.port} {block('scripts/request.py')}").splitlines()
    assert [line.split(" ")[1] for line in lines[:3]] == ["EWR–IAH", "JFK–BOS", "LGA–ATL"]
    assert lines[4] == "History, newest first:"
    pack, load = block("tabserve pack").replace("departed.pkl", str(tmp_path / "departed.pkl")).splitlines()
    shell(pack)
    loaded = json.loads(shell(load.replace("localhost:8000", f"127.0.0.1:{committed.port}")))
    assert loaded["model"]["version"] != answer["model"]["version"]
    refused = json.loads(shell(ask.replace("localhost:8000", f"127.0.0.1:{committed.port}")))
    assert "'dep_delay'" in refused["error"]


def test_the_figures_are_the_committed_models() -> None:
    """R² of both models, of what needs none, and of a random split, rounded as shown."""
    rows = re.findall(
        r"^\| (before|after) departure \| ([-0-9.]+) \| ([-0-9.]+) [^|]*\| ([0-9.]+) \|$", PAGE.text, re.MULTILINE
    )
    assert [row[0] for row in rows] == ["before", "after"]
    for (_, *shown), (folder, simple) in zip(rows, [("model", "mean"), ("model-departed", "subtraction")], strict=True):
        beside = json.loads((CASE / "deploy" / folder / "manifest.json").read_text())["metrics"]["beside"]
        values = [beside[name]["r2"]["value"] for name in ("the model", simple, "the model, random split")]
        assert shown == [f"{value:.3f}" for value in values]


@pytest.mark.slow
def test_make_run_once_trains_answers_and_shows_the_history(tmp_path: Path) -> None:
    """Three flights with their intervals, and an entry; the port is closed afterwards."""
    (port,) = free_ports(1)
    make = f"make -o .venv/.ready run CASE=flights ONCE=1 PORT={port} OUT={shlex.quote(str(tmp_path))}/model"
    output = shell(f"{make} ROWS=3000 CANDIDATES=baseline,xgboost-depth-2")
    answered = r"^\w\w \w{3}–\w{3} 2013-\d\d-\d\d: [+-]\d+ min \([+-]\d+ to [+-]\d+\)$"
    assert len(re.findall(answered, output, re.MULTILINE)) == 3
    assert re.search(r"^\S+Z \S+ flights \w{12}: 3 flights$", output, re.MULTILINE)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_make_run_refuses_a_port_in_use_before_the_training(tmp_path: Path) -> None:
    """With one sentence."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        command = ["make", "-o", ".venv/.ready", "run", "CASE=flights", f"PORT={other.getsockname()[1]}"]
        finished = subprocess.run(
            [*command, f"OUT={tmp_path}/model"],
            cwd=ROOT,
            env=fresh_environment(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert finished.returncode != 0
    assert "is in use" in finished.stderr
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("run", 'scripts/run.sh "build/flights" --out "build/flights"'),
        ("train", '.venv/bin/python cases/flights/scripts/train.py --out "build/flights"'),
        ("notebook", ".venv-spark/bin/python -m jupyter execute --inplace cases/flights/notebook/voos.ipynb"),
        ("test", "cases/flights/tests --quick"),
    ],
)
def test_make_knows_the_case(word: str, line: str) -> None:
    """Each of its words works on the case's own files."""
    assert line in shell(f"make -n -o .venv/.ready -o .venv-spark/.ready {word} CASE=flights")


def test_every_published_port_and_secret_is_a_variable_of_the_page() -> None:
    """Without the variable, the API's own port is published, and nobody may load a model."""
    compose = yaml.safe_load((CASE / "deploy/compose.yaml").read_text(encoding="utf-8"))
    text = json.dumps(compose)
    names = {*re.findall(r"\$\{(\w+):-", text)}
    assert names == {"PORT", "POSTGRESQL_PORT", "POSTGRES_PASSWORD", "TABSERVE_LOAD", "TABSERVE_LOAD_TOKEN"}
    assert all(f"`{name}`" in PAGE.text for name in names)
    assert compose["services"]["api"]["environment"]["TABSERVE_LOAD"] == "${TABSERVE_LOAD:-off}"
    apis = [service for name, service in compose["services"].items() if name.startswith("api")]
    assert all(service["read_only"] and service["cap_drop"] == ["ALL"] for service in apis)
