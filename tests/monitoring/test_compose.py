"""The compose file: Docker Compose takes it, and what it names is there."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.monitoring.programs import DEPLOY, SECONDS

pytestmark = pytest.mark.needs("docker compose")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services as Docker Compose understands them."""
    words: list[str | Path] = ["docker", "compose", "--file", DEPLOY / "compose.yaml", "config", "--format", "json"]
    told = subprocess.run(words, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert told.returncode == 0, told.stderr
    found: dict[str, Any] = json.loads(told.stdout)["services"]
    return found


def test_images_of_others_have_an_exact_version(services: dict[str, Any]) -> None:
    """Three numbers each; ours is built."""
    others = [service["image"] for service in services.values() if "build" not in service]
    assert len(others) == 3
    assert all(re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", image) for image in others)


def test_what_is_mounted_and_built_is_there(services: dict[str, Any]) -> None:
    """Every file and folder, which no container may change."""
    mounts = [mount for service in services.values() for mount in service.get("volumes", []) if mount["type"] == "bind"]
    assert mounts
    assert all(Path(mount["source"]).exists() and mount["read_only"] for mount in mounts)
    build = services["tabserve"]["build"]
    assert (Path(build["context"]) / build["dockerfile"]).is_file()


def test_only_the_proxy_is_reached_from_outside(services: dict[str, Any]) -> None:
    """Prometheus and Grafana answer this machine alone; the replicas, none but the other containers."""
    ports = {name: service.get("ports", []) for name, service in services.items()}
    assert {name for name, each in ports.items() if any("host_ip" not in port for port in each)} == {"proxy"}
    assert {port["host_ip"] for each in ports.values() for port in each if "host_ip" in port} == {"127.0.0.1"}
    assert not ports["tabserve"]
