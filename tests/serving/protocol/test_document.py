"""Any JSON is parsed: unknown members are ignored, and a refusal names the position of the value."""

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


def to_json(value: object) -> str:
    """As JSON, with halves of surrogate pairs escaped."""
    return json.dumps(value)


def parse(text: str) -> Any:  # noqa: ANN401  whatever JSON holds
    """Parse a body."""
    return document.parse(text.encode(), "anything")


def is_same(value: object, other: object) -> bool:
    """Whether two values have the same types and values."""
    return repr(value) == repr(other)


@given(value=VALUES)
def test_whatever_python_writes_is_parsed(value: object) -> None:
    """Integers beyond 64 bits become floats, as in orjson."""
    parsed = parse(to_json(value))
    try:
        expected = orjson.loads(to_json(value))
    except orjson.JSONDecodeError:
        expected = json.loads(to_json(value), parse_int=document._whole)
    assert is_same(parsed, expected)


@given(value=VALUES)
def test_half_a_surrogate_pair_elsewhere_changes_nothing(value: object) -> None:
    """Whichever parser reads the document, its other values are the same."""
    try:
        alone = orjson.loads(to_json(value))
    except orjson.JSONDecodeError:
        return
    assert is_same(parse(f'{{"a": {to_json(value)}, "b": "\\ud800", "c": 1e400}}')["a"], alone)


@pytest.mark.parametrize("literal", LITERALS)
def test_numbers_of_any_size_are_parsed(literal: str) -> None:
    """Those beyond 64-bit floats are infinite, and integers beyond 64 bits are floats."""
    parsed = parse(f'{{"a": {literal}, "b": "\\ud800"}}')["a"]
    assert isinstance(parsed, float)
    assert math.isinf(parsed) == (abs(float(literal)) > 1e308)


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
def test_a_body_that_is_not_json_is_refused(text: str) -> None:
    """Also one with Python's words for numbers that JSON lacks."""
    with pytest.raises(InvalidRequest, match=r"^The body is not JSON \(.*\); expected anything\.$"):
        parse(text)


@pytest.mark.parametrize(
    "body", [b'["\xff"]', b'["\xed\xa0\x80"]', '["a"]'.encode("utf-16"), '["a"]'.encode("utf-16-le")]
)
def test_a_body_in_another_encoding_than_utf_8_is_refused(body: bytes) -> None:
    """By both parsers."""
    with pytest.raises(InvalidRequest, match="The body is not JSON"):
        document.parse(body, "anything")


@pytest.mark.parametrize("depth", [1_500, 100_000])
def test_a_document_that_nests_too_deep_is_refused(depth: int) -> None:
    """The message says so."""
    with pytest.raises(InvalidRequest, match=r"^The body holds lists or objects nested too deep to be read; expected"):
        parse("[" * depth + "]" * depth)


ROW = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
TEXT = {"name": "title", "datatype": "BYTES", "shape": [1], "data": ["Colar"]}
SMALL = Problem("small", numbers("a", "b"))
OF_NUMBERS = signature(SMALL, Encoder.learn(SMALL, {}), Threshold(0.5))
OF_TEXTS = signature(GOODS, Encoder.learn(GOODS, {}), MostProbable())


@pytest.mark.parametrize(("tensor", "signature"), [(ROW, OF_NUMBERS), (TEXT, OF_TEXTS)], ids=["numbers", "texts"])
@given(ignored=VALUES, name=STRINGS)
def test_unknown_members_of_a_v2_request_are_ignored(
    tensor: dict[str, Any],
    signature: Signature,
    ignored: object,
    name: str,
) -> None:
    """Whatever members and parameters hold, and whatever the name of a lone tensor."""
    known = {"parameters", "name", "datatype", "shape", "data", "inputs", "outputs", "id", "title", "tags"}
    other = {f"my {name}": ignored}
    lone = {**tensor, **other, "name": f"my {name}", "parameters": other}
    body = to_json({"inputs": [lone], "parameters": other, **other})
    assert not known & {*other}
    for text in (body, body.replace("{", '{"big": 1e400, "half": "\\ud83d", ', 1)):
        valid = request.validate(json_numbers.parse(text.encode()), signature)
        plain = request.validate(json_numbers.parse(to_json({"inputs": [tensor]}).encode()), signature)
        assert [chunk.tolist() for chunk in valid.features.chunks] == [
            chunk.tolist() for chunk in plain.features.chunks
        ]


@pytest.mark.parametrize("half", HALVES)
def test_half_a_surrogate_pair_is_refused_with_its_position(half: str) -> None:
    """A text by row and column, other values by their member; the message itself is valid JSON."""
    for document_, message in (
        ({"inputs": [{**TEXT, "data": [half]}]}, "Row 0, column 'title', is '"),
        ({"inputs": [TEXT, {**TEXT, "name": "tags", "data": [half]}]}, "Row 0, column 'tags', is '"),
        ({"inputs": [TEXT], "id": half}, "The request has '"),
        ({"inputs": [TEXT], "outputs": [{"name": half}]}, "Output '"),
        ({"inputs": [{**TEXT, "datatype": half}]}, "Input 'title' has datatype '"),
    ):
        with pytest.raises(InvalidRequest, match=rf"^{message}.*ud83d.*") as error:
            [*request.validate(json_numbers.parse(to_json(document_).encode()), OF_TEXTS).features.chunks]
        assert orjson.dumps({"error": str(error.value)})
