"""A V2 request becomes float32 features, or is refused in one sentence; scores become V2 output tensors."""

import copy
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from tabserve.encoding.encoder import Encoder
from tabserve.encoding.numbers import DATATYPES
from tabserve.errors import InvalidRequest, TooLarge
from tabserve.model.decision import Scores, Threshold
from tabserve.problem.columns import numbers
from tabserve.problem.problem import Problem
from tabserve.serving.protocol import json_numbers, request
from tabserve.serving.protocol.columns import signature
from tabserve.serving.protocol.request import MAX_ROWS, Request, answer
from tabserve.serving.rest import payload

PROBLEM = Problem("three", numbers("a", "b", "c"), id="id")
GAPPY = replace(PROBLEM, columns=numbers("a", "b", "c", missing=True))
NAN, INFINITY = float("nan"), float("inf")
SIGNATURE = signature(PROBLEM, Encoder.learn(PROBLEM, {}), Threshold(0.5))

float32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
matrices = npst.arrays(np.float32, st.tuples(st.integers(1, 5), st.just(3)), elements=float32)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


def tensor(
    data: object, shape: object = None, datatype: object = "FP32", name: object = "predict", **outputs: object
) -> dict[str, Any]:
    """A request of one tensor, by default of one row."""
    item = {"name": name, "datatype": datatype, "shape": [1, 3] if shape is None else shape, "data": data}
    return {"inputs": [item], **outputs}


def validate(document: object, problem: Problem) -> Request:
    """The validated request to a model with this problem."""
    return request.validate(document, signature(problem, Encoder.learn(problem, {}), Threshold(0.5)))


def features_of(document: object, problem: Problem) -> NDArray[np.float32]:
    """All features of a request."""
    features = validate(document, problem).features
    values = np.concatenate(list(features.chunks))
    assert len(values) == features.rows
    return values


def columns(**data: list[Any]) -> dict[str, Any]:
    """A request of one tensor per column."""
    return {
        "inputs": [
            {"name": name, "datatype": "FP64", "shape": [len(cells)], "data": cells} for name, cells in data.items()
        ]
    }


def replace_members(document: dict[str, Any], number: int, **members: object) -> dict[str, Any]:
    """The request with some members of one input replaced."""
    document = copy.deepcopy(document)
    document["inputs"][number].update(members)
    return document


@given(matrices, st.booleans(), st.sampled_from(["FP32", "FP64"]), st.text(max_size=9))
def test_the_values_of_one_tensor_are_kept_to_the_bit(
    values: NDArray[np.float32], nested: bool, datatype: str, name: str
) -> None:
    """Flat or nested, FP32 or FP64, of any name; the features are float32 in C order."""
    data = values.tolist() if nested else values.ravel().tolist()
    features = features_of(tensor(data, list(values.shape), datatype, name), PROBLEM)
    assert features.dtype == np.float32
    assert features.flags.c_contiguous
    assert features.tobytes() == values.tobytes()


@given(matrices, st.permutations(["a", "b", "c", "id"]), st.sampled_from([[], [1]]), st.booleans())
def test_columns_are_matched_by_name(
    values: NDArray[np.float32], order: list[str], width: list[int], nested: bool
) -> None:
    """In any order, with or without a second dimension; the id column is ignored."""
    named = dict(zip("abc", values.T.tolist(), strict=True)) | {"id": ["x"] * len(values)}
    shape = [len(values), *width]
    inputs = []
    for name in order:
        data = [[cell] for cell in named[name]] if nested and width else named[name]
        inputs.append({"name": name, "datatype": "BYTES" if name == "id" else "FP32", "shape": shape, "data": data})
    features = features_of({"inputs": inputs}, PROBLEM)
    assert features.flags.c_contiguous
    assert features.tobytes() == values.tobytes()


@given(st.data(), st.sampled_from([name for name in DATATYPES if "INT" in name]))
def test_integers_within_their_datatype_are_accepted(data: st.DataObject, datatype: str) -> None:
    """Each becomes the nearest float32."""
    limits = np.iinfo(DATATYPES[datatype])
    cells = data.draw(st.lists(st.integers(int(limits.min), int(limits.max)), min_size=3, max_size=3))
    assert features_of(tensor(cells, datatype=datatype), PROBLEM).tolist() == [
        np.array(cells, dtype=np.float32).tolist()
    ]


@given(matrices, st.sampled_from(sorted(DATATYPES)))
def test_an_array_is_accepted_as_flat_data(values: NDArray[np.float32], datatype: str) -> None:
    """Of any datatype, as binary REST bodies and gRPC hold it; its values are kept."""
    kind = DATATYPES[datatype]
    array = np.frombuffer(values.clip(0, 1 if datatype == "BOOL" else 100).astype(kind).tobytes(), kind)
    features = features_of(tensor(array, list(values.shape), datatype), PROBLEM)
    assert features.dtype == np.float32
    assert features.ravel().tolist() == array.astype(np.float32).tolist()


@pytest.mark.parametrize("cell", [NAN, INFINITY, -INFINITY])
@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_an_array_is_validated_like_a_list(cell: float, datatype: str) -> None:
    """The message names its first invalid value."""
    array = np.array([1, cell, 3], DATATYPES[datatype])
    with pytest.raises(InvalidRequest, match=r"Row 0, column 'b', is (NaN|-?Infinity); "):
        validate(tensor(array, datatype=datatype), PROBLEM)


def test_every_16_bit_float_becomes_the_equal_32_bit_float() -> None:
    """To the bit, as bytes and as JSON; NaN is missing."""
    every = np.arange(2**16, dtype="<u2").view("<f2")
    finite_or_nan = np.concatenate([every[~np.isinf(every)], np.zeros(1, "<f2")]).reshape(-1, 3)
    for part in np.array_split(finite_or_nan, 7):
        for sent in (part.ravel(), [None if np.isnan(cell) else float(cell) for cell in part.ravel()]):
            features = features_of(tensor(sent, list(part.shape), "FP16"), GAPPY)
            assert np.array_equal(features, part.astype(np.float32), equal_nan=True)
            assert np.array_equal(np.signbit(features[features == 0]), np.signbit(part[part == 0]))


@given(st.lists(st.floats(-65504, 65504), min_size=3, max_size=3))
def test_numbers_of_an_fp16_tensor_are_rounded_to_16_bits(cells: list[float]) -> None:
    """As if the client had sent them as bytes; in a matrix and in columns."""
    expected = np.array(cells, np.float16).astype(np.float32)
    assert features_of(tensor(cells, datatype="FP16"), PROBLEM).tolist() == [expected.tolist()]
    request = columns(a=cells[:1], b=cells[1:2], c=cells[2:])
    for index in range(3):
        request = replace_members(request, index, datatype="FP16")
    assert features_of(request, PROBLEM).tolist() == [expected.tolist()]


@given(npst.arrays(np.bool_, st.tuples(st.integers(1, 5), st.just(3))), st.booleans())
def test_true_and_false_are_one_and_zero(values: NDArray[np.bool_], nested: bool) -> None:
    """As JSON, as bytes, and in columns beside numbers."""
    shape, expected = list(values.shape), values.astype(np.float32).tolist()
    data = values.tolist() if nested else values.ravel().tolist()
    for sent in (data, values.ravel().view(np.uint8)):
        assert features_of(tensor(sent, shape, "BOOL"), PROBLEM).tolist() == expected
    request = columns(**dict(zip("abc", values.T.tolist(), strict=True)))
    request = replace_members(replace_members(request, 0, datatype="BOOL"), 1, datatype="BOOL")
    request = replace_members(request, 1, data=values[:, 1].view(np.uint8).copy())
    request = replace_members(request, 2, data=values[:, 2].astype(float).tolist())
    assert features_of(request, PROBLEM).tolist() == expected


def test_a_missing_boolean_is_nan_where_the_problem_allows_it() -> None:
    """As a missing number is."""
    features = features_of(tensor([True, None, False], datatype="BOOL"), GAPPY)
    assert np.array_equal(features, [[1, np.nan, 0]], equal_nan=True)


def test_a_long_text_of_booleans_is_parsed_too() -> None:
    """Though its pieces hold no numbers; a number in it is refused."""
    cells, head = ["true", "false", "false"] * 30_000, '"name": "x", "datatype": "BOOL", "shape": [30000, 3]'
    text = f'{{"inputs": [{{{head}, "data": [{", ".join(cells)}]}}]}}'
    long = request.validate(payload.decode(text.encode()), SIGNATURE, 30_000)
    assert isinstance(payload.decode(text.encode())["inputs"][0]["data"], json_numbers.Numbers)
    assert np.concatenate(list(long.features.chunks)).tolist() == [[1.0, 0.0, 0.0]] * 30_000
    wrong = text.replace("false]", "0]").encode()
    with pytest.raises(InvalidRequest, match="Row 29999, column 'c', is 0; a BOOL is true or false"):
        list(request.validate(payload.decode(wrong), SIGNATURE, 30_000).features.chunks)


def test_a_column_may_be_an_array_beside_lists() -> None:
    """It is matched by name."""
    request = replace_members(columns(c=[5, 6], a=[1, 2], b=[3, 4]), 0, data=np.array([5.5, 6.5]))
    assert features_of(request, PROBLEM).tolist() == [[1, 3, 5.5], [2, 4, 6.5]]


@pytest.mark.parametrize("identity", ["x", "заказ № 7", "a\x00b\n", ""])
def test_the_id_is_kept(identity: str) -> None:
    """In any script, with control characters."""
    assert validate(tensor([1, 2, 3], id=identity), PROBLEM).id == identity


def test_columns_may_differ_in_datatype() -> None:
    """Integers stand beside fractions."""
    request = replace_members(columns(a=[1, 2], b=[0.5, 1.5], c=[0.25, -1]), 0, datatype="UINT8")
    assert features_of(request, PROBLEM).tolist() == [[1, 0.5, 0.25], [2, 1.5, -1]]


def test_a_problem_of_one_feature_accepts_a_matrix_and_a_column() -> None:
    """Both have the same features."""
    problem = Problem("one", numbers("a"))
    for name, shape in (("a", [2]), ("a", [2, 1]), ("predict", [2, 1])):
        assert features_of(tensor([1.5, 2.5], shape, name=name), problem).tolist() == [[1.5], [2.5]]


def test_a_tensor_may_be_named_like_a_feature() -> None:
    """A lone matrix may have any name."""
    assert features_of(tensor([1, 2, 3], name="b"), PROBLEM).tolist() == [[1, 2, 3]]


texts = st.lists(
    st.sampled_from(["1", "-2.5e3", "0.1", "1e39", "7e4", "true", "null", "1,2,3", "[4,5,6]", "[", "]", "],["]),
    max_size=12,
)


@given(texts, st.integers(1, 20), st.integers(1, 4), st.booleans(), st.sampled_from(["FP64", "INT8", "FP16", "BOOL"]))
def test_a_long_text_is_parsed_like_a_short_one(
    cells: list[str], size: int, rows: int, gappy: bool, datatype: str
) -> None:
    """Wherever it is cut, the features are the same, or both are refused, perhaps for another reason."""
    problem = GAPPY if gappy else PROBLEM
    head = f'"name": "x", "datatype": "{datatype}", "shape": [{rows}, 3]'
    text = f'{{"inputs": [{{{head}, "data": [{",".join(cells)}]}}]}}'.encode()
    outcomes: list[bytes | str] = []
    for long in (2**20, 0):
        with patch.multiple(json_numbers, PIECE=size, LONG=long, DIGITS=2**20):
            try:
                outcomes.append(features_of(payload.decode(text), problem).tobytes())
            except InvalidRequest as error:
                outcomes.append(str(error))
    assert outcomes[0] == outcomes[1] or (isinstance(outcomes[0], str) and isinstance(outcomes[1], str))


@pytest.mark.parametrize(
    ("end", "sentence"),
    [
        ("1e39", "Row 8999, column 'c', is 1e\\+39; "),
        ("null", "Row 8999, column 'c', is null; this model needs a number"),
        ("{}", "Row 8999, column 'c', is {}; expected a number"),
        ("2}", "The body is not JSON"),
        ("2,3", "expected data of length 27000, or 9000 if nested, found 27001"),
    ],
)
def test_the_end_of_a_long_text_is_validated(end: str, sentence: str) -> None:
    """After its first rows have been yielded."""
    cells = [*["0.1234567890123456"] * (9_000 * 3 - 1), end]
    text = f'{{"inputs": [{{"name": "x", "datatype": "FP64", "shape": [9000, 3], "data": [{",".join(cells)}]}}]}}'
    chunks = iter(validate(payload.decode(text.encode()), PROBLEM).features.chunks)
    assert len(next(chunks)) < 9_000
    with pytest.raises(InvalidRequest, match=sentence):
        list(chunks)


@pytest.mark.parametrize("cell", ["null", "true", "{}", "1e39"])
def test_a_wrong_cell_of_a_long_text_is_found_within_its_piece(cell: str) -> None:
    """Without parsing the whole text again."""
    cells = [*["0.1234567890123456"] * (9_000 * 3 - 1), cell]
    text = f'{{"inputs": [{{"name": "x", "datatype": "FP64", "shape": [9000, 3], "data": [{",".join(cells)}]}}]}}'
    request = validate(payload.decode(text.encode()), PROBLEM)
    with (
        patch.object(json_numbers.Numbers, "plain", None),
        pytest.raises(InvalidRequest, match="Row 8999, column 'c', is"),
    ):
        list(request.features.chunks)


@pytest.mark.parametrize("cell", [None, NAN])
@pytest.mark.parametrize("datatype", ["FP32", "FP64", "INT8", "FP16"])
def test_a_missing_value_is_nan_where_the_problem_allows_it(cell: object, datatype: str) -> None:
    """Null and NaN are both missing."""
    features = features_of(tensor([1, cell, 3], datatype=datatype), GAPPY)
    assert np.array_equal(features, [[1, np.nan, 3]], equal_nan=True)


MIXED = replace(PROBLEM, columns=(*numbers("a"), *numbers("b", "c", missing=True)))


@pytest.mark.parametrize("present", ["a", "ab", "ac", "ca", "cba"])
def test_the_tensor_of_a_column_that_may_be_missing_may_be_left_out(present: str) -> None:
    """Its cells are NaN; the other columns may be in any order, with or without the id."""
    cells: dict[str, list[Any]] = {"a": [1, 2], "b": [3, 4], "c": [5, 6]}
    expected = np.array([cells[name] if name in present else [NAN, NAN] for name in "abc"], np.float32).T
    for more in ({}, {"id": [0, 0]}):
        np.testing.assert_array_equal(
            features_of(columns(**{name: cells[name] for name in present}, **more), MIXED), expected
        )


@pytest.mark.parametrize(
    ("document", "problem", "sentence"),
    [
        (columns(b=[1], c=[2]), MIXED, "no inputs for the features 'a'; expected .*, of which 'a' must be there"),
        (columns(b=[1]), MIXED, "no inputs for the features 'a'"),
        (columns(a=[1, 2], c=[2]), MIXED, r"'c' has shape \[1\], and input 'a' has shape \[2\]"),
        (columns(a=[None], c=[2]), MIXED, "Row 0, column 'a', is null or NaN; expected a number"),
        (columns(a=[1], c=["x"]), MIXED, "Row 0, column 'c', is 'x'; expected a number"),
        (
            replace_members(columns(a=[1], c=[300]), 1, datatype="UINT8"),
            MIXED,
            r"column 'c', is 300\.0; its tensor's datatype",
        ),
        ({"inputs": columns(id=[1])["inputs"] * 2}, GAPPY, "more than one input named 'id'"),
    ],
)
def test_an_error_beside_a_column_that_is_left_out_names_the_right_position(
    document: dict[str, Any], problem: Problem, sentence: str
) -> None:
    """The row and column of the request, not those in a complete one."""
    with pytest.raises(InvalidRequest, match=sentence):
        features_of(document, problem)


@pytest.mark.parametrize(
    ("problem", "missing"), [(PROBLEM, ()), (MIXED, ("b", "c")), (GAPPY, ("a", "b", "c"))], ids=["none", "some", "all"]
)
def test_the_metadata_of_one_tensor_lists_the_columns_that_may_be_missing(
    problem: Problem, missing: tuple[str, ...]
) -> None:
    """Beside the names of all columns."""
    (kind,) = signature(problem, Encoder.learn(problem, {}), Threshold(0.5)).inputs.values()
    assert (kind.names, kind.missing) == (("a", "b", "c"), missing)


@given(st.lists(st.sampled_from(sorted(SIGNATURE.outputs)), unique=True))
def test_outputs_are_in_the_order_of_the_request(names: list[str]) -> None:
    """All outputs if it names none."""
    outputs = validate(tensor([1, 2, 3], outputs=[{"name": name} for name in names]), PROBLEM).outputs
    assert outputs == (tuple(names) or ("predict", "predict_proba"))


def test_outputs_may_be_null_or_have_parameters() -> None:
    """As Triton's client sends them."""
    assert validate(tensor([1, 2, 3], outputs=None), PROBLEM).outputs == ("predict", "predict_proba")
    outputs = [{"name": "predict", "parameters": {"binary_data": False}}]
    assert validate(tensor([1, 2, 3], outputs=outputs), PROBLEM).outputs == ("predict",)


def test_a_response_has_the_label_and_both_probabilities() -> None:
    """In float32, as XGBoost's own predict_proba computes them."""
    scores = Scores(np.array([0.1, 0.7], dtype=np.float32), np.array([0, 1]))
    proba, label = answer(scores, ("predict_proba", "predict"), SIGNATURE)
    assert (label.name, label.datatype, label.values.tolist()) == ("predict", "INT64", [[0], [1]])
    assert (proba.name, proba.datatype) == ("predict_proba", "FP32")
    assert proba.values.dtype == np.float32
    assert np.array_equal(proba.values, np.column_stack([1 - scores.probability, scores.probability]))
    for name, output in {"predict": label, "predict_proba": proba}.items():
        assert output.values.shape[1:] == SIGNATURE.outputs[name].shape


def test_the_number_of_rows_is_limited() -> None:
    """The limit itself is accepted, as a matrix and as columns."""
    assert len(features_of(tensor([0.0] * 3 * MAX_ROWS, [MAX_ROWS, 3]), PROBLEM)) == MAX_ROWS
    beyond = [0.0] * (MAX_ROWS + 1)
    for document in (tensor(beyond * 3, [MAX_ROWS + 1, 3]), columns(a=beyond, b=beyond, c=beyond)):
        with pytest.raises(TooLarge, match="has 10001 rows; send at most 10000 at a time"):
            validate(document, PROBLEM)


THREE = columns(a=[1, 2], b=[3, 4], c=[5, 6])

REFUSED = {
    "no object": ([], r"The request is \[\]; expected an object with inputs\."),
    "no inputs": ({}, "The request has no 'inputs'"),
    "inputs no list": ({"inputs": {}}, r"The request has \{\} as its 'inputs'; expected a list\."),
    "empty inputs": ({"inputs": []}, "The request has no inputs; expected one tensor, or one for each feature"),
    "input no object": ({"inputs": [7]}, r"inputs\[0\] is 7; expected an object with name, datatype, shape, data"),
    "no shape": ({"inputs": [{"name": "x", "datatype": "FP32", "data": []}]}, r"inputs\[0\] has no 'shape'"),
    "name no string": (tensor([1, 2, 3], name=5), r"inputs\[0\] has 5 as its 'name'; expected a string"),
    "name null": (tensor([1, 2, 3], name=None), r"inputs\[0\] has null as its 'name'; expected a string"),
    "data no list": (tensor("123"), r"inputs\[0\] has '123' as its 'data'; expected a list"),
    "unknown datatype": (tensor([1, 2, 3], datatype="F32"), "has datatype 'F32'; expected one of 'FP32', 'FP64'"),
    "bytes": (tensor(["1", "2", "3"], datatype="BYTES"), "has datatype 'BYTES'; expected one of"),
    "number for true": (tensor([True, 1, False], datatype="BOOL"), "Row 0, column 'b', is 1; a BOOL is true or false"),
    "numbers for true": (
        tensor(np.array([1.0, 0.0, 1.0]), datatype="BOOL"),
        r"Row 0, column 'a', is 1\.0; a BOOL is true or false",
    ),
    "null for true": (tensor([True, None, False], datatype="BOOL"), "'b', is null; a BOOL is true or false"),
    "string for true": (tensor([True, "true", False], datatype="BOOL"), "'b', is 'true'; a BOOL is true or false"),
    "a byte for true": (
        tensor(np.array([0, 1, 255], np.uint8), datatype="BOOL"),
        "Row 0, column 'c', is the byte 255; a BOOL is 1 for true, or 0 for false",
    ),
    "too few bytes": (tensor(np.zeros(2, np.uint8), datatype="BOOL"), "expected data of length 3.* found 2"),
    "true for a half": (tensor([1, True, 3], datatype="FP16"), "Row 0, column 'b', is true; expected a number"),
    "beyond a half": (tensor([1, 65504.5, 3], datatype="FP16"), r"'b', is 65504\.5; its tensor's datatype FP16 cannot"),
    "below a half": (tensor([1, 2, -7e4], datatype="FP16"), r"'c', is -70000\.0; its tensor's datatype FP16 cannot"),
    "beyond all in a half": (tensor([1, 1e39, 3], datatype="FP16"), r"is 1e\+39; a 32-bit float reaches only"),
    "true in a column": (columns(a=[1], b=[True], c=[3]), "Row 0, column 'b', is true; expected a number"),
    "number in a column of BOOL": (
        replace_members(columns(a=[1, 2], b=[True, 2], c=[5, 6]), 1, datatype="BOOL"),
        "Row 1, column 'b', is 2; a BOOL is true or false",
    ),
    "byte in a column of BOOL": (
        replace_members(THREE, 1, datatype="BOOL", data=np.array([1, 2], np.uint8)),
        "Row 1, column 'b', is the byte 2; a BOOL is",
    ),
    "beyond a half in a column": (
        replace_members(columns(a=[1, 2], b=[3, 7e4], c=[5, 6]), 1, datatype="FP16"),
        r"Row 1, column 'b', is 70000\.0; its tensor's datatype FP16",
    ),
    "negative dimension": (tensor([1, 2, 3], [-1, 3]), r"has shape \[-1, 3\]; a shape is a list of whole numbers"),
    "zero dimension": (tensor([], [0, 3]), r"has shape \[0, 3\]; a shape is a list of whole numbers, each at least 1"),
    "float dimension": (tensor([1, 2, 3], [1.0, 3]), r"has shape \[1\.0, 3\]; a shape is"),
    "true dimension": (tensor([1, 2, 3], [True, 3]), r"has shape \[true, 3\]; a shape is"),
    "no dimensions": (tensor([1, 2, 3], []), r"has shape \[\]; a shape is"),
    "one dimension": (tensor([1, 2, 3], [3]), r"has shape \[3\]; expected \[rows, 3\]"),
    "three dimensions": (tensor([1, 2, 3], [1, 3, 1]), r"has shape \[1, 3, 1\]; expected \[rows, 3\]"),
    "too few features": (tensor([1, 2], [1, 2]), r"has shape \[1, 2\]; expected \[rows, 3\], one column for each"),
    "too many values": (
        tensor([1, 2, 3, 4]),
        r"has shape \[1, 3\]; expected data of length 3, or 1 if nested, found 4\.",
    ),
    "no values": (tensor([]), "expected data of length 3, or 1 if nested, found 0"),
    "too many rows": (tensor([[1, 2, 3], [4, 5, 6]]), "expected data of length 3, or 1 if nested, found 2"),
    "ragged": (tensor([[1, 2, 3], [4, 5]], [2, 3]), "expected row 1 of length 3, found 2"),
    "half nested": (tensor([[1, 2, 3], 4], [2, 3]), "expected row 1 as a list, found 4"),
    "nested too deep": (tensor([[[1], [2], [3]]]), r"Row 0, column 'a', is \[1\]; expected a number"),
    "list before numbers": (tensor([[1], 2, 3]), r"Row 0, column 'a', is \[1\]; expected a number"),
    "list among numbers": (tensor([1, [2], 3]), r"Row 0, column 'b', is \[2\]; expected a number"),
    "null": (tensor([1, 2, None]), "Row 0, column 'c', is null; this model needs a number for every feature"),
    "NaN": (tensor([1, NAN, 3]), "Row 0, column 'b', is NaN; this model needs a number for every feature"),
    "true": (tensor([True, 2, 3]), "Row 0, column 'a', is true; expected a number"),
    "string": (tensor([1, "1.5", 3]), "Row 0, column 'b', is '1.5'; expected a number"),
    "infinity": (tensor([1, 2, -INFINITY]), "Row 0, column 'c', is -Infinity; expected a finite number"),
    "beyond float32": (tensor([1, 1e39, 3]), r"is 1e\+39; a 32-bit float reaches only 3\.403e\+38"),
    "beyond float32 in FP64": (tensor([1, 1e39, 3], datatype="FP64"), "a 32-bit float reaches only"),
    "beyond float64": (tensor([1, 2, 10**400]), "is an integer of more than 64 bits; a 32-bit float reaches only"),
    "second row": (tensor([1, 2, 3, 4, None, 6], [2, 3]), "Row 1, column 'b', is null"),
    "fraction in integers": (
        tensor([1, 2.5, 3], datatype="INT32"),
        r"'b', is 2\.5; its tensor's datatype INT32 cannot",
    ),
    "too large for its integers": (
        tensor([1, 2, 300], datatype="UINT8"),
        r"'c', is 300\.0; its tensor's datatype UINT8",
    ),
    "negative unsigned": (tensor([-1, 2, 3], datatype="UINT64"), r"'a', is -1\.0; its tensor's datatype UINT64"),
    "missing column": (
        columns(a=[1], c=[2]),
        "has no inputs for the features 'b'; expected one tensor, or one for each",
    ),
    "lone column": (columns(a=[1]), "has no inputs for the features 'b', 'c'"),
    "lone id": (columns(id=[1, 2, 3]), r"has shape \[3\]; expected \[rows, 3\]"),
    "extra column": (columns(a=[1], b=[2], c=[3], target=[0]), "has inputs that are no features: 'target'"),
    "repeated column": (
        {"inputs": THREE["inputs"] * 2},
        "more than one input named 'a', 'b', 'c'; name each column once",
    ),
    "unequal columns": (columns(a=[1, 2], b=[3], c=[4, 5]), r"'b' has shape \[1\], and input 'a' has shape \[2\]"),
    "wide column": (
        replace_members(THREE, 1, shape=[1, 2]),
        r"'b' has shape \[1, 2\]; expected \[rows\] or \[rows, 1\]",
    ),
    "column of other length": (
        replace_members(THREE, 2, data=[1]),
        r"'c' has shape \[2\]; expected data of length 2, found 1",
    ),
    "ragged column": (
        replace_members(THREE, 0, shape=[2, 1], data=[[1], [2, 3]]),
        "expected row 1 of length 1, found 2",
    ),
    "null in a column": (columns(a=[1, 2], b=[3, None], c=[5, 6]), "Row 1, column 'b', is null"),
    "fraction in a column": (
        replace_members(columns(a=[1, 2], b=[3, 4.5], c=[5, 6]), 1, datatype="INT64"),
        r"Row 1, column 'b', is 4\.5; its tensor's datatype INT64",
    ),
    "bytes column": (replace_members(THREE, 1, datatype="BYTES"), "Input 'b' has datatype 'BYTES'"),
    "id no string": (tensor([1, 2, 3], id=7), "The request has 7 as its 'id'; expected a string"),
    "outputs no list": (tensor([1, 2, 3], outputs="predict"), "has 'predict' as its 'outputs'; expected a list"),
    "output no object": (tensor([1, 2, 3], outputs=["predict"]), r"outputs\[0\] is 'predict'; expected an object"),
    "unknown output": (
        tensor([1, 2, 3], outputs=[{"name": "proba"}]),
        "Output 'proba' is unknown; this model answers 'predict', 'predict_proba'",
    ),
    "repeated output": (tensor([1, 2, 3], outputs=[{"name": "predict"}] * 2), "'predict' is asked for 2 times"),
}


@pytest.mark.parametrize(("request_", "sentence"), REFUSED.values(), ids=list(REFUSED))
def test_an_invalid_request_is_refused_with_the_reason(request_: object, sentence: str) -> None:
    """The message names the position, what was found and what was expected."""
    with pytest.raises(InvalidRequest, match=sentence):
        validate(request_, PROBLEM)


def refusal_of(request: object, problem: Problem) -> str | None:
    """The message that refuses a request, or None if it is valid; any other exception fails the test."""
    try:
        features = features_of(request, problem)
    except InvalidRequest as error:
        return str(error)
    assert features.dtype == np.float32
    assert 1 <= len(features) <= MAX_ROWS
    assert features.shape[1] == len(problem.features)
    assert not np.isinf(features).any()
    assert all(problem.missing) or not np.isnan(features).any()
    return None


def paths(node: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to every value of a JSON document."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(below for key, value in inner for below in paths(value, (*path, key)))]


def replace_value(document: object, path: tuple[Any, ...], value: object) -> object:
    """The document with another value at one path."""
    if not path:
        return value
    copied: Any = copy.copy(document)
    copied[path[0]] = replace_value(copied[path[0]], path[1:], value)
    return copied


VALID = [
    tensor([1, 2, 3, 4, 5, 6], [2, 3], outputs=[{"name": "predict"}]),
    tensor([[1, 2, 3]], datatype="INT8"),
    columns(a=[1, 2], b=[3, 4], c=[5, 6], id=["x", "y"]),
    columns(a=[1], b=[2], c=[3]),
    tensor([1, 2, 3], datatype="FP16"),
    tensor([[True, False, True]], datatype="BOOL"),
    replace_members(columns(a=[1], b=[True], c=[3]), 1, datatype="BOOL"),
]


@given(st.data(), st.sampled_from(VALID), st.sampled_from([PROBLEM, GAPPY]))
def test_any_value_anywhere_is_accepted_or_refused_in_one_sentence(
    data: st.DataObject, request: dict[str, Any], problem: Problem
) -> None:
    """No other exception is raised."""
    path = data.draw(st.sampled_from(paths(request)))
    value = data.draw(json_values | st.text(min_size=500) | st.integers(min_value=10**5000))
    sentence = refusal_of(replace_value(request, path, value), problem)
    if sentence is not None:
        assert sentence.endswith(".")
        assert sentence.isprintable()
        assert len(sentence) < 500


@given(json_values)
def test_any_json_is_accepted_or_refused(document: object) -> None:
    """No other exception is raised."""
    assert refusal_of(document, PROBLEM)


def test_nested_lists_are_shortened_in_messages() -> None:
    """However deep their texts lie."""
    nested: Any = "\U000e0001" * 60
    for _ in range(6):
        nested = [nested] * 6
    sentence = refusal_of(tensor([1, 2, 3], nested), PROBLEM)
    assert sentence
    assert len(sentence) < 1_000


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_large_numbers_are_accepted_without_a_warning(datatype: str) -> None:
    """Though their squares overflow their type."""
    cells = np.full(3, 1e20 if datatype == "FP32" else 3e38, DATATYPES[datatype])
    assert features_of(tensor(cells, datatype=datatype), PROBLEM).tolist() == [[np.float32(cells[0])] * 3]


def test_long_names_and_lists_are_shortened_in_messages() -> None:
    """A message stays short, however long the request."""
    many = {
        "inputs": [{"name": "x" * 10_000 + str(n), "datatype": "FP32", "shape": [1], "data": [1]} for n in range(99)]
    }
    sentence = refusal_of(many, PROBLEM)
    assert sentence
    assert "and 87 more" in sentence
    assert len(sentence) < 1_500
