"""The `tabserve` command verifies and serves model folders; a mistake is one sentence and an exit code."""

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from santander.problem import PROBLEM as SANTANDER
from tabserve.cli import main
from tabserve.errors import ArtifactError, DataError, UsageError
from tabserve.model.decision import threshold_of
from tabserve.model.model import PREDICTORS, load
from tabserve.serving.mlserver import settings
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import read
from tabserve.training import bootstrap


def tabserve(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["tabserve", *arguments])
    with pytest.raises(SystemExit) as exiting:
        main.main()
    return int(exiting.value.code or 0)


def test_check_describes_a_valid_folder(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints what it verified, and what the folder holds."""
    assert tabserve(monkeypatch, "check", str(model_folder)) == 0
    stdout, stderr = capsys.readouterr()
    model = load(model_folder)
    assert stderr == ""
    threshold = threshold_of(model.decision)
    facts = (
        "golden rows",
        "santander\n",
        "200: var_0, var_1, var_2, …\n",
        f"threshold {threshold}\n",
        "xgboost ",
        " trees",
    )
    for fact in (str(model_folder), *facts):
        assert fact in stdout


def test_check_describes_a_model_over_texts(
    texts_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints the text columns, the labels and the temperature."""
    assert tabserve(monkeypatch, "check", str(texts_folder)) == 0
    stdout, stderr = capsys.readouterr()
    assert stderr == ""
    facts = (
        "golden rows",
        "goods\n",
        "2: title, tags; cells may be empty in 1\n",
        "Bebê, Decoração",
        "temperature 0.7\n",
        "scikit-learn ",
    )
    for fact in (str(texts_folder), *facts):
        assert fact in stdout


def test_check_escapes_control_characters(
    texts_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels and features with line breaks and escape sequences add no lines to the output."""
    folder = shutil.copytree(texts_folder, tmp_path / "model")
    text = (
        (folder / "manifest.json").read_text().replace("Papel e Cia", r"a\nb\u0000\u001b[31m").replace("tags", r"t\ra")
    )
    (folder / "manifest.json").write_text(text)
    assert tabserve(monkeypatch, "check", str(folder)) == 0
    stdout = capsys.readouterr().out
    assert stdout.count("\n") == len(stdout.splitlines()) == 7
    assert r"Bebê, Decoração, a\nb\x00\x1b[31m" in stdout


@pytest.mark.parametrize(
    ("name", "content"), [("model.npz", b""), ("golden.json", b"{}"), ("manifest.json", b'{"format_version": 1}')]
)
def test_check_refuses_a_damaged_model_over_texts(  # noqa: PLR0917 (fixtures and parameters)
    texts_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes,
) -> None:
    """It prints one sentence that names the file."""
    damaged = shutil.copytree(texts_folder, tmp_path / "model")
    (damaged / name).write_bytes(content)
    assert tabserve(monkeypatch, "check", str(damaged)) == ArtifactError.exit_code
    stdout, stderr = capsys.readouterr()
    assert (stdout, stderr.count("\n")) == ("", 1)
    assert name in stderr


def test_check_refuses_a_manifest_without_a_model_file(
    texts_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints the names that a model file may have."""
    folder = shutil.copytree(texts_folder, tmp_path / "model")
    text = (folder / "manifest.json").read_text().replace("model.npz", "model.bin")
    (folder / "manifest.json").write_text(text)
    assert tabserve(monkeypatch, "check", str(folder)) == ArtifactError.exit_code
    assert capsys.readouterr().err.endswith(f"names 0 model files, expected {' or '.join(PREDICTORS)}.\n")


def test_threshold_refuses_a_model_without_a_threshold(
    texts_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints one sentence."""
    assert tabserve(monkeypatch, "threshold", str(texts_folder), "0.3") == ArtifactError.exit_code
    stdout, stderr = capsys.readouterr()
    assert (stdout, stderr.count("\n")) == ("", 1)
    assert stderr.endswith("holds a model without a threshold between two labels, which this needs.\n")


def test_check_refuses_a_damaged_folder(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints one sentence on stderr, and has the exit code of a bad model folder."""
    damaged = shutil.copytree(model_folder, tmp_path / "model")
    (damaged / "golden.json").write_text("{}")
    assert tabserve(monkeypatch, "check", str(damaged)) == ArtifactError.exit_code
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert stderr.count("\n") == 1
    assert "golden.json" in stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["check"],
        ["serve", "a", "b"],
        ["serve", "a", "--port", "0"],
        ["serve", "a", "--grpc-port", "many"],
        ["serve", "a", "--name", "a/b"],
        ["serve", "a", "--name", "stats"],
        ["serve", ""],
        ["ask"],
        ["ask", "--data", ""],
        ["score", "a", "--data", "b.csv"],
        ["score", "a", "--data", "b.csv", "--out", "c.txt"],
        ["nothing"],
        ["check", "a", "b"],
        ["compare", "a", "b"],
        ["threshold", "a"],
        ["threshold", "a", "1.5"],
        ["threshold", "a", "-0.1"],
        ["threshold", "a", "nan"],
        ["threshold", "a", "high"],
    ],
)
def test_wrong_usage_has_its_exit_code(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, superfluous and invalid arguments end the command with argparse's exit code."""
    assert tabserve(monkeypatch, *arguments) == UsageError.exit_code


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        ([], ["serve", "ask", "score", "check", "compare", "drift", "threshold", "exit codes", "examples"]),
        (["serve"], ["[FOLDER]", "without FOLDER", "--model", "--name", "TABSERVE_MODEL", "MLSERVER_HTTP_PORT"]),
        (["ask"], ["--data FILE", "--protocol {rest,grpc}", "--outputs", "--wait", "exit codes", "examples"]),
        (["score"], ["FOLDER", "--data FILE", "--out FILE", "probability_LABEL", "exit codes", "examples"]),
        (["check"], ["FOLDER", "golden rows", "example"]),
        (["compare"], ["OLD", "NEW", "--data", "--out", "bootstrap", "example"]),
        (["threshold"], ["FOLDER", "VALUE", "--data", "card", "95 % bootstrap", "example"]),
    ],
)
def test_help_describes_options_and_variables(
    arguments: list[str], facts: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command's page has its options, its variables and an example."""
    assert tabserve(monkeypatch, *arguments, "--help") == 0
    text = capsys.readouterr().out
    assert [fact for fact in facts if fact not in text] == []


def test_serve_without_a_folder_uses_the_repositorys_settings() -> None:
    """In a checkout, which has no copy of the settings in the package, the committed model is the default."""
    assert settings.default_folder() == Path(__file__).parents[2] / "deploy"


@pytest.fixture
def labelled(sample_frame: Frame, tmp_path: Path) -> Path:
    """Labelled rows in a file."""
    frame, problem = sample_frame.take(np.arange(300)), sample_frame.problem
    table = pd.DataFrame(frame.features, columns=list(problem.features))
    table.assign(**{str(problem.id): frame.ids, problem.target: frame.target}).to_csv(
        tmp_path / "rows.csv", index=False
    )
    return tmp_path / "rows.csv"


def test_a_moved_threshold_is_measured_and_printed_and_compared(
    model_folder: Path,
    labelled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is measured with and without labelled rows, printed by `check`, and compared with the original folder."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 20)
    folder, old = shutil.copytree(model_folder, tmp_path / "model"), threshold_of(load(model_folder).decision)
    assert tabserve(monkeypatch, "threshold", str(folder), "0.9") == 0
    stdout = capsys.readouterr().out
    for fact in (f"{folder} is 0.9 now; it was {old}.", "at 0.9000", "--data FILE"):
        assert fact in stdout
    assert tabserve(monkeypatch, "threshold", str(folder), "-0", "--data", str(labelled)) == 0
    stdout = capsys.readouterr().out
    for fact in (f"{folder} is 0.0 now; it was 0.9.", "300 rows", "1.0000 (1.0000 to 1.0000)"):
        assert fact in stdout
    assert tabserve(monkeypatch, "check", str(folder)) == 0
    assert f"threshold 0.0, moved from threshold {old}\n" in capsys.readouterr().out
    arguments = [
        "compare",
        str(model_folder),
        str(folder),
        "--data",
        str(labelled),
        "--out",
        str(tmp_path / "changed.csv"),
    ]
    assert tabserve(monkeypatch, *arguments) == 0
    stdout, stderr = capsys.readouterr()
    flagged = int(load(model_folder).score(read(labelled, SANTANDER).features).label.sum())
    for fact in (f"{flagged} of 300 rows", "0 becomes 1   ", "F1 ", "ROC AUC", str(tmp_path / "changed.csv")):
        assert fact in stdout
    assert stderr == ""
    assert len((tmp_path / "changed.csv").read_text().splitlines()) == 1 + 300 - flagged


def test_a_bad_table_moves_no_threshold(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command prints one sentence, has the exit code of a bad table, and leaves the folder unchanged."""
    folder = shutil.copytree(model_folder, tmp_path / "model")
    arguments = ["threshold", str(folder), "0.9", "--data", str(tmp_path / "none.csv")]
    assert tabserve(monkeypatch, *arguments) == DataError.exit_code
    stdout, stderr = capsys.readouterr()
    assert (stdout, stderr.count("\n")) == ("", 1)
    assert load(folder).decision == load(model_folder).decision


@pytest.mark.parametrize(
    "command", [[str(Path(sys.executable).with_name("tabserve"))], [sys.executable, "-m", "tabserve"]]
)
def test_the_command_runs_as_a_program_and_as_a_module(command: list[str]) -> None:
    """Both print the installed version."""
    ended = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == f"tabserve {version('tabserve')}\n"


def test_a_server_that_cannot_start_ends_with_one_sentence(tmp_path: Path) -> None:
    """The sentence is on stderr, and the exit code is the error's."""
    command = [sys.executable, "-m", "tabserve", "serve", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (UsageError.exit_code, "")
    assert ended.stderr == (
        f"{tmp_path} is neither a model folder, which has a manifest.json, nor a folder of settings, which has a"
        " model-settings.json; name one of either kind.\n"
    )
