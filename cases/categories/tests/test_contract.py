"""The contract reads the texts of any request body, or refuses it in one sentence."""

import json
from typing import Any

import pytest
from cases.categories.tests.weighed import word_model
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


def texts_of(body: bytes, columns: tuple[Column, ...] = TITLE, most: int = 1_000) -> list[str]:
    """The texts that a model gets from a body."""
    model = LoadedModel(word_model(*(column.name for column in columns)), Limits(max_rows=most), ModelMetrics())
    features = contract.features(body, model)
    texts = [text for part in features.chunks for text in part.tolist()]
    assert len(texts) == features.rows
    return texts


def to_body(products: object) -> bytes:
    """A request body of products."""
    return json.dumps({"products": products}).encode()


@given(titles=st.lists(TITLES, min_size=1, max_size=20), others=st.dictionaries(st.text(max_size=9), JSON, max_size=3))
@settings(deadline=None)
def test_titles_are_read_in_their_order_whatever_else_a_product_has(titles: list[str], others: dict[str, Any]) -> None:
    """Titles stay unchanged, and other members are ignored."""
    assert texts_of(to_body([others | {"title": title} for title in titles])) == titles


@given(body=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()) | JSON.map(to_body))
@settings(deadline=None, max_examples=300)
def test_anything_is_read_or_refused_in_one_sentence(body: bytes) -> None:
    """Every error is one that is answered with 400 or 413."""
    try:
        assert all(has_letter_or_digit(text) for text in texts_of(body))
    except InvalidRequest as error:
        assert str(error).endswith((".", "…"))  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017


@given(index=st.integers(0, 500), wrong=JSON.filter(lambda value: not isinstance(value, str)))
@settings(deadline=None, max_examples=50)
def test_the_sentence_names_the_product_that_is_wrong(index: int, wrong: object) -> None:
    """It names the index of the product, from 0."""
    products: list[Any] = [{"title": "Quadro"}] * 501
    products[index] = {"title": wrong}
    with pytest.raises(InvalidRequest, match=rf"^products\[{index}\]\.title is .*; expected a text\.$"):
        texts_of(to_body(products))


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
    """Each kind of mistake has its own sentence."""
    with pytest.raises(InvalidRequest, match=sentence):
        texts_of(body)


def test_the_last_of_two_members_of_one_name_counts() -> None:
    """The JSON parser keeps the last one."""
    assert texts_of(b'{"products": [], "products": [{"title": 1, "title": "Quadro"}]}') == ["Quadro"]


@pytest.mark.parametrize("tags", [{}, {"concatenated_tags": None}, {"concatenated_tags": "  "}])
def test_another_column_of_the_model_may_be_left_out(tags: dict[str, Any]) -> None:
    """Absent, null and blank tags all leave the title's words alone."""
    assert [text.split() for text in texts_of(to_body([{"title": "Quadro", **tags}]), TAGS)] == [["Quadro"]]


def test_another_column_of_the_model_is_joined_to_the_title() -> None:
    """They are joined by one space, title first, as in training."""
    assert texts_of(to_body([{"concatenated_tags": "sala mdf", "title": "Quadro"}]), TAGS) == ["Quadro sala mdf"]


def test_another_column_of_the_model_must_be_text() -> None:
    """A model with tags refuses tags that are not text; a model without ignores them."""
    products = to_body([{"title": "Quadro", "concatenated_tags": ["sala"]}])
    with pytest.raises(InvalidRequest, match=r"^products\[0\]\.concatenated_tags is \['sala'\]; expected a text\.$"):
        texts_of(products, TAGS)
    assert texts_of(products, TITLE) == ["Quadro"]


def test_products_and_characters_are_limited() -> None:
    """The limits themselves are accepted; beyond them TooLarge is raised."""
    products = [{"title": "Quadro"}] * 3
    assert len(texts_of(to_body(products), most=3)) == 3
    with pytest.raises(TooLarge, match="has 3 products; send at most 2"):
        texts_of(to_body(products), most=2)
    assert len(texts_of(to_body([{"title": "q" * MAX_CHARACTERS}]))) == 1
    with pytest.raises(TooLarge, match=r"^products\[0\]\.title has 1001 characters"):
        texts_of(to_body([{"title": "q" * (MAX_CHARACTERS + 1)}]))


HALVES = st.sampled_from(["\ud83d", "Colar \ud83d", "\udc00 Colar"])


@given(half=HALVES, index=st.integers(0, 3), field=st.sampled_from([column.name for column in TAGS]))
def test_half_of_a_surrogate_pair_is_refused_by_product_and_field(half: str, index: int, field: str) -> None:
    """Such JSON is valid, but cannot be encoded again."""
    products = [{"title": "Colar"} for _ in range(4)]
    products[index][field] = half
    with pytest.raises(InvalidRequest) as error:
        texts_of(to_body(products), TAGS)
    assert str(error.value).startswith(f"products[{index}].{field} is '")
    assert str(error.value).endswith("; expected whole characters, not half of a surrogate pair.")
    str(error.value).encode()


@pytest.mark.parametrize("ignored", [b'"\\ud83d"', b"1e400", b"-1e400", b"9" * 5_000, b'{"\\udc00": ["\\ud83d"]}'])
def test_ignored_members_may_hold_any_json(ignored: bytes) -> None:
    """That holds for members of a product and of the body."""
    body = b'{"x": %b, "products": [{"title": "Colar", "price": %b}]}' % (ignored, ignored)
    assert texts_of(body) == ["Colar"]
    with pytest.raises(InvalidRequest, match=r"^products\[0\]\.title is Infinity; expected a text\.$"):
        texts_of(b'{"products": [{"title": 1e400}]}')
