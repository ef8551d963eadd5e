"""`tabserve pack` writes a verified model folder as one file, whole or not at all."""

import sys
from pathlib import Path

import pytest
from tests.model.small import content, remove, save_small, words

from tabserve.cli import main
from tabserve.model.archive import unpack
from tabserve.model.model import GOLDEN


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder."""
    save_small(tmp_path / "model", words())
    return tmp_path / "model"


def pack(monkeypatch: pytest.MonkeyPatch, *words_of_it: object) -> int:
    """Run `tabserve pack` in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["tabserve", "pack", *map(str, words_of_it)])
    with pytest.raises(SystemExit) as exiting:
        main.main()
    return int(exiting.value.code or 0)


@pytest.mark.parametrize(("name", "start"), [("m.zip", b"PK"), ("m.pkl", b"\x80\x04"), ("M.ZIP", b"PK")])
def test_the_ending_says_the_form(  # noqa: PLR0917 (fixtures and parameters)
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    start: bytes,
) -> None:
    """The file unpacks to the folder."""
    out = tmp_path / name
    assert pack(monkeypatch, folder, "--out", out) == 0
    assert capsys.readouterr().out == f"Packed {folder} into {out}: {out.stat().st_size:,} bytes.\n"
    assert out.read_bytes().startswith(start)
    unpack(out.read_bytes(), tmp_path / "copy")
    assert content(tmp_path / "copy") == content(folder)


@pytest.mark.parametrize(
    ("out", "code", "sentence"),
    [
        ("model.tar", 2, "expected a name that ends in .zip or .pkl"),
        ("model/model.zip", 3, "which is read as well; name another place."),
    ],
)
def test_a_file_that_cannot_be_written_is_named(  # noqa: PLR0917 (fixtures and parameters)
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    out: str,
    code: int,
    sentence: str,
) -> None:
    """The folder stays as it was."""
    before = content(folder)
    monkeypatch.chdir(folder.parent)
    assert pack(monkeypatch, "model", "--out", out) == code
    assert sentence in capsys.readouterr().err
    assert content(folder) == before


def test_a_damaged_folder_is_not_packed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written."""
    remove(GOLDEN)(folder)
    assert pack(monkeypatch, folder, "--out", tmp_path / "model.zip") == 4
    assert f"{GOLDEN} cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "model.zip").exists()
