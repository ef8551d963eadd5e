"""What the API answers is what the model answers, to whoever asks, whatever else is being asked meanwhile."""

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
    """Titles of a few words each, known and unknown ones."""
    drawn = random.Random(seed)
    return [" ".join(drawn.choices([*WORDS, "kit", "10", "personalizado"], k=3)) for _ in range(count)]


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
def test_any_letters_and_signs_are_read(titled: Api, title: str, category: str) -> None:
    """Accents however they are written, emoji, other alphabets; escaped in the JSON or not."""
    assert titled.categories([title]) == [category]
    plain = json.dumps({"products": [{"title": title}]}, ensure_ascii=False).encode()
    answer = titled.ask("POST", "/v1/categorize", plain)
    assert answer.body == json.dumps({"categories": [category]}, ensure_ascii=False, separators=(",", ":")).encode()


def test_tags_are_used_by_a_model_that_was_trained_with_them(tagged: Api, titled: Api) -> None:
    """And by no other; without them it answers by the title."""
    product = {"title": "Kit", "concatenated_tags": "bebe"}
    assert tagged.post([product]).document == {"categories": ["Bebê"]}
    assert titled.post([product]).document == {"categories": ["Outros"]}
    assert tagged.post([{"title": "Quadro", "concatenated_tags": None}]).document == {"categories": ["Decoração"]}


def test_ten_thousand_products_are_answered_in_their_order(titled: Api, model: Model) -> None:
    """In one request; one more is too many."""
    many = titles(10_000)
    expected = [model.problem.labels[place] for place in model.score(np.array(many, np.object_)).label]
    assert titled.categories(many) == expected
    assert titled.post([{"title": "Quadro"}] * 10_001).status == 413


def test_probabilities_are_the_models_to_the_last_digit(titled: Api, model: Model) -> None:
    """Of each category by its name."""
    some = titles(5)
    rows = titled.post([{"title": title} for title in some], "/v1/probabilities").document["probabilities"]
    assert [[*row] for row in rows] == [[*model.problem.labels]] * 5
    assert [[*row.values()] for row in rows] == [
        [float(str(number)) for number in row] for row in model.score(np.array(some, np.object_)).probability
    ]


def test_answers_at_any_concurrency_are_those_given_alone(titled: Api, model: Model) -> None:
    """Large requests and bad ones beside them included."""

    def ask(number: int) -> None:
        some = titles((1, 2, 70, 700)[number % 4], number)
        products = [{"title": title} for title in some]
        if number % 5 == 0:
            answer = titled.post([*products, {"title": number}])
            assert answer.document == {"error": f"products[{len(some)}].title is {number}; expected a text."}
        else:
            expected = [model.problem.labels[place] for place in model.score(np.array(some, np.object_)).label]
            assert titled.post(products).document == {"categories": expected}

    with ThreadPoolExecutor(32) as threads:
        assert [*threads.map(ask, range(400))] == [None] * 400


def test_whoever_comes_when_too_many_products_wait_is_told_when_to_try_again(by_title: Path) -> None:
    """503 with Retry-After, where one more would be too many; those that were accepted are answered."""
    large = [{"title": title} for title in titles(10_000)]
    with api(by_title, TABSERVE_MAX_QUEUE_ROWS="10") as busy, ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(busy.post, large) for _ in range(24)]
        answers = [each.result() for each in asked]
        refused = [answer for answer in answers if answer.status != 200]
        assert {answer.status for answer in refused} == {503}
        assert {answer.headers["retry-after"] for answer in refused} == {"1"}
        assert len(refused) < len(answers)
        assert busy.categories(["Quadro"]) == ["Decoração"]


def test_prometheus_is_told_of_requests_and_of_categories(by_title: Path) -> None:
    """By route, status and category, from the first scrape on."""
    with api(by_title) as fresh:
        assert 'categories_products_total{category="Outros"} 0.0' in told(fresh)
        fresh.categories(["Quadro", "quadro azul", "Convite"])
        fresh.post([])
        lines = told(fresh)
    assert 'categories_products_total{category="Decoração"} 2.0' in lines
    assert 'categories_requests_total{route="/v1/categorize",status="200"} 1.0' in lines
    assert 'categories_requests_total{route="/v1/categorize",status="400"} 1.0' in lines
    assert 'categories_request_seconds_count{route="/v1/categorize"} 2.0' in lines
    assert 'categories_request_products_sum{route="/v1/categorize"} 3.0' in lines


def told(api: Api) -> list[str]:
    """What Prometheus reads."""
    return api.ask("GET", "/metrics").body.decode().splitlines()
