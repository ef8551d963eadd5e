"""A real PostgreSQL server in a temporary folder, which tests start, stop and start again."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
from tests.needs import INITDB

from tabserve.client.local_server import free_ports

SECONDS = 60

USER = "postgres" if os.geteuid() == 0 else None
"""PostgreSQL refuses root; Debian's package makes this user."""

QUICK = ("fsync=off", "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=20")


class Cluster:
    """A cluster of PostgreSQL; nothing in it outlives the tests."""

    def __init__(self, folder: Path) -> None:
        """Make the cluster, and start its server."""
        self._folder, (self._port,), self._numbers = folder, free_ports(1), count(1)
        if USER:
            shutil.chown(folder, USER)
        command = [INITDB, "--no-sync", "--auth=trust", "--username=tests", "--encoding=UTF8", str(folder / "data")]
        subprocess.run(command, check=True, capture_output=True, timeout=SECONDS, user=USER, cwd=folder)
        self.start()

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        options = [word for option in (*QUICK, f"port={self._port}") for word in ("-c", option)]
        server = Path(INITDB).resolve().with_name("postgres")
        with (self._folder / "log").open("ab") as log:
            command = [str(server), "-D", str(self._folder / "data"), *options]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, user=USER, cwd=self._folder)
        deadline = time.monotonic() + SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """End the server at once, as if it crashed."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(SECONDS)

    def database(self) -> str:
        """The address of a place without tables: a schema of its own, which takes less time than a database."""
        name = f"s{next(self._numbers)}"
        with psycopg.connect(self._address, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{self._address}?options=-csearch_path%3D{name}"

    @property
    def _address(self) -> str:
        return f"postgresql://tests@127.0.0.1:{self._port}/postgres"

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._address, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A running cluster in a folder that its user may enter."""
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as scratch:
        made = Cluster(Path(scratch))
        try:
            yield made
        finally:
            made.stop()
