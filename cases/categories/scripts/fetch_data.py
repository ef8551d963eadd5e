"""Fetch the challenge's real table of products and check it (the extraction step)."""

import argparse
import os
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError

from tabserve.cli import run
from tabserve.client import proxy
from tabserve.destination import ending
from tabserve.errors import DataError
from tabserve.files import whole
from tabserve.table.columns import Columns
from tabserve.table.reader import batches
from tabserve.table.source import Source

ADDRESS = "https://elo7-datasets.s3.amazonaws.com/data_scientist_position/elo7_recruitment_dataset.csv"
"""The address that the challenge's document gives."""

COLUMNS = (
    "product_id",
    "seller_id",
    "query",
    "search_page",
    "position",
    "title",
    "concatenated_tags",
    "creation_date",
    "price",
    "weight",
    "express_delivery",
    "minimum_quantity",
    "view_counts",
    "order_counts",
    "category",
)

ROWS = 38_507

SILENCE_SECONDS = 60
"""How long the server may send nothing."""

CHUNK_BYTES = 1 << 16
"""Bytes read at a time; unpacked, they may become a thousand times as many."""

MAX_BYTES = 1 << 27
"""Size limit of the unpacked table: some 3 kB a row, many times what its columns need."""

EPILOG = """example:
  python cases/categories/scripts/fetch_data.py        data/products.csv, from the address in the challenge's document

No licence is stated for these data: do not pass them on. A file that is already there is checked and kept.
exit codes: 0 fetched or already there, 1 not enough memory, 2 wrong option, 3 not reached or not as expected,
130 Ctrl-C, 143 SIGTERM; the file is written whole or not at all
"""


def main() -> None:
    """Fetch the table as the command line asks."""
    arguments = parse_arguments()
    out: Path = arguments.out
    if os.path.exists(out):  # noqa: PTH110  Path's own raises where a name is too long
        check(out)
    else:
        ending(out, [".csv"])
        print(f"Fetching the table from {arguments.address} ...", flush=True)
        with whole(out) as temporary:
            download(arguments.address, temporary)
            check(temporary)
    print(f"{out} holds {ROWS:,} rows of {len(COLUMNS)} columns.")


def download(address: str, out: Path) -> None:
    """Download an address to a file, up to `MAX_BYTES`."""
    try:
        with (
            proxy.session(address).get(address, stream=True, timeout=SILENCE_SECONDS) as answer,
            out.open("wb") as file,
        ):
            answer.raise_for_status()
            for chunk in answer.iter_content(CHUNK_BYTES):
                if file.tell() + len(chunk) > MAX_BYTES:
                    raise DataError(f"What {address} delivers is no such table: it is larger than {MAX_BYTES:,} bytes.")
                file.write(chunk)
    except (requests.RequestException, HTTPError, ValueError) as error:
        way = proxy.mention(proxy.for_url(address))
        raise DataError(
            f"The table was not delivered{way}: {error}; try again, or name another address with --address."
        ) from error


def check(path: Path) -> None:
    """Refuse a file whose columns or number of rows are not the challenge's."""
    rows = sum(batches(Source(path, path.name), Columns(numbers=(), texts=COLUMNS), len))
    if rows != ROWS:
        raise DataError(f"{path} holds {rows:,} rows; expected {ROWS:,}. It is another table, or not all of it.")


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--address", default=ADDRESS, metavar="URL", help="address of the table (default: %(default)s)")
    add(
        "--out",
        type=Path,
        default=Path("data/products.csv"),
        metavar="FILE",
        help="csv to write (default: %(default)s)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    run.run(main)
