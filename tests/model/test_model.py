"""What is loaded is what was saved, of whichever kind the predictor is, and no other model is taken for it."""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
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
from tabserve.predictors.linear import Linear

# Saved whole.


def test_what_is_loaded_is_what_was_saved(made: Build, tmp_path: Path) -> None:
    """The problem with its criterion, the decision, the facts, and the answers to the bit."""
    model = made(0)
    for found in (save_small(tmp_path / "model", model), load(tmp_path / "model")):
        assert (found.problem, found.encoder, found.decision) == (model.problem, model.encoder, model.decision)
        assert (found.metrics, found.data, found.versions) == (model.metrics, model.data, model.versions)
        assert type(found.predictor) is type(model.predictor)
        assert same_answers(found, model)


@pytest.mark.parametrize("task", MIXED)
def test_a_model_over_columns_of_several_kinds_is_loaded_as_it_was_saved(task: str, tmp_path: Path) -> None:
    """Its columns, encodings, task and decision; its answers to the bit, and no other model's."""
    model = MIXED[task](0)
    for found in (save_small(tmp_path / "model", model), load(tmp_path / "model")):
        assert (found.problem, found.encoder, found.decision) == (model.problem, model.encoder, model.decision)
        assert same_answers(found, model)
        assert not same_answers(found, MIXED[task](1))
    assert manifest(tmp_path / "model")["task"]["kind"] == task
    assert [*manifest(tmp_path / "model")["encodings"]] == ["city", "when", "floor"]


@pytest.mark.parametrize("task", MIXED)
def test_golden_rows_hold_missing_cells_of_any_kind_of_column(task: str, tmp_path: Path) -> None:
    """As null; their answers are checked at every load."""
    model = MIXED[task](0)
    golden = np.full((1, len(model.encoder.names)), np.nan, np.float32)
    save(tmp_path / "model", model, golden, CARD_TEXT)
    assert json.loads((tmp_path / "model" / GOLDEN).read_text())["features"] == [[None] * golden.shape[1]]
    assert same_answers(load(tmp_path / "model"), model)


def test_the_folder_holds_what_it_says(either: Path) -> None:
    """Four files; the manifest's keys in their order, and the checksums of the others."""
    names = [find_file(either, MODEL).name, GOLDEN, CARD]
    assert sorted(path.name for path in either.iterdir()) == sorted([*names, MANIFEST])
    found, model = manifest(either), load(either)
    keys = ["format_version", "problem", "task", "columns", "encodings", "decision", "metrics", "data", "versions"]
    assert list(found) == [*keys, "files"]
    assert found["columns"] == [{"name": each.name, "kind": each.kind} for each in model.problem.columns]
    assert found["encodings"] == model.encoder.to_json()
    assert found["decision"] == {"kind": model.decision.KIND, **vars(model.decision)}
    assert found["files"] == {name: hashlib.sha256((either / name).read_bytes()).hexdigest() for name in names}
    assert (either / CARD).read_text() == CARD_TEXT


def test_the_same_model_is_the_same_bytes(made: Build, either: Path, tmp_path: Path) -> None:
    """Nothing in a folder depends on when or where it was saved."""
    save_small(tmp_path / "elsewhere" / "model", made(0))
    assert content(tmp_path / "elsewhere" / "model") == content(either)


def test_any_reader_of_xgboost_files_gets_the_same_probabilities(folder: Path) -> None:
    """As a bare booster, and as the classifier that the stock runtime loads: no lock-in."""
    expected = load(folder).score(FEATURES).probability
    classifier = xgb.XGBClassifier()
    classifier.load_model(folder / Booster.FILE)
    assert np.array_equal(classifier.predict_proba(FEATURES)[:, 1], expected)
    assert classifier.classes_.tolist() == [0, 1]
    booster = xgb.Booster(model_file=folder / Booster.FILE)
    assert np.array_equal(booster.predict(xgb.DMatrix(FEATURES, feature_names=["a", "b", "c"])), expected)


@pytest.mark.parametrize("threshold", [0.0, 1.0, MAX_THRESHOLD])
def test_the_outermost_thresholds_survive(threshold: float, tmp_path: Path) -> None:
    """Everybody is positive, or only the certain ones, or nobody."""
    found = save_small(tmp_path / "model", replace(trees(), decision=Threshold(threshold)))
    assert found.decision == Threshold(threshold)
    assert found.score(FEATURES).label.mean() == (threshold == 0)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_the_outermost_temperatures_survive(temperature: float, tmp_path: Path) -> None:
    """Every class is as probable as the others, or one is certain; its label is the same."""
    found = save_small(tmp_path / "model", replace(words(), decision=MostProbable(temperature)))
    assert found.decision == MostProbable(temperature)
    largest = found.score(TEXTS[1:3]).probability.max(axis=1)
    assert largest == pytest.approx(1 if temperature < 1 else 1 / 3, abs=1e-5) or largest[0] == pytest.approx(0.5)
    assert np.array_equal(found.score(TEXTS).label, words().score(TEXTS).label)


def test_a_whole_number_is_a_threshold_too(folder: Path) -> None:
    """As somebody writes it by hand."""
    set_within("decision", threshold=1)(folder)
    assert load(folder).decision.parameters == {"threshold": "1.0"}


def test_the_versions_are_those_installed() -> None:
    """Of Python, and of the libraries that make a model."""
    found = versions("xgboost")
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert (found["xgboost"], found["numpy"]) == (xgb.__version__, np.__version__)
    assert "xgboost" not in versions()


@pytest.mark.parametrize("kind", [Booster, Linear])
def test_each_kind_is_found_by_the_name_of_its_file(kind: type[Booster] | type[Linear]) -> None:
    """Before it is imported."""
    assert PREDICTORS[kind.FILE] == f"{kind.__module__}.{kind.__qualname__}"


# Not taken for another.


def test_what_needs_a_threshold_is_given_no_other_model(tmp_path: Path) -> None:
    """Refused in one sentence that names the folder."""
    for name, model in {"numbers": trees(), "texts": words()}.items():
        save_small(tmp_path / name, model)
    assert same_answers(load_binary(tmp_path / "numbers"), trees())
    with pytest.raises(ArtifactError) as error:
        load_binary(tmp_path / "texts")
    said = "holds a model without a threshold between two labels, which this needs."
    assert str(error.value) == f"{tmp_path / 'texts'} {said}"


@pytest.mark.parametrize(("model", "decision"), [(trees, MostProbable()), (words, Threshold(0.5))])
def test_a_decision_that_the_predictor_does_not_fit_is_not_saved(
    model: Build, decision: Decision, tmp_path: Path
) -> None:
    """Nothing is written that would be refused later."""
    with pytest.raises(ArtifactError, match=f"has a decision of kind '{decision.KIND}', which makes no answers"):
        save_small(tmp_path / "model", replace(model(0), decision=decision))
    assert list(tmp_path.iterdir()) == []


# Damaged.

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
def test_a_damaged_model_is_told(damage: str, either: Path) -> None:
    """By the name of the file and what is wrong with it, whatever the model is made of."""
    done, named, said = EITHER[damage]
    path = find_file(either, named)
    done(either)
    sentence = refusal(either)
    assert str(path) in sentence
    assert said in sentence


def another_booster(train: Callable[[], xgb.XGBModel]) -> Damage:
    """Put another kind of booster into the folder, and sign it."""

    def damage(folder: Path) -> None:
        booster = train().get_booster()
        booster.feature_names = [f"x{number}" for number in range(booster.num_features())]
        booster.save_model(folder / Booster.FILE)

    return with_checksums(damage)


def classifier(**options: object) -> xgb.XGBClassifier:
    """Another small one."""
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
def test_another_booster_is_told(other: str, folder: Path) -> None:
    """By what it is, and what is expected."""
    done, said = OTHER_BOOSTERS[other]
    done(folder)
    sentence = refusal(folder)
    assert str(folder / Booster.FILE) in sentence
    assert said in sentence
