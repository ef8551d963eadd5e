"""A model folder is saved whole or not at all, and every way of damaging it is told apart when it is loaded."""

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from numpy.typing import NDArray

from tabserve import files
from tabserve.cli import main
from tabserve.errors import ArtifactError
from tabserve.model import folder as folders
from tabserve.model import golden, manifest
from tabserve.model.golden import TOLERANCE
from tabserve.model.model import CARD, GOLDEN, MANIFEST, MODEL, Model, check_place, load, save, versions
from tabserve.problem.criterion import Costs, Counts
from tabserve.problem.problem import Problem
from tabserve.table.frame import Frame

PROBLEM = Problem("small", ("a", "b", "c"), id="name", labels=("no", "yes"), criterion=Costs(1, 5), folds=3, seed=7)
RNG = np.random.default_rng(0)
FEATURES: NDArray[np.float32] = RNG.standard_normal((200, 3)).astype(np.float32)
TARGET = (FEATURES[:, 0] + FEATURES[:, 1] * FEATURES[:, 2] > 0).astype(np.int8)
CARD_TEXT = "# A small model\n"


def small(seed: int = 0, **options: Any) -> Model:  # noqa: ANN401  XGBoost's own
    """A model that trains in milliseconds; another seed gives another model."""
    options = {"n_estimators": 5, "max_depth": 2, "subsample": 0.5, "n_jobs": 1} | options
    booster = xgb.XGBClassifier(random_state=seed, **options).fit(FEATURES, TARGET).get_booster()
    return Model(booster, PROBLEM, 0.25, {"f1": 0.5}, {"rows": 200}, {"python": "3.11"})


def saved(folder: Path, model: Model | None = None) -> Model:
    """Save a small model."""
    return save(folder, model or small(), FEATURES[:4], CARD_TEXT)


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole model folder, alone in its parent."""
    saved(tmp_path / "model")
    return tmp_path / "model"


def refused(folder: Path) -> str:
    """The sentence that refuses a folder; it names what is wrong in it."""
    with pytest.raises(ArtifactError) as error:
        load(folder)
    sentence = str(error.value)
    assert str(folder) in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


# Saved whole.


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    """The problem with its criterion, the threshold, the facts, and the answers to the bit."""
    model = small()
    for found in (saved(tmp_path / "model", model), load(tmp_path / "model")):
        assert found.problem == PROBLEM
        assert (found.threshold, found.metrics, found.data, found.versions) == (
            0.25,
            {"f1": 0.5},
            {"rows": 200},
            {"python": "3.11"},
        )
        assert np.array_equal(found.score(FEATURES), model.score(FEATURES))


def test_the_folder_holds_what_it_says(folder: Path) -> None:
    """Four files; the manifest's keys in their order, and the checksums of the others."""
    assert sorted(path.name for path in folder.iterdir()) == sorted([MODEL, GOLDEN, MANIFEST, CARD])
    manifest = json.loads((folder / MANIFEST).read_text())
    keys = ["format_version", "problem", "features", "threshold", "metrics", "data", "versions", "files"]
    assert list(manifest) == keys
    assert manifest["features"] == ["a", "b", "c"]
    assert manifest["files"] == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (MODEL, GOLDEN, CARD)
    }
    assert (folder / CARD).read_text() == CARD_TEXT


def test_the_same_model_is_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    """Nothing in a folder depends on when or where it was saved."""
    saved(tmp_path / "elsewhere" / "model")
    assert content(tmp_path / "elsewhere" / "model") == content(folder)


def test_any_reader_of_xgboost_files_gets_the_same_probabilities(folder: Path) -> None:
    """As a bare booster, and as the classifier that the stock runtime loads: no lock-in."""
    expected = load(folder).score(FEATURES).probability
    classifier = xgb.XGBClassifier()
    classifier.load_model(folder / MODEL)
    assert np.array_equal(classifier.predict_proba(FEATURES)[:, 1], expected)
    assert classifier.classes_.tolist() == [0, 1]
    booster = xgb.Booster(model_file=folder / MODEL)
    assert np.array_equal(booster.predict(xgb.DMatrix(FEATURES, feature_names=["a", "b", "c"])), expected)


def test_missing_values_survive_in_golden_rows(tmp_path: Path) -> None:
    """Where the problem allows them."""
    model = replace(small(), problem=replace(PROBLEM, allow_missing=True))
    rows = np.array([[np.nan, 1, 2]], np.float32)
    found = save(tmp_path / "model", model, rows, CARD_TEXT)
    assert np.array_equal(found.score(rows), model.score(rows))


@pytest.mark.parametrize("threshold", [0.0, 1.0, manifest.MAX_THRESHOLD])
def test_the_outermost_thresholds_survive(threshold: float, tmp_path: Path) -> None:
    """Everybody is positive, or only the certain ones, or nobody."""
    found = saved(tmp_path / "model", replace(small(), threshold=threshold))
    assert found.threshold == threshold
    assert found.score(FEATURES).label.mean() == (threshold == 0)


def test_golden_rows_are_nobodys(sample_frame: Frame) -> None:
    """Every cell comes from its own column, no row from the table; the seed decides."""
    features = sample_frame.features
    rows = golden.drawn(features)
    assert (rows.shape, rows.dtype) == ((8, features.shape[1]), features.dtype)
    assert all(np.isin(rows[:, column], features[:, column]).all() for column in range(features.shape[1]))
    assert not (rows[:, np.newaxis] == features).all(axis=2).any()
    assert np.array_equal(rows, golden.drawn(features))
    assert not np.array_equal(rows, golden.drawn(features, seed=1))


def test_the_versions_are_those_installed() -> None:
    """Of Python and of the libraries that make a model."""
    found = versions()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert (found["xgboost"], found["numpy"]) == (xgb.__version__, np.__version__)


# Saved, or not at all.


@pytest.mark.parametrize("there", ["nothing", "a model", "an empty folder", "no parent either"])
def test_a_folder_is_saved_where_there_is_room(there: str, tmp_path: Path) -> None:
    """Nothing else is left beside it."""
    place = tmp_path / ("new/parents/model" if there == "no parent either" else "model")
    if there == "a model":
        saved(place, small(seed=1))
    if there == "an empty folder":
        place.mkdir()
    expected = saved(place)
    assert np.array_equal(load(place).score(FEATURES), expected.score(FEATURES))
    assert [path.name for path in place.parent.iterdir()] == ["model"]


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
    saved(place)
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
    for attempt in (check_place, saved):
        with pytest.raises(ArtifactError) as error:
            attempt(place)
        assert str(error.value).startswith(str(place))
        assert said in str(error.value)
    assert content(tmp_path) == before


OURS = {artifact.__file__, files.__file__, folders.__file__, manifest.__file__}

STEPS = {"mkdir", "save_model", "write_text", "read_bytes", "rename"}
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


@pytest.mark.parametrize(
    ("error", "raised", "events", "left"),
    [
        pytest.param(KeyboardInterrupt, KeyboardInterrupt, {"call", "return"}, {"old", "new"}, id="interrupted"),
        pytest.param(
            lambda: OSError(28, "No space left on device"), ArtifactError, {"call"}, {"old", "new"}, id="disk full"
        ),
    ],
)
def test_a_save_that_ends_at_any_step_leaves_one_whole_folder(
    error: Callable[[], BaseException], raised: type[BaseException], events: set[str], left: set[str], tmp_path: Path
) -> None:
    """The old one or the new one, byte for byte, and nothing beside it."""
    model, place = small(), tmp_path / "alone" / "model"
    saved(tmp_path / "old", small(seed=1))
    saved(tmp_path / "new", model)
    whole = {name: content(tmp_path / name) for name in ("old", "new")}
    found: list[str] = []
    for at in count(1):
        shutil.rmtree(place.parent, ignore_errors=True)
        shutil.copytree(tmp_path / "old", place)
        with failing(at, error, events) as steps, suppress(raised):
            saved(place, model)
        assert [path.name for path in place.parent.iterdir()] == ["model"], f"step {at} left something behind"
        found += [name for name, files in whole.items() if files == content(place)] or ["neither"]
        if steps[0] < at:
            break
    assert len(found) > 15, "a save has many steps"
    assert set(found[:-1]) == left
    assert found[-1] == "new", "the last attempt was not disturbed"


FULL = """
import json, resource, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from tabserve.model.model import load, save
from tabserve.errors import ArtifactError

folder, model, said = Path(sys.argv[1]), load(Path(sys.argv[1])), {}
metrics = {str(number): number for number in range(20_000)}
large = replace(model, metrics=metrics), np.ones((1000, 3), np.float32), "#" * 100_000
small = model, np.ones((1, 3), np.float32), "#"
for name, parts in {"model.ubj": small, "golden.json": large, "MODEL_CARD.md": large, "manifest.json": large}.items():
    save(folder.parent / "whole", *parts)
    sizes = {path.name: path.stat().st_size for path in (folder.parent / "whole").iterdir()}
    resource.setrlimit(resource.RLIMIT_FSIZE, (sizes[name] - 1, resource.RLIM_INFINITY))
    try:
        save(folder, *parts)
    except ArtifactError as error:
        said[name] = str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
json.dump([sizes, said], sys.stdout)
"""


def test_a_full_disk_leaves_the_earlier_folder(folder: Path, tmp_path: Path) -> None:
    """Whichever of the four files does not fit: one sentence, and the earlier model folder as it was."""
    before, command = content(folder), [sys.executable, "-c", FULL, str(folder)]
    child = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert child.returncode == 0, child.stderr
    sizes, said = json.loads(child.stdout)
    assert sizes[MODEL] < sizes[GOLDEN] < sizes[CARD] < sizes[MANIFEST], "each limit hits its own file"
    assert f"{folder} was not written, as it could not be loaded again: " in said.pop(MODEL), "XGBoost did not notice"
    assert said == dict.fromkeys(
        (GOLDEN, CARD, MANIFEST), f"{folder} cannot be written: File too large; nothing was changed there."
    )
    assert content(folder) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "whole"]


class Lowest:
    """A criterion that no folder can name."""

    name = "lowest"

    def __call__(self, counts: Counts) -> NDArray[np.float64]:
        """Fewest flagged."""
        return -np.asarray(counts.true_positive + counts.false_positive, np.float64)


def test_a_criterion_that_cannot_be_loaded_again_is_not_saved(tmp_path: Path) -> None:
    """Nothing is written that would be refused later."""
    model = replace(small(), problem=replace(PROBLEM, criterion=Lowest()))
    with pytest.raises(ArtifactError, match="Lowest"):
        saved(tmp_path / "model", model)
    assert list(tmp_path.iterdir()) == []


# Damaged.


def changed(**values: object) -> Callable[[Path], None]:
    """Set top-level values of the manifest."""

    def damage(folder: Path) -> None:
        manifest = json.loads((folder / MANIFEST).read_text())
        (folder / MANIFEST).write_text(json.dumps(manifest | values))

    return damage


def without(key: str) -> Callable[[Path], None]:
    """Drop a top-level key of the manifest."""

    def damage(folder: Path) -> None:
        manifest = json.loads((folder / MANIFEST).read_text())
        del manifest[key]
        (folder / MANIFEST).write_text(json.dumps(manifest))

    return damage


def with_problem(**values: object) -> Callable[[Path], None]:
    """Set values of the manifest's problem."""

    def damage(folder: Path) -> None:
        changed(problem=json.loads((folder / MANIFEST).read_text())["problem"] | values)(folder)

    return damage


def missing(name: str) -> Callable[[Path], None]:
    """Remove a file."""
    return lambda folder: (folder / name).unlink()


def truncated(name: str) -> Callable[[Path], object]:
    """Cut a file's end off."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-5])


def turned_into_a_file(folder: Path) -> None:
    """Leave a file where the folder was."""
    shutil.rmtree(folder)
    folder.touch()


def swapped(name: str) -> Callable[[Path], None]:
    """Take a file from another model's folder."""

    def damage(folder: Path) -> None:
        saved(folder.parent / "other", small(seed=1))
        shutil.copy(folder.parent / "other" / name, folder / name)

    return damage


def signed(damage: Callable[[Path], object]) -> Callable[[Path], None]:
    """Damage a folder and then mend its checksums, so that only what they protect can tell."""

    def damage_and_sign(folder: Path) -> None:
        damage(folder)
        sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (MODEL, GOLDEN, CARD)}
        changed(files=sums)(folder)

    return damage_and_sign


def holding(name: str, document: object) -> Callable[[Path], None]:
    """Put other content into a file: bytes as they are, anything else as JSON, and sign it."""
    written = document if isinstance(document, bytes) else json.dumps(document).encode()
    return signed(lambda folder: (folder / name).write_bytes(written))


def put(name: str, text: bytes) -> Callable[[Path], object]:
    """Put other content into a file, and sign all but the manifest, which has no checksum."""
    return holding(name, text) if name != MANIFEST else lambda folder: (folder / name).write_bytes(text)


def with_costs(**values: object) -> Callable[[Path], None]:
    """Let the criterion be costs, some of them set."""
    return with_problem(criterion={"name": "Costs", "false_positive": 1, "false_negative": 5} | values)


def another_booster(train: Callable[[], xgb.XGBModel]) -> Callable[[Path], None]:
    """Put another kind of model into the folder, and sign it."""

    def damage(folder: Path) -> None:
        booster = train().get_booster()
        booster.feature_names = [f"x{number}" for number in range(booster.num_features())]
        booster.save_model(folder / MODEL)

    return signed(damage)


HUGE = 10**400
"""What JSON can write, Python can read, and no float can hold."""

STRANGE_FIELDS: dict[str, list[Any]] = {
    "name": [3, None, ["a"], "two\nlines", "\ud800"],
    "target": [3, None],
    "id": [3, ["name"]],
    "labels": [[["no"], "yes"], [0, 1], ["no"], ["no", "yes", "no"]],
    "group": [3, ["name"], "a"],
    "allow_missing": ["no", 1, None],
    "holdout": ["0.2", True, 1, HUGE, float("nan")],
    "folds": [2.5, True, "3", HUGE],
    "seed": ["x", True, -1, 2**32, HUGE],
    "a\nstranger": [1],
    "features": [["a"]],
}

NOT_A_NUMBER = "expected a number from 0 to 1"
OTHER_ORDER = "name different features, or the same in another order"
NO_ROWS = "does not hold rows of 3 features with their probabilities"
NO_PROBLEM = "does not describe a problem"

DAMAGES: list[tuple[str, Callable[[Path], object], str, str]] = [
    ("folder missing", shutil.rmtree, MANIFEST, "cannot be read: No such file or directory"),
    ("folder a file", turned_into_a_file, MANIFEST, "cannot be read: Not a directory"),
    ("model missing", missing(MODEL), MODEL, "cannot be read: No such file or directory"),
    ("model truncated", truncated(MODEL), MODEL, "does not have the checksum in manifest.json"),
    ("model swapped", swapped(MODEL), MODEL, "does not have the checksum in manifest.json"),
    ("model swapped and signed", signed(swapped(MODEL)), GOLDEN, "differently than when it was saved: off by"),
    ("model truncated and signed", signed(truncated(MODEL)), MODEL, "is not a model that XGBoost"),
    ("model empty and signed", holding(MODEL, b""), MODEL, "is not a model that XGBoost"),
    ("model a text and signed", holding(MODEL, b"model"), MODEL, "is not a model that XGBoost"),
    ("model a pickle and signed", holding(MODEL, b"\x80\x04K\x01."), MODEL, "is not a model that XGBoost"),
    (
        "model of squared error",
        another_booster(lambda: xgb.XGBRegressor(n_estimators=2, n_jobs=1).fit(FEATURES, TARGET)),
        MODEL,
        "holds a model of objective 'reg:squarederror', expected 'binary:logistic'",
    ),
    (
        "model of three classes",
        another_booster(lambda: xgb.XGBClassifier(n_estimators=2, n_jobs=1).fit(FEATURES, np.arange(200) % 3)),
        MODEL,
        "holds a model of objective 'multi:softprob', expected 'binary:logistic'",
    ),
    (
        "model of raw log odds",
        another_booster(
            lambda: xgb.XGBClassifier(n_estimators=2, n_jobs=1, objective="binary:logitraw").fit(FEATURES, TARGET)
        ),
        MODEL,
        "holds a model of objective 'binary:logitraw', expected 'binary:logistic'",
    ),
    (
        "model of two features",
        another_booster(lambda: xgb.XGBClassifier(n_estimators=2, n_jobs=1).fit(FEATURES[:, :2], TARGET)),
        MODEL,
        "holds a model of 2 features, the manifest names 3",
    ),
    (
        "model of other features",
        another_booster(lambda: xgb.XGBClassifier(n_estimators=2, n_jobs=1).fit(FEATURES, TARGET)),
        MODEL,
        OTHER_ORDER,
    ),
    ("feature count", changed(features=["a", "b"]), MODEL, "holds a model of 3 features, the manifest names 2"),
    ("feature order", changed(features=["b", "a", "c"]), MODEL, OTHER_ORDER),
    ("feature name", changed(features=["a", "b", "d"]), MODEL, OTHER_ORDER),
    ("feature repeated", changed(features=["a", "b", "b"]), MANIFEST, NO_PROBLEM),
    ("features a text", changed(features="abc"), MANIFEST, "needs 'features' as a list, found str"),
    ("golden missing", missing(GOLDEN), GOLDEN, "cannot be read: No such file or directory"),
    ("golden truncated", truncated(GOLDEN), GOLDEN, "does not have the checksum in manifest.json"),
    ("golden swapped", swapped(GOLDEN), GOLDEN, "does not have the checksum in manifest.json"),
    ("golden swapped and signed", signed(swapped(GOLDEN)), GOLDEN, "differently than when it was saved: off by"),
    ("golden truncated and signed", signed(truncated(GOLDEN)), GOLDEN, "is not JSON"),
    ("golden a list", holding(GOLDEN, [1, 2]), GOLDEN, "needs one JSON object, found a list"),
    ("golden without rows", holding(GOLDEN, {"features": [], "probability": []}), GOLDEN, NO_ROWS),
    ("golden without features", holding(GOLDEN, {"probability": [0.5]}), GOLDEN, NO_ROWS),
    ("golden of two columns", holding(GOLDEN, {"features": [[1, 2]], "probability": [0.5]}), GOLDEN, NO_ROWS),
    ("golden of text", holding(GOLDEN, {"features": [["a", "b", "c"]], "probability": [0.5]}), GOLDEN, NO_ROWS),
    ("golden not a number", holding(GOLDEN, {"features": [[1, 2, 3]], "probability": [float("nan")]}), GOLDEN, "nan"),
    ("golden probability a number", holding(GOLDEN, {"features": [[1, 2, 3]], "probability": 0.5}), GOLDEN, NO_ROWS),
    ("manifest missing", missing(MANIFEST), MANIFEST, "cannot be read: No such file or directory"),
    ("manifest truncated", truncated(MANIFEST), MANIFEST, "is not JSON"),
    ("manifest swapped", swapped(MANIFEST), MODEL, "does not have the checksum in manifest.json"),
    ("manifest empty", lambda folder: (folder / MANIFEST).write_text(""), MANIFEST, "is not JSON"),
    ("manifest not UTF-8", lambda folder: (folder / MANIFEST).write_bytes(b'{"a": "\xe9"}'), MANIFEST, "is not JSON"),
    ("manifest a list", lambda folder: (folder / MANIFEST).write_text("[]"), MANIFEST, "found a list"),
    ("newer format", changed(format_version=2), MANIFEST, "expected 1; it was written by a newer tabserve, so update"),
    ("older format", changed(format_version=0), MANIFEST, "has format version 0, expected 1; it is damaged"),
    ("text as format", changed(format_version="2"), MANIFEST, "has format version '2', expected 1; it is damaged"),
    ("no format", without("format_version"), MANIFEST, "has format version None, expected 1; it is damaged"),
    *[
        (f"no {key}", without(key), MANIFEST, f"needs '{key}' as a {kind}, found NoneType")
        for key, kind in {"problem": "dict", "features": "list", "metrics": "dict", "data": "dict"}.items()
    ],
    ("no versions", without("versions"), MANIFEST, "needs 'versions' as a dict, found NoneType"),
    ("no checksums", without("files"), MANIFEST, "needs 'files' as a dict, found NoneType"),
    ("no checksum", changed(files={}), MODEL, "does not have the checksum in manifest.json"),
    ("no threshold", without("threshold"), MANIFEST, "names no threshold between two labels"),
    ("three labels", with_problem(labels=["no", "yes", "maybe"]), MANIFEST, "names no threshold between two labels"),
    *[
        (f"threshold {value!r}", changed(threshold=value), MANIFEST, f"has threshold {value!r}, {NOT_A_NUMBER}")
        for value in (-0.1, 1.5, float("nan"), float("inf"), "0.5", True, None, [0.5])
    ],
    ("problem empty", changed(problem={}), MANIFEST, "needs 'labels' as a list, found NoneType"),
    ("problem with a stranger", with_problem(colour="red"), MANIFEST, NO_PROBLEM),
    ("criterion unknown", with_problem(criterion={"name": "Best"}), MANIFEST, NO_PROBLEM),
    ("criterion without costs", with_problem(criterion={"name": "Costs"}), MANIFEST, NO_PROBLEM),
    (
        "criterion of no cost",
        with_problem(criterion={"name": "Costs", "false_positive": 0, "false_negative": 1}),
        MANIFEST,
        NO_PROBLEM,
    ),
    ("criterion a text", with_problem(criterion="F1"), MANIFEST, "needs 'criterion' as a dict, found str"),
    ("labels a number", with_problem(labels=1), MANIFEST, "needs 'labels' as a list, found int"),
    ("labels equal", with_problem(labels=["1", "1"]), MANIFEST, NO_PROBLEM),
    ("folds a text", with_problem(folds="five"), MANIFEST, NO_PROBLEM),
    ("hold-out out of range", with_problem(holdout=2), MANIFEST, NO_PROBLEM),
    *[
        (f"{field} {value!r:.20}", with_problem(**{field: value}), MANIFEST, NO_PROBLEM)
        for field, values in STRANGE_FIELDS.items()
        for value in values
    ],
    *[
        (f"cost {value!r:.20}", with_costs(false_positive=value), MANIFEST, "Both costs must be numbers above 0")
        for value in ["1", True, None, [1], float("inf"), HUGE]
    ],
    ("cost of a stranger", with_costs(colour=1), MANIFEST, NO_PROBLEM),
    (
        "criterion a list of pairs",
        with_problem(criterion=[["name", "F1"]]),
        MANIFEST,
        "'criterion' as a dict, found list",
    ),
    ("criterion named by a list", with_problem(criterion={"name": ["F1"]}), MANIFEST, NO_PROBLEM),
    ("labels a text", with_problem(labels="01"), MANIFEST, "needs 'labels' as a list, found str"),
    ("feature names numbers", changed(features=[1, 2, 3]), MANIFEST, NO_PROBLEM),
    ("feature names lists", changed(features=[["a"], "b", "c"]), MANIFEST, NO_PROBLEM),
    ("format true", changed(format_version=True), MANIFEST, "has format version True, expected 1"),
    ("format huge", changed(format_version=HUGE), MANIFEST, "it was written by a newer tabserve"),
    ("threshold huge", changed(threshold=HUGE), MANIFEST, NOT_A_NUMBER),
    *[
        (f"version {value!r:.20}", changed(versions={"python": value}), MANIFEST, f"has version {value!r}")
        for value in (3, None, ["3"], "3\n4", "\ud800")
    ],
    ("version of a strange name", changed(versions={"py\nthon": "3"}), MANIFEST, "has version '3' of 'py\\nthon'"),
    ("golden of huge features", holding(GOLDEN, {"features": [[HUGE, 2, 3]], "probability": [0.5]}), GOLDEN, NO_ROWS),
    ("golden beyond float32", holding(GOLDEN, {"features": [[1e300, 2, 3]], "probability": [0.5]}), GOLDEN, NO_ROWS),
    ("golden of huge probability", holding(GOLDEN, {"features": [[1, 2, 3]], "probability": [HUGE]}), GOLDEN, NO_ROWS),
    ("golden flat", holding(GOLDEN, {"features": [1, 2, 3], "probability": [0.5]}), GOLDEN, NO_ROWS),
    ("golden of nested answers", holding(GOLDEN, {"features": [[1, 2, 3]], "probability": [[0.5]]}), GOLDEN, NO_ROWS),
    *[
        (f"{name} {what}", put(name, text), name, "is nested too deep or holds a number of too many digits")
        for name in (GOLDEN, MANIFEST)
        for what, text in {"nested": b'{"a":' * 100_000, "of 5,000 digits": b'{"a": ' + b"1" * 5_000 + b"}"}.items()
    ],
]


@pytest.mark.parametrize(("damage", "named", "said"), [pytest.param(*case[1:], id=case[0]) for case in DAMAGES])
def test_every_damage_has_its_own_sentence(
    damage: Callable[[Path], object], named: str, said: str, folder: Path
) -> None:
    """It names the file and what is wrong with it."""
    damage(folder)
    sentence = refused(folder)
    assert str(folder / named) in sentence
    assert said in sentence


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


def test_only_regular_files_of_a_sane_size_are_read(tmp_path: Path) -> None:
    """Nothing is waited for; a strange card only warns."""
    strange = [
        (name, kind, tmp_path / f"{kind} for {name}") for name in (MANIFEST, MODEL, GOLDEN, CARD) for kind in KINDS
    ]
    for name, kind, folder in strange:
        saved(folder)
        (folder / name).unlink()
        KINDS[kind][0](folder / name)
    found = checked(*(folder for _, _, folder in strange))
    for (name, kind, folder), (code, complaint) in zip(strange, found, strict=True):
        assert code == (0 if name == CARD else ArtifactError.exit_code), complaint
        assert complaint.startswith(str(folder / name))
        assert complaint.count("\n") == 1
        assert ("is missing or was changed" if name == CARD else KINDS[kind][1]) in complaint


def test_metrics_and_data_may_hold_anything(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are for people and for the card; `tabserve check` reads nothing in them."""
    changed(metrics={"f1": HUGE, "folds": [None]}, data={"rows": "many"})(folder)
    monkeypatch.setattr(sys, "argv", ["tabserve", "check", str(folder)])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 0


@pytest.mark.parametrize("there", ["nothing", "a model"])
def test_a_link_is_followed(there: str, tmp_path: Path) -> None:
    """What it leads to is written; it stays a link."""
    target, link = tmp_path / "parents" / "target", tmp_path / "link"
    if there == "a model":
        saved(target, small(seed=1))
    link.symlink_to(target)
    check_place(link)
    expected = saved(link)
    assert link.is_symlink()
    assert np.array_equal(load(target).score(FEATURES), expected.score(FEATURES))
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_a_link_in_a_circle_is_refused(tmp_path: Path) -> None:
    """Before any work, and by the save itself."""
    link = tmp_path / "link"
    link.symlink_to(link)
    for attempt in (check_place, saved):
        with pytest.raises(ArtifactError, match="its links lead in a circle"):
            attempt(link)


def test_a_folder_may_have_a_long_name(folder: Path, tmp_path: Path) -> None:
    """As long as the file system takes."""
    model = load(folder)
    save(tmp_path / ("m" * 250), model, golden.drawn(np.zeros((3, 3), np.float32)), "card")
    assert load(tmp_path / ("m" * 250)).threshold == model.threshold


def test_a_path_that_cannot_exist_is_refused(tmp_path: Path) -> None:
    """With the system's reason."""
    assert "File name too long" in refused(tmp_path / ("m" * 300))


@pytest.mark.parametrize("error", [-5e-7, 5e-7, -2e-6, 2e-6])
def test_golden_rows_may_differ_by_a_millionth(error: float, folder: Path) -> None:
    """As another processor may round; not by more."""
    golden = json.loads((folder / GOLDEN).read_text())
    golden["probability"][1] += error
    holding(GOLDEN, golden)(folder)
    if abs(error) < TOLERANCE:
        load(folder)
    else:
        assert "at most 1e-06 expected" in refused(folder)


@pytest.mark.parametrize(
    "change",
    [missing(CARD), truncated(CARD), lambda folder: (folder / CARD).write_text("mine")],
    ids=["missing", "truncated", "other"],
)
def test_a_changed_card_only_warns(
    change: Callable[[Path], object], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Words on it may be mended; the model is still the same."""
    expected = load(folder).score(FEATURES)
    assert caplog.records == []
    change(folder)
    assert np.array_equal(load(folder).score(FEATURES), expected)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == f"{folder / CARD} is missing or was changed after the model was saved."


def test_a_damaged_folder_can_be_saved_over(folder: Path) -> None:
    """Training again mends it."""
    missing(MODEL)(folder)
    saved(folder)
    load(folder)
