"""The commands of docs/rollout.md do what the page says: they are run in their order, with one server."""

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


class Workspace:
    """A folder in which the page's commands are run, with free ports."""

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
        """Run a block of commands of the page; returns its output."""
        for shown, port in self.ports.items():
            block = block.replace(f"localhost:{shown}", f"127.0.0.1:{port}")
        block = block.replace("train.py", "train.py --candidates xgboost-stumps,dummy --jobs 1")  # fast
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
        """Ask the server for probabilities."""
        client = RestClient(f"http://127.0.0.1:{self.ports['8080']}", "xgboost-model", timeout=30)
        return client.ask(features, ["predict_proba"])


def write_table(frame: Frame, path: Path) -> None:
    """Write a labelled table."""
    table = pd.DataFrame(frame.features, columns=list(frame.problem.features))
    table.insert(0, "ID_code", frame.ids)
    table.assign(target=frame.target).to_csv(path, index=False)


@pytest.fixture
def workspace(tmp_path: Path, sample_frame: Frame) -> Workspace:
    """The repository's folders that the page names, and tables of few rows."""
    for name in ("scripts", "deploy"):
        (tmp_path / name).symlink_to(ROOT / name)
    write_table(sample_frame.take(np.arange(1_000)), tmp_path / "train.csv")
    write_table(sample(400, seed=2), tmp_path / "labelled.csv")
    write_table(sample(400, seed=3), tmp_path / "new.csv")
    return Workspace(tmp_path)


def steps(blocks: list[str]) -> Iterator[tuple[str, str]]:
    """Split each block into its commands and the line that starts the server, if it has one."""
    for block in blocks:
        lines = block.splitlines(keepends=True)
        starts = [line for line in lines if START in line]
        yield "".join(line for line in lines if line not in starts), "".join(starts).replace(START, "")


def wait_until_reloaded(workspace: Workspace, features: NDArray[np.float32]) -> None:
    """Wait until the model behind the link answers; until then the previous model answers every request."""
    expected = load(workspace.folder / "build/served").score(features).probability
    deadline = time.monotonic() + SECONDS
    while not np.allclose(workspace.ask(features).outputs["predict_proba"][:, 1], expected, rtol=0, atol=1e-7):
        assert time.monotonic() < deadline, (workspace.folder / "log").read_text()
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.needs("curl")
def test_a_model_is_rolled_out_and_back_as_the_page_says(workspace: Workspace, sample_frame: Frame) -> None:
    """One server runs through the whole page: training, comparison, new threshold, reloads, and the way back."""
    outputs, processes, features = list[str](), list["subprocess.Popen[bytes]"](), sample_frame.features[:5]
    try:
        for block, start in steps(BLOCKS):
            outputs.append(workspace.run(block) if block else "")
            if start:
                processes.append(workspace.start(start))
            if "kill -HUP" in block:
                wait_until_reloaded(workspace, features)
        (server,) = processes
        assert server.poll() is None
    finally:
        for process in processes:
            process.terminate()
            process.wait(SECONDS)
    old, new = (load(workspace.folder / "build" / name) for name in ("model-1", "model-2"))
    assert new.decision == Threshold(0.3) != new.measured_with
    assert (workspace.folder / "build/served").resolve().name == "model-1"
    assert (workspace.folder / "build/changed.csv").is_file()
    assert (workspace.folder / "build/drift.svg").is_file()
    output = "\n".join(outputs)
    for fact in ("400 rows", "ROC AUC", "threshold of build/model-2 is 0.3", 'threshold="0.3"'):
        assert fact in output
    assert old.decision == load(ROOT / "deploy/model").decision


def test_the_image_is_built_as_the_readme_builds_it() -> None:
    """The page's command is that of the README, which the container tests run, except for the tag."""
    (command,) = re.findall(r"^```bash\n(.*)\n```$", PAGE, re.MULTILINE)
    assert command.replace("tabserve:model-2", "tabserve") in (ROOT / "README.md").read_text().splitlines()
