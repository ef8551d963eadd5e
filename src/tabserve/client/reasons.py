"""The columns that contributed most to each answer, from the output `contributions`."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.client.answer import Answer
from tabserve.client.metadata import Output
from tabserve.serving.protocol.contributions import NAME

MOST = 3
"""Number of columns that are named for a row."""


class Reason(NamedTuple):
    """A column's contribution to the answer for a row; the cell is None if it is missing."""

    column: str
    cell: Any
    contribution: float

    def __str__(self) -> str:
        """The column, its cell and its contribution, such as `contract=Month-to-month +0.83`."""
        cell = self.cell if isinstance(self.cell, str) else f"{self.cell:.7g}" if self.cell is not None else ""
        size = ",.2f" if abs(self.contribution) >= 0.01 else ".2g"
        return f"{self.column}{f'={cell}' if cell else ' (missing)'} {self.contribution:+{size}}"


def reasons(
    answers: Sequence[Answer], output: Output, columns: Mapping[str, NDArray[Any]], *, most: int = MOST
) -> list[list[Reason]]:
    """The columns with the largest contributions to each row's answer, the largest first.

    Of several classes, they are the contributions to the most probable one. The features of a date count together.

    Args:
        answers: for consecutive rows, with contributions.
        output: the metadata of the contributions.
        columns: the cells of all rows, by column.
        most: number of columns of a row.
    """
    names = [*dict.fromkeys(output.sources[:-1])]
    by_column = _by_column(np.concatenate([answer.outputs[NAME] for answer in answers]), output, names)
    order = np.argsort(-np.abs(by_column), axis=1, kind="stable")[:, :most]
    return [
        [Reason(names[index], _cell(columns.get(names[index]), row), float(by_column[row, index])) for index in indices]
        for row, indices in enumerate(order.tolist())
    ]


def as_documents(reasons: Sequence[Sequence[Reason]]) -> NDArray[np.object_]:
    """The reasons of each row as a list of JSON objects, shape (rows,)."""
    return np.fromiter(([reason._asdict() for reason in row] for row in reasons), np.object_)


def as_texts(reasons: Sequence[Sequence[Reason]]) -> NDArray[np.object_]:
    """The reasons of each row in one line, shape (rows,)."""
    return np.fromiter((", ".join(map(str, row)) for row in reasons), np.object_)


def _by_column(contributions: NDArray[np.float32], output: Output, names: Sequence[str]) -> NDArray[np.float64]:
    """The contributions to the answer by column, shape (rows, columns), without the base value."""
    if contributions.ndim == 3:
        label = contributions.sum(axis=2).argmax(axis=1)
        contributions = contributions[np.arange(len(label)), label]
    sums = np.zeros((len(contributions), len(names)))
    for feature, source in enumerate(output.sources[:-1]):
        sums[:, names.index(source)] += contributions[:, feature]
    return sums


def _cell(cells: NDArray[Any] | None, row: int) -> Any:  # noqa: ANN401  a number, a text, or None
    """A cell as a plain value; None if it is missing or its column is left out."""
    if cells is None or cells[row] == "" or cells[row] != cells[row]:  # NaN
        return None
    return float(str(cells[row])) if cells.dtype.kind == "f" else cells[row]  # the fewest digits, such as 45.6
