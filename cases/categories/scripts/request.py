"""Ask a running API about the products of a csv with the challenge's columns; print each title and its category."""

import argparse
import csv
import os
from collections.abc import Iterator, Sequence
from functools import partial
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import requests
from urllib3.exceptions import HTTPError

from tabserve.cli import options, run
from tabserve.client import proxy
from tabserve.client.client import wait
from tabserve.client.proxy import ADDRESS_ERRORS
from tabserve.errors import DataError, ServerError, UsageError
from tabserve.table import formats
from tabserve.wording import one_line

CHUNK = 1_000
"""Products in one request."""

SILENCE_SECONDS = 60
"""How long the API may send nothing."""


def main() -> None:
    """Ask about the products that the command line names."""
    arguments = _parser().parse_args()
    if not arguments.data:
        raise UsageError("No products are named: give --data FILE, or set TEST_PRODUCTS_PATH.")
    products = read(Path(arguments.data))
    if arguments.wait:
        wait(partial(is_ready, arguments.url), f"The API at {arguments.url}", arguments.wait)
    while chunk := list(islice(products, CHUNK)):
        for product, category in zip(chunk, ask(arguments.url, chunk), strict=True):
            print(one_line(product.get("title") or ""), one_line(category), sep="\t")


def is_ready(url: str) -> bool:
    """Whether the API takes requests."""
    try:
        answer = proxy.session(url).get(f"{url}/ready", timeout=SILENCE_SECONDS, allow_redirects=False)
    except requests.RequestException:
        return False
    return answer.ok


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Read the products of a csv, one at a time."""
    try:
        with path.open("rb") as file:
            if (detected := formats.detect_format(file.peek(formats.FIRST_BYTES), str(path))) != formats.CSV:
                raise DataError(f"{path} cannot be read: it is {detected}; expected a csv of products in UTF-8.")
            with TextIOWrapper(file, "utf-8-sig", newline="") as text:
                yield from csv.DictReader(text)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}; expected a csv of products in UTF-8.") from error


def ask(url: str, products: Sequence[dict[str, Any]]) -> list[str]:
    """Ask the API for the category of each product.

    Raises:
        DataError: the API refuses them.
        ServerError: no API answers there, or another server does.
        UsageError: `url` is not an address.
    """
    endpoint, body, before = f"{url}/v1/categorize", {"products": products}, proxy.for_url(url)
    try:
        response = proxy.session(url).post(endpoint, json=body, timeout=SILENCE_SECONDS, allow_redirects=False)
    except (requests.RequestException, HTTPError) as error:
        if before and proxy.is_failure(error, url):
            raise proxy.failure(before, url) from error
        if isinstance(error, ADDRESS_ERRORS):
            raise UsageError(f"{url!r} is not an address such as http://localhost:5000.") from error
        raise ServerError(f"No API answers at {url} ({error}); start one by `python api.py`.") from error
    text = one_line(response.content[:500].decode(errors="replace"))
    if 400 <= response.status_code < 500:
        raise DataError(f"The API answers {response.status_code}: {text}")
    if (categories := _categories(response.content, len(products))) is None:
        raise ServerError(
            f"What answers at {url}{proxy.mention(before)} is not this API; it says {response.status_code}, {text:.60},"
            f" expected {len(products)} categories."
        )
    return categories


def _categories(answer: bytes, products: int) -> list[str] | None:
    """The categories of an answer, or None unless it holds one for each product."""
    try:
        categories = orjson.loads(answer)["categories"]
    except (ValueError, KeyError, TypeError):
        return None
    fits = isinstance(categories, list) and len(categories) == products
    return categories if fits and all(isinstance(category, str) for category in categories) else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="exit codes: 0 answered, 2 wrong option, 3 refused, 5 no API answers, or another server does",
    )
    url = f"http://localhost:{os.environ.get('PORT') or '5000'}"
    parser.add_argument(
        "--url", type=options.printable, default=url, help="address of the API (default: %(default)s, or port PORT)"
    )
    parser.add_argument(
        "--data",
        metavar="FILE",
        default=os.environ.get("TEST_PRODUCTS_PATH") or Path(__file__).with_name("products.csv"),
        help="csv of products (default: TEST_PRODUCTS_PATH, or 10 synthetic products)",
    )
    parser.add_argument(
        "--wait",
        type=options.seconds,
        metavar="SECONDS",
        help="wait this long for the API to be ready (default: do not wait)",
    )
    return parser


if __name__ == "__main__":
    run.run(main)
