"""Fetching the real table: the script checks it before the file appears, and an error is one sentence."""

import os
import shlex
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from http.client import IncompleteRead
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import URLError

import pandas as pd
import pytest

from santander.problem import PROBLEM
from tabserve.errors import DataError
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import read

SCRIPT = Path(__file__).parents[2] / "scripts" / "fetch_data.py"

UNREACHABLE = "http://127.0.0.1:9"
"""Port 9 of this machine, where nothing listens."""


Fetch = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def fetch(script: Fetch) -> Fetch:
    """Run scripts/fetch_data.py."""
    return partial(script, SCRIPT)


def write_kaggle(folder: Path, code: str) -> None:
    """Write a program `kaggle` that runs the code, in which `target` is the folder after -p.

    A shell starts Python, because a script's first line cannot hold a path with spaces.
    """
    program = f"import sys\ntarget = sys.argv[sys.argv.index('-p') + 1]\n{code}\n"
    client = folder / "kaggle"
    client.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-c", program])} "$@"\n')
    client.chmod(0o755)


def kaggle_client(folder: Path, table: Path) -> str:
    """Write a `kaggle` that delivers this table zipped, as Kaggle does; returns the PATH that finds it."""
    write = f"archive.write({str(table)!r}, 'train.csv')"
    write_kaggle(folder, f"import zipfile\nwith zipfile.ZipFile(f'{{target}}/train.csv.zip', 'w') as archive: {write}")
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def fetch_data() -> ModuleType:
    """The script as a module."""
    spec = spec_from_file_location("fetch_data", SCRIPT)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def small(sample_frame: Frame, tmp_path: Path) -> Path:
    """A table in Kaggle's format with too few rows."""
    features = pd.DataFrame(sample_frame.features[:20], columns=list(PROBLEM.features))
    features.insert(0, "target", [0, 1] * 10)
    features.insert(0, "ID_code", [f"train_{row}" for row in range(20)])
    path = tmp_path / "small.csv"
    features.to_csv(path, index=False)
    return path


def test_an_unreachable_openml_is_one_sentence(tmp_path: Path) -> None:
    """The script leaves nothing behind; it runs as a process, because Python looks for a proxy only once."""
    out = tmp_path / "data" / "train.csv"
    command = [sys.executable, str(SCRIPT), "--out", str(out)]
    variables = os.environ | {"https_proxy": UNREACHABLE, "SCIKIT_LEARN_DATA": str(tmp_path / "cache")}
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=variables)
    assert finished.returncode == 3
    start = f"OpenML, asked through the proxy {UNREACHABLE} that https_proxy names, did not deliver data set 45566: "
    assert start in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not out.parent.exists()


def test_a_missing_kaggle_client_is_one_sentence(fetch: Fetch, tmp_path: Path) -> None:
    """The sentence has the command that installs the client."""
    finished = fetch("--source", "kaggle", "--out", tmp_path / "train.csv", PATH=str(tmp_path))
    assert finished.returncode == 3
    assert "pip install kaggle" in finished.stderr


def test_a_client_that_fails_is_quoted(fetch: Fetch, tmp_path: Path) -> None:
    """The error has the client's own message, which says what to do."""
    client = tmp_path / "kaggle"
    client.write_text("#!/bin/sh\necho '403 - accept the rules' >&2\nexit 1\n")
    client.chmod(0o755)
    finished = fetch("--source", "kaggle", "--out", tmp_path / "d" / "train.csv", PATH=f"{tmp_path}:/bin:/usr/bin")
    assert finished.returncode == 3
    assert "accept the rules" in finished.stderr
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "import sys; sys.stderr.write('Traceback\\n  line 1\\nOSError: no kaggle.json'); sys.exit(1)",
            "no kaggle.json",
        ),
        ("pass", "Kaggle's client failed: it downloaded nothing"),
        ("open(f'{target}/train.csv.zip', 'w').write('<html>')", "delivered no whole train.csv: "),
        ("import zipfile; zipfile.ZipFile(f'{target}/train.csv.zip', 'w').close()", "delivered no whole train.csv: "),
        ("open(f'{target}/train.csv', 'w').write('<html>')", "it is a page of HTML; download the table itself"),
    ],
)
def test_every_failure_of_the_client_is_one_sentence(fetch: Fetch, code: str, sentence: str, tmp_path: Path) -> None:
    """The script leaves nothing behind."""
    out = tmp_path / "data" / "train.csv"
    write_kaggle(tmp_path, code)
    finished = fetch("--source", "kaggle", "--out", out, PATH=str(tmp_path))
    assert finished.returncode == 3
    assert sentence in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert not out.parent.exists()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_download_leaves_nothing_behind(ending: signal.Signals, tmp_path: Path) -> None:
    """The script prints one sentence and ends the client, which has sent its process id through a pipe."""
    client, pipe, out = tmp_path / "kaggle", tmp_path / "begun", tmp_path / "data" / "train.csv"
    os.mkfifo(pipe)
    client.write_text(f"#!/bin/sh\nshift 7\necho half > $1/train.csv\necho $$ > {pipe}\nexec sleep 60\n")
    client.chmod(0o755)
    command = [sys.executable, str(SCRIPT), "--source", "kaggle", "--out", str(out)]
    variables = {**os.environ, "PATH": f"{tmp_path}:/bin:/usr/bin"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=variables) as child:
        process = pipe.read_text().strip()
        child.send_signal(ending)
        _, stderr = child.communicate(timeout=20)
    assert child.returncode == 128 + ending
    assert stderr.endswith("; nothing was left behind.\n")
    assert stderr.count("\n") == 1
    assert not out.parent.exists()
    assert not Path("/proc", process).exists()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_client_starts_ends_the_client_too(
    ending: signal.Signals, fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This holds even if the signal comes before Popen returns the process that it has started."""
    client, started = tmp_path / "kaggle", []

    class Interrupted(subprocess.Popen[str]):
        def __init__(self, command: Sequence[str], **options: Any) -> None:  # noqa: ANN401  Popen's
            super().__init__(command, **options)
            started.append(self)
            signal.raise_signal(ending)

    client.write_text("#!/bin/sh\nexec sleep 60\n")
    client.chmod(0o755)
    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    finished = fetch("--source", "kaggle", "--out", tmp_path / "data" / "train.csv", PATH=f"{tmp_path}:/bin:/usr/bin")
    assert finished.returncode == 128 + ending
    assert [process.returncode for process in started] == [-signal.SIGKILL]


@pytest.mark.parametrize(
    "error",
    [
        URLError("no route"),
        IncompleteRead(b""),
        EOFError("ended"),
        zlib.error("torn"),
        ValueError("md5"),
        KeyError("url"),
    ],
)
def test_every_failure_of_openml_is_one_sentence(
    error: Exception, fetch_data: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exceptions of scikit-learn do not reach the user."""

    def fail(**_options: object) -> None:
        raise error

    monkeypatch.setattr(fetch_data, "fetch_openml", fail)
    monkeypatch.setattr(sys, "argv", ["fetch_data.py", "--out", str(tmp_path / "train.csv")])
    with pytest.raises(DataError, match=r"OpenML did not deliver data set 45566: .*; try again, or --source kaggle"):
        fetch_data.main()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["x" * 300 + ".csv", "file/train.csv", "file/folder/train.csv"])
def test_a_path_that_cannot_be_written_is_one_sentence(fetch: Fetch, path: str, tmp_path: Path) -> None:
    """The script refuses the path before it sends a request."""
    (tmp_path / "file").write_text("mine")
    finished = fetch("--out", tmp_path / path)
    assert finished.returncode == 3
    assert "cannot be written" in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_a_table_of_another_size_is_not_kept(fetch: Fetch, small: Path, tmp_path: Path) -> None:
    """A table of 20 rows is refused, because the competition's has 200,000."""
    out = tmp_path / "data" / "train.csv"
    finished = fetch("--source", "kaggle", "--out", out, PATH=kaggle_client(tmp_path, small))
    assert finished.returncode == 3
    assert f"{out} holds 20 rows, 10 of them positive; expected 200,000 and 20,098" in finished.stderr
    assert not out.parent.exists()


def test_a_table_is_fetched_once(
    fetch_data: ModuleType,
    small: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The second run checks the file that is there, and does not fetch it again."""
    monkeypatch.setattr(fetch_data, "ROWS", 20)
    monkeypatch.setattr(fetch_data, "POSITIVES", 10)
    out = tmp_path / "data" / "train.csv"
    monkeypatch.setattr(sys, "argv", ["fetch_data.py", "--source", "kaggle", "--out", str(out)])
    monkeypatch.setenv("PATH", kaggle_client(tmp_path, small))
    fetch_data.main()
    assert out.read_bytes() == small.read_bytes()
    monkeypatch.setenv("PATH", "")
    fetch_data.main()
    assert capsys.readouterr().out.count("holds 20 rows of 200 features, 10 of them positive.") == 2


def test_openmls_table_is_written_in_kaggles_format(fetch_data: ModuleType, small: Path, tmp_path: Path) -> None:
    """A table without ids, and with labels as text or booleans, keeps its rows and values."""
    original = pd.read_csv(small)
    for spelling in (lambda label: label, str, bool, float, lambda label: str(bool(label))):
        table = original.drop(columns="ID_code").assign(target=original["target"].map(spelling))
        fetch_data.kaggle_format(table).to_csv(tmp_path / "converted.csv", index=False)
        frame = read(tmp_path / "converted.csv", PROBLEM)
        assert list(frame.target) == list(original["target"])
        assert list(frame.ids) == list(original["ID_code"])
