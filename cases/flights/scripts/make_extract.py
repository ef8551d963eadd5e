"""Write the tables that the repository ships: 25 whole days of flights, and the weather of the whole year."""

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from flights import nycflights13
from tabserve.cli import run
from tabserve.errors import DataError
from tabserve.files import whole

CASE = Path(__file__).parents[1]


def main() -> None:
    """Choose the days from the tables that fetch_data.py has written; the same tables give the same bytes."""
    arguments = parse_arguments()
    tables = {
        "flights_extract": nycflights13.every_fifteenth_day(read(arguments.data / "flights.parquet")),
        "weather": read(arguments.data / "weather.parquet"),
    }
    for name, table in tables.items():
        path = arguments.out / f"{name}.parquet"
        with whole(path) as temporary:
            nycflights13.write(table, temporary)
        print(f"{path} holds {table.num_rows:,} rows in {path.stat().st_size:,} bytes.")


def read(path: Path) -> pa.Table:
    """Read a table."""
    try:
        return pq.read_table(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; write it with fetch_data.py.") from error


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="exit codes: 0 written, 1 not enough memory, 2 wrong option, 3 a table is missing"
    )
    add = parser.add_argument
    add("--data", type=Path, default=Path("data"), metavar="FOLDER", help="of fetch_data.py (default: %(default)s)")
    add("--out", type=Path, default=CASE / "data", metavar="FOLDER", help="where to write (default: the case's data)")
    return parser.parse_args()


if __name__ == "__main__":
    run.run(main)
