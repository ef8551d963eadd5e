"""The served model of texts answers as scikit-learn does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from tabserve.encoding.ngrams import grams, word_grams
from tabserve.training.text_classifier import TextClassifier

TEXTS = np.array(
    ["caixa de acrílico", "Caixa MDF", "caixa festa", "colar de prata", "Colar PRATA", "anel de prata", "manta bebê",
     "manta infantil", "kit bebê", "kit festa", "anel MDF", "bebê conforto"],
    np.object_,
)  # fmt: skip
THREE, TWO = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 1, 2], np.int8), np.array([0, 1] * 6, np.int8)

FITTED = [
    TextClassifier(estimator, analyzer, min_df=1).fit(TEXTS, target)
    for estimator in (LinearSVC(), LogisticRegression())
    for analyzer in (grams, word_grams)
    for target in (THREE, TWO)
]


@pytest.mark.parametrize("fitted", FITTED)
@settings(max_examples=40)
@given(data=st.data())
def test_the_served_model_has_the_margins_of_scikit_learn(fitted: TextClassifier, data: st.DataObject) -> None:
    """For known words in any order, unknown words and empty texts, up to the rounding of float32 weights."""
    words = st.lists(st.sampled_from([*" ".join(TEXTS).split(), "sabonete", "ÀÉÎ", "?"]), max_size=8).map(" ".join)
    texts = data.draw(st.lists(words, min_size=1, max_size=5))
    served, expected = fitted.get_predictor().raw(texts), fitted.decision_function(np.array(texts, np.object_))
    np.testing.assert_allclose(served, expected, atol=1e-5)


@pytest.mark.parametrize("fitted", FITTED)
def test_labels_are_those_of_the_estimator_itself(fitted: TextClassifier) -> None:
    """Of two classes too, for which scikit-learn gives one margin."""
    features = fitted.vectoriser_.transform(TEXTS)
    assert (fitted.predict(TEXTS) == fitted.estimator_.predict(features)).all()
    assert (fitted.get_predictor().raw(TEXTS).argmax(axis=1) == fitted.estimator_.predict(features)).all()
