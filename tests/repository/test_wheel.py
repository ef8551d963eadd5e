"""The wheel holds the package and the committed model, and serves it wherever it is installed."""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest
import requests

from tabserve.client.local_server import running

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements/serve.txt"
OVERRIDES = ROOT / "requirements/overrides-serve.txt"
SETTINGS = ("settings.json", "model-settings.json")


def build(source: Path, target: str, out: Path) -> Path:
    """Build an archive of a source tree with the locked build tool, without downloads."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(out)]
    subprocess.run(command, cwd=source, capture_output=True, check=True, timeout=60)
    (archive,) = out.iterdir()
    return archive


def uv(*arguments: str | Path) -> None:
    """Run `uv`, which caches downloaded packages."""
    command = [Path(sysconfig.get_path("scripts"), "uv"), *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    if "Failed to fetch" in finished.stderr:
        pytest.skip(f"the locked packages can neither be downloaded nor were they before: {finished.stderr}")
    assert finished.returncode == 0, finished.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this work tree."""
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with only `tabserve[serve]` in the locked versions."""
    environment = tmp_path_factory.mktemp("installed") / "venv"
    install = ("pip", "install", "--python", environment)
    uv("venv", "--python", sys.executable, environment)
    uv(*install, "--require-hashes", "--no-deps", "--requirements", LOCK)
    uv(*install, "--no-index", "--overrides", OVERRIDES, f"tabserve[serve] @ {wheel.as_uri()}")
    return environment / "bin/python"


def test_the_wheel_holds_the_package_and_the_committed_model_alone(wheel: Path) -> None:
    """It has no case, test or script, and each file is the repository's."""
    package = (path for path in (ROOT / "src/tabserve").rglob("*") if path.is_file() and path.suffix != ".pyc")
    expected = {path.relative_to(ROOT / "src").as_posix(): path for path in package}
    model = [*(ROOT / "deploy" / name for name in SETTINGS), *(ROOT / "deploy/model").iterdir()]
    expected |= {f"tabserve/{path.relative_to(ROOT).as_posix()}": path for path in model}
    with ZipFile(wheel) as archive:
        contents = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    assert contents == {name: path.read_bytes() for name, path in expected.items()}


def test_the_source_archive_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """A build from it gives the published wheel, byte for byte."""
    with tarfile.open(build(ROOT, "sdist", tmp_path / "archive")) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.glob("tabserve-*")
    assert build(source, "wheel", tmp_path / "wheel").read_bytes() == wheel.read_bytes()


@pytest.mark.slow
def test_an_installed_wheel_serves_the_committed_model_by_default(python: Path) -> None:
    """Outside the repository, `tabserve serve` gives the golden rows their stored probabilities."""
    golden = json.loads((ROOT / "deploy/model/golden.json").read_text())
    rows = golden["features"]
    tensor = {"name": "predict", "datatype": "FP32", "shape": [len(rows), len(rows[0])], "data": rows}
    with running(None, {"PYTHONPATH": ""}, command=[str(python.with_name("tabserve")), "serve"]) as server:
        url = f"{server.url}/v2/models/xgboost-model/infer"
        answer = requests.post(url, json={"inputs": [tensor], "outputs": [{"name": "predict_proba"}]}, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"][0]["data"][1::2] == pytest.approx(
        [positive for (positive,) in golden["outputs"]], abs=1e-6
    )


USER = """
from tabserve.client.local_server import free_ports

ports: list[int] = free_ports(2)
name: str = free_ports(2)
"""


@pytest.mark.slow
def test_a_users_types_are_checked_against_those_of_an_installed_wheel(python: Path, tmp_path: Path) -> None:
    """`mypy --strict` accepts correct code and refuses only the wrong line."""
    (tmp_path / "user.py").write_text(USER)
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python), "user.py"]
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "MYPYPATH"}}
    finished = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=240
    )
    (refused,) = finished.stdout.splitlines()[:-1]
    assert refused.startswith("user.py:5: error: Incompatible types in assignment")


@pytest.mark.slow
def test_an_installed_wheel_brings_no_case_and_nothing_of_the_repository(python: Path) -> None:
    """The package is imported from its environment, and `santander` cannot be imported."""
    ask = "import tabserve, importlib.util as u; print(tabserve.__file__, u.find_spec('santander'))"
    command = [str(python), "-I", "-c", ask]
    path, case = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    assert (Path(path).is_relative_to(python.parents[1]), case) == (True, "None")
