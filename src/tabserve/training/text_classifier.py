"""A linear classifier over the n-grams of texts, served as a `Linear`, which does not need scikit-learn."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.feature_extraction.text import TfidfVectorizer

from tabserve.encoding.ngrams import grams
from tabserve.predictors.linear import Linear

Analyzer = Callable[[str], list[str]]

EXAMPLE = "Lembrancinha de bebê: 30 caixas, Azul-claro"
"""A typical text, whose n-grams show whether a `Linear` can make those of an analyzer."""


class TextClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A linear classifier over the set of a text's n-grams, weighted by inverse document frequency."""

    def __init__(self, estimator: Any, analyzer: Analyzer = grams, min_df: int = 2) -> None:  # noqa: ANN401
        """Set the parameters.

        Args:
            estimator: an unfitted classifier with `decision_function` and `coef_`; every fit clones it.
            analyzer: makes the n-grams of a text: all those of `ngrams.grams`, or some of them.
            min_df: the smallest number of texts that an n-gram must occur in.
        """
        self.estimator = estimator
        self.analyzer = analyzer
        self.min_df = min_df

    def fit(self, texts: Sequence[str] | NDArray[np.object_], target: NDArray[np.int8]) -> Self:
        """Fit the vectoriser and the classifier."""
        self.vectoriser_ = TfidfVectorizer(analyzer=self.analyzer, binary=True, min_df=self.min_df)
        self.estimator_ = clone(self.estimator).fit(self.vectoriser_.fit_transform(texts), target)
        self.classes_ = self.estimator_.classes_
        return self

    def decision_function(self, texts: Sequence[str] | NDArray[np.object_]) -> NDArray[np.float64]:
        """The margin of each class, shape (texts, classes)."""
        margins: NDArray[np.float64] = self.estimator_.decision_function(self.vectoriser_.transform(texts))
        return margins if margins.ndim == 2 else np.stack([-margins, margins], axis=1)

    def predict(self, texts: Sequence[str] | NDArray[np.object_]) -> NDArray[Any]:
        """The class with the largest margin."""
        return np.asarray(self.classes_[self.decision_function(texts).argmax(axis=1)])

    def serving_fault(self) -> str | None:
        """Why the predictor cannot make the n-grams of the analyzer, or None."""
        if set(self.analyzer(EXAMPLE)) <= set(grams(EXAMPLE)):
            return None
        return (
            "has an analyzer of its own, and n-grams of `ngrams.grams` alone are served; use that, or"
            " `ngrams.word_grams`"
        )

    def get_predictor(self, _encoder: object = None) -> Linear:
        """The fitted model as a predictor."""
        weights, intercept, idf = self.estimator_.coef_, self.estimator_.intercept_, self.vectoriser_.idf_
        if len(self.classes_) == 2:
            weights, intercept = np.vstack([-weights, weights]), np.concatenate([-intercept, intercept])
        vocabulary = tuple(self.vectoriser_.get_feature_names_out())
        scaled, squares = ((weights * idf).T.astype(np.float32), (idf**2).astype(np.float32))
        return Linear(vocabulary, scaled, squares, intercept)
