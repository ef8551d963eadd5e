"""Ask a running API about the products of a csv with the challenge's columns; prints each title and its category."""

from tabserve import command  # first: from here on Ctrl-C ends quietly what takes seconds to import

# isort: split
import argparse
import csv
import json
import os
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tabserve import option
from tabserve.errors import DataError, ServerError, UsageError

CHUNK = 1_000
"""Products in one request."""


def main() -> None:
    """Ask as the command line says."""
    arguments = _parser().parse_args()
    if not arguments.data:
        raise UsageError("No products are named: give --data FILE, or set TEST_PRODUCTS_PATH.")
    products = read(Path(arguments.data))
    while some := list(islice(products, CHUNK)):
        for product, category in zip(some, ask(arguments.url, some), strict=True):
            print(product.get("title", ""), category, sep="\t")


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The products of a file, one at a time."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}; expected a csv of products in UTF-8.") from error


def ask(url: str, products: Sequence[dict[str, Any]]) -> list[str]:
    """The category of each.

    Raises:
        DataError: the API refuses them.
        ServerError: no API answers there.
    """
    body = json.dumps({"products": products}).encode()
    asked = Request(f"{url}/v1/categorize", body, {"Content-Type": "application/json"})  # noqa: S310  the user's own
    try:
        with urlopen(asked, timeout=60) as response:  # noqa: S310
            found: list[str] = json.load(response)["categories"]
    except HTTPError as error:
        raise DataError(f"The API answers {error.code}: {error.read().decode(errors='replace'):.500}") from error
    except (URLError, HTTPException, OSError, ValueError, KeyError, TypeError) as error:
        raise ServerError(f"No API answers at {url} ({error}); start one by `python api.py`.") from error
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="exit codes: 0 answered, 2 wrong option, 3 refused, 5 no API answers"
    )
    url = f"http://localhost:{os.environ.get('PORT') or '5000'}"
    parser.add_argument("--url", type=option.word, default=url, help="of the API (default: %(default)s, or PORT's)")
    parser.add_argument(
        "--data",
        metavar="FILE",
        default=os.environ.get("TEST_PRODUCTS_PATH") or Path(__file__).with_name("products.csv"),
        help="(default: TEST_PRODUCTS_PATH, or 10 synthetic products)",
    )
    return parser


if __name__ == "__main__":
    command.run(main)
