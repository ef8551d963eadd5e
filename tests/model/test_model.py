"""A loaded model of any kind equals the saved one, and a file of another model is refused."""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb
from tests.model.small import (
    CARD_TEXT,
    FEATURES,
    MIXED,
    MODEL,
    TARGET,
    TEXTS,
    Build,
    Damage,
    content,
    find_file,
    manifest,
    put_content,
    refusal,
    remove,
    same_answers,
    save_small,
    set_within,
    swap,
    trees,
    truncate,
    with_checksums,
    words,
)

from tabserve.errors import ArtifactError
from tabserve.model.decision import MAX_THRESHOLD, TEMPERATURES, Decision, MostProbable, Threshold
from tabserve.model.model import CARD, GOLDEN, MANIFEST, PREDICTORS, load, load_binary, save, versions
from tabserve.predictors.booster import Booster
from tabserve.predictors.encoded_booster import EncodedBooster
from tabserve.predictors.linear import Linear
from tabserve.predictors.one_hot import OneHotLinear
from tabserve.predictors.predictor import Predictor

# Saving and loading.


def test_what_is_loaded_is_what_was_saved(build: Build, tmp_path: Path) -> None:
    """The problem with its criterion, the decision, the facts, and the answers bit for bit."""
    model = build(0)
    for loaded in (save_small(tmp_path / "model", model), load(tmp_path / "model")):
        assert (loaded.problem, loaded.encoder, loaded.decision) == (model.problem, model.encoder, model.decision)
        assert (loaded.metrics, loaded.data, loaded.versions) == (model.metrics, model.data, model.versions)
        assert type(loaded.predictor) is type(model.predictor)
        assert same_answers(loaded, model)


@pytest.mark.parametrize("task", MIXED)
def test_a_model_over_columns_of_several_kinds_is_loaded_as_it_was_saved(task: str, tmp_path: Path) -> None:
    """Its columns, encodings, task and decision, and its answers bit for bit."""
    model = MIXED[task](0)
    for loaded in (save_small(tmp_path / "model", model), load(tmp_path / "model")):
        assert (loaded.problem, loaded.encoder, loaded.decision) == (model.problem, model.encoder, model.decision)
        assert same_answers(loaded, model)
        assert not same_answers(loaded, MIXED[task](1))
    assert manifest(tmp_path / "model")["task"]["kind"] == task
    assert [*manifest(tmp_path / "model")["encodings"]] == ["city", "when", "floor"]


@pytest.mark.parametrize("blanks", [(), ("?", "-999")])
def test_the_blanks_of_a_problem_are_kept(blanks: tuple[str, ...], tmp_path: Path) -> None:
    """A manifest without any says nothing of them."""
    model = trees(0)
    model = replace(model, problem=replace(model.problem, blanks=blanks))
    assert save_small(tmp_path / "model", model).problem.blanks == blanks
    assert ("blanks" in manifest(tmp_path / "model")["problem"]) == bool(blanks)


@pytest.mark.parametrize("task", MIXED)
def test_golden_rows_hold_missing_cells_of_any_kind_of_column(task: str, tmp_path: Path) -> None:
    """They are stored as null; every load checks the answers to them."""
    model = MIXED[task](0)
    golden = np.full((1, len(model.encoder.names)), np.nan, np.float32)
    save(tmp_path / "model", model, golden, CARD_TEXT)
    assert json.loads((tmp_path / "model" / GOLDEN).read_text())["features"] == [[None] * golden.shape[1]]
    assert same_answers(load(tmp_path / "model"), model)


def test_the_folder_holds_four_files_and_the_manifest_describes_them(either: Path) -> None:
    """The manifest has its keys in order, and the checksums of the other files."""
    names = [find_file(either, MODEL).name, GOLDEN, CARD]
    assert sorted(path.name for path in either.iterdir()) == sorted([*names, MANIFEST])
    document, model = manifest(either), load(either)
    keys = ["format_version", "problem", "task", "columns", "encodings", "decision", "metrics", "data", "versions"]
    assert list(document) == [*keys, "files"]
    assert document["columns"] == [{"name": column.name, "kind": column.kind} for column in model.problem.columns]
    assert document["encodings"] == model.encoder.to_json()
    assert document["decision"] == {"kind": model.decision.KIND, **json.loads(json.dumps(asdict(model.decision)))}
    assert document["files"] == {name: hashlib.sha256((either / name).read_bytes()).hexdigest() for name in names}
    assert (either / CARD).read_text() == CARD_TEXT


def test_the_same_model_is_saved_as_the_same_bytes(build: Build, either: Path, tmp_path: Path) -> None:
    """No file depends on when or where it was saved."""
    save_small(tmp_path / "elsewhere" / "model", build(0))
    assert content(tmp_path / "elsewhere" / "model") == content(either)


def test_any_reader_of_xgboost_files_gets_the_same_probabilities(folder: Path) -> None:
    """As a bare booster, and as the classifier that MLServer's own XGBoost runtime loads."""
    expected = load(folder).score(FEATURES).probability
    classifier = xgb.XGBClassifier()
    classifier.load_model(folder / Booster.FILE)
    assert np.array_equal(classifier.predict_proba(FEATURES)[:, 1], expected)
    assert classifier.classes_.tolist() == [0, 1]
    booster = xgb.Booster(model_file=folder / Booster.FILE)
    assert np.array_equal(booster.predict(xgb.DMatrix(FEATURES, feature_names=["a", "b", "c"])), expected)


@pytest.mark.parametrize("threshold", [0.0, 1.0, MAX_THRESHOLD])
def test_the_extreme_thresholds_can_be_saved(threshold: float, tmp_path: Path) -> None:
    """All rows are positive at 0, and none at the others."""
    loaded = save_small(tmp_path / "model", replace(trees(), decision=Threshold(threshold)))
    assert loaded.decision == Threshold(threshold)
    assert loaded.score(FEATURES).label.mean() == (threshold == 0)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_the_extreme_temperatures_can_be_saved(temperature: float, tmp_path: Path) -> None:
    """Probabilities become equal or certain; labels stay the same."""
    loaded = save_small(tmp_path / "model", replace(words(), decision=MostProbable(temperature)))
    assert loaded.decision == MostProbable(temperature)
    largest = loaded.score(TEXTS[1:3]).probability.max(axis=1)
    assert largest == pytest.approx(1 if temperature < 1 else 1 / 3, abs=1e-5) or largest[0] == pytest.approx(0.5)
    assert np.array_equal(loaded.score(TEXTS).label, words().score(TEXTS).label)


def test_an_integer_is_a_valid_threshold(folder: Path) -> None:
    """People who edit a manifest may write one."""
    set_within("decision", threshold=1)(folder)
    assert load(folder).decision.parameters == {"threshold": "1.0"}


def test_the_versions_are_those_installed() -> None:
    """Those of Python and of the libraries that train a model."""
    installed = versions("xgboost")
    assert installed["python"] == ".".join(map(str, sys.version_info[:3]))
    assert (installed["xgboost"], installed["numpy"]) == (xgb.__version__, np.__version__)
    assert "xgboost" not in versions()


@pytest.mark.parametrize("kind", [Booster, EncodedBooster, Linear, OneHotLinear])
def test_each_kind_of_predictor_is_registered_by_its_file_name(kind: type[Predictor]) -> None:
    """So that a kind is imported only when its file is in the folder."""
    assert PREDICTORS[kind.FILE] == f"{kind.__module__}.{kind.__qualname__}"


# Models of another kind.


def test_load_binary_refuses_a_model_without_a_threshold(tmp_path: Path) -> None:
    """The message is one sentence that names the folder."""
    for name, model in {"numbers": trees(), "texts": words()}.items():
        save_small(tmp_path / name, model)
    assert same_answers(load_binary(tmp_path / "numbers"), trees())
    with pytest.raises(ArtifactError) as error:
        load_binary(tmp_path / "texts")
    message = "holds a model without a threshold between two labels, which this needs."
    assert str(error.value) == f"{tmp_path / 'texts'} {message}"


@pytest.mark.parametrize(("model", "decision"), [(trees, MostProbable()), (words, Threshold(0.5))])
def test_a_decision_that_the_predictor_does_not_fit_is_not_saved(
    model: Build, decision: Decision, tmp_path: Path
) -> None:
    """No folder is written that could not be loaded."""
    with pytest.raises(ArtifactError, match=f"has a decision of kind '{decision.KIND}', which makes no answers"):
        save_small(tmp_path / "model", replace(model(0), decision=decision))
    assert list(tmp_path.iterdir()) == []


# Damage.

EITHER: dict[str, tuple[Damage, str, str]] = {
    "missing": (remove(MODEL), MODEL, "cannot be read: No such file or directory"),
    "truncated": (truncate(MODEL), MODEL, "does not have the checksum in manifest.json"),
    "swapped": (swap(MODEL), MODEL, "does not have the checksum in manifest.json"),
    "swapped and signed": (with_checksums(swap(MODEL)), GOLDEN, "differently than when it was saved: off by"),
    "truncated and signed": (with_checksums(truncate(MODEL)), MODEL, " is not a model "),
    "empty and signed": (put_content(MODEL, b""), MODEL, " is not a model "),
    "a text and signed": (put_content(MODEL, b"model"), MODEL, " is not a model "),
    "a pickle and signed": (put_content(MODEL, b"\x80\x04K\x01."), MODEL, " is not a model "),
}


@pytest.mark.parametrize("damage", EITHER)
def test_a_damaged_model_file_is_refused(damage: str, either: Path) -> None:
    """The message names the file and what is wrong with it, for each kind of model."""
    apply, file, message = EITHER[damage]
    path = find_file(either, file)
    apply(either)
    sentence = refusal(either)
    assert str(path) in sentence
    assert message in sentence


def another_booster(train: Callable[[], xgb.XGBModel]) -> Damage:
    """Replace the booster in the folder by another kind, and correct its checksum."""

    def damage(folder: Path) -> None:
        booster = train().get_booster()
        booster.feature_names = [f"x{number}" for number in range(booster.num_features())]
        booster.save_model(folder / Booster.FILE)

    return with_checksums(damage)


def classifier(**options: object) -> xgb.XGBClassifier:
    """A small classifier."""
    return xgb.XGBClassifier(n_estimators=2, n_jobs=1, **options)


OTHER_BOOSTERS: dict[str, tuple[Damage, str]] = {
    "of squared error": (
        another_booster(lambda: xgb.XGBRegressor(n_estimators=2, n_jobs=1).fit(FEATURES, TARGET)),
        "holds a model of objective 'reg:squarederror', expected 'binary:logistic'",
    ),
    "of three classes": (
        another_booster(lambda: classifier().fit(FEATURES, np.arange(200) % 3)),
        "holds a model of objective 'multi:softprob', expected 'binary:logistic'",
    ),
    "of raw log odds": (
        another_booster(lambda: classifier(objective="binary:logitraw").fit(FEATURES, TARGET)),
        "holds a model of objective 'binary:logitraw', expected 'binary:logistic'",
    ),
    "of two features": (
        another_booster(lambda: classifier().fit(FEATURES[:, :2], TARGET)),
        "holds a model of 2 features, the manifest names 3",
    ),
    "of other features": (
        another_booster(lambda: classifier().fit(FEATURES, TARGET)),
        "name different features, or the same in another order",
    ),
}


@pytest.mark.parametrize("other", OTHER_BOOSTERS)
def test_another_booster_is_refused(other: str, folder: Path) -> None:
    """The message says what it is, and what was expected."""
    apply, message = OTHER_BOOSTERS[other]
    apply(folder)
    sentence = refusal(folder)
    assert str(folder / Booster.FILE) in sentence
    assert message in sentence
