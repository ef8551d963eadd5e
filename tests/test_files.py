"""A file appears whole, or not at all."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tabserve.errors import DataError
from tabserve.files import whole, whole_folder

Make = Callable[[Path], AbstractContextManager[Path]]


def test_a_block_that_ends_well_leaves_the_whole_file(tmp_path: Path) -> None:
    """And nothing beside it; others may read it."""
    out = tmp_path / "out.csv"
    with whole(out) as temporary:
        temporary.write_text("all of it")
        assert not out.exists()
    assert out.read_text() == "all of it"
    assert list(tmp_path.iterdir()) == [out]
    assert out.stat().st_mode & 0o444 == 0o444


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
def test_a_block_that_fails_changes_nothing(tmp_path: Path, interruption: type[BaseException]) -> None:
    """What was there before stays, and no temporary file is left."""
    out = tmp_path / "out.csv"
    out.write_text("earlier")
    with pytest.raises(interruption), whole(out) as temporary:  # noqa: PT012 (the block is what is tested)
        temporary.write_text("half of")
        raise interruption
    assert out.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("occupy", ["folder", "link", "pipe"])
def test_what_is_no_regular_file_is_never_replaced(occupy: str, tmp_path: Path) -> None:
    """A device would be destroyed, and a link would lose what it points to."""
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


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    """With those around it."""
    with whole(tmp_path / "new" / "folder" / "out.csv") as temporary:
        temporary.write_text("all of it")
    assert (tmp_path / "new" / "folder" / "out.csv").read_text() == "all of it"


@pytest.mark.parametrize("made", [whole, whole_folder])
def test_a_folder_that_was_made_for_nothing_does_not_stay(made: Make, tmp_path: Path) -> None:
    """A download that fails leaves no empty `data/` behind; a folder that was there before stays."""
    (tmp_path / "old").mkdir()
    with pytest.raises(RuntimeError), made(tmp_path / "old" / "new" / "folder" / "out"):
        raise RuntimeError
    assert [*tmp_path.rglob("*")] == [tmp_path / "old"]


def test_a_name_that_is_too_long_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """As the system says it; one that just fits is written."""
    with pytest.raises(DataError, match="cannot be written: File name too long"), whole(tmp_path / ("x" * 300)):
        pytest.fail("the block must not start")
    with whole(tmp_path / ("x" * 255)) as temporary:
        temporary.write_text("all of it")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_place_below_a_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """Nothing can be written below a regular file, not even by root."""
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DataError, match=r"cannot be written: .*nothing was changed"),
        whole(tmp_path / "file" / "out.csv"),
    ):
        pytest.fail("the block must not start")


def test_a_folder_appears_when_the_block_ends_well_and_replaces_what_was_there(tmp_path: Path) -> None:
    """Whole, with nothing beside it; folders around it are made."""
    place = tmp_path / "new" / "folder"
    for name in ("first", "second"):
        with whole_folder(place) as fresh:
            fresh.mkdir()
            (fresh / name).touch()
        assert [path.name for path in place.iterdir()] == [name]
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_folder_stays_as_it_was_when_the_block_ends_badly(error: type[BaseException], tmp_path: Path) -> None:
    """And nothing is left beside it."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()
    with pytest.raises(error), whole_folder(tmp_path / "folder") as fresh:  # noqa: PT012 (the block is what is tested)
        fresh.mkdir()
        raise error
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "old"]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    """It names the place."""
    (tmp_path / "file").touch()
    said = r"file/folder cannot be written: .*; nothing was changed there"
    with pytest.raises(DataError, match=said), whole_folder(tmp_path / "file" / "folder"):
        pytest.fail("the block must not start")
