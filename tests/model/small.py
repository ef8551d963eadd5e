"""Small models, one of each kind of predictor, their folders, and ways to damage them."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from numpy.typing import NDArray

from tabserve.encoding.encoder import Encoder
from tabserve.errors import ArtifactError
from tabserve.model.decision import Amount, Decision, MostProbable, Threshold
from tabserve.model.model import MANIFEST, Model, load, save
from tabserve.predictors.booster import Booster
from tabserve.predictors.encoded_booster import EncodedBooster, LevelValues
from tabserve.predictors.linear import Linear
from tabserve.predictors.one_hot import OneHotLinear
from tabserve.problem.columns import Column, numbers
from tabserve.problem.criterion import MAE, Costs
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression, Task
from tabserve.training.one_hot_linear import OneHotLogistic, OneHotRidge
from tabserve.training.proof import predictor
from tabserve.training.target_encoding import TargetEncodedClassifier

PROBLEM = Problem("small", numbers("a", "b", "c"), task=Binary(("no", "yes"), Costs(1, 5)), id="name", folds=3, seed=7)
RNG = np.random.default_rng(0)
FEATURES: NDArray[np.float32] = RNG.standard_normal((200, 3)).astype(np.float32)
TARGET = (FEATURES[:, 0] + FEATURES[:, 1] * FEATURES[:, 2] > 0).astype(np.int8)

TITLE = (Column("title", "text"),)
THINGS = Problem("things", TITLE, "kind", Multiclass(("colar", "caixa", "manta")), "number", "seller")
TEXTS = np.array(["?", "colar de caixa", "manta", "", "colar colar"], np.object_)

COLUMNS = (
    Column("age", missing=True),
    Column("city", "category", missing=True),
    Column("when", "date", missing=True),
    Column("floor", "category", unseen="refused"),
)
CELLS: dict[str, list[Any]] = {
    "age": [None if draw < -1 else draw for draw in FEATURES[:, 0].tolist()],
    "city": [["Rio", "Ouro Preto", "São Paulo", None][row % 4] for row in range(200)],
    "when": ["" if row % 7 == 0 else f"20{row % 60:02}-0{1 + row % 9}-28 {row % 24:02}:30" for row in range(200)],
    "floor": [str(1 + row % 3) for row in range(200)],
    "size": FEATURES[:, 1].tolist(),
}
TABLE = {column.name: CELLS[column.name] for column in COLUMNS}
"""The cells of the models of `mixed` alone."""

CODES = np.arange(200) % 3 + (FEATURES[:, 0] > 0)
"""Target values that depend on columns of several kinds, 0 to 3."""

CARD_TEXT = "# A small model\n"
MODEL = "*.[un][bp]*"
"""Pattern of the model file's name, whatever its kind."""


def trees(seed: int = 0, **options: Any) -> Model:  # noqa: ANN401  XGBoost's own
    """A model that trains in milliseconds; another seed gives another model."""
    options = {"n_estimators": 5, "max_depth": 2, "subsample": 0.5, "n_jobs": 1} | options
    classifier = xgb.XGBClassifier(random_state=seed, **options).fit(FEATURES, TARGET)
    encoder = Encoder.learn(PROBLEM, {})
    parts = predictor(classifier, encoder), Threshold(0.25)
    return Model(PROBLEM, encoder, *parts, {"f1": 0.5}, {"rows": 200}, {"python": "3"})


def words(seed: int = 0) -> Model:
    """A model of three words for three classes; another seed gives another model."""
    weights, squares = np.eye(3, dtype=np.float32) * np.float32(1 + seed / 2), np.ones(3, np.float32)
    linear = Linear(("=caixa", "=colar", "=manta"), weights, squares, np.zeros(3))
    encoder, decision = Encoder.learn(THINGS, {}), MostProbable(0.5)
    return Model(THINGS, encoder, linear, decision, {"winner": "small"}, {"rows": 3}, {"python": "3"})


def mixed(task: Task, decision: Decision, objective: str, seed: int = 0) -> Model:
    """A model over numbers, categories and dates; another seed gives another model."""
    problem = Problem("mixed", COLUMNS, task=task)
    encoder = Encoder.learn(problem, CELLS)
    options = {"objective": objective, "nthread": 1, "max_depth": 4, "seed": seed, "subsample": 0.7}
    if len(problem.labels) > 2:
        options["num_class"] = len(problem.labels)
    names = {"feature_names": [*encoder.names], "feature_types": [*encoder.types]}
    matrix = xgb.DMatrix(cells(encoder), targets(problem), enable_categorical=True, **names)
    booster = Booster(xgb.train(options | {"max_cat_to_onehot": 1}, matrix, 9))
    return Model(problem, encoder, booster, decision, {"f1": 0.5}, {"rows": 200}, {"python": "3"})


def cells(encoder: Encoder) -> NDArray[np.float32]:
    """The features of `CELLS` that an encoder makes."""
    return encoder.encode([CELLS[column.name] for column in encoder.columns]).features


def one_hot(seed: int = 0) -> Model:
    """A linear model over a number and a category; another seed gives another model."""
    problem = Problem("homes", (Column("size"), Column("floor", "category")), task=Regression("USD", MAE()))
    encoder = Encoder.learn(problem, CELLS)
    fitted = OneHotRidge(encoder.types).fit(cells(encoder), np.roll(CODES, seed).astype(np.float64))
    decision = Amount((1.0,), (0.5, 2.0))
    return Model(problem, encoder, fitted.get_predictor(encoder), decision, {"f1": 0.5}, {"rows": 200}, {"python": "3"})


def encoded(seed: int = 0) -> Model:
    """A booster over means of three classes at the levels of a category; another seed gives another model."""
    task = Multiclass(("a", "b", "c"))
    problem = Problem("shops", (Column("size"), Column("floor", "category")), task=task)
    encoder = Encoder.learn(problem, CELLS)
    booster = xgb.XGBClassifier(n_estimators=3, max_depth=2, n_jobs=1, feature_types=encoder.types)
    target = (np.roll(CODES, seed) % 3).astype(np.int8)
    fitted = TargetEncodedClassifier(booster, [1]).fit(cells(encoder), target)
    decision = MostProbable(0.8)
    return Model(problem, encoder, fitted.get_predictor(encoder), decision, {"f1": 0.5}, {"rows": 200}, {"python": "3"})


def to_encoded(model: Model) -> Model:
    """The model of `mixed` with an `EncodedBooster` in place of its booster: a number replaces each category's code."""
    levels = np.array(model.encoder.levels)
    columns = np.flatnonzero(levels)
    values = np.random.default_rng(1).normal(size=((levels[columns] + 1).sum(), 1)).astype(np.float32)
    table = LevelValues(model.encoder.levels, columns, values)
    assert isinstance(model.predictor, Booster)
    options = json.loads(model.predictor.trees.save_config())["learner"]["objective"]
    classes = {"num_class": len(model.problem.labels)} if len(model.problem.labels) > 2 else {}
    matrix = xgb.DMatrix(table.replace(cells(model.encoder)), targets(model.problem))
    trees = xgb.train({"objective": options["name"], "nthread": 1, "max_depth": 3, **classes}, matrix, 9)
    return replace(model, predictor=EncodedBooster(Booster(trees), table))


def to_linear(model: Model) -> Model:
    """The model of `mixed` with a `OneHotLinear` in place of its booster."""
    estimator = (OneHotLogistic if model.problem.labels else OneHotRidge)(model.encoder.types)
    fitted = estimator.fit(cells(model.encoder), targets(model.problem))
    return replace(model, predictor=fitted.get_predictor(model.encoder))


def targets(problem: Problem) -> NDArray[Any]:
    """The targets of `CELLS` for a problem of `mixed`."""
    return CODES % len(problem.labels) if problem.labels else CODES.astype(np.float64)


PREDICTORS: dict[str, Callable[[Model], Model]] = {
    Booster.FILE: lambda model: model,
    EncodedBooster.FILE: to_encoded,
    OneHotLinear.FILE: to_linear,
}
"""Functions that give a model of `mixed` each predictor over columns of several kinds, by the name of its file."""

Build = Callable[[int], Model]

MIXED: dict[str, Build] = {
    "binary": partial(mixed, Binary(("no", "yes")), Threshold(0.4), "binary:logistic"),
    "multiclass": partial(mixed, Multiclass(("a", "b", "c")), MostProbable(0.8), "multi:softprob"),
    "regression": partial(mixed, Regression("USD", MAE()), Amount((1.0,), (0.5, 2.0)), "reg:squarederror"),
}
"""Builders of models over columns of several kinds, by task."""

BUILDERS: dict[str, Build] = {
    Booster.FILE: trees,
    Linear.FILE: words,
    OneHotLinear.FILE: one_hot,
    EncodedBooster.FILE: encoded,
}
"""Builders of models by the names of their model files."""

ROWS: dict[str, NDArray[Any]] = {Booster.FILE: FEATURES, Linear.FILE: TEXTS}
"""Rows that those can score which have no categories."""


def rows(model: Model) -> NDArray[Any]:
    """Rows that a model can score."""
    return cells(model.encoder) if model.encoder.categories else ROWS[model.predictor.FILE]


def save_small(folder: Path, model: Model | None = None) -> Model:
    """Save a small model and return it as loaded."""
    model = model or trees()
    return save(folder, model, rows(model)[:4], CARD_TEXT)


def same_answers(one: Model, other: Model) -> bool:
    """Whether both models give the same answers, bit for bit."""
    answers, others = one.score(rows(one)), other.score(rows(other))
    return type(answers) is type(others) and all(map(np.array_equal, answers, others))


def content(folder: Path) -> dict[str, bytes]:
    """The bytes of every file below a folder, by relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def find_file(folder: Path, name: str) -> Path:
    """The file of this name or pattern, such as `MODEL`, in a folder."""
    return next(folder.glob(name))


def refusal(folder: Path) -> str:
    """The sentence in which loading a folder fails; it names the folder."""
    with pytest.raises(ArtifactError) as error:
        load(folder)
    sentence = str(error.value)
    assert str(folder) in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


Damage = Callable[[Path], object]


def manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder."""
    document: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    return document


def set_values(**values: object) -> Damage:
    """Set top-level values of the manifest."""
    return lambda folder: (folder / MANIFEST).write_text(json.dumps(manifest(folder) | values))


def drop_key(key: str) -> Damage:
    """Drop a top-level key of the manifest."""

    def damage(folder: Path) -> None:
        kept = {name: value for name, value in manifest(folder).items() if name != key}
        (folder / MANIFEST).write_text(json.dumps(kept))

    return damage


def set_within(key: str, **values: object) -> Damage:
    """Set values of an object in the manifest; the value `...` drops its key."""

    def damage(folder: Path) -> None:
        merged = manifest(folder)[key] | values
        set_values(**{key: {name: value for name, value in merged.items() if value is not ...}})(folder)

    return damage


def remove(name: str) -> Damage:
    """Remove a file."""
    return lambda folder: find_file(folder, name).unlink()


def truncate(name: str) -> Damage:
    """Cut the end of a file off."""
    return lambda folder: find_file(folder, name).write_bytes(find_file(folder, name).read_bytes()[:-5])


def swap(name: str) -> Damage:
    """Replace a file by that of another model of the same kind."""

    def damage(folder: Path) -> None:
        save_small(folder.parent / "other", BUILDERS[find_file(folder, MODEL).name](1))
        shutil.copy(find_file(folder.parent / "other", name), find_file(folder, name))

    return damage


def with_checksums(damage: Damage) -> Damage:
    """Damage a folder and then correct its checksums, so that only the content can reveal it."""

    def damage_and_correct(folder: Path) -> None:
        damage(folder)
        names = manifest(folder)["files"]
        set_values(files={name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names})(folder)

    return damage_and_correct


def put_content(name: str, document: object) -> Damage:
    """Replace the content of a file, by bytes or by JSON of anything else, and correct its checksum."""
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return with_checksums(lambda folder: find_file(folder, name).write_bytes(data))
