"""The bill of materials of the image names what it is made of."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.container,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not os.environ.get("TABSERVE_TEST_CONTAINER"),
        reason="container tests were not asked for: run `make test-container`",
    ),
]


def run(*words: str) -> None:
    """Run a command; its complaint is the failure's message."""
    finished = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    assert finished.returncode == 0, finished.stderr


def test_the_bill_of_the_image_names_its_python_and_its_debian_packages(tmp_path: Path) -> None:
    """Every locked package in its version, the project itself, Python, and what Debian's base brings."""
    options = os.environ.get("DOCKER_BUILD_OPTIONS", "").split()
    run("docker", "build", *options, "--tag", "tabserve-test", "--file", "deploy/Dockerfile", ".")
    run(sys.executable, "scripts/sbom.py", "tabserve-test", "--out", str(tmp_path / "bill.json"))
    bill = json.loads((tmp_path / "bill.json").read_text())
    held = {
        (part["purl"].split("/")[0], canonicalize_name(part["name"]), part["version"]) for part in bill["components"]
    }
    locked = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements/serve.txt").read_text(), re.MULTILINE)
    wanted = {("pkg:pypi", name, version) for name, version in [*locked, ("tabserve", "0.1.0")]}
    assert wanted <= held
    assert {("pkg:deb", "libc6"), ("pkg:generic", "python")} <= {(kind, name) for kind, name, _ in held}
