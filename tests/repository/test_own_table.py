"""docs/own-table.md is true: its table is made, and every command and line of it is run."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tabserve.client.local_server import running
from tabserve.model.model import load

PAGE = (Path(__file__).parents[2] / "docs/own-table.md").read_text()
COMMANDS = [
    line.partition("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
"""The page's commands, in its order."""

CUSTOMERS, EXAMPLE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
"""The page's two pieces of Python."""

SECONDS = 300


def run(folder: Path, command: str) -> str:
    """Run a command of the page in a folder; its output."""
    program, *words = shlex.split(command)
    start = [sys.executable] if program == "python" else [sys.executable, "-m", program]
    done = subprocess.run(
        [*start, *words],
        cwd=folder,
        env={**os.environ, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's tables."""
    folder = tmp_path_factory.mktemp("own-table")
    (folder / "customers.py").write_text(CUSTOMERS)
    run(folder, "python customers.py")
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    """The folder after the page's first command."""
    run(folder, COMMANDS[0])
    return folder


def test_the_page_shows_what_the_look_prints(folder: Path) -> None:
    """To the letter."""
    (command,) = (command for command in COMMANDS if command.endswith("--look"))
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert run(folder, command) == shown


@pytest.mark.slow
def test_the_first_command_trains_a_model_that_beats_the_baseline(trained: Path) -> None:
    """The folder has its card and its report, and the command says where."""
    metrics = load(trained / "build/churn").metrics
    assert metrics["holdout"]["roc_auc"]["low"] > 0.6
    assert {file.name for file in (trained / "build/churn").iterdir()} >= {"report.html", "MODEL_CARD.md"}
    assert "build/churn" in run(trained, "tabserve check build/churn")


@pytest.mark.slow
def test_a_server_and_a_file_of_scores_give_the_same_answers(trained: Path) -> None:
    """For all rows of the other table."""
    serve, ask, score = COMMANDS[1:4]
    run(trained, score)
    command = [sys.executable, "-m", *shlex.split(serve)[:2]]  # `running` appends the folder
    with running(trained / "build/churn", {}, command, "/v2/models/churn/ready") as server:
        answers = run(trained, f"{ask} --url {server.url} --out answers.csv")
    assert answers.startswith("Wrote the answers to 300 rows")
    pd.testing.assert_frame_equal(pd.read_csv(trained / "answers.csv"), pd.read_csv(trained / "scores.csv"))


@pytest.mark.slow
def test_a_plan_trains_the_same_model_folder(trained: Path) -> None:
    """Byte for byte in the manifest."""
    before = (trained / "build/churn/manifest.json").read_bytes()
    write, train = (command for command in COMMANDS if "churn.toml" in command)
    run(trained, write)
    run(trained, train)
    assert (trained / "build/churn/manifest.json").read_bytes() == before


@pytest.mark.slow
def test_the_python_example_trains_and_saves(folder: Path) -> None:
    """By another metric, and with ids."""
    (folder / "example.py").write_text(EXAMPLE)
    _, first, *_ = run(folder, "python example.py").splitlines()
    assert first.startswith("ROC AUC")
    assert load(folder / "build/customers").problem.id == "customer"


def test_every_command_of_the_page_is_run_here() -> None:
    """No other command stands on the page."""
    assert [command.split(maxsplit=2)[1] for command in COMMANDS] == [
        *("train", "serve", "ask", "score", "customers.py", "train", "train", "train", "check")
    ]
