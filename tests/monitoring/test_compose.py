"""The compose file: Docker Compose accepts it, and the files that it names exist."""

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
    """The services as Docker Compose reads them."""
    command: list[str | Path] = ["docker", "compose", "--file", DEPLOY / "compose.yaml", "config", "--format", "json"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert finished.returncode == 0, finished.stderr
    services: dict[str, Any] = json.loads(finished.stdout)["services"]
    return services


def test_third_party_images_have_an_exact_version(services: dict[str, Any]) -> None:
    """Their tags have three numbers; our own image is built."""
    others = [service["image"] for service in services.values() if "build" not in service]
    assert len(others) == 3
    assert all(re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", image) for image in others)


def test_mounted_and_built_files_exist(services: dict[str, Any]) -> None:
    """Every mounted file and folder exists, and containers may only read it."""
    mounts = [mount for service in services.values() for mount in service.get("volumes", []) if mount["type"] == "bind"]
    assert mounts
    assert all(Path(mount["source"]).exists() and mount["read_only"] for mount in mounts)
    build = services["tabserve"]["build"]
    assert (Path(build["context"]) / build["dockerfile"]).is_file()


def test_only_the_proxy_is_reached_from_outside(services: dict[str, Any]) -> None:
    """Prometheus and Grafana are published on this machine alone, the replicas not at all."""
    ports = {name: service.get("ports", []) for name, service in services.items()}
    assert {name for name, published in ports.items() if any("host_ip" not in port for port in published)} == {"proxy"}
    assert {port["host_ip"] for published in ports.values() for port in published if "host_ip" in port} == {"127.0.0.1"}
    assert not ports["tabserve"]
