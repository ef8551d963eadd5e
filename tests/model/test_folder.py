"""The files of a model folder are saved whole or not at all, and read only if they are regular and of a sane size."""

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
from tabserve.predictors import booster, encoded_booster, linear, one_hot

# Saving.


@pytest.mark.parametrize("there", ["nothing", "a model", "an empty folder", "no parent either"])
def test_a_folder_is_saved_where_there_is_room(there: str, build: Build, tmp_path: Path) -> None:
    """No other file is left beside the folder."""
    path = tmp_path / ("new/parents/model" if there == "no parent either" else "model")
    if there == "a model":
        save_small(path, build(1))
    if there == "an empty folder":
        path.mkdir()
    save_small(path, build(0))
    assert same_answers(load(path), build(0))
    assert [item.name for item in path.parent.iterdir()] == ["model"]


def test_a_folder_of_the_other_kind_is_replaced_as_a_whole(build: Build, tmp_path: Path) -> None:
    """No file of the earlier model is left."""
    others = [other for other in (trees, words) if other is not build]
    for other in others:
        save_small(tmp_path / "model", other(0))
    save_small(tmp_path / "model", build(0))
    assert {path.name for path in (tmp_path / "model").iterdir()} == {build(0).predictor.FILE, GOLDEN, MANIFEST, CARD}
    assert same_answers(load(tmp_path / "model"), build(0))


def a_file(path: Path) -> Path:
    """Somebody's file."""
    path.write_text("mine")
    return path


def a_folder_with_a_file(path: Path) -> Path:
    """Somebody's folder, which even has a manifest."""
    path.mkdir()
    (path / "thesis.txt").write_text("mine")
    (path / MANIFEST).write_text("{}")
    return path


def a_model_with_a_file(path: Path) -> Path:
    """A model folder with something beside the model."""
    save_small(path)
    (path / "notes.txt").write_text("mine")
    return path


def below_a_file(path: Path) -> Path:
    """A path at which no user can create a folder."""
    path.write_text("mine")
    return path / "model"


def with_a_long_name(path: Path) -> Path:
    """A name that no file system accepts."""
    path.mkdir()
    return path / ("m" * 300)


@pytest.mark.parametrize(
    ("occupy", "message"),
    [
        (a_file, "cannot be written: Not a directory"),
        (a_folder_with_a_file, "holds something other than a model; name another place, or remove it first."),
        (a_model_with_a_file, "holds something other than a model; name another place, or remove it first."),
        (below_a_file, "is not a folder that can be written to."),
        (with_a_long_name, "cannot be written: File name too long."),
    ],
)
def test_files_of_others_are_not_overwritten(occupy: Callable[[Path], Path], message: str, tmp_path: Path) -> None:
    """The check before training and the save itself refuse such a path; nothing changes there."""
    path = occupy(tmp_path / "mine")
    before = content(tmp_path)
    for attempt in (check_place, save_small):
        with pytest.raises(ArtifactError) as error:
            attempt(path)
        assert str(error.value).startswith(str(path))
        assert message in str(error.value)
    assert content(tmp_path) == before


OURS = {module.__file__ for module in (models, files, folders, manifest, booster, encoded_booster, linear, one_hot)}

STEPS = {"mkdir", "save_model", "write_text", "write_bytes", "read_bytes", "rename"}
"""Names of the functions that read or change files during a save."""


@contextmanager
def failing(at: int, error: Callable[[], BaseException], events: set[str]) -> Iterator[list[int]]:
    """Raise an error once, at the n-th step: a call of one of `STEPS` by a module of the folder, or its return.

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
    """How a save is ended: the error, the events at which it is raised, and the exception that the caller sees."""

    error: Callable[[], BaseException]
    events: set[str]
    raised: type[BaseException]


ENDS = {
    "interrupted": End(KeyboardInterrupt, {"call", "return"}, KeyboardInterrupt),
    "disk full": End(lambda: OSError(28, "No space left on device"), {"call"}, ArtifactError),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=[*ENDS])
def test_a_save_that_ends_at_any_step_leaves_one_whole_folder(end: End, build: Build, tmp_path: Path) -> None:
    """The folder is the old one or the new one, byte for byte, and nothing is left beside it."""
    model, path = build(0), tmp_path / "alone" / "model"
    save_small(tmp_path / "old", build(1))
    save_small(tmp_path / "new", model)
    whole = {name: content(tmp_path / name) for name in ("old", "new")}
    outcomes: list[str] = []
    for at in count(1):
        shutil.rmtree(path.parent, ignore_errors=True)
        shutil.copytree(tmp_path / "old", path)
        with failing(at, end.error, end.events) as steps, suppress(end.raised):
            save_small(path, model)
        assert [item.name for item in path.parent.iterdir()] == ["model"], f"step {at} left something behind"
        outcomes += [name for name, files in whole.items() if files == content(path)] or ["neither"]
        if steps[0] < at:
            break
    assert len(outcomes) > 15, "a save has many steps"
    assert set(outcomes[:-1]) == {"old", "new"}
    assert outcomes[-1] == "new", "the last attempt was not disturbed"


FULL = """
import json, resource, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from tabserve.errors import ArtifactError
from tabserve.model.model import GOLDEN, load, save

folder, messages = Path(sys.argv[1]), {}
model, golden = load(folder), json.loads((folder / GOLDEN).read_text())
row = model.predictor.from_json(golden["features"][:1])
metrics = {str(number): number for number in range(20_000)}
large = replace(model, metrics=metrics), np.repeat(row, 1_000, axis=0), "#" * 200_000
small = model, row, "#"
parts = {model.predictor.FILE: small, "golden.json": large, "MODEL_CARD.md": large, "manifest.json": large}
for name, arguments in parts.items():
    save(folder.parent / "whole", *arguments)
    sizes = {path.name: path.stat().st_size for path in (folder.parent / "whole").iterdir()}
    resource.setrlimit(resource.RLIMIT_FSIZE, (sizes[name] - 1, resource.RLIM_INFINITY))
    try:
        save(folder, *arguments)
    except ArtifactError as error:
        messages[name] = str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
json.dump([sizes, messages], sys.stdout)
"""


def test_a_full_disk_leaves_the_earlier_folder(either: Path, tmp_path: Path) -> None:
    """Whichever file does not fit, the save fails with one sentence, and the earlier folder is unchanged."""
    before, command, model = content(either), [sys.executable, "-c", FULL, str(either)], find_file(either, MODEL).name
    child = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert child.returncode == 0, child.stderr
    sizes, messages = json.loads(child.stdout)
    assert sizes[model] < sizes[GOLDEN] < sizes[CARD] < sizes[MANIFEST], "each limit hits its own file"
    names = {model, GOLDEN, CARD, MANIFEST}
    assert messages == dict.fromkeys(names, f"{either} cannot be written: File too large; nothing was changed there.")
    assert content(either) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "whole"]


# Reading.


CHECK = """
import contextlib, io, json, sys
from tabserve.cli import main
results = []
for folder in sys.argv[1:]:
    sys.argv = ["tabserve", "check", folder]
    complaint = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(complaint):
        try:
            main.main()
        except SystemExit as ended:
            results.append([ended.code, complaint.getvalue()])
print(json.dumps(results))
"""


def check(*folders: Path) -> list[tuple[int, str]]:
    """The exit code and message of `tabserve check` for each folder, from one process with a deadline."""
    command: list[str | Path] = [sys.executable, "-c", CHECK, *folders]
    child = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [(code, complaint) for code, complaint in json.loads(child.stdout)]


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "is no regular file; expected a whole model folder."),
    "folder": (Path.mkdir, "is no regular file; expected a whole model folder."),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is no regular file; expected a whole model folder."),
    "huge file": (lambda path: os.truncate(a_file(path), 10 << 30), "has 10737418240 bytes, at most "),
}


def test_only_regular_files_of_a_sane_size_are_read(build: Build, tmp_path: Path) -> None:
    """The check waits for no pipe; a strange card only causes a warning."""
    strange = [
        (name, kind, tmp_path / f"{kind} for {name}")
        for name in (MANIFEST, build(0).predictor.FILE, GOLDEN, CARD)
        for kind in KINDS
    ]
    for name, kind, folder in strange:
        save_small(folder, build(0))
        (folder / name).unlink()
        KINDS[kind][0](folder / name)
    results = check(*(folder for _, _, folder in strange))
    for (name, kind, folder), (code, complaint) in zip(strange, results, strict=True):
        assert code == (0 if name == CARD else ArtifactError.exit_code), complaint
        assert complaint.startswith(str(folder / name))
        assert complaint.count("\n") == 1
        assert ("is missing or was changed" if name == CARD else KINDS[kind][1]) in complaint


@pytest.mark.parametrize("there", ["nothing", "a model"])
def test_a_link_is_followed(there: str, tmp_path: Path) -> None:
    """Its target is written; the link stays a link."""
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
    """The check before training and the save itself refuse it."""
    link = tmp_path / "link"
    link.symlink_to(link)
    for attempt in (check_place, save_small):
        with pytest.raises(ArtifactError, match="its links lead in a circle"):
            attempt(link)


def test_a_folder_may_have_a_long_name(folder: Path, tmp_path: Path) -> None:
    """As long as the file system accepts."""
    save_small(tmp_path / ("m" * 250))
    assert same_answers(load(tmp_path / ("m" * 250)), load(folder))


def test_a_path_that_cannot_exist_is_refused(tmp_path: Path) -> None:
    """The message has the system's reason."""
    assert "File name too long" in refusal(tmp_path / ("m" * 300))


@pytest.mark.parametrize(
    "change",
    [remove(CARD), truncate(CARD), lambda folder: (folder / CARD).write_text("mine")],
    ids=["missing", "truncated", "other"],
)
def test_a_changed_card_only_warns(
    change: Callable[[Path], object], either: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its owner may edit the card; the model is still the same."""
    expected = load(either)
    assert caplog.records == []
    change(either)
    assert same_answers(load(either), expected)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == f"{either / CARD} is missing or was changed after the model was saved."


def test_a_damaged_folder_can_be_saved_over(build: Build, either: Path) -> None:
    """Saving a newly trained model repairs it."""
    remove(MODEL)(either)
    save_small(either, build(0))
    load(either)
