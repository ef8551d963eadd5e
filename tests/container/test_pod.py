"""A container of the image with the limits and settings of the pod in deploy/kubernetes."""

import gzip
import json
from typing import Any

import pytest
import requests
import yaml
from tests.container.engine import HARDENED, MARKS, ROOT, running
from tests.container.test_container import INFER, infer

MANIFESTS = ROOT / "deploy/kubernetes"

pytestmark = [*MARKS, pytest.mark.skipif(not MANIFESTS.exists(), reason="there is no deploy/kubernetes")]


def test_runs_as_kubernetes_would_run_it(image: str, golden: dict[str, Any]) -> None:
    """With the pod's memory and settings, hardened, it gives the golden probabilities and keeps its size limit."""
    pod = yaml.safe_load((MANIFESTS / "server/deployment.yaml").read_text())["spec"]["template"]["spec"]
    memory = pod["containers"][0]["resources"]["limits"]["memory"].replace("Mi", "m")
    (mount,) = pod["containers"][0]["volumeMounts"]
    settings = f"{MANIFESTS}/settings/settings.json:{mount['mountPath']}:ro"
    limit = json.loads((MANIFESTS / "settings/settings.json").read_text())["tabserve"]["max_body_bytes"]
    packed = gzip.compress(bytes(limit + 1))
    with running(image, *HARDENED, f"--memory={memory}", f"--volume={settings}") as container:
        probability = infer(container, golden["features"])["predict_proba"][1::2]
        url = f"http://{container.address('8080')}{INFER}"
        answer = requests.post(url, data=packed, headers={"Content-Encoding": "gzip"}, timeout=10)
    assert probability == pytest.approx(golden["probability"], abs=1e-6)
    assert answer.status_code == 413
    assert str(limit) in answer.text
