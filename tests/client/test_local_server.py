"""A server of one's own says why it did not start, and does not outlive its block."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tabserve.client import local_server
from tabserve.errors import ServerError


def test_a_server_that_ends_at_once_is_reported_with_its_log(tmp_path: Path) -> None:
    """The reason it gave is in the error."""
    command = [sys.executable, "-c", "import sys; print('no model here'); sys.exit(7)"]
    with (
        pytest.raises(ServerError, match=r"exit code 7: no model here"),
        local_server.running(tmp_path, command=command),
    ):
        pytest.fail("the block must not start")


def test_a_server_that_is_never_ready_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the deadline, whatever it does with SIGTERM."""
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


def test_no_port_is_given_twice_in_a_while() -> None:
    """Nor to a process that is started soon after, nor may the system give it to a connection."""
    code = "from tabserve.client.local_server import free_ports; print(*free_ports(100))"
    others = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in "1234"]
    found = [int(port) for other in others for port in other.stdout.split()]
    assert len({*found}) == 400
    assert max(found) < 32_768


def test_a_port_that_is_listened_on_is_passed_over() -> None:
    """Whoever listens."""
    local_server._ports.cache_clear()
    _, taken, _ = local_server.free_ports(3)
    with socket.create_server(("127.0.0.1", taken)):
        local_server._ports.cache_clear()  # to begin where it began
        assert taken not in local_server.free_ports(3)
