"""The reasons of an answer are the columns with the largest contributions to it."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tabserve.client.answer import Answer
from tabserve.client.metadata import Output
from tabserve.client.reasons import Reason, as_documents, as_texts, reasons
from tabserve.serving.protocol.contributions import BASE_VALUE, NAME

FEATURES = ("age", "since.year", "since.month", "plan", "city")
SOURCES = ("age", "since", "since", "plan", "city", BASE_VALUE)
OUTPUT = Output("FP32", (6,), (), (*FEATURES, BASE_VALUE), SOURCES, 100)

CELLS: dict[str, NDArray[Any]] = {
    "age": np.array([45.6, np.nan], np.float32),
    "since": np.array(["2020-12-31", ""], np.object_),
    "city": np.array(["São Paulo", "Olinda"], np.object_),
}
"""The column `plan` is left out."""


def answers(*contributions: Any) -> list[Answer]:  # noqa: ANN401  rows of numbers
    """One answer for each row."""
    return [Answer({NAME: np.array([row], np.float32)}, None) for row in contributions]


def test_the_three_largest_contributions_are_named() -> None:
    """Whatever their sign, the largest first, the features of a date together, and never the base value."""
    found = reasons(answers([0.5, 0.3, 0.4, 0, -2, 9], [-0.25, 0.3, -0.3, 1200, 0.004, -9]), OUTPUT, CELLS)
    assert [[reason[:2] for reason in row] for row in found] == [
        [("city", "São Paulo"), ("since", "2020-12-31"), ("age", 45.6)],
        [("plan", None), ("age", None), ("city", "Olinda")],
    ]
    assert [reason.contribution for reason in found[0]] == pytest.approx([-2, 0.7, 0.5])
    assert as_texts(found).tolist() == [
        "city=São Paulo -2.00, since=2020-12-31 +0.70, age=45.6 +0.50",
        "plan (missing) +1,200.00, age (missing) -0.25, city=Olinda +0.004",
    ]
    assert as_documents(found)[1][1] == {"column": "age", "cell": None, "contribution": -0.25}


def test_of_several_classes_the_most_probable_one_is_explained() -> None:
    """It has the largest sum of contributions, with the base value."""
    three = OUTPUT._replace(shape=(3, 6), labels=("low", "mid", "high"))
    low, mid, high = [5, 0, 0, 0, 0, -6], [0, 1, 0, 0, 0, 1], [0, 0, 0, 0, 1, 0]
    (found,) = reasons(answers([low, mid, high]), three, CELLS)
    assert found[0] == Reason("since", "2020-12-31", 1)


def test_a_model_of_few_columns_has_few_reasons() -> None:
    """At most one for each column."""
    (found,) = reasons(answers([1, 2]), Output("FP32", (2,), (), ("age", BASE_VALUE), ("age", BASE_VALUE), 9), CELLS)
    assert found == [Reason("age", 45.6, 1)]
