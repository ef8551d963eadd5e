"""The contract of the API with the committed model, which also runs on other products.

`TEST_PRODUCTS_PATH` names a csv of products with the challenge's columns, which is sent instead of the case's own.
"""

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cases.categories.tests.served import API, Api, api

from categories.problem import PROBLEM

PRODUCTS = Path(os.environ.get("TEST_PRODUCTS_PATH") or API.parent / "scripts" / "products.csv")


@pytest.fixture(scope="module")
def committed() -> Iterator[Api]:
    """The API with the committed model."""
    with api(None) as running:
        yield running


def test_the_documents_example_is_answered(committed: Api) -> None:
    """The answer holds the category of each product, in the order sent, and nothing else."""
    answer = committed.post([{"title": "Lembrancinha"}, {"title": "Carrinho de Bebê"}])
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.document == {"categories": ["Lembrancinhas", "Bebê"]}


def test_the_order_of_the_answer_is_that_of_the_products(committed: Api) -> None:
    """Titles in reverse order get their categories in reverse order."""
    titles = ["Lembrancinha", "Carrinho de Bebê", "Brinco de prata", "Convite de casamento", "Quadro para sala"]
    assert committed.categories(titles[::-1]) == committed.categories(titles)[::-1]


def test_other_fields_change_nothing(committed: Api) -> None:
    """A product may have every column of the challenge, with any value."""
    product = {"title": "Lembrancinha"}
    others = {"product_id": 1, "query": "quadro", "price": None, "weight": "?", "category": "Bebê", "position": [{}]}
    assert committed.post([product | others]).document == committed.post([product]).document


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"products": []}', b'{"products": [{}]}'])
def test_bad_input_is_answered_400_and_the_application_goes_on(committed: Api, body: bytes) -> None:
    """The answer is one sentence, and the next good request is answered."""
    answer = committed.ask("POST", "/v1/categorize", body)
    assert (answer.status, [*answer.document]) == (400, ["error"])
    assert committed.post([{"title": "Lembrancinha"}]).status == 200


def test_probabilities_have_a_route_of_their_own(committed: Api) -> None:
    """/v1/probabilities answers every category's probability; the most probable is the answer of /v1/categorize."""
    products = [{"title": "Lembrancinha"}, {"title": "Carrinho de Bebê"}]
    rows: list[dict[str, float]] = committed.post(products, "/v1/probabilities").document["probabilities"]
    assert all({*row} == {*PROBLEM.labels} for row in rows)
    assert [sum(row.values()) for row in rows] == pytest.approx([1, 1], abs=1e-5)
    assert [max(row, key=row.__getitem__) for row in rows] == committed.post(products).document["categories"]


def test_products_of_a_file_are_answered_in_the_order_of_the_file(committed: Api) -> None:
    """Each row of the csv gets one category, the same as in a request of its own."""
    products = rows(PRODUCTS)
    document = committed.post(products).document
    assert [*document] == ["categories"]
    categories = document["categories"]
    assert len(categories) == len(products)
    assert {*categories} <= {*PROBLEM.labels}
    indices = range(0, len(products), max(1, len(products) // 20))
    alone = [committed.post([products[index]]).document["categories"] for index in indices]
    assert alone == [[categories[index]] for index in indices]


def rows(path: Path) -> list[dict[str, Any]]:
    """Read the first products of a csv, at most as many as one request may hold."""
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row, _ in zip(csv.DictReader(file), range(10_000), strict=False)]
