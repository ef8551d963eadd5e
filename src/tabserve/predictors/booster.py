"""Trees of XGBoost, whose file is checked before it is loaded: what would crash XGBoost, and us, is refused."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from tabserve.encoding.encoder import Encoder
from tabserve.errors import ArtifactError
from tabserve.predictors import tree_checks, ubjson
from tabserve.predictors.xgboost_call import Kind, predict
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression

KIND = "gbtree"

OBJECTIVE = "binary:logistic"

SOFTPROB, SOFTMAX = "multi:softprob", "multi:softmax"

ANY, POSITIVE = (-tree_checks.MAX_MARGIN, tree_checks.MAX_MARGIN), (0, tree_checks.MAX_MARGIN)

OBJECTIVES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    Binary.KIND: {OBJECTIVE: (0, 1)},
    Multiclass.KIND: {SOFTPROB: ANY},
    Regression.KIND: {
        "reg:squarederror": ANY,
        "reg:absoluteerror": ANY,
        "reg:pseudohubererror": ANY,
        "reg:squaredlogerror": ANY,
        "reg:gamma": POSITIVE,
        "reg:tweedie": POSITIVE,
        "count:poisson": POSITIVE,
    },
}
"""By the task, which objectives answer it, and between what the base score of each lies; elsewhere it has no margin."""

NUMBER = r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"

BASE_SCORE = re.compile(rf"\[{NUMBER}(?:,{NUMBER})*\]|{NUMBER}")
"""One number for each output, as a text; XGBoost before 3.1 wrote one for all."""

QUANTITIES = {"q", "float", "int", "i"}
"""What XGBoost calls the type of a feature that is no category."""


@dataclass(frozen=True, eq=False)
class Booster:
    """Boosted trees, which know the features by name; see `Predictor`.

    Attributes:
        trees: of one of the `OBJECTIVES`.
        outputs: one for each of several classes, or 1.
    """

    FILE: ClassVar[str] = "model.ubj"
    BATCH_ROWS: ClassVar[int] = 256
    PARALLEL: ClassVar[bool] = True
    LIBRARIES: ClassVar[tuple[str, ...]] = ("xgboost",)

    trees: xgb.Booster
    outputs: int = field(init=False)
    _asked: Kind = field(init=False, repr=False)

    @classmethod
    def read(
        cls,
        path: Path,
        file: bytes,
        problem: Problem,
        encoder: Encoder,
    ) -> Self:
        """The booster that a file holds.

        Args:
            path: what a refusal calls the file.
            file: its bytes, UBJSON as XGBoost writes it.
            problem: whose task it must answer.
            encoder: makes the features that it must know by name, in this order, and of each category so many levels.

        Raises:
            ArtifactError: it is no such file, its objective is none of the task's `OBJECTIVES`, it is made of something
                else than trees (`KIND`), its features are others, or XGBoost could not use it without crashing.
        """
        names, levels = encoder.names, encoder.levels
        try:
            document = ubjson.loads(file)
            learner = document["learner"]
            _check_kind(path, learner, problem)
            _check_features(path, learner, names, levels)
            if fault := _fault(document, problem, levels):
                raise ArtifactError(f"{path} holds a model that XGBoost cannot use, as {fault}; train the model again.")
            return cls(xgb.Booster(model_file=bytearray(file)))
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError, xgb.core.XGBoostError) as error:
            raise ArtifactError(f"{path} is not a model that XGBoost {xgb.__version__} can read.") from error

    def __post_init__(self) -> None:
        """Look up what the trees answer; XGBoost reads a parameter at its first use, so let that be here."""
        parameters = json.loads(self.trees.save_config())["learner"]["learner_model_param"]
        object.__setattr__(self, "outputs", max(1, int(parameters["num_class"])))
        object.__setattr__(self, "_asked", "margin" if self.outputs > 1 else "value")

    @property
    def facts(self) -> dict[str, str]:
        """How many trees there are; of several classes, how many of each."""
        return {"trees": str(self.trees.num_boosted_rounds())}

    @property
    def described(self) -> str:
        """Its objective, and how many trees there are; of several classes, how many of each."""
        return f"XGBoost `{self._objective}`, {self.trees.num_boosted_rounds():,} trees"

    @property
    def _objective(self) -> str:
        found: str = json.loads(self.trees.save_config())["learner"]["objective"]["name"]
        return found

    def raw(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the trees answer to float32 features of shape (rows, features).

        Returns:
            Of two classes the probability of the positive one, of several the margin of each, or an amount; shape
            (rows, outputs).
        """
        return predict(self.trees, features, self._asked).reshape(len(features), self.outputs)

    def from_json(self, rows: list[Any]) -> NDArray[np.float32]:
        """Features from lists of numbers, one for each row; None where one is missing.

        Raises:
            ValueError: they are none of this model.
        """
        with np.errstate(over="ignore"):
            features = np.array(rows, dtype=np.float32)
        if features.ndim != 2 or features.shape[1] != self.trees.num_features() or np.isinf(features).any():
            raise ValueError(f"rows of {self.trees.num_features()} numbers are expected")
        return features

    def examples(self, features: NDArray[np.float32], rows: int = 8, seed: int = 0) -> NDArray[np.float32]:
        """Rows of which each cell is drawn on its own, so that no row of the table leaves it."""
        index = np.random.default_rng(seed).integers(len(features), size=(rows, features.shape[1]))
        return np.take_along_axis(features, index, axis=0)

    def written(self) -> bytes:
        """A file as `read` takes it."""
        return bytes(self.trees.save_raw("ubj"))

    def save(self, path: Path) -> None:
        """Write the file, which scikit-learn's wrapper of XGBoost reads as well.

        Raises:
            OSError: it cannot be written.
        """
        amounts = self._objective in OBJECTIVES[Regression.KIND]
        wrapper = xgb.XGBRegressor() if amounts else xgb.XGBClassifier()
        wrapper.load_model(bytearray(self.written()))
        try:
            wrapper.save_model(path)
        except xgb.core.XGBoostError as error:
            raise OSError(None, f"XGBoost could not write {path.name}, as on a full disk") from error

    def on_one_thread(self) -> None:
        """Use one thread in each call, and set that up: the first call takes longer."""
        self.trees.set_param({"nthread": 1})
        self.raw(np.zeros((1, self.trees.num_features()), np.float32))


def _check_kind(path: Path, learner: Mapping[str, Any], problem: Problem) -> None:
    objective, kind = learner["objective"]["name"], learner["gradient_booster"]["name"]
    expected = OBJECTIVES[problem.task.KIND]
    if objective not in expected:
        advice = f"; it answers no probabilities, so train with {SOFTPROB!r}" if objective == SOFTMAX else ""
        raise ArtifactError(
            f"{path} holds a model of objective {objective!r:.60}, expected {' or '.join(map(repr, expected))}{advice}."
        )
    if kind != KIND:
        raise ArtifactError(f"{path} holds a booster of kind {kind!r:.60}, expected {KIND!r}.")


def _check_features(path: Path, learner: Mapping[str, Any], names: Sequence[str], levels: Sequence[int]) -> None:
    found = int(learner["learner_model_param"]["num_feature"])
    if found != len(names):
        raise ArtifactError(f"{path} holds a model of {found} features, the manifest names {len(names)}.")
    if learner["feature_names"] != list(names):
        raise ArtifactError(f"{path} and its manifest name different features, or the same in another order.")
    if any(map(len, learner["gradient_booster"]["model"].get("cats", {}).values())):
        raise ArtifactError(
            f"{path} was trained from a frame whose categories it would number anew; train it from a matrix of codes."
        )
    types: Sequence[str] = learner["feature_types"] or ["q"] * len(names)
    if [kind if kind == "c" else kind in QUANTITIES for kind in types] != [count == 0 or "c" for count in levels]:
        raise ArtifactError(f"{path} takes other features for categories than its manifest.")


def _fault(document: Mapping[str, Any], problem: Problem, levels: Sequence[int]) -> str | None:
    """What is wrong with a model of trees, if anything is."""
    if ubjson.BYTES in ubjson.array_types(document):
        return "an array holds bytes in place of numbers"
    learner = document["learner"]
    parameters, objective = learner["learner_model_param"], learner["objective"]
    classes = len(problem.labels) if objective["name"] == SOFTPROB else 0
    if (parameters["num_class"], parameters["num_target"]) != (str(classes), "1"):
        return f"it tells other than {classes} classes apart" if classes else "it answers more than one question"
    if classes and objective["softmax_multiclass_param"]["num_class"] != str(classes):
        return "its objective tells another number of classes apart"
    if parameters["num_feature"] != str(len(levels)):
        return "its number of features is not written as a number"
    low, high = OBJECTIVES[problem.task.KIND][objective["name"]]
    scores = _base_scores(parameters["base_score"])
    if len(scores) not in {1, classes or 1} or not ((low < scores) & (scores < high)).all():
        return "its base score is none of its objective"
    return tree_checks.fault(learner["gradient_booster"]["model"], levels, classes or 1)


def _base_scores(text: str) -> NDArray[np.float32]:
    if not BASE_SCORE.fullmatch(text):
        raise ValueError(f"{text!r:.60} is no base score")
    with np.errstate(over="ignore"):
        return np.array(text.strip("[]").split(","), np.float64).astype(np.float32)
