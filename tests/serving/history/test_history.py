"""A history writes beside its server, and whatever happens to its store, adding an entry never waits or fails."""

import json
import logging
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.serving.history.entries import entry, parsed
from tests.serving.history.postgres import Cluster

from tabserve.errors import Overloaded
from tabserve.serving.history import writer
from tabserve.serving.history.entry import Entry, Later
from tabserve.serving.history.history import History
from tabserve.serving.history.metrics import CLOSED, FULL, REFUSED
from tabserve.serving.history.opening import dialect
from tabserve.serving.history.query import Query
from tabserve.serving.history.store import TABLE, Store
from tabserve.serving.history.writer import Bounds

SECONDS = 30
BOUNDS = Bounds(days=36_500, entries=10_000, entry_bytes=1_000)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again sooner than a server does."""
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr("tabserve.serving.history.sqlite.BUSY_SECONDS", 0.1)


@contextmanager
def running(address: str, bounds: Bounds = BOUNDS, most: int = writer.WAITING_BYTES) -> Iterator[History]:
    """A history during a `with` block."""
    history = History(Store(dialect(address)), bounds, most)
    try:
        yield history
    finally:
        history.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def requests(history: History) -> list[str]:
    """The ids of all entries, oldest first."""
    return [each.request for each in reversed(history.page(Query(limit=1_000)).entries)]


def told(caplog: pytest.LogCaptureFixture, start: str) -> int:
    """Number of lines of the log that begin like this."""
    return sum(record.getMessage().startswith(start) for record in caplog.records)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock a file of SQLite as another process would."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.close()


def test_entries_are_read_soon_after_they_were_added(address: str) -> None:
    """In their order, and counted."""
    with running(address) as history:
        for number in range(2_500):
            history.add(entry(number))
        until(lambda: history.metrics.written == 2_500)
        assert requests(history)[-3:] == ["r2497", "r2498", "r2499"]
        assert (history.metrics.waiting(), history.metrics.failures) == (0, 0)


def test_the_end_writes_what_waits(address: str) -> None:
    """Closing loses nothing, and another history on the same store has it."""
    with running(address) as history:
        for number in range(1_500):
            history.add(entry(number))
    with running(address) as history:
        assert len(requests(history)) == 1_000
        assert history.metrics.lost.total() == 0
        assert sum(chunk.count(b"\n") for chunk in history.stream(Query(), "ndjson")) == 1_500


def test_the_oldest_entries_are_removed(address: str) -> None:
    """Once they are more than the bound; the last ones stay."""
    with running(address, BOUNDS._replace(entries=100)) as history:
        for number in range(3_000):
            history.add(entry(number))
        until(lambda: history.metrics.written == 3_000)
        until(lambda: len(requests(history)) == 100)
        assert requests(history)[0] == "r2900"


def test_entries_of_a_history_that_rests_are_removed_by_age(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if nothing is added any more."""
    monkeypatch.setattr(writer, "IDLE_SECONDS", 0.1)
    with running(address) as history:
        history.add(entry())
        until(lambda: requests(history) == ["r0"])
        history._writer._bounds = BOUNDS._replace(days=1e-9)
        until(lambda: requests(history) == [])


def test_a_locked_file_is_written_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Failures are counted, said once, and so is the recovery; nothing is lost."""
    caplog.set_level(logging.INFO)
    path = tmp_path / "history.db"
    with running(str(path)) as history:
        history.add(entry(1))
        until(lambda: history.metrics.written == 1)
        with locked(path):
            history.add(entry(2))
            until(lambda: history.metrics.failures >= 3)
            history.add(entry(3))
        until(lambda: history.metrics.written == 3)
        assert requests(history) == ["r1", "r2", "r3"]
        assert history.metrics.lost.total() == 0
    assert told(caplog, f"The history cannot be written to {path}: database is locked. Predictions go on") == 1
    assert told(caplog, "The history is written again") == 1


def test_a_full_queue_loses_entries_and_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Adding stays quick, and what fitted is written once it can be."""
    path = tmp_path / "history.db"
    with running(str(path), most=20_000) as history:
        history.add(entry())
        until(lambda: history.metrics.written == 1)
        with locked(path):
            for number in range(100):
                history.add(entry(number))
            until(lambda: history.metrics.failures > 0)
            for number in range(100):
                history.add(entry(number))
        lost = history.metrics.lost[FULL]
        until(lambda: history.metrics.written == 201 - lost)
        assert 100 < lost < 200
        assert told(caplog, "The history loses entries: too many wait") == 1
        history.add(entry(7))
        until(lambda: history.metrics.written == 202 - lost)


def test_an_end_within_its_deadline_counts_what_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If the file stays locked, the server ends all the same."""
    monkeypatch.setattr(writer, "FLUSH_SECONDS", 0.5)
    path = tmp_path / "history.db"
    with running(str(path)) as history:
        history.add(entry())
        until(lambda: history.metrics.written == 1)
        with locked(path):
            history.add(entry())
            history.add(entry())
            history.close()
        assert history.metrics.lost[CLOSED] == 2
    assert told(caplog, f"The history ends without its last 2 entries: {path} cannot be written.") > 0


def test_a_damaged_file_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A page is refused with one sentence; once the file is moved away, a new one is begun with what waited."""
    path = tmp_path / "history.db"
    path.write_bytes(b"no database at all " * 1_000)
    with running(str(path)) as history:
        history.add(entry(1))
        until(lambda: history.metrics.failures > 1)
        assert told(caplog, f"The history cannot be written to {path}: file is not a database") == 1
        with pytest.raises(Overloaded, match="The history cannot be read now: file is not a database; try again"):
            history.page(Query())
        path.rename(tmp_path / "damaged.db")
        until(lambda: history.metrics.written == 1)
        assert requests(history) == ["r1"]


def test_pages_damaged_while_it_is_written_stop_nothing(tmp_path: Path) -> None:
    """As after a failure of the disk: entries are counted as failed until the file is moved away."""
    path = tmp_path / "history.db"
    with running(str(path)) as history:
        for number in range(1_000):
            history.add(entry(number))
        until(lambda: history.metrics.written == 1_000)
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(b"\xff" * 60_000)
    with running(str(path)) as history:
        history.add(entry())
        until(lambda: history.metrics.failures > 1)
        path.rename(tmp_path / "damaged.db")
        until(lambda: history.metrics.written == 1)


def test_a_file_that_is_removed_is_begun_anew(tmp_path: Path) -> None:
    """Instead of writing into a file that nobody can open any more."""
    path = tmp_path / "history.db"
    with running(str(path)) as history:
        history.add(entry(1))
        until(lambda: history.metrics.written == 1)
        for file in tmp_path.iterdir():
            file.unlink()
        history.add(entry(2))
        until(lambda: history.metrics.written == 2)
        assert requests(history) == ["r2"]


FULL_DISK = """
import json, resource, sys, time
from pathlib import Path
from tests.serving.history.entries import entry
from tests.serving.history.test_history import BOUNDS, running, until
from tabserve.serving.history import writer
from tabserve.serving.history.query import Query

writer.RETRY_SECONDS = 0.1
with running(sys.argv[1]) as history:
    history.add(entry())
    until(lambda: history.metrics.written == 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    for number in range(2_000):
        history.add(entry(number, input=b'"%500d"' % number))
    until(lambda: history.metrics.failures > 2)
    failing = history.metrics.written
    page = history.page(Query())
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    until(lambda: history.metrics.written == 2_001)
    lost = history.metrics.lost.total()
print(json.dumps([failing, len(page.entries), lost]))
"""


def test_a_full_disk_stops_nothing(tmp_path: Path) -> None:
    """The file may not grow beyond a limit of the system; pages are still read, and nothing is lost in the end."""
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "history.db")]
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    finished = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=2 * SECONDS, check=False
    )
    assert finished.returncode == 0, finished.stderr
    failing, read, lost = json.loads(finished.stdout)
    assert failing < 2_001
    assert read >= 1
    assert lost == 0
    assert finished.stderr.count("cannot be written") == 1


def test_a_lost_server_is_found_again(postgres: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """Entries wait while PostgreSQL is away, and a page is refused."""
    caplog.set_level(logging.INFO)
    with running(postgres.database()) as history:
        history.add(entry(1))
        until(lambda: history.metrics.written == 1)
        postgres.stop()
        try:
            history.add(entry(2))
            until(lambda: history.metrics.failures > 1)
            with pytest.raises(Overloaded, match="The history cannot be read now: "):
                history.page(Query())
        finally:
            postgres.start()
        until(lambda: history.metrics.written == 2)
        assert requests(history) == ["r1", "r2"]
    assert told(caplog, "The history cannot be written to postgresql://127.0.0.1:") == 1
    assert told(caplog, "The history is written again") == 1


def test_an_unknown_error_does_not_end_the_writer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is tried again, as after any other."""
    with running(str(tmp_path / "history.db")) as history:
        history.add(entry(1))
        until(lambda: history.metrics.written == 1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(history._store, "prune", lambda *_: 1 / 0)
            history.add(entry(2))
            until(lambda: history.metrics.failures > 1)
        history.add(entry(3))
        until(lambda: history.metrics.written == 3)
    assert told(caplog, f"The history cannot be written to {history._store.name}: division by zero.") == 1


def refused(address: str) -> Entry:
    """An entry that a store takes never: a number that is too large, or no JSON in PostgreSQL."""
    return entry(0, input=b"{") if address.startswith("postgresql") else entry(0, rows=2**70)


def test_an_entry_that_is_refused_is_lost_alone(address: str, caplog: pytest.LogCaptureFixture) -> None:
    """The others of its batch are written, and it is counted and named once."""
    with running(address) as history:
        for each in (entry(1), refused(address), entry(2), refused(address)):
            history.add(each)
        until(lambda: history.metrics.lost[REFUSED] == 2)
        until(lambda: history.metrics.written == 2)
        assert requests(history) == ["r1", "r2"]
    assert told(caplog, f"{history._store.name} refuses an entry of the history: ") == 1


def test_a_large_input_is_left_out(address: str) -> None:
    """And said so in its place; a large output as well."""
    with running(address) as history:
        history.add(entry(1, input=b'"%2000d"' % 1))
        history.add(entry(2, input=Later(lambda: b'"%2000d"' % 1, size=8)))
        history.add(entry(3, output=b'"%2000d"' % 1))
        until(lambda: history.metrics.written == 3)
        first, second, third = reversed(history.page(Query()).entries)
        assert parsed(first.input) == {"left_out": "2002 bytes; an entry holds at most 1000"}
        assert (second.input, first.output) == (first.input, entry(1).output)
        assert [*parsed(third.input), *parsed(third.output)] == ["left_out", "left_out"]


def test_json_that_cannot_be_made_leaves_the_entry(address: str) -> None:
    """With the error in place of the input and output; the thread goes on."""
    with running(address) as history:
        history.add(entry(1, input=Later(lambda: json.dumps({1, 2}).encode(), size=8)))
        history.add(entry(2))
        until(lambda: history.metrics.written == 2)
        broken, _ = reversed(history.page(Query()).entries)
        assert "TypeError" in parsed(broken.input)["left_out"]


def test_inputs_of_requests_that_wait_count_as_waiting(tmp_path: Path) -> None:
    """So that requests and entries together take no more memory than they may."""
    with running(str(tmp_path / "history.db"), most=2_000) as history:
        kept = history.hold(b"x" * 900)
        assert history.metrics.waiting() == 900
        assert kept == b"x" * 900
        history.hold(b"x" * 950)
        assert parsed(history.hold(b"x" * 950)) == {"left_out": "950 bytes; too many entries were waiting"}
        assert parsed(history.hold(b"x" * 1_001)) == {"left_out": "1001 bytes; an entry holds at most 1000"}


def test_only_the_user_of_the_server_may_read_the_file(tmp_path: Path) -> None:
    """And the files beside it, as inputs may be about people."""
    with running(str(tmp_path / "history.db")) as history:
        history.add(entry())
        until(lambda: history.metrics.written == 1)
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("history.db", "history.db-wal", "history.db-shm"), 0o600)


def test_the_table_can_be_asked_by_sqlite_itself(tmp_path: Path) -> None:
    """Inputs and outputs are texts of JSON, on which SQLite's own functions work."""
    path = tmp_path / "history.db"
    with running(str(path)) as history:
        history.add(entry(5))
    with sqlite3.connect(path) as connection:
        statement = f"SELECT request, input ->> '$.flight', datetime(time / 1e6, 'unixepoch') FROM {TABLE}"
        assert connection.execute(statement).fetchall() == [("r5", 5, "2026-11-30 12:00:05")]
