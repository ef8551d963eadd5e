"""A V2 request for a model over texts becomes one text for each row, or is refused with one sentence."""

import copy
import json
import struct
from contextlib import suppress
from itertools import chain
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import GOODS

from tabserve.encoding.encoder import Encoder
from tabserve.encoding.ngrams import has_letter_or_digit
from tabserve.encoding.texts import MAX_CHARACTERS
from tabserve.errors import InvalidRequest, TooLarge
from tabserve.model.decision import MostProbable, Scores
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.problem.task import Multiclass
from tabserve.serving.protocol import request
from tabserve.serving.protocol.columns import CHUNK_CHARACTERS, CHUNK_ROWS, signature
from tabserve.serving.protocol.datatypes import Packed, packed, unpacked
from tabserve.serving.rest import payload

TAKES = signature(GOODS, Encoder.learn(GOODS, {}), MostProbable())

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
titles = any_text.filter(has_letter_or_digit)
rows = st.lists(st.tuples(titles, any_text), min_size=1, max_size=5)


def column(name: str, texts: list[Any], **members: object) -> dict[str, Any]:
    """A column as JSON has it."""
    return {"name": name, "datatype": "BYTES", "shape": [len(texts)], "data": texts, **members}


def read(*inputs: dict[str, Any], **members: Any) -> list[str]:  # noqa: ANN401  any JSON
    """The texts of a request."""
    return taken({"inputs": [*inputs], **members})


def taken(document: object) -> list[str]:
    """The texts of a document."""
    features = request.validate(document, TAKES).features
    found: list[str] = np.concatenate(list(features.chunks)).tolist()
    assert len(found) == features.rows
    return found


def behind_lengths(texts: list[str]) -> bytes:
    """Texts as Triton's clients pack them."""
    return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)


def binary(*columns: tuple[str, bytes, int]) -> Any:  # noqa: ANN401  any JSON
    """What is read of a body whose columns follow the JSON: their names, bytes and rows."""
    inputs = [
        {"name": name, "datatype": "BYTES", "shape": [rows, 1], "parameters": {"binary_data_size": len(raw)}}
        for name, raw, rows in columns
    ]
    head = orjson.dumps({"inputs": inputs})
    return payload.decode(b"".join([head, *(raw for _, raw, _ in columns)]), str(len(head)).encode())


@given(rows, st.permutations(["title", "tags", "product_id"]), st.booleans())
def test_columns_are_joined_in_the_problems_order(found: list[tuple[str, str]], order: list[str], nested: bool) -> None:
    """By one space, whatever their own order; nothing stands for an empty one, and the id is not looked at."""
    data: dict[str, list[Any]] = {
        "title": [title for title, _ in found],
        "tags": [tags for _, tags in found],
        "product_id": [7] * len(found),
    }
    members = {"shape": [len(found), 1]} if nested else {}
    inputs = [column(name, [[each] for each in data[name]] if nested else data[name], **members) for name in order]
    expected = [f"{title} {tags}" if tags else title for title, tags in found]
    assert read(*inputs) == expected
    assert taken(payload.decode(orjson.dumps({"inputs": inputs}))) == expected


@given(st.lists(titles, min_size=1, max_size=5), st.sampled_from(["title", "predict", "", "input-0"]))
def test_the_first_column_may_come_alone(texts: list[str], name: str) -> None:
    """Under any name, that of another column aside."""
    assert read(column(name, texts)) == texts


@given(rows)
def test_packed_texts_are_the_same(found: list[tuple[str, str]]) -> None:
    """As the binary extension brings them, and as gRPC does, raw or typed."""
    first, second = [title for title, _ in found], [tags for _, tags in found]
    expected = read(column("title", first), column("tags", second))
    raw = binary(("tags", behind_lengths(second), len(found)), ("title", behind_lengths(first), len(found)))
    assert taken(raw) == expected
    typed = [[text.encode() for text in texts] for texts in (first, second)]
    assert read(column("title", typed[0]), column("tags", typed[1])) == expected


@given(st.lists(any_text, min_size=1, max_size=5))
def test_labels_are_packed_like_texts(texts: list[str]) -> None:
    """What is packed is taken apart again."""
    raw = packed(np.array(texts, np.object_)[:, np.newaxis], "BYTES")
    assert raw == behind_lengths(texts)
    found = unpacked(raw, "BYTES", "x")
    assert isinstance(found, Packed)
    assert list(found.texts(len(texts), str)) == [text.encode() for text in texts]


@pytest.mark.parametrize("count", [CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 2 * CHUNK_ROWS])
def test_many_texts_come_in_parts(count: int) -> None:
    """So that nobody waits long for them; however they lie."""
    texts = [f"t {number}" for number in range(count)]
    assert read(column("title", texts)) == texts
    assert taken(binary(("title", behind_lengths(texts), count))) == texts
    sizes = [len(part) for part in request.validate({"inputs": [column("title", texts)]}, TAKES).features.chunks]
    assert sum(sizes) == count
    assert max(sizes) <= CHUNK_ROWS


def test_long_texts_come_in_small_parts() -> None:
    """Few at a time are as much work as many short ones."""
    texts = ["word " * 200] * 40
    sizes = [len(part) for part in request.validate({"inputs": [column("title", texts)]}, TAKES).features.chunks]
    assert sum(sizes) == len(texts)
    assert max(sizes) <= CHUNK_CHARACTERS // 1_000 + 1


def test_an_answer_holds_names_and_every_probability() -> None:
    """In the order of the problem's labels, which the output knows."""
    scores = Scores(np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]], np.float32), np.array([1, 0]))
    label, proba = request.answer(scores, ("predict", "predict_proba"), TAKES)
    assert (label.datatype, label.values.tolist()) == ("BYTES", [["Decoração"], ["Bebê"]])
    assert (proba.datatype, proba.values.tolist()) == ("FP32", scores.probability.tolist())
    assert TAKES.outputs["predict_proba"].labels == GOODS.labels
    assert TAKES.parameters == {}


def test_a_label_may_be_any_text() -> None:
    """Also one that ends where C would end it."""
    labels = ("a\x00", "a", "")
    odd = Problem("odd", (Column("x", "text"),), task=Multiclass(labels))
    takes = signature(odd, Encoder.learn(odd, {}), MostProbable())
    scores = Scores(np.eye(3, dtype=np.float32), np.arange(3))
    (label,) = request.answer(scores, ("predict",), takes)
    assert label.values.ravel().tolist() == list(labels)
    assert packed(label.values, label.datatype) == behind_lengths([*labels])


TITLES = column("title", ["azul", "de papel"])
LONG = "a" * MAX_CHARACTERS

REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "number": ([column("x", ["a", 1.5])], r"Row 1, column 'title', is 1\.5; expected a text\."),
    "nothing but numbers": ([column("x", [1, 2])], "Row 0, column 'title', is 1; expected a text"),
    "null": ([column("x", ["a", None])], "Row 1, column 'title', is null; expected a text"),
    "true": ([column("x", [True])], "Row 0, column 'title', is true; expected a text"),
    "object": ([column("x", [{}])], r"Row 0, column 'title', is \{\}; expected a text"),
    "nested too deep": ([column("x", [[["a"]]], shape=[1, 1])], r"Row 0, column 'title', is \['a'\]; expected a text"),
    "nested in one dimension": ([column("x", [["a"]])], r"Row 0, column 'title', is \['a'\]; expected a text"),
    "half nested": ([column("x", [["a"], "b"], shape=[2, 1])], "expected row 1 as a list, found 'b'"),
    "empty": ([column("x", ["a", ""])], "Row 1, column 'title', is ''; expected a text with letters or digits"),
    "blank": ([column("x", [" \n\t"])], r"Row 0, column 'title', is ' \\n\\t'; expected a text with letters"),
    "signs": ([column("x", ["!? ♥"])], "Row 0, column 'title', is .*; expected a text with letters or digits"),
    "no UTF-8": ([column("x", [b"a", b"\xff\xfe"])], r"Row 1, column 'title', is b'\\xff\\xfe'; expected UTF-8"),
    "number in the second": ([TITLES, column("tags", ["a", 5])], "Row 1, column 'tags', is 5; expected a text"),
    "FP32": ([column("x", [1.0], datatype="FP32")], "Input 'x' has datatype 'FP32'; expected 'BYTES'"),
    "FP32 in the second": ([TITLES, column("tags", [1, 2], datatype="FP32")], "Input 'tags' has datatype 'FP32'"),
    "FP16": ([column("x", [1.0], datatype="FP16")], "Input 'x' has datatype 'FP16'; expected 'BYTES'"),
    "FP16 as an array": ([column("x", np.ones(1, np.float16), datatype="FP16")], "has datatype 'FP16'; expected"),  # type: ignore[arg-type]
    "BOOL": ([column("x", [True], datatype="BOOL")], "Input 'x' has datatype 'BOOL'; expected 'BYTES'"),
    "BOOL in the second": ([TITLES, column("tags", [True, False], datatype="BOOL")], "'tags' has datatype 'BOOL'"),
    "str": ([column("x", ["a"], datatype="str")], "Input 'x' has datatype 'str'; expected 'BYTES'"),
    "an array": ([column("x", np.array([1.5]))], r"Row 0, column 'title', is 1\.5; expected a text"),  # type: ignore[arg-type]
    "two columns in one": ([column("x", ["a", "b"], shape=[1, 2])], r"has shape \[1, 2\]; expected \[rows\] or \[rows"),
    "three dimensions": ([column("x", ["a"], shape=[1, 1, 1])], r"expected \[rows\] or \[rows, 1\],"),
    "no rows": ([column("x", [])], r"has shape \[0\]; a shape is a list of whole numbers"),
    "too few": ([column("x", ["a"], shape=[2])], "expected data of length 2, found 1"),
    "too many": ([column("x", ["a", "b"], shape=[1, 1])], "expected data of length 1, or 1 if nested, found 2"),
    "unequal": ([TITLES, column("tags", ["a"])], r"'tags' has shape \[1\], and input 'title' has shape \[2\]"),
    "a wide second": ([TITLES, column("tags", ["a"] * 4, shape=[2, 2])], r"expected \[rows\] or \[rows, 1\], as it is"),
    "the first missing": (
        [column("tags", ["a"])],
        "has no inputs for the features 'title'; .* of which 'title' must be there",
    ),
    "nothing but the id": ([column("product_id", ["a"])], "has no inputs for the features 'title'"),
    "unknown": ([TITLES, column("price", ["a", "b"])], "has inputs that are no features: 'price'; expected one tensor"),
    "repeated": ([TITLES, TITLES], "more than one input named 'title'; name each column once"),
}


@pytest.mark.parametrize(("inputs", "sentence"), REFUSED.values(), ids=list(REFUSED))
def test_what_is_wrong_is_said(inputs: list[dict[str, Any]], sentence: str) -> None:
    """Each mistake gets a sentence that names the place, what came and what was expected."""
    with pytest.raises(InvalidRequest, match=sentence):
        read(*inputs)


@pytest.mark.parametrize("name", ["title", "tags"])
def test_a_text_has_a_longest_length(name: str) -> None:
    """Which it may reach, in every column."""
    inputs = {"title": ["a", "b"], "tags": ["", "c"]}
    sentence = f"Row 1, column '{name}', has 1001 characters; send at most 1000"
    for last in (LONG, LONG + "ã"):
        inputs[name][1] = last
        for each in (inputs[name], [text.encode() for text in inputs[name]]):
            columns = [column(key, each if key == name else value) for key, value in inputs.items()]
            if last == LONG:
                assert LONG in read(*columns)[1]
            else:
                with pytest.raises(TooLarge, match=sentence):
                    read(*columns)


def test_rows_have_a_limit() -> None:
    """That of the settings."""
    with pytest.raises(TooLarge, match="has 10001 rows; send at most 10000 at a time"):
        read(column("x", ["a"] * 10_001))


PACKED = behind_lengths(["azul", "papel"])
LIES = {
    "cut in a text": (PACKED[:-1], 2, r"Row 1, column 'title', ends beyond the 16 bytes .* expected 2 texts, each"),
    "cut in a length": (PACKED[:10], 2, "Row 1, column 'title', ends beyond the 10 bytes of its tensor"),
    "cut before a length": (PACKED[:8], 2, "Row 1, column 'title', ends beyond the 8 bytes of its tensor"),
    "nothing": (b"", 1, "Row 0, column 'title', ends beyond the 0 bytes of its tensor"),
    "a length too large": (b"\x05\0\0\0azul", 1, "Row 0, column 'title', ends beyond the 8 bytes of its tensor"),
    "an immense length": (b"\xff\xff\xff\xffazul", 1, "Row 0, column 'title', ends beyond the 8 bytes"),
    "a length too small": (b"\x03\0\0\0azul", 1, "Row 0, column 'title', is the last, and 1 bytes follow"),
    "one text more": (PACKED, 1, "Row 0, column 'title', is the last, and 9 bytes follow; expected none"),
    "one text less": (PACKED, 3, "Row 2, column 'title', ends beyond the 17 bytes of its tensor"),
    "no lengths": (b"azul", 1, "Row 0, column 'title', ends beyond the 4 bytes of its tensor"),
    "no UTF-8": (b"\x02\0\0\0\xc3(", 1, r"Row 0, column 'title', is b'\\xc3\('; expected UTF-8"),
    "empty": (bytes(4), 1, "Row 0, column 'title', is ''; expected a text with letters or digits"),
}


@pytest.mark.parametrize(("raw", "count", "sentence"), LIES.values(), ids=list(LIES))
def test_bytes_that_lie_are_refused(raw: bytes, count: int, sentence: str) -> None:
    """By the row and column where they do."""
    with pytest.raises(InvalidRequest, match=sentence):
        taken(binary(("title", raw, count)))


@given(st.binary(max_size=40), st.integers(1, 4))
def test_any_bytes_are_texts_or_refused(raw: bytes, count: int) -> None:
    """Never another error; what is taken packs to the same bytes."""
    found = None
    with suppress(InvalidRequest):
        found = taken(binary(("title", raw, count)))
    assert found is None or behind_lengths(found) == raw


def test_no_more_packed_texts_are_looked_at_than_are_wanted() -> None:
    """However many empty ones a body may hold."""
    texts = Packed(bytes(4 * 1_000_000)).texts(2, str)
    assert [next(texts), next(texts)] == [b"", b""]
    with pytest.raises(InvalidRequest, match="1 is the last, and 3999992 bytes follow"):
        next(texts)


VALID: list[dict[str, Any]] = [
    {"inputs": [column("x", ["azul", "papel"])], "outputs": [{"name": "predict"}], "id": "one"},
    {
        "inputs": [
            column("title", [["azul"], ["b"]], shape=[2, 1]),
            column("tags", ["", "a"]),
            column("product_id", [1]),
        ]
    },
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.text(min_size=1_001),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=9,
)


def places(node: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to every value of a JSON document."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *chain.from_iterable(places(value, (*path, key)) for key, value in inner)]


@given(st.data(), st.sampled_from(VALID))
def test_one_wrong_value_anywhere_is_valid_or_refused(data: st.DataObject, document: dict[str, Any]) -> None:
    """Never another error; and what is refused, is in one sentence."""
    changed: Any = {"": copy.deepcopy(document)}
    path = ("", *data.draw(st.sampled_from(places(document))))
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = data.draw(json_values)
    try:
        found = taken(changed[""])
    except InvalidRequest as error:
        sentence = str(error)
        assert sentence.endswith(".")
        assert sentence.isprintable()
        assert len(sentence) < 500
    else:
        assert all(has_letter_or_digit(text) for text in found)


def test_what_json_reads_of_texts_is_what_came() -> None:
    """Also where they look like the end of a list, or like what stands around one."""
    texts = ["]", "a]]", '"data": [1, 2]', "[a", '","', "\\", "é\u2028"]
    document = {"inputs": [column("x", texts)]}
    assert payload.decode(json.dumps(document).encode()) == document
