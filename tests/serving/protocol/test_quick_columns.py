"""Ordinary requests of mixed columns are read at one go, as by the careful way; whatever else comes is left to that."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabserve.encoding.encoder import Encoder
from tabserve.errors import InvalidRequest, TooLarge
from tabserve.model.decision import Threshold
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.serving.protocol import request
from tabserve.serving.protocol.columns import signature
from tabserve.serving.protocol.quick_columns import MAX_ROWS
from tabserve.serving.protocol.signature import Signature

PROBLEM = Problem(
    "mixed",
    (
        Column("income"),
        Column("age", missing=True),
        Column("city", "category"),
        Column("plan", "category", missing=True, unseen="refused"),
        Column("since", "date", missing=True),
        Column("seen", "date"),
    ),
    id="id",
)
LEARNED = {
    "city": ["Recife", "1.0", "7", "true"],
    "plan": ["a", "b"],
    "since": ["2020-12-31"],
    "seen": ["2020-12-31 08:30"],
}
TAKES = signature(PROBLEM, Encoder.learn(PROBLEM, LEARNED), Threshold(0.5))
CAREFUL = replace(TAKES, quick=lambda _inputs: None)
CELLS: dict[str, tuple[str, list[Any]]] = {
    "income": ("FP64", [1.5, 2**60, -0.0, 3.4e38]),
    "age": ("FP32", [None, 40, 1e-40, 0.1]),
    "city": ("BYTES", ["Recife", "1.0", "7", "true"]),
    "plan": ("BYTES", ["a", None, "", "b"]),
    "since": ("BYTES", ["2020-02-29", "", None, "0001-01-01"]),
    "seen": ("BYTES", ["2020-12-31T23:59", "9999-12-31 00:00:59.999", "1969-12-31 08:30", "2000-01-01 00:00"]),
}
TEXTS = ["", "Natal", "1", "1e3", "2020-02-30", "20201231", "2020-12-31", "2020-12-31 08:30", "2020-12-31\n", "\ud800"]
STRANGE = [*TEXTS, "x" * 1_001, None, True, 1, 7, 1.0, [1], {"a": 1}, float("inf"), float("nan"), 2**80, 3.5e38]
SHAPES: list[object] = [[], [4], [4, 1], [1, 4], [True], [4.0], [4, True], [[1]], {0: 4}]
MEMBERS = [*SHAPES, None, True, -1, "FP32", "INT64", "BYTES", "BOOL", "age", "id"]


def document() -> dict[str, Any]:
    """An ordinary request."""
    inputs = [
        {"name": name, "datatype": datatype, "shape": [len(cells)], "data": list(cells)}
        for name, (datatype, cells) in CELLS.items()
    ]
    return {"inputs": inputs}


def found(asked: dict[str, Any], takes: Signature) -> object:
    """What comes of a request: the bytes of its features and the unseen levels, or the sentence that refuses it."""
    try:
        features = request.validate(copy.deepcopy(asked), takes).features
        values = np.concatenate([*features.chunks])
    except (InvalidRequest, TooLarge) as refusal:
        return type(refusal), str(refusal)
    return values.shape, values.tobytes(), dict(features.unseen)


def test_an_ordinary_request_is_read_at_one_go() -> None:
    """Its columns in any order; the features are those of the careful way to the bit."""
    asked = document()
    asked["inputs"].reverse()
    assert TAKES.quick(asked["inputs"])
    assert found(asked, TAKES) == found(asked, CAREFUL)
    assert found(asked, TAKES) == found(document(), CAREFUL)


def test_a_column_may_be_left_out_or_have_one_of_two_shapes() -> None:
    """Left out, if it may be missing; [rows, 1] is a column as well."""
    asked = document()
    asked["inputs"] = [{**each, "shape": [4, 1]} for each in asked["inputs"] if each["name"] not in {"age", "since"}]
    assert TAKES.quick(asked["inputs"])
    assert found(asked, TAKES) == found(asked, CAREFUL)


def _without(asked: dict[str, Any]) -> None:
    asked["inputs"].pop()


def _twice(asked: dict[str, Any]) -> None:
    asked["inputs"].append(asked["inputs"][0])


def _with_id(asked: dict[str, Any]) -> None:
    asked["inputs"].append({"name": "id", "datatype": "BYTES", "shape": [4], "data": ["a", "b", "c", "d"]})


def _with_parameters(asked: dict[str, Any]) -> None:
    asked["inputs"][0]["parameters"] = {"sequence_id": 1}


def _of_many_rows(asked: dict[str, Any]) -> None:
    for each in asked["inputs"]:
        each["data"] *= MAX_ROWS
        each["shape"] = [len(each["data"])]


@pytest.mark.parametrize("change", [_without, _twice, _with_id, _with_parameters, _of_many_rows])
def test_an_unusual_request_is_left_to_the_careful_way(change: Callable[[dict[str, Any]], None]) -> None:
    """Whether that takes it or not."""
    asked = document()
    change(asked)
    assert TAKES.quick(asked["inputs"]) is None
    assert found(asked, TAKES) == found(asked, CAREFUL)


@given(st.sampled_from([*CELLS]), st.integers(0, 3), st.sampled_from(STRANGE))
def test_a_strange_cell_is_taken_or_refused_as_by_the_careful_way(name: str, row: int, cell: object) -> None:
    """In the same words; a level that training did not see is counted."""
    asked = document()
    next(each for each in asked["inputs"] if each["name"] == name)["data"][row] = cell
    assert found(asked, TAKES) == found(asked, CAREFUL)


@given(st.integers(0, 5), st.sampled_from(["name", "datatype", "shape", "data"]), st.sampled_from(MEMBERS))
def test_a_strange_member_is_taken_or_refused_as_by_the_careful_way(place: int, member: str, value: object) -> None:
    """In the same words."""
    asked = document()
    asked["inputs"][place][member] = value
    assert found(asked, TAKES) == found(asked, CAREFUL)


@pytest.mark.parametrize("inputs", [[None], ["income"], [[]], [{}], [{"shape": 1}], [{"shape": {0: 1}}]])
def test_inputs_that_are_none_are_refused_as_by_the_careful_way(inputs: list[Any]) -> None:
    """Alone, and beside others."""
    for asked in ({"inputs": inputs}, {"inputs": [*document()["inputs"], *inputs]}):
        assert TAKES.quick(asked["inputs"]) is None
        assert found(asked, TAKES) == found(asked, CAREFUL)


def test_the_rows_of_an_ordinary_request_are_bounded() -> None:
    """As those of any other."""
    with pytest.raises(TooLarge, match="has 4 rows; send at most 3"):
        request.validate(document(), TAKES, max_rows=3)
