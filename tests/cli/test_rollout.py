"""What docs/rollout.md says is done: its commands are taken from the page and run in their order, around a server."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from santander.sample import sample
from tabserve.client.answer import Answer
from tabserve.client.local_server import free_ports
from tabserve.client.rest import RestClient
from tabserve.model.decision import Threshold
from tabserve.model.model import load
from tabserve.table.frame import Frame

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/rollout.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
START = " & echo $! > build/served.pid"
SECONDS = 60


class Place:
    """A folder in which the page is followed, with ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ports = folder, dict(zip(("8080", "8081", "8082"), map(str, free_ports(3)), strict=True))
        names = ("MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT")
        self.environment = {
            **os.environ,
            **dict(zip(names, self.ports.values(), strict=True)),
            "MLSERVER_HOST": "127.0.0.1",
            "TABSERVE_ADMIN": "true",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def run(self, block: str) -> str:
        """Run a block of the page to its end; what it printed."""
        for shown, port in self.ports.items():
            block = block.replace(f"localhost:{shown}", f"127.0.0.1:{port}")
        block = block.replace("train.py", "train.py --candidates xgboost-stumps,dummy --jobs 1")  # soon done
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=4 * SECONDS,
            check=False,
        )
        assert ended.returncode == 0, f"{block}{ended.stdout}{ended.stderr}"
        return ended.stdout

    def start(self, command: str) -> "subprocess.Popen[bytes]":
        """Start the server that a line of the page starts, and keep its process id as the line does."""
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(
                shlex.split(command), cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )
        (self.folder / "build/served.pid").write_text(f"{process.pid}\n")
        return process

    def ask(self, features: NDArray[np.float32]) -> Answer:
        """The served model's answer."""
        client = RestClient(f"http://127.0.0.1:{self.ports['8080']}", "xgboost-model", timeout=30)
        return client.ask(features, ["predict_proba"])


def written(frame: Frame, path: Path) -> None:
    """A labelled table."""
    table = pd.DataFrame(frame.features, columns=list(frame.problem.features))
    table.insert(0, "ID_code", frame.ids)
    table.assign(target=frame.target).to_csv(path, index=False)


@pytest.fixture
def place(tmp_path: Path, sample_frame: Frame) -> Place:
    """The repository's folders that the page names, and tables of few rows."""
    for name in ("scripts", "deploy"):
        (tmp_path / name).symlink_to(ROOT / name)
    written(sample_frame.take(np.arange(1_000)), tmp_path / "train.csv")
    written(sample(400, seed=2), tmp_path / "labelled.csv")
    written(sample(400, seed=3), tmp_path / "new.csv")
    return Place(tmp_path)


def steps(blocks: list[str]) -> Iterator[tuple[str, str]]:
    """Each block, without the line that starts the server, and that line."""
    for block in blocks:
        lines = block.splitlines(keepends=True)
        starting = [line for line in lines if START in line]
        yield "".join(line for line in lines if line not in starting), "".join(starting).replace(START, "")


def until_reloaded(place: Place, features: NDArray[np.float32]) -> None:
    """Wait until the model behind the link answers; until then every request is answered by the one before."""
    expected = load(place.folder / "build/served").score(features).probability
    deadline = time.monotonic() + SECONDS
    while not np.allclose(place.ask(features).outputs["predict_proba"][:, 1], expected, rtol=0, atol=1e-7):
        assert time.monotonic() < deadline, (place.folder / "log").read_text()
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.needs("curl")
def test_a_model_is_rolled_out_and_back_as_the_page_says(place: Place, sample_frame: Frame) -> None:
    """Built, compared, moved, swapped by signal and by route, and rolled back, on one server that never stops."""
    printed, processes, features = list[str](), list["subprocess.Popen[bytes]"](), sample_frame.features[:5]
    try:
        for block, starting in steps(BLOCKS):
            printed.append(place.run(block) if block else "")
            if starting:
                processes.append(place.start(starting))
            if "kill -HUP" in block:
                until_reloaded(place, features)
        (server,) = processes
        assert server.poll() is None
    finally:
        for process in processes:
            process.terminate()
            process.wait(SECONDS)
    old, new = (load(place.folder / "build" / name) for name in ("model-1", "model-2"))
    assert new.decision == Threshold(0.3) != new.measured_with
    assert (place.folder / "build/served").resolve().name == "model-1"
    assert (place.folder / "build/changed.csv").is_file()
    assert (place.folder / "build/drift.svg").is_file()
    said = "\n".join(printed)
    for fact in ("400 rows", "ROC AUC", "threshold of build/model-2 is 0.3", 'threshold="0.3"'):
        assert fact in said
    assert old.decision == load(ROOT / "deploy/model").decision


def test_the_image_is_built_as_the_readme_builds_it() -> None:
    """By the command that the container tests run, but for the tag."""
    (command,) = re.findall(r"^```bash\n(.*)\n```$", PAGE, re.MULTILINE)
    assert command.replace("tabserve:model-2", "tabserve") in (ROOT / "README.md").read_text().splitlines()
