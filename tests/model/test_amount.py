"""A predicted amount has an interval whose width depends on its size; an invalid decision is refused."""

import asyncio
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tabserve.errors import UsageError
from tabserve.model.decision import DECISIONS, LARGEST, Amount, Amounts
from tabserve.problem.columns import numbers
from tabserve.problem.problem import Problem
from tabserve.problem.task import Regression
from tabserve.serving.batching import Batcher
from tabserve.serving.protocol.signature import Features

PROBLEM = Problem("prices", numbers("area"), "price", Regression("USD"))

finite = st.floats(-LARGEST, LARGEST)


@st.composite
def decisions(draw: st.DrawFn) -> Amount:
    """Valid decisions."""
    edges = sorted(draw(st.sets(finite, max_size=7)))
    widths = draw(st.lists(st.floats(0, LARGEST), min_size=len(edges) + 1, max_size=len(edges) + 1))
    return Amount(tuple(edges), tuple(widths))


def raw(*amounts: float) -> NDArray[np.float32]:
    """Raw outputs of a predictor for these amounts."""
    return np.array(amounts, np.float32)[:, np.newaxis]


@given(decisions(), st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_every_interval_is_finite_and_holds_its_prediction(decision: Amount, amounts: list[float]) -> None:
    """For any edges and widths; and no row's interval depends on other rows."""
    together = decision.scores(raw(*amounts))
    assert np.array_equal(together.prediction, np.array(amounts, np.float32))
    assert (together.low <= together.prediction).all()
    assert (together.prediction <= together.high).all()
    assert np.isfinite(together).all()
    alone = [decision.scores(raw(amount)) for amount in amounts]
    assert np.array_equal(np.array(together), np.concatenate(alone, axis=1))


@given(decisions())
def test_a_decision_from_json_lists_equals_that_from_tuples(decision: Amount) -> None:
    """JSON has lists only."""
    lists: dict[str, Any] = {"edges": list(decision.edges), "widths": list(decision.widths)}
    assert DECISIONS["amount"](**lists) == decision
    assert hash(DECISIONS["amount"](**lists)) == hash(decision)


def test_a_prediction_takes_the_width_of_its_bin() -> None:
    """An edge belongs to the bin above it."""
    amounts = Amount((10, 100), (1, 5, 40)).scores(raw(-3, 9, 10, 99, 100, 1e6))
    assert (amounts.high - amounts.prediction).tolist() == [1, 1, 5, 5, 40, 40]
    assert (amounts.prediction - amounts.low).tolist() == [1, 1, 5, 5, 40, 40]


def test_one_width_is_enough() -> None:
    """Without edges, all amounts have the same width."""
    assert [values.tolist() for values in Amount((), (2.5,)).scores(raw(1, 7))] == [[1, 7], [-1.5, 4.5], [3.5, 9.5]]


@pytest.mark.parametrize(
    ("edges", "widths", "message"),
    [
        ((1, 2), (1, 1), "2 edges part 3 bins, and 2 widths were given"),
        ((), (), "0 edges part 1 bins, and 0 widths were given"),
        ((2, 1), (1, 1, 1), "each larger than the one before"),
        ((1, 1), (1, 1, 1), "each larger than the one before"),
        ((1,), (1, -0.5), "A width is -0.5, expected none below 0"),
        ((math.nan,), (1, 1), "among the edges is nan, expected a number"),
        ((math.inf,), (1, 1), "among the edges is inf, expected a number"),
        ((1,), (1, math.nan), "among the widths is nan, expected a number"),
        ((1,), (1, 1e39), "among the widths is 1e\\+39, expected a number"),
        ((1,), (1, True), "among the widths is True, expected a number"),
        (("1",), (1, 1), "among the edges is '1', expected a number"),
        (1, (1, 1), "The edges are 1, expected a list of numbers"),
        ((1,), {"low": 1}, "The widths are {'low': 1}, expected a list of numbers"),
        ("12", (1, 1, 1), "The edges are '12', expected a list of numbers"),
    ],
)
def test_invalid_edges_and_widths_are_refused(edges: Any, widths: Any, message: str) -> None:  # noqa: ANN401
    """The message says what was expected."""
    with pytest.raises(UsageError, match=message):
        Amount(edges, widths)


def test_the_amount_and_its_interval_are_outputs() -> None:
    """As 32-bit floats, the type of XGBoost's predictions."""
    decision = Amount((10,), (1, 5))
    amounts, kinds = decision.scores(raw(9, 20)), decision.outputs(PROBLEM)
    tensors = {name: kind.values(amounts) for name, kind in kinds.items()}
    assert {name: values.tolist() for name, values in tensors.items()} == {
        "predict": [[9], [20]],
        "predict_interval": [[8, 10], [15, 25]],
    }
    for name, kind in kinds.items():
        assert kind.datatype == "FP32"
        assert tensors[name].dtype == np.float32
        assert tensors[name].shape == (2, *kind.shape)
    assert decision.parameters == {"interval": "0.9"}
    assert decision.watched(amounts).tolist() == [9, 20]


@pytest.mark.parametrize("size", [1, 2, 100], ids="at most {} rows in a call".format)
def test_requests_in_joined_or_cut_batches_get_their_own_amounts(size: int) -> None:
    """However the server batches them."""
    decision, requests = Amount((10,), (1, 5)), [raw(9, 20, 3), raw(10), raw(30, 8)]

    async def score_all() -> list[Amounts]:
        batcher = Batcher(decision.scores, size)
        return await asyncio.gather(*(batcher.score(Features(len(rows), [rows])) for rows in requests))

    for rows, amounts in zip(requests, asyncio.run(score_all()), strict=True):
        assert isinstance(amounts, Amounts)
        assert np.array_equal(np.array(amounts), np.array(decision.scores(rows)))
