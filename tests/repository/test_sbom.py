"""The bill of materials of what serves names every locked package; that of the image is tested beside the image."""

import json
import os
import re
import subprocess
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements/serve.txt").read_text()


def test_the_bill_of_the_lock_names_every_package_in_its_version(tmp_path: Path) -> None:
    """`make sbom` starts with it; the hashes are those of the lock."""
    place = tmp_path / "serve.cdx.json"
    programs = os.path.relpath(sysconfig.get_path("scripts"), ROOT)
    words = ["-o", ".venv/.ready", f"BIN={programs}", f"SBOM={tmp_path}", str(place)]
    subprocess.run(["make", *words], cwd=ROOT, capture_output=True, check=True, timeout=120)
    components = json.loads(place.read_text())["components"]
    assert sorted((component["name"], component["version"]) for component in components) == sorted(
        re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.MULTILINE)
    )
    files = [file for component in components for file in component["externalReferences"]]
    hashes = sorted(each["content"] for file in files for each in file["hashes"])
    assert hashes == sorted(re.findall(r"--hash=sha256:(\w+)", LOCK))
