"""A model of a few words, whose answers can be told by looking at a title."""

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
"""Each word's category; a title without any of them is one of Outros."""


def weighed(*columns: str) -> Model:
    """A model trained with these columns."""
    weights = np.array([[label == WORDS[word] for label in PROBLEM.labels] for word in WORDS], np.float32)
    intercept = np.array([0.1 * (label == "Outros") for label in PROBLEM.labels])
    grams, squares = tuple(WHOLE + word for word in WORDS), np.ones(len(WORDS), np.float32)
    given = tuple(Column(name, "text", missing=place > 0) for place, name in enumerate(columns))
    problem = Problem("categories", given, PROBLEM.target, PROBLEM.task)
    linear = Linear(grams, 4 * weights, squares, intercept)
    return Model(problem, Encoder.learn(problem, {}), linear, MostProbable(0.5), {}, {}, versions())
