"""The image: built as documented, run as a user would, and spoken to from outside."""

import gzip
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

ROOT = Path(__file__).parents[2]
ASKED = os.environ.get("TABSERVE_TEST_CONTAINER")


def engine_answers() -> bool:
    """Whether there is a Docker engine to build and run with."""
    asked = ["docker", "info"]
    return bool(shutil.which("docker")) and subprocess.run(asked, capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.container,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not ASKED, reason="container tests were not asked for: run `make test-container`"),
    pytest.mark.skipif(bool(ASKED) and not engine_answers(), reason="no Docker engine answers"),
]

Runner = Callable[..., "Container"]


def docker(*arguments: str, check: bool = True) -> str:
    """Run one docker command and return what it printed."""
    command = ["docker", *arguments]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    assert not check or finished.returncode == 0, f"{' '.join(command)} failed: {finished.stderr}{finished.stdout}"
    return finished.stdout.strip()


class Container:
    """A running container of the image, on a port of its own."""

    def __init__(self, image: str, *options: str) -> None:
        self.name = docker("run", "--detach", "--publish", "127.0.0.1::8080", *options, image)
        self.url = f"http://{docker('port', self.name, '8080').splitlines()[0]}"

    def inspect(self, template: str) -> str:
        return docker("inspect", "--format", template, self.name)

    def wait(self, what: str, holds: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"not {what} after {seconds} s: {docker('logs', self.name)}"
            time.sleep(0.2)

    def ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/v2/models/xgboost-model/ready", timeout=2).ok
        except requests.ConnectionError:
            return False

    def infer(self, rows: list[list[float]]) -> dict[str, Any]:
        tensor = {"name": "predict", "datatype": "FP32", "shape": [len(rows), len(rows[0])], "data": rows}
        answer = requests.post(f"{self.url}/v2/models/xgboost-model/infer", json={"inputs": [tensor]}, timeout=10)
        assert answer.status_code == 200, answer.text
        outputs: dict[str, Any] = {output["name"]: output["data"] for output in answer.json()["outputs"]}
        return outputs


@pytest.fixture(scope="module")
def image() -> str:
    """The image's name, built from this work tree."""
    options = os.environ.get("DOCKER_BUILD_OPTIONS", "").split()
    docker("build", *options, "--tag", "tabserve-test", "--file", "deploy/Dockerfile", ".")
    return "tabserve-test"


@pytest.fixture
def run(image: str) -> Iterator[Runner]:
    """Start containers that are removed after the test."""
    started: list[Container] = []

    def start(*options: str) -> Container:
        started.append(Container(image, *options))
        started[-1].wait("ready", started[-1].ready)
        return started[-1]

    yield start
    for container in started:
        docker("rm", "--force", "--volumes", container.name)


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    """Rows with the probabilities that the committed model gives them."""
    rows: dict[str, Any] = json.loads((ROOT / "deploy/model/golden.json").read_text())
    return rows


def test_answers_what_the_model_folder_promises(run: Runner, golden: dict[str, Any]) -> None:
    """A container asked by HTTP gives the golden rows the probabilities that were stored with them."""
    outputs = run().infer(golden["features"])
    assert outputs["predict_proba"][1::2] == pytest.approx(golden["probability"], abs=1e-6)  # of both classes, in turn


def test_stops_cleanly_when_told_to(run: Runner) -> None:
    """SIGTERM ends the server by itself, with exit status 0, before Docker would kill it."""
    container = run()
    docker("stop", "--time", "30", container.name)
    assert container.inspect("{{.State.ExitCode}}") == "0"


def test_reports_its_health(run: Runner) -> None:
    """Docker's own health check finds the model ready."""
    container = run()
    container.wait("healthy", lambda: container.inspect("{{.State.Health.Status}}") == "healthy")


def test_serves_the_model_mounted_at_its_place(run: Runner, golden: dict[str, Any], tmp_path: Path) -> None:
    """A folder mounted at /model is served instead of the image's own: here one that labels every row 1."""
    shutil.copytree(ROOT / "deploy/model", tmp_path / "model")
    manifest = tmp_path / "model/manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"threshold": 0.0}))
    outputs = run("--volume", f"{tmp_path}/model:/model:ro").infer(golden["features"])
    assert set(outputs["predict"]) == {1}


def test_is_not_root(run: Runner) -> None:
    """The server's process belongs to the fixed, unprivileged user."""
    assert docker("exec", run().name, "python", "-c", "import os; print(os.getuid(), os.getgid())") == "10001 10001"


def test_installs_what_serves_and_nothing_that_trains(image: str) -> None:
    """Of the packages that train, none can be imported in the image."""
    search = "from importlib.util import find_spec; print(*map(find_spec, ['sklearn', 'pyarrow', 'matplotlib', 'pip']))"
    assert docker("run", "--rm", image, "python", "-c", search) == "None None None None"


def test_misses_no_package_but_the_one_it_replaces(image: str) -> None:
    """`pip check` complains about xgboost alone, for which the image has xgboost-cpu."""
    checked = docker("run", "--rm", image, "pip", "--python", "/opt/venv/bin/python", "check", check=False)
    assert checked.splitlines() == ["tabserve 0.1.0 requires xgboost, which is not installed."]


def test_runs_as_kubernetes_would_run_it(run: Runner, golden: dict[str, Any]) -> None:
    """With the pod's memory and settings, no capability and no place to write, it answers what it promises."""
    manifests = ROOT / "deploy/kubernetes"
    pod = yaml.safe_load((manifests / "server/deployment.yaml").read_text())["spec"]["template"]["spec"]
    memory = pod["containers"][0]["resources"]["limits"]["memory"].replace("Mi", "m")
    (mount,) = pod["containers"][0]["volumeMounts"]
    settings = f"{manifests}/settings/settings.json:{mount['mountPath']}:ro"
    confined = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", f"--memory={memory}"]
    container = run(*confined, f"--volume={settings}")
    assert container.infer(golden["features"])["predict_proba"][1::2] == pytest.approx(golden["probability"], abs=1e-6)
    limit = json.loads((manifests / "settings/settings.json").read_text())["tabserve"]["max_body_bytes"]
    body, packed = gzip.compress(bytes(limit + 1)), {"Content-Encoding": "gzip"}
    answer = requests.post(f"{container.url}/v2/models/xgboost-model/infer", data=body, headers=packed, timeout=10)
    assert answer.status_code == 413
    assert str(limit) in answer.text
