"""A V2 request for a model over texts becomes one text per row, or is refused in one sentence."""

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

SIGNATURE = signature(GOODS, Encoder.learn(GOODS, {}), MostProbable())

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
titles = any_text.filter(has_letter_or_digit)
rows = st.lists(st.tuples(titles, any_text), min_size=1, max_size=5)


def column(name: str, texts: list[Any], **members: object) -> dict[str, Any]:
    """A column of a JSON request."""
    return {"name": name, "datatype": "BYTES", "shape": [len(texts)], "data": texts, **members}


def validate(*inputs: dict[str, Any], **members: Any) -> list[str]:  # noqa: ANN401  any JSON
    """The texts of a request with these inputs."""
    return texts_of({"inputs": [*inputs], **members})


def texts_of(document: object) -> list[str]:
    """The texts of a request."""
    features = request.validate(document, SIGNATURE).features
    texts: list[str] = np.concatenate(list(features.chunks)).tolist()
    assert len(texts) == features.rows
    return texts


def pack(texts: list[str]) -> bytes:
    """Texts in binary form: each after its length, as Triton's clients pack them."""
    return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)


def binary(*columns: tuple[str, bytes, int]) -> Any:  # noqa: ANN401  any JSON
    """The decoded body of a binary request with these columns: their names, bytes and numbers of rows."""
    inputs = [
        {"name": name, "datatype": "BYTES", "shape": [rows, 1], "parameters": {"binary_data_size": len(raw)}}
        for name, raw, rows in columns
    ]
    head = orjson.dumps({"inputs": inputs})
    return payload.decode(b"".join([head, *(raw for _, raw, _ in columns)]), str(len(head)).encode())


@given(rows, st.permutations(["title", "tags", "product_id"]), st.booleans())
def test_columns_are_joined_in_the_order_of_the_problem(
    pairs: list[tuple[str, str]], order: list[str], nested: bool
) -> None:
    """With one space, whatever their order in the request; empty texts and the id are left out."""
    data: dict[str, list[Any]] = {
        "title": [title for title, _ in pairs],
        "tags": [tags for _, tags in pairs],
        "product_id": [7] * len(pairs),
    }
    members = {"shape": [len(pairs), 1]} if nested else {}
    inputs = [column(name, [[cell] for cell in data[name]] if nested else data[name], **members) for name in order]
    expected = [f"{title} {tags}" if tags else title for title, tags in pairs]
    assert validate(*inputs) == expected
    assert texts_of(payload.decode(orjson.dumps({"inputs": inputs}))) == expected


@given(st.lists(titles, min_size=1, max_size=5), st.sampled_from(["title", "predict", "", "input-0"]))
def test_the_first_column_may_come_alone(texts: list[str], name: str) -> None:
    """Under any name except that of another column."""
    assert validate(column(name, texts)) == texts


@given(rows)
def test_packed_texts_equal_texts_in_json(pairs: list[tuple[str, str]]) -> None:
    """As binary REST bodies hold them, and as raw or typed contents of gRPC."""
    first, second = [title for title, _ in pairs], [tags for _, tags in pairs]
    expected = validate(column("title", first), column("tags", second))
    raw = binary(("tags", pack(second), len(pairs)), ("title", pack(first), len(pairs)))
    assert texts_of(raw) == expected
    typed = [[text.encode() for text in texts] for texts in (first, second)]
    assert validate(column("title", typed[0]), column("tags", typed[1])) == expected


@given(st.lists(any_text, min_size=1, max_size=5))
def test_labels_are_packed_like_texts(texts: list[str]) -> None:
    """Unpacking gives the same texts."""
    raw = packed(np.array(texts, np.object_)[:, np.newaxis], "BYTES")
    assert raw == pack(texts)
    unpacked_texts = unpacked(raw, "BYTES", "x")
    assert isinstance(unpacked_texts, Packed)
    assert list(unpacked_texts.texts(len(texts), str)) == [text.encode() for text in texts]


@pytest.mark.parametrize("count", [CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 2 * CHUNK_ROWS])
def test_many_texts_are_split_into_chunks(count: int) -> None:
    """In JSON and packed, so that no other request waits long."""
    texts = [f"t {number}" for number in range(count)]
    assert validate(column("title", texts)) == texts
    assert texts_of(binary(("title", pack(texts), count))) == texts
    sizes = [len(chunk) for chunk in request.validate({"inputs": [column("title", texts)]}, SIGNATURE).features.chunks]
    assert sum(sizes) == count
    assert max(sizes) <= CHUNK_ROWS


def test_long_texts_are_split_into_small_chunks() -> None:
    """A few of them take as long as many short ones."""
    texts = ["word " * 200] * 40
    sizes = [len(chunk) for chunk in request.validate({"inputs": [column("title", texts)]}, SIGNATURE).features.chunks]
    assert sum(sizes) == len(texts)
    assert max(sizes) <= CHUNK_CHARACTERS // 1_000 + 1


def test_a_response_has_the_label_and_every_probability() -> None:
    """In the order of the problem's labels, which the output lists."""
    scores = Scores(np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]], np.float32), np.array([1, 0]))
    label, proba = request.answer(scores, ("predict", "predict_proba"), SIGNATURE)
    assert (label.datatype, label.values.tolist()) == ("BYTES", [["Decoração"], ["Bebê"]])
    assert (proba.datatype, proba.values.tolist()) == ("FP32", scores.probability.tolist())
    assert SIGNATURE.outputs["predict_proba"].labels == GOODS.labels
    assert SIGNATURE.parameters == {}


def test_a_label_may_be_any_text() -> None:
    """Also an empty one, or one that ends in a null character."""
    labels = ("a\x00", "a", "")
    odd = Problem("odd", (Column("x", "text"),), task=Multiclass(labels))
    takes = signature(odd, Encoder.learn(odd, {}), MostProbable())
    scores = Scores(np.eye(3, dtype=np.float32), np.arange(3))
    (label,) = request.answer(scores, ("predict",), takes)
    assert label.values.ravel().tolist() == list(labels)
    assert packed(label.values, label.datatype) == pack([*labels])


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
def test_an_invalid_request_is_refused_with_the_reason(inputs: list[dict[str, Any]], sentence: str) -> None:
    """The message names the position, what was found and what was expected."""
    with pytest.raises(InvalidRequest, match=sentence):
        validate(*inputs)


@pytest.mark.parametrize("name", ["title", "tags"])
def test_the_length_of_a_text_is_limited_in_every_column(name: str) -> None:
    """A text of the limit's length is accepted."""
    inputs = {"title": ["a", "b"], "tags": ["", "c"]}
    sentence = f"Row 1, column '{name}', has 1001 characters; send at most 1000"
    for last in (LONG, LONG + "ã"):
        inputs[name][1] = last
        for each in (inputs[name], [text.encode() for text in inputs[name]]):
            columns = [column(key, each if key == name else value) for key, value in inputs.items()]
            if last == LONG:
                assert LONG in validate(*columns)[1]
            else:
                with pytest.raises(TooLarge, match=sentence):
                    validate(*columns)


def test_the_number_of_rows_is_limited() -> None:
    """By the settings."""
    with pytest.raises(TooLarge, match="has 10001 rows; send at most 10000 at a time"):
        validate(column("x", ["a"] * 10_001))


PACKED = pack(["azul", "papel"])
INCONSISTENT = {
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


@pytest.mark.parametrize(("raw", "count", "sentence"), INCONSISTENT.values(), ids=list(INCONSISTENT))
def test_inconsistent_packed_texts_are_refused(raw: bytes, count: int, sentence: str) -> None:
    """The message names the row and column."""
    with pytest.raises(InvalidRequest, match=sentence):
        texts_of(binary(("title", raw, count)))


@given(st.binary(max_size=40), st.integers(1, 4))
def test_any_bytes_are_texts_or_refused(raw: bytes, count: int) -> None:
    """No other exception is raised, and accepted texts pack to the same bytes."""
    texts = None
    with suppress(InvalidRequest):
        texts = texts_of(binary(("title", raw, count)))
    assert texts is None or pack(texts) == raw


def test_only_as_many_packed_texts_are_decoded_as_the_shape_has() -> None:
    """However many empty texts follow in the body."""
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


def paths(node: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to every value of a JSON document."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *chain.from_iterable(paths(value, (*path, key)) for key, value in inner)]


@given(st.data(), st.sampled_from(VALID))
def test_any_value_anywhere_is_accepted_or_refused_in_one_sentence(
    data: st.DataObject, document: dict[str, Any]
) -> None:
    """No other exception is raised."""
    changed: Any = {"": copy.deepcopy(document)}
    path = ("", *data.draw(st.sampled_from(paths(document))))
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = data.draw(json_values)
    try:
        texts = texts_of(changed[""])
    except InvalidRequest as error:
        sentence = str(error)
        assert sentence.endswith(".")
        assert sentence.isprintable()
        assert len(sentence) < 500
    else:
        assert all(has_letter_or_digit(text) for text in texts)


def test_texts_that_look_like_json_are_decoded_unchanged() -> None:
    """Such as the end of a list, or the members around one."""
    texts = ["]", "a]]", '"data": [1, 2]', "[a", '","', "\\", "é\u2028"]
    document = {"inputs": [column("x", texts)]}
    assert payload.decode(json.dumps(document).encode()) == document
