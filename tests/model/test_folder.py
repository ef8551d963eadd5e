"""A model folder's files: saved whole or not at all, wherever that is, and read only where they are sane."""

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import pytest
from tests.model.small import (
    MODEL,
    Build,
    content,
    find_file,
    refusal,
    remove,
    same_answers,
    save_small,
    trees,
    truncate,
    words,
)

from tabserve import files
from tabserve.errors import ArtifactError
from tabserve.model import folder as folders
from tabserve.model import manifest
from tabserve.model import model as models
from tabserve.model.model import CARD, GOLDEN, MANIFEST, check_place, load
from tabserve.predictors import booster, linear
from tabserve.predictors.booster import Booster

# Saved, or not at all.


@pytest.mark.parametrize("there", ["nothing", "a model", "an empty folder", "no parent either"])
def test_a_folder_is_saved_where_there_is_room(there: str, made: Build, tmp_path: Path) -> None:
    """Nothing else is left beside it."""
    place = tmp_path / ("new/parents/model" if there == "no parent either" else "model")
    if there == "a model":
        save_small(place, made(1))
    if there == "an empty folder":
        place.mkdir()
    save_small(place, made(0))
    assert same_answers(load(place), made(0))
    assert [path.name for path in place.parent.iterdir()] == ["model"]


def test_a_folder_of_the_other_kind_is_replaced_as_a_whole(made: Build, tmp_path: Path) -> None:
    """Nothing of the model that was there is left."""
    others = [other for other in (trees, words) if other is not made]
    for other in others:
        save_small(tmp_path / "model", other(0))
    save_small(tmp_path / "model", made(0))
    assert {path.name for path in (tmp_path / "model").iterdir()} == {made(0).predictor.FILE, GOLDEN, MANIFEST, CARD}
    assert same_answers(load(tmp_path / "model"), made(0))


def a_file(place: Path) -> Path:
    """Somebody's file."""
    place.write_text("mine")
    return place


def a_folder_with_a_file(place: Path) -> Path:
    """Somebody's folder, which even has a manifest."""
    place.mkdir()
    (place / "thesis.txt").write_text("mine")
    (place / MANIFEST).write_text("{}")
    return place


def a_model_with_a_file(place: Path) -> Path:
    """A model folder with something beside the model."""
    save_small(place)
    (place / "notes.txt").write_text("mine")
    return place


def below_a_file(place: Path) -> Path:
    """A place that no folder can be made at, whoever asks."""
    place.write_text("mine")
    return place / "model"


def with_a_long_name(place: Path) -> Path:
    """A name that no file system takes."""
    place.mkdir()
    return place / ("m" * 300)


@pytest.mark.parametrize(
    ("occupy", "said"),
    [
        (a_file, "cannot be written: Not a directory"),
        (a_folder_with_a_file, "holds something other than a model; name another place, or remove it first."),
        (a_model_with_a_file, "holds something other than a model; name another place, or remove it first."),
        (below_a_file, "is not a folder that can be written to."),
        (with_a_long_name, "cannot be written: File name too long."),
    ],
)
def test_what_is_not_ours_is_left_alone(occupy: Callable[[Path], Path], said: str, tmp_path: Path) -> None:
    """The place is refused before any work, and by the save itself; nothing changes there."""
    place = occupy(tmp_path / "mine")
    before = content(tmp_path)
    for attempt in (check_place, save_small):
        with pytest.raises(ArtifactError) as error:
            attempt(place)
        assert str(error.value).startswith(str(place))
        assert said in str(error.value)
    assert content(tmp_path) == before


OURS = {module.__file__ for module in (models, files, folders, manifest, booster, linear)}

STEPS = {"mkdir", "save_model", "write_text", "write_bytes", "read_bytes", "rename"}
"""What reads or changes files on the way to a saved folder."""


@contextmanager
def failing(at: int, error: Callable[[], BaseException], events: set[str]) -> Iterator[list[int]]:
    """Raise an error at the n-th step, once: where a module of the folder calls one of `STEPS`, or comes back from it.

    Yields the number of steps taken so far.
    """
    steps = [0]

    def watch(frame: FrameType, event: str, _argument: object) -> None:
        ours = frame.f_back is not None and frame.f_back.f_code.co_filename in OURS
        if ours and frame.f_code.co_name in STEPS and event in events:
            steps[0] += 1
            if steps[0] == at:
                sys.setprofile(None)
                raise error()

    sys.setprofile(watch)
    try:
        yield steps
    finally:
        sys.setprofile(None)


class End(NamedTuple):
    """How a save ends: what is raised, at which sort of step, and what comes out of it."""

    error: Callable[[], BaseException]
    events: set[str]
    raised: type[BaseException]


ENDS = {
    "interrupted": End(KeyboardInterrupt, {"call", "return"}, KeyboardInterrupt),
    "disk full": End(lambda: OSError(28, "No space left on device"), {"call"}, ArtifactError),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=[*ENDS])
def test_a_save_that_ends_at_any_step_leaves_one_whole_folder(end: End, made: Build, tmp_path: Path) -> None:
    """The old one or the new one, byte for byte, and nothing beside it."""
    model, place = made(0), tmp_path / "alone" / "model"
    save_small(tmp_path / "old", made(1))
    save_small(tmp_path / "new", model)
    whole = {name: content(tmp_path / name) for name in ("old", "new")}
    found: list[str] = []
    for at in count(1):
        shutil.rmtree(place.parent, ignore_errors=True)
        shutil.copytree(tmp_path / "old", place)
        with failing(at, end.error, end.events) as steps, suppress(end.raised):
            save_small(place, model)
        assert [path.name for path in place.parent.iterdir()] == ["model"], f"step {at} left something behind"
        found += [name for name, files in whole.items() if files == content(place)] or ["neither"]
        if steps[0] < at:
            break
    assert len(found) > 15, "a save has many steps"
    assert set(found[:-1]) == {"old", "new"}
    assert found[-1] == "new", "the last attempt was not disturbed"


FULL = """
import json, resource, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from tabserve.errors import ArtifactError
from tabserve.model.model import GOLDEN, load, save

folder, said = Path(sys.argv[1]), {}
model, golden = load(folder), json.loads((folder / GOLDEN).read_text())
row = model.predictor.from_json(golden["features"][:1])
metrics = {str(number): number for number in range(20_000)}
large = replace(model, metrics=metrics), np.repeat(row, 1_000, axis=0), "#" * 200_000
small = model, row, "#"
parts = {model.predictor.FILE: small, "golden.json": large, "MODEL_CARD.md": large, "manifest.json": large}
for name, given in parts.items():
    save(folder.parent / "whole", *given)
    sizes = {path.name: path.stat().st_size for path in (folder.parent / "whole").iterdir()}
    resource.setrlimit(resource.RLIMIT_FSIZE, (sizes[name] - 1, resource.RLIM_INFINITY))
    try:
        save(folder, *given)
    except ArtifactError as error:
        said[name] = str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
json.dump([sizes, said], sys.stdout)
"""


def test_a_full_disk_leaves_the_earlier_folder(either: Path, tmp_path: Path) -> None:
    """Whichever of the four files does not fit: one sentence, and the earlier model folder as it was."""
    before, command, model = content(either), [sys.executable, "-c", FULL, str(either)], find_file(either, MODEL).name
    child = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert child.returncode == 0, child.stderr
    sizes, said = json.loads(child.stdout)
    assert sizes[model] < sizes[GOLDEN] < sizes[CARD] < sizes[MANIFEST], "each limit hits its own file"
    names = {model, GOLDEN, CARD, MANIFEST}
    if model == Booster.FILE:
        assert f"{either} was not written, as it could not be loaded again: " in said.pop(model), (
            "XGBoost did not notice"
        )
        names.remove(model)
    assert said == dict.fromkeys(names, f"{either} cannot be written: File too large; nothing was changed there.")
    assert content(either) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "whole"]


# Read.


CHECK = """
import contextlib, io, json, sys
from tabserve.cli import main
found = []
for folder in sys.argv[1:]:
    sys.argv = ["tabserve", "check", folder]
    complaint = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(complaint):
        try:
            main.main()
        except SystemExit as ended:
            found.append([ended.code, complaint.getvalue()])
print(json.dumps(found))
"""


def checked(*folders: Path) -> list[tuple[int, str]]:
    """The exit code of `tabserve check` for each folder, and its complaint; in one process with a deadline."""
    command: list[str | Path] = [sys.executable, "-c", CHECK, *folders]
    child = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [(code, complaint) for code, complaint in json.loads(child.stdout)]


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "is no regular file; expected a whole model folder."),
    "folder": (Path.mkdir, "is no regular file; expected a whole model folder."),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is no regular file; expected a whole model folder."),
    "huge file": (lambda path: os.truncate(a_file(path), 10 << 30), "has 10737418240 bytes, at most "),
}


def test_only_regular_files_of_a_sane_size_are_read(made: Build, tmp_path: Path) -> None:
    """Nothing is waited for; a strange card only warns."""
    strange = [
        (name, kind, tmp_path / f"{kind} for {name}")
        for name in (MANIFEST, made(0).predictor.FILE, GOLDEN, CARD)
        for kind in KINDS
    ]
    for name, kind, folder in strange:
        save_small(folder, made(0))
        (folder / name).unlink()
        KINDS[kind][0](folder / name)
    found = checked(*(folder for _, _, folder in strange))
    for (name, kind, folder), (code, complaint) in zip(strange, found, strict=True):
        assert code == (0 if name == CARD else ArtifactError.exit_code), complaint
        assert complaint.startswith(str(folder / name))
        assert complaint.count("\n") == 1
        assert ("is missing or was changed" if name == CARD else KINDS[kind][1]) in complaint


@pytest.mark.parametrize("there", ["nothing", "a model"])
def test_a_link_is_followed(there: str, tmp_path: Path) -> None:
    """What it leads to is written; it stays a link."""
    target, link = tmp_path / "parents" / "target", tmp_path / "link"
    if there == "a model":
        save_small(target, trees(1))
    link.symlink_to(target)
    check_place(link)
    save_small(link)
    assert link.is_symlink()
    assert same_answers(load(target), trees())
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_a_link_in_a_circle_is_refused(tmp_path: Path) -> None:
    """Before any work, and by the save itself."""
    link = tmp_path / "link"
    link.symlink_to(link)
    for attempt in (check_place, save_small):
        with pytest.raises(ArtifactError, match="its links lead in a circle"):
            attempt(link)


def test_a_folder_may_have_a_long_name(folder: Path, tmp_path: Path) -> None:
    """As long as the file system takes."""
    save_small(tmp_path / ("m" * 250))
    assert same_answers(load(tmp_path / ("m" * 250)), load(folder))


def test_a_path_that_cannot_exist_is_refused(tmp_path: Path) -> None:
    """With the system's reason."""
    assert "File name too long" in refusal(tmp_path / ("m" * 300))


@pytest.mark.parametrize(
    "change",
    [remove(CARD), truncate(CARD), lambda folder: (folder / CARD).write_text("mine")],
    ids=["missing", "truncated", "other"],
)
def test_a_changed_card_only_warns(
    change: Callable[[Path], object], either: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Words on it may be mended; the model is still the same."""
    expected = load(either)
    assert caplog.records == []
    change(either)
    assert same_answers(load(either), expected)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == f"{either / CARD} is missing or was changed after the model was saved."


def test_a_damaged_folder_can_be_saved_over(made: Build, either: Path) -> None:
    """Training again mends it."""
    remove(MODEL)(either)
    save_small(either, made(0))
    load(either)
