"""The API answers as the model does, whatever other requests run at the same time."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from cases.categories.tests.served import Api, api
from cases.categories.tests.weighed import WORDS

from tabserve.model.model import Model


def titles(count: int, seed: int = 0) -> list[str]:
    """Draw titles of known and unknown words."""
    rng = random.Random(seed)
    return [" ".join(rng.choices([*WORDS, "kit", "10", "personalizado"], k=3)) for _ in range(count)]


@pytest.mark.parametrize(
    ("title", "category"),
    [
        ("Lembrancinha", "Lembrancinhas"),
        ("LEMBRANCINHA 10un.", "Lembrancinhas"),
        ("Carrinho de Bebê", "Bebê"),
        ("carrinho de bebe", "Bebê"),
        ("Carrinho de Bebe\u0302", "Bebê"),
        ("🎉 Convite 🎂 infantil ✨", "Papel e Cia"),
        ("Ｂｒｉｎｃｏ", "Bijuterias e Jóias"),
        ("Quadro\u0000\n\u202eпривет 你好 مرحبا", "Decoração"),
        ("caixa", "Outros"),
        ("bebê " * 200, "Bebê"),
    ],
)
def test_any_letters_and_signs_are_read(title_api: Api, title: str, category: str) -> None:
    """Composed and decomposed accents, emoji and other alphabets are read, escaped in the JSON or not."""
    assert title_api.categories([title]) == [category]
    plain = json.dumps({"products": [{"title": title}]}, ensure_ascii=False).encode()
    answer = title_api.ask("POST", "/v1/categorize", plain)
    assert answer.body == json.dumps({"categories": [category]}, ensure_ascii=False, separators=(",", ":")).encode()


def test_tags_are_used_by_a_model_that_was_trained_with_them(tags_api: Api, title_api: Api) -> None:
    """Another model ignores tags; a product without tags is answered by its title."""
    product = {"title": "Kit", "concatenated_tags": "bebe"}
    assert tags_api.post([product]).document == {"categories": ["Bebê"]}
    assert title_api.post([product]).document == {"categories": ["Outros"]}
    assert tags_api.post([{"title": "Quadro", "concatenated_tags": None}]).document == {"categories": ["Decoração"]}


def test_ten_thousand_products_are_answered_in_their_order(title_api: Api, model: Model) -> None:
    """10,000 products fit into one request, and 10,001 get 413."""
    many = titles(10_000)
    expected = [model.problem.labels[label] for label in model.score(np.array(many, np.object_)).label]
    assert title_api.categories(many) == expected
    assert title_api.post([{"title": "Quadro"}] * 10_001).status == 413


def test_probabilities_are_the_models_to_the_last_digit(title_api: Api, model: Model) -> None:
    """Each probability has its category's name and the shortest digits of the model's float32."""
    batch = titles(5)
    rows = title_api.post([{"title": title} for title in batch], "/v1/probabilities").document["probabilities"]
    assert [[*row] for row in rows] == [[*model.problem.labels]] * 5
    assert [[*row.values()] for row in rows] == [
        [float(str(number)) for number in row] for row in model.score(np.array(batch, np.object_)).probability
    ]


def test_answers_at_any_concurrency_are_those_given_alone(title_api: Api, model: Model) -> None:
    """32 clients send small, large and bad requests at once, and each gets its own answer."""

    def ask(number: int) -> None:
        batch = titles((1, 2, 70, 700)[number % 4], number)
        products = [{"title": title} for title in batch]
        if number % 5 == 0:
            answer = title_api.post([*products, {"title": number}])
            assert answer.document == {"error": f"products[{len(batch)}].title is {number}; expected a text."}
        else:
            expected = [model.problem.labels[label] for label in model.score(np.array(batch, np.object_)).label]
            assert title_api.post(products).document == {"categories": expected}

    with ThreadPoolExecutor(32) as threads:
        assert [*threads.map(ask, range(400))] == [None] * 400


def test_a_request_beyond_the_full_queue_gets_503_with_retry_after(title_folder: Path) -> None:
    """Requests that were accepted before are answered."""
    large = [{"title": title} for title in titles(10_000)]
    with api(title_folder, TABSERVE_MAX_QUEUE_ROWS="10") as busy, ThreadPoolExecutor(8) as threads:
        answers = [*threads.map(busy.post, [large] * 24)]
        refused = [answer for answer in answers if answer.status != 200]
        assert {answer.status for answer in refused} == {503}
        assert {answer.headers["retry-after"] for answer in refused} == {"1"}
        assert len(refused) < len(answers)
        assert busy.categories(["Quadro"]) == ["Decoração"]


def test_metrics_count_requests_and_categories(title_folder: Path) -> None:
    """Metrics are labelled by route, status and category, and are there from the first scrape."""
    with api(title_folder) as fresh:
        assert 'categories_products_total{category="Outros"} 0.0' in scrape(fresh)
        fresh.categories(["Quadro", "quadro azul", "Convite"])
        fresh.post([])
        lines = scrape(fresh)
    assert 'categories_products_total{category="Decoração"} 2.0' in lines
    assert 'categories_requests_total{route="/v1/categorize",status="200"} 1.0' in lines
    assert 'categories_requests_total{route="/v1/categorize",status="400"} 1.0' in lines
    assert 'categories_request_seconds_count{route="/v1/categorize"} 2.0' in lines
    assert 'categories_request_products_sum{route="/v1/categorize"} 3.0' in lines


def scrape(api: Api) -> list[str]:
    """The lines of /metrics."""
    return api.ask("GET", "/metrics").body.decode().splitlines()
