"""`scripts/request.py` asks a running API about the products of a file."""

import csv
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from cases.categories.tests.served import API, Api, environ

from categories import sample
from categories.dataset import dataset

SCRIPT = API.parent / "scripts" / "request.py"


def asked(port: int, data: Path | None, *words: str) -> "subprocess.CompletedProcess[str]":
    """What it prints."""
    environment = environ(None) | {"PORT": str(port), "TEST_PRODUCTS_PATH": str(data or "")}
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def products(tmp_path: Path) -> Path:
    """A csv with columns that the API ignores."""
    path = tmp_path / "products.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["product_id", "query", "title"], [1, "x", "Quadro, azul"], [2, "y", "Bebê"]])
    return path


def test_each_title_is_printed_with_its_category(titled: Api, products: Path) -> None:
    """In the file's order."""
    assert asked(titled.port, products).stdout == "Quadro, azul\tDecoração\nBebê\tBebê\n"


def test_without_a_file_it_asks_about_the_cases_own_products(titled: Api) -> None:
    """Ten, as the generator draws them; none of their titles is one that the committed model learned from."""
    own = pd.read_csv(SCRIPT.with_name("products.csv"))
    pd.testing.assert_frame_equal(own, sample.products(10, seed=1))
    assert not set(own["title"]) & set(dataset().products.features)
    lines = asked(titled.port, None).stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == own["title"].tolist()


def test_what_goes_wrong_is_said_in_one_sentence(titled: Api, products: Path, tmp_path: Path) -> None:
    """Each with an exit code of its own."""
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("name\nQuadro\n")
    found = [
        asked(titled.port, None, "--data", ""),
        asked(titled.port, tmp_path / "none.csv"),
        asked(titled.port, wrong),
        asked(1, products),
    ]
    assert [each.returncode for each in found] == [2, 3, 3, 5]
    assert [each.stderr.count("\n") for each in found] == [1] * 4
    assert "products[0] has no 'title'" in found[2].stderr
