"""The bill of materials of the image names its packages."""

import json
import re
import subprocess
import sys
from pathlib import Path

from packaging.utils import canonicalize_name
from tests.container.engine import MARKS, ROOT

pytestmark = MARKS


def test_the_bill_of_the_image_names_its_python_and_its_debian_packages(image: str, tmp_path: Path) -> None:
    """It has every locked package in its version, the project itself, Python and Debian's packages."""
    command = [sys.executable, "scripts/sbom.py", image, "--out", str(tmp_path / "bill.json")]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    assert finished.returncode == 0, finished.stderr
    bill = json.loads((tmp_path / "bill.json").read_text())
    components = {
        (part["purl"].split("/")[0], canonicalize_name(part["name"]), part["version"]) for part in bill["components"]
    }
    locked = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements/serve.txt").read_text(), re.MULTILINE)
    wanted = {("pkg:pypi", name, version) for name, version in [*locked, ("tabserve", "0.1.0")]}
    assert wanted <= components
    assert {("pkg:deb", "libc6"), ("pkg:generic", "python")} <= {(kind, name) for kind, name, _ in components}
