"""The `tabserve` command verifies and serves model folders; a mistake ends with one sentence and an exit code."""

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tabserve import artifact, cli
from tabserve.errors import ArtifactError, UsageError


def tabserve(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit code of the command, run in this process."""
    monkeypatch.setattr(sys, "argv", ["tabserve", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_check_says_what_is_right(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was verified, and what the folder holds."""
    assert tabserve(monkeypatch, "check", str(model_folder)) == 0
    printed, complaint = capsys.readouterr()
    model = artifact.load(model_folder)
    assert complaint == ""
    for fact in (str(model_folder), "golden rows", "santander: 200 features", str(model.threshold), "xgboost "):
        assert fact in printed


def test_check_says_what_is_wrong(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one sentence on stderr, with the exit code of a bad model folder."""
    damaged = shutil.copytree(model_folder, tmp_path / "model")
    (damaged / "golden.json").write_text("{}")
    assert tabserve(monkeypatch, "check", str(damaged)) == ArtifactError.exit_code
    printed, complaint = capsys.readouterr()
    assert printed == ""
    assert complaint.count("\n") == 1
    assert "golden.json" in complaint


@pytest.mark.parametrize("words", [[], ["check"], ["serve"], ["nothing"], ["check", "a", "b"]])
def test_wrong_usage_has_its_exit_code(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As argparse has it."""
    assert tabserve(monkeypatch, *words) == UsageError.exit_code


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        ([], ["serve", "check", "exit codes"]),
        (["serve"], ["FOLDER", "--model", "TABSERVE_MODEL", "MLSERVER_HTTP_PORT", "example"]),
        (["check"], ["FOLDER", "golden rows", "example"]),
    ],
)
def test_help_names_what_can_be_said(
    words: list[str], facts: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options, variables, an example."""
    assert tabserve(monkeypatch, *words, "--help") == 0
    page = capsys.readouterr().out
    assert [fact for fact in facts if fact not in page] == []


@pytest.mark.parametrize(
    "command", [[str(Path(sys.executable).with_name("tabserve"))], [sys.executable, "-m", "tabserve"]]
)
def test_it_can_be_started_by_either_name(command: list[str]) -> None:
    """As installed, or as a module."""
    ended = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == f"tabserve {version('tabserve')}\n"


def test_a_server_that_cannot_start_ends_with_one_sentence(tmp_path: Path) -> None:
    """On stderr, with the error's exit code."""
    command = [sys.executable, "-m", "tabserve", "serve", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (UsageError.exit_code, "")
    assert ended.stderr == f"{tmp_path} has no model-settings.json; name the folder that holds the settings.\n"
