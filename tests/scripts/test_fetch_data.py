"""Fetching the real table: it is checked before it appears, and trouble is one sentence."""

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
from tabserve.table.frame import Frame, read

SCRIPT = Path(__file__).parents[2] / "scripts" / "fetch_data.py"

UNREACHABLE = "http://127.0.0.1:9"
"""Port 9 of this machine: nobody listens there."""


Fetch = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def fetch(script: Fetch) -> Fetch:
    """Run scripts/fetch_data.py."""
    return partial(script, SCRIPT)


def kaggle_does(folder: Path, code: str) -> None:
    """A `kaggle` that does this in `place`, the folder after -p; a shell runs it, as spaces may lead to Python."""
    program = f"import sys\nplace = sys.argv[sys.argv.index('-p') + 1]\n{code}\n"
    client = folder / "kaggle"
    client.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-c", program])} "$@"\n')
    client.chmod(0o755)


def kaggle_client(folder: Path, table: Path) -> str:
    """A PATH whose `kaggle` delivers this table as Kaggle does: zipped, into the folder after -p."""
    write = f"archive.write({str(table)!r}, 'train.csv')"
    kaggle_does(folder, f"import zipfile\nwith zipfile.ZipFile(f'{{place}}/train.csv.zip', 'w') as archive: {write}")
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def fetch_data() -> ModuleType:
    """The script, imported."""
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
    """And leaves nothing behind; in a process of its own, as Python looks for a proxy only once."""
    out = tmp_path / "data" / "train.csv"
    command = [sys.executable, str(SCRIPT), "--out", str(out)]
    variables = os.environ | {"https_proxy": UNREACHABLE, "SCIKIT_LEARN_DATA": str(tmp_path / "cache")}
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=variables)
    assert finished.returncode == 3
    said = f"OpenML, asked through the proxy {UNREACHABLE} that https_proxy names, did not deliver data set 45566: "
    assert said in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not out.parent.exists()


def test_without_kaggles_client_it_says_how_to_get_it(fetch: Fetch, tmp_path: Path) -> None:
    """The advice names the command."""
    finished = fetch("--source", "kaggle", "--out", tmp_path / "train.csv", PATH=str(tmp_path))
    assert finished.returncode == 3
    assert "pip install kaggle" in finished.stderr


def test_a_client_that_fails_is_quoted(fetch: Fetch, tmp_path: Path) -> None:
    """Its own words say what to do, as when the rules were not accepted."""
    client = tmp_path / "kaggle"
    client.write_text("#!/bin/sh\necho '403 - accept the rules' >&2\nexit 1\n")
    client.chmod(0o755)
    finished = fetch("--source", "kaggle", "--out", tmp_path / "d" / "train.csv", PATH=f"{tmp_path}:/bin:/usr/bin")
    assert finished.returncode == 3
    assert "accept the rules" in finished.stderr
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            "import sys; sys.stderr.write('Traceback\\n  line 1\\nOSError: no kaggle.json'); sys.exit(1)",
            "no kaggle.json",
        ),
        ("pass", "Kaggle's client failed: it downloaded nothing"),
        ("open(f'{place}/train.csv.zip', 'w').write('<html>')", "delivered no whole train.csv: "),
        ("import zipfile; zipfile.ZipFile(f'{place}/train.csv.zip', 'w').close()", "delivered no whole train.csv: "),
        ("open(f'{place}/train.csv', 'w').write('<html>')", "it is a page of HTML; download the table itself"),
    ],
)
def test_what_the_client_does_wrong_is_one_sentence(fetch: Fetch, wrong: str, said: str, tmp_path: Path) -> None:
    """And leaves nothing behind."""
    out = tmp_path / "data" / "train.csv"
    kaggle_does(tmp_path, wrong)
    finished = fetch("--source", "kaggle", "--out", out, PATH=str(tmp_path))
    assert finished.returncode == 3
    assert said in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert not out.parent.exists()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_download_leaves_nothing_behind(ending: signal.Signals, tmp_path: Path) -> None:
    """128 and its number, a sentence, and no client; that has told through a pipe which process it is."""
    client, begun, out = tmp_path / "kaggle", tmp_path / "begun", tmp_path / "data" / "train.csv"
    os.mkfifo(begun)
    client.write_text(f"#!/bin/sh\nshift 7\necho half > $1/train.csv\necho $$ > {begun}\nexec sleep 60\n")
    client.chmod(0o755)
    command = [sys.executable, str(SCRIPT), "--source", "kaggle", "--out", str(out)]
    variables = {**os.environ, "PATH": f"{tmp_path}:/bin:/usr/bin"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=variables) as child:
        process = begun.read_text().strip()
        child.send_signal(ending)
        _, complaint = child.communicate(timeout=20)
    assert child.returncode == 128 + ending
    assert complaint.endswith("; nothing was left behind.\n")
    assert complaint.count("\n") == 1
    assert not out.parent.exists()
    assert not Path("/proc", process).exists()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_client_starts_ends_the_client_too(
    ending: signal.Signals, fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even before Python has handed over the process that it has started."""
    client, started = tmp_path / "kaggle", []

    class Interrupted(subprocess.Popen[str]):
        def __init__(self, words: Sequence[str], **options: Any) -> None:  # noqa: ANN401  Popen's
            super().__init__(words, **options)
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
def test_whatever_openml_does_wrong_is_one_sentence(
    error: Exception, fetch_data: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What scikit-learn raises for it is not for the user."""

    def fail(**_options: object) -> None:
        raise error

    monkeypatch.setattr(fetch_data, "fetch_openml", fail)
    monkeypatch.setattr(sys, "argv", ["fetch_data.py", "--out", str(tmp_path / "train.csv")])
    with pytest.raises(DataError, match=r"OpenML did not deliver data set 45566: .*; try again, or --source kaggle"):
        fetch_data.main()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["x" * 300 + ".csv", "file/train.csv", "file/folder/train.csv"])
def test_a_place_that_cannot_be_written_is_one_sentence(fetch: Fetch, place: str, tmp_path: Path) -> None:
    """Before anything is asked for."""
    (tmp_path / "file").write_text("mine")
    finished = fetch("--out", tmp_path / place)
    assert finished.returncode == 3
    assert "cannot be written" in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_a_table_that_is_not_the_competitions_does_not_appear(fetch: Fetch, small: Path, tmp_path: Path) -> None:
    """Twenty rows are not 200,000."""
    out = tmp_path / "data" / "train.csv"
    finished = fetch("--source", "kaggle", "--out", out, PATH=kaggle_client(tmp_path, small))
    assert finished.returncode == 3
    assert f"{out} holds 20 rows, 10 of them positive; expected 200,000 and 20,098" in finished.stderr
    assert not out.parent.exists()


def test_a_whole_table_appears_and_is_kept(
    fetch_data: ModuleType,
    small: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The second time it is checked and not fetched again."""
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


def test_openmls_table_becomes_kaggles(fetch_data: ModuleType, small: Path, tmp_path: Path) -> None:
    """Without ids and with labels as text or truth values, rows and values stay what they were."""
    original = pd.read_csv(small)
    for spelling in (lambda label: label, str, bool, float, lambda label: str(bool(label))):
        table = original.drop(columns="ID_code").assign(target=original["target"].map(spelling))
        fetch_data.kaggle_format(table).to_csv(tmp_path / "made.csv", index=False)
        found = read(tmp_path / "made.csv", PROBLEM)
        assert list(found.target) == list(original["target"])
        assert list(found.ids) == list(original["ID_code"])
