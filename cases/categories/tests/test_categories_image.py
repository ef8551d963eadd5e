"""The image of the API: without rights and with nothing to write on it is healthy, answers both ways, ends in time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.container.engine import HARDENED, MARKS, Container, build, docker, documented, removed

from tabserve.client.local_server import free_ports

pytestmark = MARKS

PRODUCTS = {"products": [{"title": "Lembrancinha"}, {"title": "Carrinho de Bebê"}]}
EXPECTED = ["Lembrancinhas", "Bebê"]


@pytest.fixture(scope="module")
def built() -> str:
    """The image, from this work tree."""
    return build("--tag", "categories-test", "--file", "cases/categories/deploy/Dockerfile", ".")


@pytest.fixture(scope="module")
def hardened(built: str) -> Iterator[Container]:
    """The API in a container."""
    container = Container("--publish", "127.0.0.1::5000", *HARDENED, built)
    with removed(container):
        container.wait("ready", lambda: answers(container, "5000", "/ready"))
        yield container


def answers(container: Container, port: str, path: str) -> bool:
    """Whether it does, with 200."""
    try:
        return requests.get(f"http://{container.address(port)}{path}", timeout=5).ok
    except requests.ConnectionError:
        return False


def post(container: Container, port: str, path: str, document: object) -> Any:  # noqa: ANN401  any JSON
    """What it answers."""
    return requests.post(f"http://{container.address(port)}{path}", json=document, timeout=30).json()


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Free ones, named by the variables of the compose file."""
    found = free_ports(3)
    for name, port in zip(("PORT", "MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT"), found, strict=True):
        monkeypatch.setenv(name, str(port))
    return found


def test_it_answers_and_is_healthy(hardened: Container) -> None:
    """By its own check."""
    assert post(hardened, "5000", "/v1/categorize", PRODUCTS) == {"categories": EXPECTED}
    hardened.wait("healthy", lambda: hardened.inspect("{{.State.Health.Status}}") == "healthy")


def test_it_is_nobody_and_brings_nothing_that_trains(hardened: Container) -> None:
    """A number for a user, and no library of training."""
    assert hardened.inspect("{{.Config.User}}") == "10001:10001"
    names = ["sklearn", "pyarrow", "matplotlib", "pip"]
    assert {*hardened.python(f"from importlib.util import find_spec; print(*map(find_spec, {names}))").split()} == {
        "None"
    }


def test_the_same_image_answers_v2(built: str) -> None:
    """By `tabserve serve`, with the same categories."""
    container = Container(
        "--publish", "127.0.0.1::8080", "--tmpfs", "/tmp", *HARDENED, built, "tabserve", "serve", "/app/deploy"
    )
    with removed(container):
        container.wait("ready", lambda: answers(container, "8080", "/v2/models/categories/ready"))
        titles = [product["title"] for product in PRODUCTS["products"]]
        tensor = {"name": "title", "datatype": "BYTES", "shape": [2], "data": titles}
        document = {"inputs": [tensor], "outputs": [{"name": "predict"}]}
        found = post(container, "8080", "/v2/models/categories/infer", document)
    assert found["outputs"][0]["data"] == EXPECTED


def test_docker_stop_ends_it_as_if_nothing_were_wrong(built: str) -> None:
    """Long before the engine would kill it."""
    container = Container("--publish", "127.0.0.1::5000", *HARDENED, built)
    with removed(container):
        container.wait("ready", lambda: answers(container, "5000", "/ready"))
        docker("stop", "--time", "30", container.name)
        assert container.inspect("{{.State.ExitCode}}") == "0"


@pytest.mark.needs("docker compose")
def test_compose_answers_at_the_ports_that_are_named_until_it_is_taken_down(
    built: str, ports: list[int], tmp_path: Path
) -> None:
    """Both ways, by the page's own commands, but for the image that stands already and a name of its own."""
    override = tmp_path / "override.yaml"
    override.write_text(f"services: {{api: {{image: '{built}'}}, v2: {{image: '{built}'}}}}\n")
    up, down = (
        [
            "compose",
            "--project-name",
            "categories-test",
            *words.split()[:2],
            "--file",
            str(override),
            *words.split()[2:],
        ]
        for words in documented("compose", "cases/categories/README.md")
    )
    try:
        docker(*("--no-build" if word == "--build" else word for word in up), "--wait")
        asked = requests.post(f"http://localhost:{ports[0]}/v1/categorize", json=PRODUCTS, timeout=30)
        v2 = requests.get(f"http://localhost:{ports[1]}/v2/models/categories/ready", timeout=30)
    finally:
        docker(*down)
    assert (asked.json(), v2.status_code) == ({"categories": EXPECTED}, 200)
    assert not docker("ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project=categories-test")
