"""`tabserve score` writes the answers of a model of any task beside each row, whole or not at all."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.serving import mixed

from tabserve.cli import main
from tabserve.errors import ArtifactError, DataError
from tabserve.model.model import load
from tabserve.table.frame_reader import stream

COLUMNS = {
    "two": ["label", "probability"],
    "three": ["label", "probability_low", "probability_mid", "probability_high"],
    "amount": ["prediction", "low", "high"],
}
"""The columns of the output by task, beside the row."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder for each task, with its table beside it, as `.csv`."""
    folder = tmp_path_factory.mktemp("mixed")
    for name in COLUMNS:
        mixed.train(folder / name, name)
    return folder


def score(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Run `tabserve score` in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["tabserve", "score", *map(str, words)])
    with pytest.raises(SystemExit) as exiting:
        main.main()
    return int(exiting.value.code or 0)


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
@pytest.mark.parametrize(("task", "names"), COLUMNS.items())
def test_each_task_has_its_columns(  # noqa: PLR0917 (fixtures and parameters)
    folders: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    task: str,
    names: Sequence[str],
    ending: str,
) -> None:
    """They hold the model's own answers to the bit, in the order of the rows; there is no progress off a terminal."""
    folder, data, out = folders / task, folders / f"{task}.csv", tmp_path / f"scores{ending}"
    assert score(monkeypatch, folder, "--data", data, "--out", out) == 0
    assert capsys.readouterr() == (f"Scored 600 rows into {out}.\n", "")
    written = pd.read_parquet(out) if ending == ".parquet" else pd.read_csv(out)
    assert [*written.columns] == ["row", *names]
    assert written["row"].tolist() == [*range(1, 601)]
    model = load(folder)
    features = np.concatenate([rows.features for rows in stream(data, model.problem, model.encoder)])
    for name, values in model.decision.table(model.score(features), model.problem).items():
        assert written[name].to_numpy().astype(values.dtype).tolist() == values.tolist()


def test_a_packed_file_of_rows_with_an_id_is_scored(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The id is the first column, under its own name."""
    rows = pd.read_csv(Path(__file__).parents[2] / "scripts/rows.csv")
    rows.to_csv(tmp_path / "rows.csv.gz", index=False)
    assert score(monkeypatch, model_folder, "--data", tmp_path / "rows.csv.gz", "--out", tmp_path / "new/out.csv") == 0
    written = pd.read_csv(tmp_path / "new/out.csv")
    assert [*written.columns] == ["ID_code", "label", "probability"]
    assert [*written["ID_code"]] == [*rows["ID_code"]]


def test_nothing_is_left_of_a_table_that_cannot_be_used(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence names the row; an earlier output stays."""
    table = pd.read_csv(folders / "two.csv", dtype=str, keep_default_na=False)
    table.loc[500, "income"] = "dear"
    table.to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "out.csv").write_text("earlier")
    words = (folders / "two", "--data", tmp_path / "rows.csv", "--out", tmp_path / "out.csv")
    assert score(monkeypatch, *words) == DataError.exit_code
    stdout, stderr = capsys.readouterr()
    assert (stdout, stderr) == (
        "",
        f"{tmp_path}/rows.csv, row 501, column 'income': expected a number, found 'dear'.\n",
    )
    assert {path.name for path in tmp_path.iterdir()} == {"out.csv", "rows.csv"}
    assert (tmp_path / "out.csv").read_text() == "earlier"


def test_a_damaged_folder_is_refused(folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written."""
    broken = shutil.copytree(folders / "two", tmp_path / "broken")
    (broken / "golden.json").write_text("{}")
    words = (broken, "--data", folders / "two.csv", "--out", tmp_path / "out.csv")
    assert score(monkeypatch, *words) == ArtifactError.exit_code
    assert [*tmp_path.iterdir()] == [broken]
