"""Ordinary requests of mixed columns take the fast path, with the outcome of the general path; others do not."""

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
SIGNATURE = signature(PROBLEM, Encoder.learn(PROBLEM, LEARNED), Threshold(0.5))
GENERAL = replace(SIGNATURE, quick=lambda _inputs: None)
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


def outcome(document: dict[str, Any], signature: Signature) -> object:
    """The features and unseen levels of a request, or the error that refuses it."""
    try:
        features = request.validate(copy.deepcopy(document), signature).features
        values = np.concatenate([*features.chunks])
    except (InvalidRequest, TooLarge) as refusal:
        return type(refusal), str(refusal)
    return values.shape, values.tobytes(), dict(features.unseen)


def test_an_ordinary_request_takes_the_fast_path() -> None:
    """With its columns in any order; the features equal those of the general path to the bit."""
    request_ = document()
    request_["inputs"].reverse()
    assert SIGNATURE.quick(request_["inputs"])
    assert outcome(request_, SIGNATURE) == outcome(request_, GENERAL)
    assert outcome(request_, SIGNATURE) == outcome(document(), GENERAL)


def test_an_optional_column_may_be_left_out_and_a_column_may_have_two_dimensions() -> None:
    """On the fast path too."""
    request_ = document()
    request_["inputs"] = [
        {**item, "shape": [4, 1]} for item in request_["inputs"] if item["name"] not in {"age", "since"}
    ]
    assert SIGNATURE.quick(request_["inputs"])
    assert outcome(request_, SIGNATURE) == outcome(request_, GENERAL)


def _without(request_: dict[str, Any]) -> None:
    request_["inputs"].pop()


def _twice(request_: dict[str, Any]) -> None:
    request_["inputs"].append(request_["inputs"][0])


def _with_id(request_: dict[str, Any]) -> None:
    request_["inputs"].append({"name": "id", "datatype": "BYTES", "shape": [4], "data": ["a", "b", "c", "d"]})


def _with_parameters(request_: dict[str, Any]) -> None:
    request_["inputs"][0]["parameters"] = {"sequence_id": 1}


def _of_many_rows(request_: dict[str, Any]) -> None:
    for item in request_["inputs"]:
        item["data"] *= MAX_ROWS
        item["shape"] = [len(item["data"])]


@pytest.mark.parametrize("change", [_without, _twice, _with_id, _with_parameters, _of_many_rows])
def test_an_unusual_request_takes_the_general_path(change: Callable[[dict[str, Any]], None]) -> None:
    """Whether that accepts it or not."""
    request_ = document()
    change(request_)
    assert SIGNATURE.quick(request_["inputs"]) is None
    assert outcome(request_, SIGNATURE) == outcome(request_, GENERAL)


@given(st.sampled_from([*CELLS]), st.integers(0, 3), st.sampled_from(STRANGE))
def test_a_strange_cell_has_the_outcome_of_the_general_path(name: str, row: int, cell: object) -> None:
    """With the same message; an unseen level is counted."""
    request_ = document()
    next(item for item in request_["inputs"] if item["name"] == name)["data"][row] = cell
    assert outcome(request_, SIGNATURE) == outcome(request_, GENERAL)


@given(st.integers(0, 5), st.sampled_from(["name", "datatype", "shape", "data"]), st.sampled_from(MEMBERS))
def test_a_strange_member_has_the_outcome_of_the_general_path(index: int, member: str, value: object) -> None:
    """With the same message."""
    request_ = document()
    request_["inputs"][index][member] = value
    assert outcome(request_, SIGNATURE) == outcome(request_, GENERAL)


@pytest.mark.parametrize("inputs", [[None], ["income"], [[]], [{}], [{"shape": 1}], [{"shape": {0: 1}}]])
def test_invalid_inputs_are_refused_as_by_the_general_path(inputs: list[Any]) -> None:
    """Alone and beside valid ones."""
    for request_ in ({"inputs": inputs}, {"inputs": [*document()["inputs"], *inputs]}):
        assert SIGNATURE.quick(request_["inputs"]) is None
        assert outcome(request_, SIGNATURE) == outcome(request_, GENERAL)


def test_the_number_of_rows_of_an_ordinary_request_is_limited() -> None:
    """As for any other request."""
    with pytest.raises(TooLarge, match="has 4 rows; send at most 3"):
        request.validate(document(), SIGNATURE, max_rows=3)
