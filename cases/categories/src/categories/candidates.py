"""The candidates that are compared, from a constant to linear models over n-grams."""

import xgboost as xgb
from sklearn.base import ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import LinearSVC

from tabserve.encoding.ngrams import word_grams
from tabserve.training.selection import Candidate
from tabserve.training.text_classifier import TextClassifier

NEIGHBOURS = 5
"""Nearest titles that vote. Ties depend on numpy and the processor, and move macro F1 by up to 0.001."""

BOOSTED = 1_000
"""The most frequent words and pairs of words, each a column for the boosted trees."""


def candidates(seed: int, jobs: int) -> dict[str, Candidate]:
    """Every candidate by name, simple ones first.

    Args:
        seed: random state of every model that has one.
        jobs: threads of every model that takes them.
    """
    boosted = xgb.XGBClassifier(
        n_estimators=50, max_depth=6, learning_rate=0.5, max_bin=4, random_state=seed, n_jobs=jobs
    )
    logistic = LogisticRegression(C=10, solver="saga", tol=0.01, random_state=seed)
    nearest = KNeighborsClassifier(NEIGHBOURS, metric="cosine", weights="distance")
    listed = [
        Candidate("majority", _words(DummyClassifier())),
        Candidate("nearest-words", _words(nearest)),
        Candidate("naive-bayes-words", _words(MultinomialNB(alpha=0.1))),
        Candidate("boosted-words", _words(boosted, BOOSTED)),
        Candidate("logistic-regression-words", TextClassifier(logistic, word_grams)),
        Candidate("linear-svm-words", TextClassifier(LinearSVC(C=0.7, random_state=seed), word_grams)),
        Candidate("linear-svm-words-and-parts", TextClassifier(LinearSVC(C=0.7, random_state=seed))),
        Candidate(
            "linear-svm-words-and-parts-weighted",
            TextClassifier(LinearSVC(C=0.7, class_weight="balanced", random_state=seed)),
        ),
    ]
    return {candidate.name: candidate for candidate in listed}


def _words(estimator: ClassifierMixin, max_features: int | None = None) -> Pipeline:
    return make_pipeline(TfidfVectorizer(analyzer=word_grams, max_features=max_features), estimator)
