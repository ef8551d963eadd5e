"""What a request may hold: any bytes become texts in order, or are refused in one sentence."""

import json
from typing import Any

import pytest
from cases.categories.tests.weighed import weighed
from hypothesis import given, settings
from hypothesis import strategies as st

from categories import contract
from categories.problem import PROBLEM
from categories.problem import TAGS as TAGS_COLUMN
from tabserve.encoding.ngrams import has_letter_or_digit
from tabserve.encoding.texts import MAX_CHARACTERS
from tabserve.errors import InvalidRequest, TooLarge
from tabserve.problem.columns import Column
from tabserve.serving.limits import Limits
from tabserve.serving.metrics import ModelMetrics
from tabserve.serving.model import LoadedModel

TITLE, TAGS = PROBLEM.columns, (*PROBLEM.columns, TAGS_COLUMN)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
TITLES = st.text(max_size=40).filter(has_letter_or_digit)


def read(body: bytes, columns: tuple[Column, ...] = TITLE, most: int = 1_000) -> list[str]:
    """All texts of a body."""
    model = LoadedModel(weighed(*(column.name for column in columns)), Limits(max_rows=most), ModelMetrics())
    found = contract.features(body, model)
    texts = [text for part in found.chunks for text in part.tolist()]
    assert len(texts) == found.rows
    return texts


def written(products: object) -> bytes:
    """A body of these products."""
    return json.dumps({"products": products}).encode()


@given(titles=st.lists(TITLES, min_size=1, max_size=20), others=st.dictionaries(st.text(max_size=9), JSON, max_size=3))
@settings(deadline=None)
def test_titles_come_out_in_their_order_whatever_else_a_product_has(titles: list[str], others: dict[str, Any]) -> None:
    """Byte for byte; no other member is looked at."""
    assert read(written([others | {"title": title} for title in titles])) == titles


@given(body=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()) | JSON.map(written))
@settings(deadline=None, max_examples=300)
def test_anything_is_read_or_refused_in_one_sentence(body: bytes) -> None:
    """Of all errors only those that are answered 400 or 413."""
    try:
        assert all(has_letter_or_digit(text) for text in read(body))
    except InvalidRequest as error:
        assert str(error).endswith((".", "…"))  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017


@given(place=st.integers(0, 500), wrong=JSON.filter(lambda value: not isinstance(value, str)))
@settings(deadline=None, max_examples=50)
def test_the_sentence_names_the_product_that_is_wrong(place: int, wrong: object) -> None:
    """By its index from 0, however far down it stands."""
    products: list[Any] = [{"title": "Quadro"}] * 501
    products[place] = {"title": wrong}
    with pytest.raises(InvalidRequest, match=rf"^products\[{place}\]\.title is .*; expected a text\.$"):
        read(written(products))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", r"The body is not JSON"),
        (b"[]", r"The body is \[\]; expected .*\"products\""),
        (b"null", r"The body is null; expected"),
        (b"{}", r"The body has no member 'products'; expected"),
        (b'{"products": {}}', r"products is \{\}; expected a list"),
        (b'{"products": []}', r"products is \[\]; expected a list of at least one object"),
        (b'{"products": ["Quadro"]}', r"products\[0\] is 'Quadro'; expected an object with 'title'"),
        (b'{"products": [{"titulo": "Quadro"}]}', r"products\[0\] has no 'title'; expected a text"),
        (b'{"products": [{"title": null}]}', r"products\[0\]\.title is null; expected a text"),
        (b'{"products": [{"title": " \\t "}]}', r"products\[0\]\.title is .*; expected a text with letters or digits"),
        ('{"products": [{"title": "🎉"}]}'.encode(), r"products\[0\]\.title is '🎉'; expected a text with letters"),
    ],
)
def test_a_refusal_says_what_was_expected_and_what_came(body: bytes, sentence: str) -> None:
    """Each kind in its own words."""
    with pytest.raises(InvalidRequest, match=sentence):
        read(body)


def test_of_two_members_of_one_name_the_last_one_counts() -> None:
    """As the parser has it."""
    assert read(b'{"products": [], "products": [{"title": 1, "title": "Quadro"}]}') == ["Quadro"]


@pytest.mark.parametrize("given", [{}, {"concatenated_tags": None}, {"concatenated_tags": "  "}])
def test_another_column_of_the_model_may_be_left_out(given: dict[str, Any]) -> None:
    """Be it absent, null or blank: the title's words alone are read."""
    assert [text.split() for text in read(written([{"title": "Quadro", **given}]), TAGS)] == [["Quadro"]]


def test_another_column_of_the_model_is_joined_to_the_title() -> None:
    """By one space, as in training, whichever of them the product names first."""
    assert read(written([{"concatenated_tags": "sala mdf", "title": "Quadro"}]), TAGS) == ["Quadro sala mdf"]


def test_another_column_of_the_model_must_be_text() -> None:
    """Where the model was trained with it; else it is nobody's business."""
    products = written([{"title": "Quadro", "concatenated_tags": ["sala"]}])
    with pytest.raises(InvalidRequest, match=r"^products\[0\]\.concatenated_tags is \['sala'\]; expected a text\.$"):
        read(products, TAGS)
    assert read(products, TITLE) == ["Quadro"]


def test_too_much_is_told_from_what_is_wrong() -> None:
    """Products and characters are limited, and the limit itself is taken."""
    products = [{"title": "Quadro"}] * 3
    assert len(read(written(products), most=3)) == 3
    with pytest.raises(TooLarge, match="has 3 products; send at most 2"):
        read(written(products), most=2)
    assert len(read(written([{"title": "q" * MAX_CHARACTERS}]))) == 1
    with pytest.raises(TooLarge, match=r"^products\[0\]\.title has 1001 characters"):
        read(written([{"title": "q" * (MAX_CHARACTERS + 1)}]))


HALVES = st.sampled_from(["\ud83d", "Colar \ud83d", "\udc00 Colar"])


@given(half=HALVES, place=st.integers(0, 3), field=st.sampled_from([column.name for column in TAGS]))
def test_half_of_a_surrogate_pair_is_called_by_its_product_and_its_field(half: str, place: int, field: str) -> None:
    """It is JSON, which cannot be written again."""
    products = [{"title": "Colar"} for _ in range(4)]
    products[place][field] = half
    with pytest.raises(InvalidRequest) as error:
        read(written(products), TAGS)
    assert str(error.value).startswith(f"products[{place}].{field} is '")
    assert str(error.value).endswith("; expected whole characters, not half of a surrogate pair.")
    str(error.value).encode()


@pytest.mark.parametrize("ignored", [b'"\\ud83d"', b"1e400", b"-1e400", b"9" * 5_000, b'{"\\udc00": ["\\ud83d"]}'])
def test_what_is_ignored_may_hold_any_json(ignored: bytes) -> None:
    """In a product, and beside them."""
    body = b'{"x": %b, "products": [{"title": "Colar", "price": %b}]}' % (ignored, ignored)
    assert read(body) == ["Colar"]
    with pytest.raises(InvalidRequest, match=r"^products\[0\]\.title is Infinity; expected a text\.$"):
        read(b'{"products": [{"title": 1e400}]}')
