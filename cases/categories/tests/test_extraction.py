"""`scripts/fetch_data.py` checks the real products before it writes them; every failure is one sentence."""

import gzip
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import Event, Thread
from types import ModuleType
from typing import ClassVar, NamedTuple

import pandas as pd
import pytest

from categories.sample import products
from tabserve.errors import DataError

SCRIPT = Path(__file__).parents[1] / "scripts" / "fetch_data.py"

UNREACHABLE = "http://127.0.0.1:9"
"""Port 9 of this machine, where nothing listens."""

Fetch = Callable[..., "subprocess.CompletedProcess[str]"]


class Reply(NamedTuple):
    body: bytes
    status: int = 200
    missing: int = 0  # bytes that are announced and never sent
    waits: bool = False
    headers: tuple[tuple[str, str], ...] = ()


class FakeHost(BaseHTTPRequestHandler):
    """Answers every request with `reply`."""

    reply: ClassVar[Reply]
    begun: ClassVar[Event]
    leave: ClassVar[Event]

    def do_GET(self) -> None:
        self.send_response(self.reply.status)
        self.send_header("Content-Length", str(len(self.reply.body) + self.reply.missing))
        for header in self.reply.headers:
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(self.reply.body)
        if self.reply.waits:
            self.begun.set()
            self.leave.wait(60)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[type[FakeHost], str]]:
    """A local server that answers with `reply`, and its address."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    leave = Event()
    handler: type[FakeHost] = type("OneHost", (FakeHost,), {"begun": Event(), "leave": leave})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield handler, f"http://127.0.0.1:{server.server_port}/table.csv"
        leave.set()
        server.shutdown()
        thread.join(20)


@pytest.fixture
def fetch(script: Fetch) -> Fetch:
    """A function that runs the case's scripts/fetch_data.py."""
    return partial(script, SCRIPT)


@pytest.fixture
def fetch_data() -> ModuleType:
    """The script as a module."""
    spec = spec_from_file_location("fetch_categories_data", SCRIPT)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def table(rows: int, columns: tuple[str, ...]) -> bytes:
    """A csv of synthetic products with the challenge's columns."""
    frame = products(rows).reindex(columns=list(columns), fill_value=1)
    return frame.to_csv(index=False).encode()


def test_a_whole_table_is_written_and_kept(
    fetch_data: ModuleType,
    host: tuple[type[FakeHost], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The file has the server's bytes; the second run checks it and does not fetch it again."""
    handler, address = host
    handler.reply = Reply(table(50, fetch_data.COLUMNS))
    out = tmp_path / "data" / "products.csv"
    monkeypatch.setattr(fetch_data, "ROWS", 50)
    for url in (address, UNREACHABLE):
        monkeypatch.setattr(sys, "argv", ["fetch_data.py", "--address", url, "--out", str(out)])
        fetch_data.main()
        assert out.read_bytes() == handler.reply.body
    assert capsys.readouterr().out.count("products.csv holds 50 rows of 15 columns.") == 2


def test_an_unreachable_address_is_one_sentence(fetch: Fetch, tmp_path: Path) -> None:
    """The message says what to do, and nothing is written."""
    out = tmp_path / "data" / "products.csv"
    finished = fetch("--address", UNREACHABLE, "--out", out, NO_PROXY="127.0.0.1")
    assert finished.returncode == 3
    assert finished.stderr.startswith("The table was not delivered: ")
    assert "--address" in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert not out.parent.exists()


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(b"<Error>AccessDenied</Error>", status=403), "403 Client Error"),
        (Reply(b"", status=503), "503 Server Error"),
        (Reply(b"product_id,title\n1,caneca\n", missing=100), "100 more expected"),
        (Reply(b"<html>sign in</html>"), "it is a page of HTML; download the table itself"),
        (Reply(b""), "cannot be read as a table"),
        (Reply(b"product_id,seller_id,title\n1,1,caneca\n"), "products.csv lacks 'query', 'search_page'"),
        (Reply(b"", status=302, headers=(("Location", "http://["),)), "The table was not delivered: Invalid IPv6 URL"),
    ],
    ids=["forbidden", "unavailable", "torn", "a page", "empty", "other columns", "to nowhere"],
)
def test_an_answer_that_is_not_the_table_is_not_written(
    fetch: Fetch, host: tuple[type[FakeHost], str], reply: Reply, message: str, tmp_path: Path
) -> None:
    """One sentence says why the answer is refused."""
    (handler, address), out = host, tmp_path / "data" / "products.csv"
    handler.reply = reply
    finished = fetch("--address", address, "--out", out)
    assert finished.returncode == 3
    assert message in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert not out.parent.exists()


@pytest.mark.parametrize(
    "reply",
    [Reply(bytes(2**20 + 1)), Reply(gzip.compress(bytes(2**20 + 1)), headers=(("Content-Encoding", "gzip"),))],
    ids=["plain", "packed"],
)
def test_an_answer_that_is_too_large_is_refused(
    fetch_data: ModuleType,
    host: tuple[type[FakeHost], str],
    reply: Reply,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The size is that of the unpacked answer."""
    handler, address = host
    handler.reply = reply
    monkeypatch.setattr(fetch_data, "MAX_BYTES", 2**20)
    monkeypatch.setattr(sys, "argv", ["fetch_data.py", "--address", address, "--out", str(tmp_path / "products.csv")])
    with pytest.raises(DataError, match=r"no such table: it is larger than 1,048,576 bytes"):
        fetch_data.main()
    assert not list(tmp_path.iterdir())


def test_a_table_with_another_number_of_rows_is_not_written(
    fetch: Fetch, fetch_data: ModuleType, host: tuple[type[FakeHost], str], tmp_path: Path
) -> None:
    """A table of 20 rows instead of 38,507 is refused."""
    (handler, address), out = host, tmp_path / "data" / "products.csv"
    handler.reply = Reply(table(20, fetch_data.COLUMNS))
    finished = fetch("--address", address, "--out", out)
    assert finished.returncode == 3
    assert f"{out} holds 20 rows; expected 38,507" in finished.stderr
    assert not out.parent.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_a_download_leaves_nothing_behind(
    number: signal.Signals, host: tuple[type[FakeHost], str], tmp_path: Path
) -> None:
    """The exit code is 128 and the signal's number, with one sentence."""
    (handler, address), out = host, tmp_path / "data" / "products.csv"
    handler.reply = Reply(b"product_id,", missing=100, waits=True)
    command = [sys.executable, str(SCRIPT), "--address", address, "--out", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as child:
        assert handler.begun.wait(60)
        child.send_signal(number)
        _, message = child.communicate(timeout=20)
    assert child.returncode == 128 + number
    assert message.endswith("; nothing was left behind.\n")
    assert message.count("\n") == 1
    assert not out.parent.exists()


def test_a_folder_that_cannot_be_written_is_refused_first(fetch: Fetch, tmp_path: Path) -> None:
    """The refusal comes before anything is fetched."""
    (tmp_path / "file").write_text("mine")
    finished = fetch("--address", UNREACHABLE, "--out", tmp_path / "file" / "products.csv")
    assert finished.returncode == 3
    assert "cannot be written" in finished.stderr


def test_real_rows_in_the_challenges_format_are_accepted(
    fetch_data: ModuleType, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extract of real rows passes the check."""
    rows = pd.read_csv(shared / "data/elo7/elo7_rows_partial_full_columns.csv")
    rows[list(fetch_data.COLUMNS)].to_csv(tmp_path / "products.csv", index=False)
    monkeypatch.setattr(fetch_data, "ROWS", len(rows))
    fetch_data.check(tmp_path / "products.csv")
