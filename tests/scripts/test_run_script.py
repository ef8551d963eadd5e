"""`make run` trains a model, serves it and asks it; no process is left when it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tabserve.client.local_server import free_ports

ROOT = Path(__file__).parents[2]
QUICK = ["ROWS=1000", "CANDIDATES=dummy,xgboost-defaults-weighted", "JOBS=1"]


@contextmanager
def make_run(folder: Path, *variables: str, clone: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    """Start `make run` in a process group of its own, as a terminal would, and end the group with the block."""
    names = ("MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT")
    ports = [f"{name}={port}" for name, port in zip(names, free_ports(3), strict=True)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    with (folder / "output").open("w") as output:
        running = subprocess.Popen(
            ["make", "-o", ".venv/.ready", "run", f"OUT={folder}/model", *QUICK, *ports, *variables],
            cwd=clone,
            env=inherited,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield running
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGTERM)
                running.wait(timeout=30)


def wait_for(sentence: str, folder: Path, running: subprocess.Popen[str], seconds: float = 120) -> str:
    """Wait for a sentence in the output; returns the output."""
    deadline = time.monotonic() + seconds
    while sentence not in (output := (folder / "output").read_text()):
        assert running.poll() is None, f"ended with {running.returncode} before {sentence!r}:\n{output}"
        assert time.monotonic() < deadline, f"no {sentence!r} within {seconds} s:\n{output}"
        time.sleep(0.1)
    return output


@pytest.mark.slow
def test_once_ends_after_the_answers(clone: Path, tmp_path: Path) -> None:
    """With ONCE=1, in a folder of any name, the answers are the last output, and the exit status is 0."""
    with make_run(tmp_path, "ONCE=1", clone=clone) as running:
        assert running.wait(timeout=180) == 0, (tmp_path / "output").read_text()
    log, answers = (tmp_path / "output").read_text().split("none of which the model was trained on:\n")
    assert [line.split()[0] for line in answers.splitlines()] == ["ID_code", *(f"synthetic_{row}" for row in range(10))]
    assert f"{tmp_path}/model.log" in log
    assert "Loaded model" in (tmp_path / "model.log").read_text()
    assert (tmp_path / "model/manifest.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(("send", "ending"), [(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)])
def test_the_server_runs_until_a_signal(
    tmp_path: Path, send: Callable[[int, int], None], ending: signal.Signals
) -> None:
    """The port is closed before `make run` ends, after Ctrl-C to all processes or SIGTERM to make alone."""
    with make_run(tmp_path) as running:
        output = wait_for("Ctrl-C stops it", tmp_path, running)
        port = int(output.split("at http://127.0.0.1:")[1].split()[0])
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        send(running.pid, ending)
        assert running.wait(timeout=60) != 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)


def test_after_a_failed_training_nothing_is_served(tmp_path: Path) -> None:
    """The output has the error of the training, and the exit status is not 0."""
    with make_run(tmp_path, f"DATA={tmp_path}/missing.csv") as running:
        assert running.wait(timeout=120) != 0
    output = (tmp_path / "output").read_text()
    assert "missing.csv" in output
    assert "Traceback" not in output
    assert "Serving" not in output


def run(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run scripts/run.sh directly."""
    return subprocess.run(
        ["scripts/run.sh", *words],
        cwd=ROOT,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "MLSERVER_HTTP_PORT": str(free_ports(1)[0]),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_prints_the_usage_and_trains_nothing(word: str) -> None:
    """The usage is on stdout, and the exit code is 0."""
    result = run(word)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("usage: scripts/run.sh MODEL_FOLDER")


@pytest.mark.parametrize("words", [(), ("",), ("--rows", "10")])
def test_without_a_folder_the_usage_is_shown(words: tuple[str, ...]) -> None:
    """The usage is on stderr, and the exit code is 2; an option is not a folder."""
    refused = run(*words)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == run("--help").stdout


def test_a_python_without_tabserve_is_refused(tmp_path: Path) -> None:
    """The script prints one sentence with advice, also if there is no `python`."""
    refused = run(str(tmp_path / "model"), PATH="/usr/bin:/bin")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("This Python has no tabserve: use 'make run'")
    assert refused.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_server_that_cannot_start_ends_the_script(tmp_path: Path) -> None:
    """The script prints the server's own sentence from its log, and has the server's exit status."""
    words = ("--rows", "1000", "--candidates", "dummy,xgboost-defaults-weighted", "--jobs", "1")
    ended = run(str(tmp_path / "model"), *words, MLSERVER_HOST="192.0.2.1", ONCE="1")
    assert ended.returncode == 5
    assert f"{tmp_path}/model.log" in ended.stderr
    assert "of host '192.0.2.1' cannot be opened" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_table_at_the_path_of_the_servers_log_is_refused_before_any_work(tmp_path: Path) -> None:
    """The script compares files, not names, and does not change the table."""
    (tmp_path / "model.log").write_text("mine")
    (tmp_path / "mine.csv").symlink_to("model.log")
    ended = run(f"{tmp_path}/model", DATA=f"{tmp_path}/mine.csv")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(
        f"{tmp_path}/model.log is the table that is read, and the server's log would replace it"
    )
    assert (tmp_path / "model.log").read_text() == "mine"
