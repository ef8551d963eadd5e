"""A model of a few words, whose answer is plain from the title."""

import numpy as np

from categories.problem import PROBLEM
from tabserve.encoding.encoder import Encoder
from tabserve.encoding.ngrams import WHOLE
from tabserve.model.decision import MostProbable
from tabserve.model.model import Model, versions
from tabserve.predictors.linear import Linear
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem

WORDS = {
    "lembrancinha": "Lembrancinhas",
    "chaveiro": "Lembrancinhas",
    "bebe": "Bebê",
    "quadro": "Decoração",
    "convite": "Papel e Cia",
    "brinco": "Bijuterias e Jóias",
}
"""The category of each word; a title without any of them is in Outros."""


def word_model(*columns: str) -> Model:
    """A model over these columns."""
    weights = np.array([[label == WORDS[word] for label in PROBLEM.labels] for word in WORDS], np.float32)
    intercept = np.array([0.1 * (label == "Outros") for label in PROBLEM.labels])
    grams, squares = tuple(WHOLE + word for word in WORDS), np.ones(len(WORDS), np.float32)
    texts = tuple(Column(name, "text", missing=index > 0) for index, name in enumerate(columns))
    problem = Problem("categories", texts, PROBLEM.target, PROBLEM.task)
    linear = Linear(grams, 4 * weights, squares, intercept)
    return Model(problem, Encoder.learn(problem, {}), linear, MostProbable(0.5), {}, {}, versions())
