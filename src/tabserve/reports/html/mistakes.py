"""The rows of the hold-out that the model gets most wrong."""

import numpy as np
from numpy.typing import NDArray

from tabserve.reports.html.holdout import HoldOut, taken
from tabserve.reports.html.page import Table
from tabserve.reports.html.spelling import short
from tabserve.reports.html.task_page import page_of

ROWS = 10

CAPTION = "Rows with the largest errors"

MAX_CELL = 60
"""Most characters of a cell that are shown."""


def worst(holdout: HoldOut) -> NDArray[np.int64]:
    """The indices of the rows whose answers are wrong, worst first, and no more than `ROWS`."""
    page = page_of(holdout.model.problem)
    wrong = np.flatnonzero(page.wrong(holdout.target, holdout.answers))
    error = page.error(holdout.target, holdout.answers)[wrong]
    return wrong[np.argsort(-error, kind="stable")][:ROWS]


def table(holdout: HoldOut, rows: NDArray[np.int64]) -> Table:
    """The ids, the truth and the answers of these rows, one below the other."""
    titles, columns = zip(*_answers(holdout, rows), strict=True)
    return Table(CAPTION, titles, [*zip(*columns, strict=True)])


def table_with_cells(holdout: HoldOut, rows: NDArray[np.int64]) -> Table:
    """The same with the cells of these rows, one beside the other, as a table may have many columns."""
    frame, features = holdout.frame, holdout.frame.features[rows]
    cells = frame.encoder.decode(features) or {"text": [*map(str, features)]}
    shown = [(name, [short(cell, MAX_CELL) for cell in column]) for name, column in cells.items()]
    (title, ids), *others = [*_answers(holdout, rows), *shown]
    return Table(CAPTION, [title, *ids], [[name, *values] for name, values in others])


def _answers(holdout: HoldOut, rows: NDArray[np.int64]) -> list[tuple[str, list[str]]]:
    """Titles and texts of columns, the ids first."""
    page, frame = page_of(holdout.model.problem), holdout.frame
    answered = page.answered(holdout.target[rows], taken(holdout.answers, rows))
    return [(frame.problem.id or "row", [*map(str, frame.ids[rows])]), *answered.items()]
