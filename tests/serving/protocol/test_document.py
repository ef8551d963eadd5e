"""Whatever is JSON is read: what is ignored is ignored, and what is looked at is called by its place."""

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import GOODS

from tabserve.encoding.encoder import Encoder
from tabserve.errors import InvalidRequest
from tabserve.model.decision import MostProbable, Threshold
from tabserve.problem.columns import numbers
from tabserve.problem.problem import Problem
from tabserve.serving.protocol import document, json_numbers, request
from tabserve.serving.protocol.columns import signature
from tabserve.serving.protocol.signature import Signature

HALVES = ["\ud83d", "Colar \ud83d", "\udc00\ud83d", "\ud83d\ud83d\udc00"]
STRINGS = st.text(st.characters()) | st.sampled_from(HALVES) | st.text(st.sampled_from('\ud83d\udc00a\\"'))
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | STRINGS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRINGS, inner, max_size=3),
    max_leaves=10,
)
LITERALS = ["1e400", "-1e400", "9" * 400, "9" * 5000, "1" + "0" * 30, "-9223372036854775809", "18446744073709551616"]


def encoded(value: object) -> str:
    """As JSON, halves of surrogate pairs escaped."""
    return json.dumps(value)


def read(text: str) -> Any:  # noqa: ANN401  whatever JSON holds
    """Plain data."""
    return document.parse(text.encode(), "anything")


def same(one: object, other: object) -> bool:
    """Whether two values are the same in type and value."""
    return repr(one) == repr(other)


@given(value=VALUES)
def test_what_python_writes_is_read(value: object) -> None:
    """Every text and number in it; whole numbers beyond 64 bits as floats, as orjson has them."""
    found = read(encoded(value))
    try:
        expected = orjson.loads(encoded(value))
    except orjson.JSONDecodeError:
        expected = json.loads(encoded(value), parse_int=document._whole)
    assert same(found, expected)


@given(value=VALUES)
def test_a_half_beside_changes_nothing(value: object) -> None:
    """The rest of a document is the same, by whichever parser it is read."""
    try:
        alone = orjson.loads(encoded(value))
    except orjson.JSONDecodeError:
        return
    assert same(read(f'{{"a": {encoded(value)}, "b": "\\ud800", "c": 1e400}}')["a"], alone)


@pytest.mark.parametrize("literal", LITERALS)
def test_numbers_of_any_size_are_read(literal: str) -> None:
    """Those beyond 64-bit floats are infinite, and whole ones beyond 64 bits floats."""
    found = read(f'{{"a": {literal}, "b": "\\ud800"}}')["a"]
    assert isinstance(found, float)
    assert math.isinf(found) == (abs(float(literal)) > 1e308)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "NaN",
        "[Infinity]",
        "[-Infinity]",
        "[1e400",
        '["\\ud8"]',
        "'a'",
        "[01]",
        '["\t"]',
        "\ufeff[1e400]",
        "[1,]",
    ],
)
def test_what_is_no_json_is_called_so(text: str) -> None:
    """Python's own words for numbers that JSON lacks among it."""
    with pytest.raises(InvalidRequest, match=r"^The body is not JSON \(.*\); expected anything\.$"):
        read(text)


@pytest.mark.parametrize(
    "body", [b'["\xff"]', b'["\xed\xa0\x80"]', '["a"]'.encode("utf-16"), '["a"]'.encode("utf-16-le")]
)
def test_other_encodings_are_no_json(body: bytes) -> None:
    """UTF-8 alone is, also in the slower parser."""
    with pytest.raises(InvalidRequest, match="The body is not JSON"):
        document.parse(body, "anything")


@pytest.mark.parametrize("depth", [1_500, 100_000])
def test_a_document_may_nest_too_deep_to_be_read(depth: int) -> None:
    """And is not called otherwise."""
    with pytest.raises(InvalidRequest, match=r"^The body holds lists or objects nested too deep to be read; expected"):
        read("[" * depth + "]" * depth)


ROW = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
TEXT = {"name": "title", "datatype": "BYTES", "shape": [1], "data": ["Colar"]}
SMALL = Problem("small", numbers("a", "b"))
OF_NUMBERS = signature(SMALL, Encoder.learn(SMALL, {}), Threshold(0.5))
OF_TEXTS = signature(GOODS, Encoder.learn(GOODS, {}), MostProbable())


@pytest.mark.parametrize(("tensor", "signature"), [(ROW, OF_NUMBERS), (TEXT, OF_TEXTS)], ids=["numbers", "texts"])
@given(ignored=VALUES, name=STRINGS)
def test_what_a_v2_request_is_not_asked_for_is_ignored(
    tensor: dict[str, Any],
    signature: Signature,
    ignored: object,
    name: str,
) -> None:
    """Whatever other members and parameters hold, and a lone tensor's name."""
    known = {"parameters", "name", "datatype", "shape", "data", "inputs", "outputs", "id", "title", "tags"}
    other = {f"my {name}": ignored}
    lone = {**tensor, **other, "name": f"my {name}", "parameters": other}
    body = encoded({"inputs": [lone], "parameters": other, **other})
    assert not known & {*other}
    for text in (body, body.replace("{", '{"big": 1e400, "half": "\\ud83d", ', 1)):
        found = request.validate(json_numbers.parse(text.encode()), signature)
        plain = request.validate(json_numbers.parse(encoded({"inputs": [tensor]}).encode()), signature)
        assert [part.tolist() for part in found.features.chunks] == [part.tolist() for part in plain.features.chunks]


@pytest.mark.parametrize("half", HALVES)
def test_half_a_pair_that_is_looked_at_is_called_by_its_place(half: str) -> None:
    """A text by its row and column, an id as such; the sentence itself can be written."""
    for asked, said in (
        ({"inputs": [{**TEXT, "data": [half]}]}, "Row 0, column 'title', is '"),
        ({"inputs": [TEXT, {**TEXT, "name": "tags", "data": [half]}]}, "Row 0, column 'tags', is '"),
        ({"inputs": [TEXT], "id": half}, "The request has '"),
        ({"inputs": [TEXT], "outputs": [{"name": half}]}, "Output '"),
        ({"inputs": [{**TEXT, "datatype": half}]}, "Input 'title' has datatype '"),
    ):
        with pytest.raises(InvalidRequest, match=rf"^{said}.*ud83d.*") as error:
            [*request.validate(json_numbers.parse(encoded(asked).encode()), OF_TEXTS).features.chunks]
        assert orjson.dumps({"error": str(error.value)})
