"""The image of the API: hardened, it predicts, keeps its history and loaded models over a restart, and ends in time."""

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cases.flights.tests.small import FLIGHT
from tests.container.engine import HARDENED, MARKS, Container, build, docker, documented_arguments, removing

from tabserve.client.local_server import free_ports
from tabserve.model.archive import to_pickle

pytestmark = MARKS

DEPLOY = Path(__file__).parents[1] / "deploy"

TOKEN = secrets.token_hex(16)

SECONDS = 60
"""Deadline of an answer."""

PORT = "8000"


@pytest.fixture(scope="module")
def image() -> str:
    """The image, built from this work tree."""
    return build("--tag", "flights-test", "--file", "cases/flights/deploy/Dockerfile", ".")


@pytest.fixture
def hardened(image: str) -> Iterator[Container]:
    """The API in a hardened container, into which clients with a token load models."""
    variables = ("--env", "TABSERVE_LOAD=token", "--env", f"TABSERVE_LOAD_TOKEN={TOKEN}")
    container = Container("--publish", f"127.0.0.1::{PORT}", "--tmpfs", "/tmp", *variables, *HARDENED, image)
    with removing(container):
        container.wait("ready", lambda: is_ready(container))
        yield container


def is_ready(container: Container) -> bool:
    """Whether it takes requests."""
    try:
        return requests.get(f"http://{container.address(PORT)}/ready", timeout=5).ok
    except requests.ConnectionError:
        return False


def ask(container: Container, path: str, **options: Any) -> Any:  # noqa: ANN401  any JSON
    """Post if there is something to send, else get; returns the JSON of the answer."""
    method = "POST" if options else "GET"
    answer = requests.request(method, f"http://{container.address(PORT)}{path}", timeout=SECONDS, **options)
    assert answer.ok, answer.text
    return answer.json()


def wait_for_history(container: Container, count: int) -> list[dict[str, Any]]:
    """The entries of the history, once there are so many."""
    deadline = time.monotonic() + SECONDS
    while len(entries := ask(container, "/model/history/")["history"]) < count:
        assert time.monotonic() < deadline, entries
        time.sleep(0.1)
    return list(entries)


def test_start_load_predict_history_restart_history(hardened: Container) -> None:
    """A loaded model and the history outlive the process; the file system is read-only but for the volume."""
    first = ask(hardened, "/model/predict/", json=FLIGHT)
    assert requests.post(f"http://{hardened.address(PORT)}/model/load/", timeout=SECONDS).status_code == 403
    file = {"file": ("model.pkl", to_pickle(DEPLOY / "model-departed"))}
    loaded = ask(hardened, "/model/load/", files=file, headers={"Authorization": f"Bearer {TOKEN}"})
    second = ask(hardened, "/model/predict/", json={**FLIGHT, "dep_delay": 30})
    assert second["model"] == loaded["model"] != first["model"]
    asked = [second["request_id"], first["request_id"]]
    assert [entry["request"] for entry in wait_for_history(hardened, 2)] == asked
    docker("restart", "--time", "30", hardened.name)
    hardened.wait("ready", lambda: is_ready(hardened))
    assert ask(hardened, "/health/")["model"] == second["model"]
    assert [entry["request"] for entry in wait_for_history(hardened, 2)] == asked


def test_it_is_healthy_and_runs_as_a_numbered_user_without_training_libraries(hardened: Container) -> None:
    """Its own health check finds it ready."""
    assert hardened.inspect("{{.Config.User}}") == "10001:10001"
    names = ["sklearn", "pyarrow", "matplotlib", "pyspark", "pip"]
    absent = hardened.python(f"from importlib.util import find_spec; print(*map(find_spec, {names}))")
    assert {*absent.split()} == {"None"}
    hardened.wait("healthy", lambda: hardened.inspect("{{.State.Health.Status}}") == "healthy")


def test_docker_stop_ends_it_with_exit_code_0(hardened: Container) -> None:
    """It ends before the engine would kill it."""
    docker("stop", "--time", "30", hardened.name)
    assert hardened.inspect("{{.State.ExitCode}}") == "0"


@pytest.mark.needs("docker compose")
def test_compose_serves_at_the_chosen_port_until_it_is_taken_down(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The README's own commands start and stop it, here with a ready image and another project name."""
    (port,) = free_ports(1)
    monkeypatch.setenv("PORT", str(port))
    override = tmp_path / "override.yaml"
    override.write_text(f"services: {{api: {{image: '{image}'}}}}\n")
    up, down = (
        ["compose", "--project-name", "flights-test", *words.split()[:2], "--file", str(override), *words.split()[2:]]
        for words in documented_arguments("compose", "cases/flights/README.md")
    )
    try:
        docker(*("--no-build" if word == "--build" else word for word in up), "--wait")
        answer = requests.post(f"http://localhost:{port}/model/predict/", json=FLIGHT, timeout=SECONDS)
    finally:
        docker(*down, "--volumes")
    assert answer.json()["unit"] == "minutes"
