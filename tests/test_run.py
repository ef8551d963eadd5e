"""`make run`: one word from nothing to a served model that answered, and nothing left when it ends."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tabserve.process import free_ports

ROOT = Path(__file__).parents[1]
QUICK = ["ROWS=1000", "CANDIDATES=dummy,xgboost-defaults-weighted", "JOBS=1"]


@contextmanager
def make_run(folder: Path, *variables: str) -> Iterator[subprocess.Popen[str]]:
    """Start `make run` in a process group of its own, as a terminal would, and let nothing of it survive."""
    names = ("MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT")
    ports = [f"{name}={port}" for name, port in zip(names, free_ports(3), strict=True)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    with (folder / "output").open("w") as output:
        running = subprocess.Popen(
            ["make", "-o", ".venv/.ready", "run", f"OUT={folder}/model", *QUICK, *ports, *variables],
            cwd=ROOT,
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
    """The output, once the sentence stands in it."""
    deadline = time.monotonic() + seconds
    while sentence not in (output := (folder / "output").read_text()):
        assert running.poll() is None, f"ended with {running.returncode} before {sentence!r}:\n{output}"
        assert time.monotonic() < deadline, f"no {sentence!r} within {seconds} s:\n{output}"
        time.sleep(0.1)
    return output


def test_once_ends_after_the_answers(tmp_path: Path) -> None:
    """With ONCE=1 the answers are printed, the server is stopped and the exit status is 0."""
    with make_run(tmp_path, "ONCE=1") as running:
        assert running.wait(timeout=180) == 0, (tmp_path / "output").read_text()
    assert "probability" in (tmp_path / "output").read_text()
    assert (tmp_path / "model/manifest.json").is_file()


@pytest.mark.parametrize(("send", "ending"), [(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)])
def test_the_server_stays_until_it_is_told_to_end(
    tmp_path: Path, send: Callable[[int, int], None], ending: signal.Signals
) -> None:
    """After Ctrl-C, which all processes get, or SIGTERM to make alone, the port is closed before `make run` ends."""
    with make_run(tmp_path) as running:
        output = wait_for("Ctrl-C stops it", tmp_path, running)
        port = int(output.split("at http://127.0.0.1:")[1].split()[0])
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        send(running.pid, ending)
        assert running.wait(timeout=60) != 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_failed_training_is_told_and_nothing_is_served(tmp_path: Path) -> None:
    """The trainer's sentence is the last word, and the exit status says that it failed."""
    with make_run(tmp_path, f"DATA={tmp_path}/missing.csv") as running:
        assert running.wait(timeout=120) != 0
    output = (tmp_path / "output").read_text()
    assert "missing.csv" in output
    assert "Traceback" not in output
    assert "Serving" not in output
