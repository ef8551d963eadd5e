"""A local server reports why it did not start, and does not outlive its block."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tabserve.client import local_server
from tabserve.errors import ServerError


def test_a_server_that_ends_at_once_is_reported_with_its_log(tmp_path: Path) -> None:
    """The error has the exit code and the end of the log."""
    command = [sys.executable, "-c", "import sys; print('no model here'); sys.exit(7)"]
    with (
        pytest.raises(ServerError, match=r"exit code 7: no model here"),
        local_server.running(tmp_path, command=command),
    ):
        pytest.fail("the block must not start")


def test_a_server_that_is_never_ready_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the deadline the server is ended, even if it ignores SIGTERM."""
    monkeypatch.setattr(local_server, "READY_SECONDS", 1.0)
    monkeypatch.setattr(local_server, "STOP_SECONDS", 0.5)
    pid = tmp_path / "pid"
    deaf = (
        "import os, pathlib, signal, sys, time; signal.signal(15, signal.SIG_IGN);"
        f" pathlib.Path({str(pid)!r}).write_text(str(os.getpid())); time.sleep(60)"
    )
    with (
        pytest.raises(ServerError, match="not ready within 1 s"),
        local_server.running(tmp_path, command=[sys.executable, "-c", deaf]),
    ):
        pytest.fail("the block must not start")
    assert not Path("/proc", pid.read_text()).exists()


def test_processes_get_different_free_ports() -> None:
    """Processes that start soon after each other get no port twice, and none that the system gives to connections."""
    code = "from tabserve.client.local_server import free_ports; print(*free_ports(100))"
    command = [sys.executable, "-c", code]
    processes = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(4)]
    ports = [int(port) for process in processes for port in process.stdout.split()]
    assert len({*ports}) == 400
    assert max(ports) < 32_768


def test_a_port_that_is_in_use_is_not_free() -> None:
    """A port that a server listens on is left out."""
    local_server._ports.cache_clear()
    _, used, _ = local_server.free_ports(3)
    with socket.create_server(("127.0.0.1", used)):
        local_server._ports.cache_clear()  # to start at the same port again
        assert used not in local_server.free_ports(3)
