"""Boosted trees of XGBoost; the model file is checked before XGBoost, which bad values can crash, loads it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from tabserve.encoding.encoder import Encoder
from tabserve.errors import ArtifactError
from tabserve.predictors import feature_rows, tree_checks, ubjson
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
"""The objectives of each task, and the open range of each one's base score, outside which its margin is undefined."""

NUMBER = r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"

BASE_SCORE = re.compile(rf"\[{NUMBER}(?:,{NUMBER})*\]|{NUMBER}")
"""The text of a base score: one number for each output; XGBoost before 3.1 wrote one number for all."""

QUANTITIES = {"q", "float", "int", "i"}
"""XGBoost's types of a feature that is not a category."""


class Features(NamedTuple):
    """The features of a booster.

    Attributes:
        names: in their order; empty if the file names none.
        types: of each feature, as XGBoost's `feature_types`.
        levels: number of levels of each feature; 0 for a quantity.
    """

    names: Sequence[str]
    types: Sequence[str]
    levels: Sequence[int]


@dataclass(frozen=True, eq=False)
class Booster:
    """Boosted trees; see `Predictor`.

    Attributes:
        trees: XGBoost's booster, with one of the `OBJECTIVES`.
        outputs: the number of classes if there are several, else 1.
    """

    FILE: ClassVar[str] = "model.ubj"
    BATCH_ROWS: ClassVar[int] = 256
    PARALLEL: ClassVar[bool] = True
    LIBRARIES: ClassVar[tuple[str, ...]] = ("xgboost",)

    trees: xgb.Booster
    outputs: int = field(init=False)
    _output_kind: Kind = field(init=False, repr=False)

    @classmethod
    def read(
        cls,
        path: Path,
        file: bytes,
        problem: Problem,
        encoder: Encoder,
    ) -> Self:
        """Load a model file.

        Args:
            path: the file's name in errors.
            file: its bytes, UBJSON as XGBoost writes it.
            problem: its task must fit the model's objective.
            encoder: its features must be the model's, by name and order, with as many levels of each category.

        Raises:
            ArtifactError: see `load`.
        """
        return cls.load(path, file, problem, Features(encoder.names, encoder.types, encoder.levels))

    @classmethod
    def load(cls, path: Path, file: bytes, problem: Problem, features: "Features") -> Self:
        """Load a model file whose features need not be an encoder's.

        Args:
            path: the file's name in errors.
            file: its bytes, UBJSON as XGBoost writes it.
            problem: its task must fit the model's objective.
            features: those that the model must have.

        Raises:
            ArtifactError: the file is not XGBoost's, its objective is not the task's, its booster is not
                of trees (`KIND`), its features differ, or XGBoost could crash on it.
        """
        try:
            document = ubjson.loads(file)
            learner = document["learner"]
            _check_kind(path, learner, problem)
            _check_features(path, learner, features.names, features.types)
            if fault := _fault(document, problem, features.levels):
                raise ArtifactError(f"{path} holds a model that XGBoost cannot use, as {fault}; train the model again.")
            return cls(xgb.Booster(model_file=bytearray(file)))
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError, xgb.core.XGBoostError) as error:
            raise ArtifactError(f"{path} is not a model that XGBoost {xgb.__version__} can read.") from error

    def __post_init__(self) -> None:
        """Find out the number of outputs; this also makes XGBoost read its parameters now, not at the first request."""
        parameters = json.loads(self.trees.save_config())["learner"]["learner_model_param"]
        object.__setattr__(self, "outputs", max(1, int(parameters["num_class"])))
        object.__setattr__(self, "_output_kind", "margin" if self.outputs > 1 else "value")

    @property
    def facts(self) -> dict[str, str]:
        """The number of boosting rounds."""
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
        """Raw outputs for float32 features of shape (rows, features).

        Returns:
            For two classes the probability of the positive one, for several the margin of each, or the amount; float32,
            shape (rows, outputs).
        """
        return predict(self.trees, features, self._output_kind).reshape(len(features), self.outputs)

    def contributions(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """The SHAP values of each feature for each output (XGBoost's `pred_contribs`), and last the base value.

        They add up to the output's margin: the log odds, the margin of a class, or the amount. For an objective whose
        amount is the exponential of its margin (`reg:gamma`, `reg:tweedie`, `count:poisson`) that is the amount's log.

        Args:
            features: at least one row, as for `raw`. One row takes about as long as 100 rows of `raw`.

        Returns:
            Shape (rows, outputs, features + 1).
        """
        types = self.trees.feature_types
        matrix = xgb.DMatrix(features, feature_types=types, enable_categorical=True, missing=np.nan, nthread=1)
        return self.trees.predict(matrix, pred_contribs=True, strict_shape=True, validate_features=False)

    def from_json(self, rows: list[Any]) -> NDArray[np.float32]:
        """Features from one list of numbers per row, with None for a missing one.

        Raises:
            ValueError: the lists do not have this model's number of features.
        """
        return feature_rows.from_json(rows, self.trees.num_features())

    def examples(self, features: NDArray[np.float32], rows: int = 8, seed: int = 0) -> NDArray[np.float32]:
        """Draw each cell on its own, so that no row of the training table is published."""
        return feature_rows.draw_cells(features, rows, seed)

    def to_bytes(self) -> bytes:
        """The bytes of a file that `read` takes; XGBoost's scikit-learn wrapper needs the attribute."""
        wrapper = "regressor" if self._objective in OBJECTIVES[Regression.KIND] else "classifier"
        trees = self.trees.copy()
        trees.set_attr(scikit_learn=json.dumps({"_estimator_type": wrapper}))
        return bytes(trees.save_raw("ubj"))

    def on_one_thread(self) -> None:
        """Use one thread per call, and make one call now, as the first takes longer."""
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


def _check_features(path: Path, learner: Mapping[str, Any], names: Sequence[str], expected: Sequence[str]) -> None:
    features = int(learner["learner_model_param"]["num_feature"])
    if features != len(expected):
        raise ArtifactError(f"{path} holds a model of {features} features, the manifest names {len(expected)}.")
    if learner["feature_names"] != list(names):
        raise ArtifactError(f"{path} and its manifest name different features, or the same in another order.")
    if any(map(len, learner["gradient_booster"]["model"].get("cats", {}).values())):
        raise ArtifactError(
            f"{path} was trained from a frame whose categories it would number anew; train it from a matrix of codes."
        )
    types: Sequence[str] = learner["feature_types"] or ["q"] * len(expected)
    if [kind if kind == "c" else kind in QUANTITIES for kind in types] != [kind == "q" or kind for kind in expected]:
        raise ArtifactError(f"{path} takes other features for categories than its manifest.")


def _fault(document: Mapping[str, Any], problem: Problem, levels: Sequence[int]) -> str | None:
    """What is wrong with the model, or None."""
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
