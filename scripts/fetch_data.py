"""Fetch the real Santander table and check it: from OpenML (no account) or Kaggle (your credentials)."""

import argparse
import os
import shutil
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import fetch_openml

from santander.problem import PROBLEM
from tabserve.cli import run
from tabserve.client import proxy
from tabserve.destination import ending
from tabserve.errors import DataError
from tabserve.files import whole
from tabserve.table.frame_reader import read

OPENML = "https://www.openml.org"

OPENML_ID = 45566
"""OpenML calls it "SantanderCustomerSatisfaction", the name of another competition; the rows are this one's."""

TRANSFER_ERRORS = (OSError, EOFError, HTTPException, zlib.error, zipfile.BadZipFile)
"""What is raised when a download fails, ends early or is damaged."""

COMPETITION = "santander-customer-transaction-prediction"

POLL_SECONDS = 0.1
"""Seconds between two checks for Ctrl-C or SIGTERM while Kaggle's client runs."""

ROWS, POSITIVES = 200_000, 20_098

EPILOG = """examples:
  python scripts/fetch_data.py                         data/train.csv from OpenML
  python scripts/fetch_data.py --source kaggle         the same from Kaggle; accept the competition's rules there first

A file that is already there is checked and kept. exit codes: 0 there, 1 not enough memory, 2 wrong option, 3 not
reached or not as expected, 130 Ctrl-C, 143 SIGTERM; the file appears whole or not at all
"""


def main() -> None:
    """Fetch the table, or check the file that is already there."""
    arguments = parse_arguments()
    out: Path = arguments.out
    if os.path.exists(out):  # noqa: PTH110  Path's own raises where a name is too long
        check(out)
    else:
        ending(out, [".csv"])
        print(f"Fetching the table from {arguments.source} ...", flush=True)
        with whole(out) as temporary:
            SOURCES[arguments.source](temporary)
            check(temporary)
    print(f"{out} holds {ROWS:,} rows of {len(PROBLEM.features)} features, {POSITIVES:,} of them positive.")


def from_openml(out: Path) -> None:
    """Write OpenML's table in Kaggle's format; scikit-learn caches the download."""
    try:
        table: pd.DataFrame = fetch_openml(data_id=OPENML_ID, as_frame=True, parser="pandas").frame
    except (*TRANSFER_ERRORS, ValueError, KeyError) as error:
        through = proxy.mention(proxy.for_url(OPENML))
        raise DataError(
            f"OpenML{through} did not deliver data set {OPENML_ID}: {error}; try again, or --source kaggle."
        ) from error
    kaggle_format(table).to_csv(out, index=False)


def kaggle_format(table: pd.DataFrame) -> pd.DataFrame:
    """The same rows as `ID_code,target,var_0,…`, with labels 0 and 1, and with new ids if the table has none."""
    missing = {*PROBLEM.features, PROBLEM.target} - {*table.columns}
    if missing:
        raise DataError(f"OpenML's table lacks {len(missing)} expected columns, {min(missing)!r} among them.")
    ids = table.get(PROBLEM.id, pd.Series([f"train_{row}" for row in range(len(table))]))
    labels = table[PROBLEM.target].astype(str).str.lower().isin(["1", "1.0", "true"]).astype(np.int8)
    features = table[list(PROBLEM.features)].reset_index(drop=True)
    return pd.concat([ids.reset_index(drop=True).rename(PROBLEM.id), labels.reset_index(drop=True), features], axis=1)


def from_kaggle(out: Path) -> None:
    """Download the table with Kaggle's own client, which must be installed and have credentials."""
    client = shutil.which("kaggle")
    if client is None:
        raise DataError(
            "Kaggle's client was not found; install it with 'pip install kaggle' and set up its credentials."
        )
    try:
        with tempfile.TemporaryDirectory(dir=out.parent) as folder:
            _download(client, Path(folder)).replace(out)
    except TRANSFER_ERRORS as error:
        raise DataError(f"Kaggle's client delivered no whole train.csv: {error}; try again.") from error


def _download(client: str, folder: Path) -> Path:
    """Run Kaggle's client, and unpack its download."""
    command = [client, "competitions", "download", "-c", COMPETITION, "-f", "train.csv", "-p", str(folder)]
    code, stderr = _run(command)
    files = sorted(folder.glob("train.csv*"))
    if code or not files:
        lines = stderr.strip().splitlines() or ["it downloaded nothing"]
        raise DataError(f"Kaggle's client failed: {lines[-1]}")  # the last line of a traceback says what is wrong
    if files[0].suffix == ".zip":
        shutil.unpack_archive(files[0], folder)
    return folder / "train.csv"


def _run(command: Sequence[str]) -> tuple[int, str]:
    """Run a command; returns its exit code and stderr. Ctrl-C and SIGTERM end it together with this script."""
    stderr = ""
    with (
        run.hold_signals() as signals,
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process,  # noqa: S603 (no shell, fixed words)
    ):
        try:
            while process.returncode is None and not signals:
                with suppress(subprocess.TimeoutExpired):
                    stderr = process.communicate(timeout=POLL_SECONDS)[1]
        finally:
            process.kill()
    return process.returncode, stderr


def check(path: Path) -> None:
    """Refuse a file whose columns, number of rows or number of positives differ from the competition's table."""
    frame = read(path, PROBLEM)
    rows, positives = len(frame), int(frame.target.sum())
    if (rows, positives) != (ROWS, POSITIVES):
        raise DataError(
            f"{path} holds {rows:,} rows, {positives:,} of them positive; expected {ROWS:,} and {POSITIVES:,}."
            " It is another table, or not all of it."
        )


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--source", choices=[*SOURCES], default="openml", help="where to fetch from (default: %(default)s)")
    add("--out", type=Path, default=Path("data/train.csv"), metavar="FILE", help="csv to write (default: %(default)s)")
    return parser.parse_args()


SOURCES: dict[str, Callable[[Path], None]] = {"openml": from_openml, "kaggle": from_kaggle}

if __name__ == "__main__":
    run.run(main)
