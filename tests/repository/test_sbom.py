"""The bill of materials of the serving lock names every locked package; tests/container tests that of the image."""

import json
import os
import re
import subprocess
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements/serve.txt").read_text()


def test_the_bill_of_the_lock_names_every_package_in_its_version(tmp_path: Path) -> None:
    """`make sbom` writes it first, and its hashes are those of the lock."""
    path = tmp_path / "serve.cdx.json"
    programs = os.path.relpath(sysconfig.get_path("scripts"), ROOT)
    arguments = ["-o", ".venv/.ready", f"BIN={programs}", f"SBOM={tmp_path}", str(path)]
    subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, check=True, timeout=120)
    components = json.loads(path.read_text())["components"]
    assert sorted((component["name"], component["version"]) for component in components) == sorted(
        re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.MULTILINE)
    )
    files = [file for component in components for file in component["externalReferences"]]
    hashes = sorted(digest["content"] for file in files for digest in file["hashes"])
    assert hashes == sorted(re.findall(r"--hash=sha256:(\w+)", LOCK))
