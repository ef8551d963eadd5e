"""The body of a request is decoded to plain data, and an answer is encoded to a body, whichever parser is used."""

import gzip
import json
import zlib
from typing import Any
from unittest.mock import patch

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from tabserve.encoding.numbers import DATATYPES
from tabserve.errors import InvalidRequest, TooLarge
from tabserve.serving.protocol import cost, json_numbers
from tabserve.serving.protocol.request import Output
from tabserve.serving.rest import payload

numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def request(data: object, shape: object, **members: object) -> dict[str, Any]:
    """The JSON document of a request with one tensor."""
    return {"inputs": [{"name": "predict", "datatype": "FP32", "shape": shape, "data": data}], **members}


def as_lists(document: Any) -> Any:  # noqa: ANN401  any document
    """The document with each array as a list."""
    if isinstance(document, dict):
        return {name: as_lists(value) for name, value in document.items()}
    return (
        document.tolist()
        if isinstance(document, np.ndarray)
        else [as_lists(item) for item in document]
        if type(document) is list
        else document
    )


@given(st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=4), st.booleans(), st.booleans())
def test_the_numbers_of_a_lone_tensor_become_an_array(rows: list[list[float]], nested: bool, has_others: bool) -> None:
    """Flat, in row-major order, equal to the floats that Python parses; the other members stay."""
    flat = [cell for row in rows for cell in row]
    others: dict[str, Any] = {"outputs": [{"name": "predict"}], "id": "x"} if has_others else {}
    decoded = payload.decode(orjson.dumps(request(rows if nested else flat, [len(rows), 3], **others)))
    data = decoded["inputs"][0].pop("data")
    assert isinstance(data, np.ndarray)
    assert data.tolist() == [float(cell) for cell in flat]
    assert decoded == {"inputs": [{"name": "predict", "datatype": "FP32", "shape": [len(rows), 3]}], **others}


@given(json_values)
def test_any_json_is_decoded_unchanged(document: object) -> None:
    """Also if it is not a request."""
    assert as_lists(payload.decode(orjson.dumps(document))) == document


@given(json_values, json_values)
@example([[], 0.0, []], None)
def test_data_of_any_kind_is_decoded_unchanged(data: object, shape: object) -> None:
    """Lists become an array only if they hold nothing but numbers, nested as the shape says."""
    decoded = payload.decode(orjson.dumps(request(data, shape)))["inputs"][0]["data"]
    if isinstance(decoded, np.ndarray):
        assert decoded.tolist() == np.array(data, dtype=np.float64).ravel().tolist()
    else:
        assert decoded == data


NOT_ALL_NUMBERS = {
    "a list among numbers": [1, [2], 3],
    "a list in a row": [[1, [2], 3]],
    "rows of other lengths": [[1, 2], [3]],
    "an empty list": [1, 2, 3, []],
    "a boolean": [1, True, 3],
    "a string": [1, "2", 3],
    "null": [1, None, 3],
}


@pytest.mark.parametrize("data", NOT_ALL_NUMBERS.values(), ids=list(NOT_ALL_NUMBERS))
def test_data_that_is_not_all_numbers_stays_a_list(data: list[Any]) -> None:
    """So that the validation can name the wrong cell."""
    assert payload.decode(orjson.dumps(request(data, [1, 3])))["inputs"][0]["data"] == data


tokens = st.lists(st.sampled_from(["1", "-2.5e3", ",", ", ", "[", "]", "],[", '"a"', "{", "}", "1,2,3"]), max_size=15)
lists = st.lists(st.sampled_from(["[1,2,3]", "[-4.5, 0, 1e2]", "[1,2]", "[[1],2,3]"]), min_size=1, max_size=9).map(
    ",".join
)


@given(tokens.map("".join) | lists, st.integers(1, 30), st.integers(1, 9))
def test_parsing_in_pieces_equals_parsing_the_whole(inner: str, size: int, rows: int) -> None:
    """Wherever the text is cut: the same numbers, or refused if it is not JSON."""
    text = f'{{"inputs": [{{"name": "x", "shape": [{rows}, 3], "data": [{inner}]}}], "id": "[1]"}}'
    with patch.object(json_numbers, "PIECE", size):
        try:
            document = json.loads(text)
        except json.JSONDecodeError:
            with pytest.raises(InvalidRequest, match="The body is not JSON"):
                payload.decode(text.encode())
            return
        decoded = payload.decode(text.encode())
    expected = document["inputs"][0]["data"]
    if isinstance(decoded["inputs"][0]["data"], np.ndarray) and isinstance(expected[0], list):
        assert [len(row) for row in expected] == [3] * rows
        expected = [cell for row in expected for cell in row]
    document["inputs"][0]["data"] = expected
    assert as_lists(decoded) == document


@pytest.mark.parametrize("between", ["],[", "] , [", "]\n,\n["])
def test_rows_of_a_long_text_are_parsed_piece_by_piece(between: str) -> None:
    """However the text is spaced."""
    rows, row = 3_000, ",".join(["0.125"] * 200)
    text = f'{{"inputs": [{{"name": "x", "shape": [{rows}, 200], "data": [[{between.join([row] * rows)}]]}}]}}'
    data = payload.decode(text.encode())["inputs"][0]["data"]
    assert isinstance(data, json_numbers.Numbers)
    pieces = list(data.pieces())
    assert sum(map(len, pieces)) == rows * 200
    assert max(map(len, pieces)) < 2 * json_numbers.PIECE / 6


@pytest.mark.parametrize(
    "inputs",
    [
        [{"name": "title", "datatype": "BYTES", "shape": [2], "data": ["azul", "1"]}],
        [{"name": name, "datatype": "FP32", "shape": [2], "data": [1.5, 2]} for name in ("income", "age")],
    ],
    ids=["texts", "columns"],
)
def test_other_requests_are_parsed_once(inputs: list[dict[str, Any]]) -> None:
    """Texts, or several inputs, are parsed by the general parser alone."""
    text = orjson.dumps({"inputs": inputs})
    with (
        patch("simdjson.Parser", side_effect=AssertionError),
        patch.object(cost, "loads", wraps=cost.loads) as loads,
    ):
        assert payload.decode(text) == {"inputs": inputs}
    loads.assert_called_once_with(text)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xef\xbb\xbf{}", b"nonsense", b"\xff", b"[NaN]", b"[1e400", b'{"a": 1} 2', b"[" * 900]
)
def test_a_body_that_is_not_json_is_refused(text: bytes) -> None:
    """With one sentence."""
    with pytest.raises(InvalidRequest, match=r"^The body is not JSON \(.*\); expected a V2 inference request\.$"):
        payload.decode(text)


def test_the_last_of_two_members_of_one_name_counts() -> None:
    """As in most JSON parsers."""
    text = b'{"inputs": [], "inputs": [{"name": "x", "shape": [1, 1], "data": [1], "data": [2]}]}'
    assert payload.decode(text)["inputs"][0]["data"] == [2]


@given(npst.arrays(np.float32, st.tuples(st.integers(1, 4), st.just(3)), elements=st.floats(width=32)))
def test_a_binary_tensor_after_the_json_is_decoded(values: NDArray[np.float32]) -> None:
    """Equal to the bit."""
    head = request(None, list(values.shape))
    del head["inputs"][0]["data"]
    head["inputs"][0]["parameters"] = {"binary_data_size": values.nbytes}
    text = orjson.dumps(head)
    decoded = payload.decode(text + values.tobytes(), str(len(text)).encode())
    assert decoded["inputs"][0]["data"].tobytes() == values.tobytes()


@pytest.mark.parametrize("datatype", DATATYPES)
def test_binary_tensors_of_every_datatype_are_decoded(datatype: str) -> None:
    """With the number of bytes of each datatype."""
    values = np.array([1, 0, 1], DATATYPES[datatype])
    head = {"name": "x", "datatype": datatype, "shape": [1, 3], "parameters": {"binary_data_size": values.nbytes}}
    text = orjson.dumps({"inputs": [head]})
    data = payload.decode(text + values.tobytes(), str(len(text)).encode())["inputs"][0]["data"]
    assert (data.dtype, data.tolist()) == (values.dtype, values.tolist())


def binary(size: object, tail: bytes = b"\0" * 12, **members: object) -> tuple[bytes, bytes]:
    """A body with these bytes after its JSON, and the length of the JSON."""
    item = {"name": "x", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": size}, **members}
    text = orjson.dumps({"inputs": [item]})
    return text + tail, str(len(text)).encode()


WRONG_SIZES = {
    "too small": (binary(8), "The body has 12 bytes behind its JSON, and .* add up to 8; expected the same"),
    "too large": (binary(16), "has 16 as its binary_data_size; expected the number of its bytes, 12 at most"),
    "negative": (binary(-4), "has -4 as its binary_data_size"),
    "text": (binary("12"), "has '12' as its binary_data_size"),
    "true": (binary(True), "has true as its binary_data_size"),
    "no multiple": (binary(11, b"\0" * 11), "inputs.0. has 11 bytes; FP32 needs multiples of 4"),
    "data too": (binary(12, data=[1, 2, 3]), "has both data and binary_data_size; send its values once"),
    "no multiple of two": (binary(11, b"\0" * 11, datatype="FP16"), "has 11 bytes; FP16 needs multiples of 2"),
    "bytes of no input": (binary(None), "add up to 0; expected the same"),
    "parameters no object": (binary(12, parameters=[1]), r"has \[1\] as its 'parameters'; expected an object"),
    "length beyond": ((b"{}", b"3"), "Inference-Header-Content-Length is '3'; .* which has 2 bytes"),
    "length negative": ((b"{}", b"-1"), "Inference-Header-Content-Length is '-1'"),
    "length no number": ((b"{}", b"\xb2"), "Inference-Header-Content-Length is "),
    "length zero": ((b"{}", b"0"), "The body is not JSON"),
}


@pytest.mark.parametrize(("body", "sentence"), WRONG_SIZES.values(), ids=list(WRONG_SIZES))
def test_wrong_sizes_of_binary_tensors_are_refused(body: tuple[bytes, bytes], sentence: str) -> None:
    """Each with its own sentence."""
    with pytest.raises(InvalidRequest, match=sentence):
        payload.decode(*body)


OUTPUTS = [
    Output("predict", "INT64", np.array([[1], [0]])),
    Output("predict_proba", "FP32", np.array([[0.25, 0.75], [0.1, 0.9]], dtype=np.float32)),
]


@given(st.sets(st.sampled_from(["predict", "predict_proba"])))
def test_an_answer_is_json_followed_by_the_binary_outputs(wanted: set[str]) -> None:
    """JSON and binary hold equal values, to the bit."""
    body, head_length = payload.encode({"id": "x"}, OUTPUTS, frozenset(wanted))
    assert (head_length is None) == (not wanted)
    document, tail = json.loads(body[:head_length]), body[head_length or len(body) :]
    for output, encoded in zip(OUTPUTS, document["outputs"], strict=True):
        kind = DATATYPES[output.datatype]
        if output.name in wanted:
            size = encoded["parameters"]["binary_data_size"]
            values, tail = np.frombuffer(tail[:size], kind), tail[size:]
        else:
            values = np.array(encoded["data"]).astype(kind)
        assert values.reshape(encoded["shape"]).tobytes() == output.values.tobytes()
    assert not tail


def test_the_request_chooses_binary_outputs() -> None:
    """For all outputs at once, or for each."""
    names = ("predict", "predict_proba")
    assert payload.wanted_binary({}, names) == frozenset()
    assert payload.wanted_binary({"parameters": {"binary_data_output": True}}, names) == set(names)
    of_one = {"outputs": [{"name": "predict", "parameters": {"binary_data": True}}, {"name": "predict_proba"}]}
    assert payload.wanted_binary(of_one, names) == {"predict"}
    with pytest.raises(InvalidRequest, match="has 1 as its 'binary_data_output'; expected true or false"):
        payload.wanted_binary({"parameters": {"binary_data_output": 1}}, names)


COMPRESSORS: dict[str, Any] = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress}


@pytest.mark.parametrize(("encoding", "compress"), COMPRESSORS.items())
def test_a_compressed_body_is_decompressed_up_to_the_limit(encoding: str, compress: Any) -> None:  # noqa: ANN401  the standard library's functions
    """A body that is cut, damaged or followed by other bytes is refused."""
    body = compress(b"x" * 1000)
    assert payload.decompress(body, encoding, 1000) == b"x" * 1000
    with pytest.raises(TooLarge, match="unpacks to more than 999 bytes"):
        payload.decompress(body, encoding, 999)
    for bad in (
        b"",
        body[:-1],
        body + b"x",
        body + body[:-1],
        body + b"nonsense",
        body + zlib.compress(b""),
        b"nonsense",
    ):
        with pytest.raises(InvalidRequest, match=f"not one whole {encoding}|unpacked as {encoding}|behind 1 whole"):
            payload.decompress(bad, encoding, 5000)


def test_deflate_may_have_only_one_stream() -> None:
    """Unlike gzip, it has no members."""
    with pytest.raises(InvalidRequest, match=r"The body goes on behind 1 whole deflate stream; compress it as one\."):
        payload.decompress(zlib.compress(b"x") * 2, "deflate", 1000)


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5), st.sampled_from([1, 50]), st.data())
def test_the_members_of_gzip_are_joined(parts: list[bytes], times: int, data: st.DataObject) -> None:
    """The limit holds for all members together; half a member is refused."""
    members = [gzip.compress(part * times) for part in parts]
    plain, body = b"".join(part * times for part in parts), b"".join(members)
    cut = data.draw(st.integers(1, len(members[-1]) - 1))
    with patch.object(payload, "PIECE", data.draw(st.sampled_from([1, 7, 100, payload.PIECE]))):
        assert payload.decompress(body, "gzip", len(plain)) == plain
        if plain:
            with pytest.raises(TooLarge):
                payload.decompress(body, "gzip", len(plain) - 1)
        with pytest.raises(InvalidRequest, match="not one whole gzip stream"):
            payload.decompress(body[:-cut], "gzip", len(plain))


def test_too_many_gzip_members_are_refused() -> None:
    """Even empty ones, as each takes time; the greatest allowed number is accepted."""
    empty, most = gzip.compress(b""), payload.GZIP.streams
    assert payload.decompress(empty * most, "gzip", 0) == b""
    with pytest.raises(InvalidRequest, match=f"The body goes on behind {most} whole gzip streams"):
        payload.decompress(empty * most * 50, "gzip", 0)


def test_an_unknown_encoding_is_refused() -> None:
    """The sentence names the known ones."""
    with pytest.raises(InvalidRequest, match="has the Content-Encoding 'br'; expected gzip, deflate or none"):
        payload.decompress(b"", "br", 10)
