"""The tables of `peers`: real ones of the shared folder, and those that come with scikit-learn."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from sklearn import datasets

REAL = {
    "churn": ("churn", "binary"),
    "credit": ("Status", "binary"),
    "lending": ("Class", "binary"),
    "hpc": ("class", "multiclass"),
    "penguins": ("species", "multiclass"),
    "ames": ("Sale_Price", "regression"),
    "cars": ("Price", "regression"),
    "deliveries": ("time_to_delivery", "regression"),
}
"""Target and task of each csv."""

SCIKIT_LEARN: Mapping[str, tuple[Callable[..., Any], str]] = {
    "breast-cancer": (datasets.load_breast_cancer, "binary"),
    "iris": (datasets.load_iris, "multiclass"),
    "wine": (datasets.load_wine, "multiclass"),
    "digits": (datasets.load_digits, "multiclass"),
    "diabetes": (datasets.load_diabetes, "regression"),
}
"""What loads each table, and its task; the target is called `target`."""

NAMES = [*REAL, *SCIKIT_LEARN]


class Table(NamedTuple):
    """A table whose cells are texts as a csv has them, its target and its task."""

    name: str
    cells: pd.DataFrame
    target: str
    task: str


def tables(names: list[str], folder: Path, rows: int | None, seed: int) -> Iterator[Table]:
    """Load the tables of these names, or so many random rows of each; say which csv is missing."""
    for name in names:
        if name in REAL and not (folder / f"{name}.csv").exists():
            print(f"{name} is skipped: there is no {name}.csv in the folder of --data.", flush=True)
            continue
        table = _real(name, folder) if name in REAL else _scikit_learn(name)
        if rows and rows < len(table.cells):
            table = table._replace(cells=table.cells.sample(rows, random_state=seed).reset_index(drop=True))
        yield table


def _real(name: str, folder: Path) -> Table:
    return Table(name, pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False), *REAL[name])


def _scikit_learn(name: str) -> Table:
    load, task = SCIKIT_LEARN[name]
    return Table(name, load(as_frame=True).frame.astype(str), "target", task)
