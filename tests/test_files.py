"""A file or folder is written whole or not at all."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tabserve.errors import DataError
from tabserve.files import whole, whole_folder

Write = Callable[[Path], AbstractContextManager[Path]]


def test_a_block_that_succeeds_leaves_the_whole_file(tmp_path: Path) -> None:
    """No other file is left, and other users can read it."""
    out = tmp_path / "out.csv"
    with whole(out) as temporary:
        temporary.write_text("all of it")
        assert not out.exists()
    assert out.read_text() == "all of it"
    assert list(tmp_path.iterdir()) == [out]
    assert out.stat().st_mode & 0o444 == 0o444


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
def test_a_block_that_fails_changes_nothing(tmp_path: Path, interruption: type[BaseException]) -> None:
    """An earlier file stays, and no temporary file is left."""
    out = tmp_path / "out.csv"
    out.write_text("earlier")
    with pytest.raises(interruption), whole(out) as temporary:  # noqa: PT012 (the block is what is tested)
        temporary.write_text("half of")
        raise interruption
    assert out.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("occupy", ["folder", "link", "pipe"])
def test_only_regular_files_are_replaced(occupy: str, tmp_path: Path) -> None:
    """Replacing would destroy a device, and detach a link from its target."""
    out = tmp_path / "out.csv"
    if occupy == "folder":
        out.mkdir()
    elif occupy == "link":
        out.symlink_to("elsewhere")
    else:
        os.mkfifo(out)
    with pytest.raises(DataError, match="no regular file"), whole(out):
        pytest.fail("the block must not start")
    assert list(tmp_path.iterdir()) == [out]


def test_missing_folders_are_created(tmp_path: Path) -> None:
    """With their parents."""
    with whole(tmp_path / "new" / "folder" / "out.csv") as temporary:
        temporary.write_text("all of it")
    assert (tmp_path / "new" / "folder" / "out.csv").read_text() == "all of it"


@pytest.mark.parametrize("write", [whole, whole_folder])
def test_created_folders_are_removed_if_the_block_fails(write: Write, tmp_path: Path) -> None:
    """A failed download leaves no empty `data/` behind; a folder that existed before stays."""
    (tmp_path / "old").mkdir()
    with pytest.raises(RuntimeError), write(tmp_path / "old" / "new" / "folder" / "out"):
        raise RuntimeError
    assert [*tmp_path.rglob("*")] == [tmp_path / "old"]


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    """The message has the system's reason; the longest possible name is written."""
    with pytest.raises(DataError, match="cannot be written: File name too long"), whole(tmp_path / ("x" * 300)):
        pytest.fail("the block must not start")
    with whole(tmp_path / ("x" * 255)) as temporary:
        temporary.write_text("all of it")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    """Not even root can write below a regular file."""
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DataError, match=r"cannot be written: .*nothing was changed"),
        whole(tmp_path / "file" / "out.csv"),
    ):
        pytest.fail("the block must not start")


def test_a_folder_replaces_an_earlier_one_when_the_block_succeeds(tmp_path: Path) -> None:
    """Whole, and nothing is left beside it; its parents are created."""
    folder = tmp_path / "new" / "folder"
    for name in ("first", "second"):
        with whole_folder(folder) as fresh:
            fresh.mkdir()
            (fresh / name).touch()
        assert [path.name for path in folder.iterdir()] == [name]
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_folder_is_unchanged_if_the_block_fails(error: type[BaseException], tmp_path: Path) -> None:
    """Nothing is left beside it."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()
    with pytest.raises(error), whole_folder(tmp_path / "folder") as fresh:  # noqa: PT012 (the block is what is tested)
        fresh.mkdir()
        raise error
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "old"]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """The message names its path."""
    (tmp_path / "file").touch()
    message = r"file/folder cannot be written: .*; nothing was changed there"
    with pytest.raises(DataError, match=message), whole_folder(tmp_path / "file" / "folder"):
        pytest.fail("the block must not start")
