"""An amount is answered with an interval that its own size decides; one that contradicts itself is refused."""

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
    """Any that contradict themselves nowhere."""
    edges = sorted(draw(st.sets(finite, max_size=7)))
    widths = draw(st.lists(st.floats(0, LARGEST), min_size=len(edges) + 1, max_size=len(edges) + 1))
    return Amount(tuple(edges), tuple(widths))


def raw(*amounts: float) -> NDArray[np.float32]:
    """What a predictor gives for rows of these amounts."""
    return np.array(amounts, np.float32)[:, np.newaxis]


@given(decisions(), st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_every_interval_is_finite_and_holds_its_prediction(decision: Amount, amounts: list[float]) -> None:
    """Whatever the edges and widths; and each row's does not depend on the others."""
    together = decision.scores(raw(*amounts))
    assert np.array_equal(together.prediction, np.array(amounts, np.float32))
    assert (together.low <= together.prediction).all()
    assert (together.prediction <= together.high).all()
    assert np.isfinite(together).all()
    alone = [decision.scores(raw(amount)) for amount in amounts]
    assert np.array_equal(np.array(together), np.concatenate(alone, axis=1))


@given(decisions())
def test_a_decision_written_as_json_has_it_is_the_same(decision: Amount) -> None:
    """JSON knows lists, and no tuples."""
    lists: dict[str, Any] = {"edges": list(decision.edges), "widths": list(decision.widths)}
    assert DECISIONS["amount"](**lists) == decision
    assert hash(DECISIONS["amount"](**lists)) == hash(decision)


def test_a_prediction_takes_the_width_of_its_bin() -> None:
    """An edge itself belongs to the bin above it."""
    found = Amount((10, 100), (1, 5, 40)).scores(raw(-3, 9, 10, 99, 100, 1e6))
    assert (found.high - found.prediction).tolist() == [1, 1, 5, 5, 40, 40]
    assert (found.prediction - found.low).tolist() == [1, 1, 5, 5, 40, 40]


def test_one_width_is_enough() -> None:
    """Without any edge, all amounts share it."""
    assert [values.tolist() for values in Amount((), (2.5,)).scores(raw(1, 7))] == [[1, 7], [-1.5, 4.5], [3.5, 9.5]]


@pytest.mark.parametrize(
    ("edges", "widths", "said"),
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
def test_what_contradicts_itself_is_refused(edges: Any, widths: Any, said: str) -> None:  # noqa: ANN401
    """In one sentence."""
    with pytest.raises(UsageError, match=said):
        Amount(edges, widths)


def test_the_amount_and_its_interval_can_be_asked_for() -> None:
    """As 32-bit floats, which is what XGBoost gives."""
    decision = Amount((10,), (1, 5))
    found, kinds = decision.scores(raw(9, 20)), decision.outputs(PROBLEM)
    answered = {name: kind.values(found) for name, kind in kinds.items()}
    assert {name: values.tolist() for name, values in answered.items()} == {
        "predict": [[9], [20]],
        "predict_interval": [[8, 10], [15, 25]],
    }
    for name, kind in kinds.items():
        assert kind.datatype == "FP32"
        assert answered[name].dtype == np.float32
        assert answered[name].shape == (2, kind.columns)
    assert decision.parameters == {"interval": "0.9"}
    assert decision.watched(found).tolist() == [9, 20]


@pytest.mark.parametrize("size", [1, 2, 100], ids="at most {} rows in a call".format)
def test_requests_that_are_joined_or_cut_get_their_own_amounts(size: int) -> None:
    """In whichever batches the server scores them."""
    decision, sent = Amount((10,), (1, 5)), [raw(9, 20, 3), raw(10), raw(30, 8)]

    async def answered() -> list[Amounts]:
        batcher = Batcher(decision.scores, size)
        return await asyncio.gather(*(batcher.score(Features(len(rows), [rows])) for rows in sent))

    for rows, found in zip(sent, asyncio.run(answered()), strict=True):
        assert isinstance(found, Amounts)
        assert np.array_equal(np.array(found), np.array(decision.scores(rows)))
