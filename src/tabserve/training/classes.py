"""What training for two classes and for several have in common."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, is_regressor
from sklearn.dummy import DummyClassifier

from tabserve.problem.criterion import FloatArray, IntArray
from tabserve.training.bootstrap import Draw, every_class


class ClassTraining:
    """The common base of `BinaryTraining` and `MulticlassTraining`; see `TaskTraining`."""

    ESTIMATOR: ClassVar[str] = "an unfitted classifier, such as XGBClassifier()"
    ANSWERS: ClassVar[str] = "probabilities"
    SMALLEST_PART: ClassVar[str] = "The smallest class"

    def baselines(self) -> Mapping[str, BaseEstimator]:
        """A classifier that answers with the share of each class."""
        return {"prior": DummyClassifier(strategy="prior")}

    def accepts(self, estimator: BaseEstimator) -> bool:
        """Whether it is not a regressor by scikit-learn's tags; True for an estimator without tags."""
        return not (hasattr(estimator, "__sklearn_tags__") and is_regressor(estimator))

    def strata(self, target: NDArray[Any]) -> IntArray:
        """The class of each row."""
        return target.astype(np.int64)

    def usable(self, target: NDArray[Any]) -> Callable[[Draw], bool]:
        """Accepts draws that have a row of every class in the target."""
        return every_class(target)

    def prediction_fault(self, prediction: FloatArray) -> str | None:
        """Why the prediction is not one of probabilities, or None."""
        if ((prediction >= 0) & (prediction <= 1)).all():
            return None
        values = f"{np.nanmin(prediction):.4g} to {np.nanmax(prediction):.4g}"
        return f"answers {values}, and probabilities from 0 to 1 are expected; leave it out"
