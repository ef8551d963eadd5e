"""The image of the API: in a hardened container it is healthy, serves both APIs, and ends in time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.container.engine import HARDENED, MARKS, Container, build, docker, documented_arguments, removing

from tabserve.client.local_server import free_ports

pytestmark = MARKS

PRODUCTS = {"products": [{"title": "Lembrancinha"}, {"title": "Carrinho de Bebê"}]}
EXPECTED = ["Lembrancinhas", "Bebê"]


@pytest.fixture(scope="module")
def image() -> str:
    """The image, built from this work tree."""
    return build("--tag", "categories-test", "--file", "cases/categories/deploy/Dockerfile", ".")


@pytest.fixture(scope="module")
def hardened(image: str) -> Iterator[Container]:
    """The API in a hardened container."""
    container = Container("--publish", "127.0.0.1::5000", *HARDENED, image)
    with removing(container):
        container.wait("ready", lambda: answers(container, "5000", "/ready"))
        yield container


def answers(container: Container, port: str, path: str) -> bool:
    """Whether a GET gets 200."""
    try:
        return requests.get(f"http://{container.address(port)}{path}", timeout=5).ok
    except requests.ConnectionError:
        return False


def post(container: Container, port: str, path: str, document: object) -> Any:  # noqa: ANN401  any JSON
    """Post a JSON document and return the answer."""
    return requests.post(f"http://{container.address(port)}{path}", json=document, timeout=30).json()


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Free ports, set by the variables of the compose file."""
    ports = free_ports(3)
    for name, port in zip(("PORT", "MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT"), ports, strict=True):
        monkeypatch.setenv(name, str(port))
    return ports


def test_it_answers_and_is_healthy(hardened: Container) -> None:
    """Its own health check finds it ready."""
    assert post(hardened, "5000", "/v1/categorize", PRODUCTS) == {"categories": EXPECTED}
    hardened.wait("healthy", lambda: hardened.inspect("{{.State.Health.Status}}") == "healthy")


def test_it_runs_as_a_numbered_user_without_training_libraries(hardened: Container) -> None:
    """The user is a number, and no training library is installed."""
    assert hardened.inspect("{{.Config.User}}") == "10001:10001"
    names = ["sklearn", "pyarrow", "matplotlib", "pip"]
    assert {*hardened.python(f"from importlib.util import find_spec; print(*map(find_spec, {names}))").split()} == {
        "None"
    }


def test_the_same_image_answers_v2(image: str) -> None:
    """`tabserve serve` in the image gives the same categories."""
    container = Container(
        "--publish", "127.0.0.1::8080", "--tmpfs", "/tmp", *HARDENED, image, "tabserve", "serve", "/app/deploy"
    )
    with removing(container):
        container.wait("ready", lambda: answers(container, "8080", "/v2/models/categories/ready"))
        titles = [product["title"] for product in PRODUCTS["products"]]
        tensor = {"name": "title", "datatype": "BYTES", "shape": [2], "data": titles}
        document = {"inputs": [tensor], "outputs": [{"name": "predict"}]}
        answer = post(container, "8080", "/v2/models/categories/infer", document)
    assert answer["outputs"][0]["data"] == EXPECTED


def test_docker_stop_ends_it_with_exit_code_0(image: str) -> None:
    """It ends before the engine would kill it."""
    container = Container("--publish", "127.0.0.1::5000", *HARDENED, image)
    with removing(container):
        container.wait("ready", lambda: answers(container, "5000", "/ready"))
        docker("stop", "--time", "30", container.name)
        assert container.inspect("{{.State.ExitCode}}") == "0"


@pytest.mark.needs("docker compose")
def test_compose_serves_at_the_chosen_ports_until_it_is_taken_down(
    image: str, ports: list[int], tmp_path: Path
) -> None:
    """The README's own commands start and stop it, here with a ready image and another project name."""
    override = tmp_path / "override.yaml"
    override.write_text(f"services: {{api: {{image: '{image}'}}, v2: {{image: '{image}'}}}}\n")
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
        for words in documented_arguments("compose", "cases/categories/README.md")
    )
    try:
        docker(*("--no-build" if word == "--build" else word for word in up), "--wait")
        answer = requests.post(f"http://localhost:{ports[0]}/v1/categorize", json=PRODUCTS, timeout=30)
        v2 = requests.get(f"http://localhost:{ports[1]}/v2/models/categories/ready", timeout=30)
    finally:
        docker(*down)
    assert (answer.json(), v2.status_code) == ({"categories": EXPECTED}, 200)
    assert not docker("ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project=categories-test")
