"""The rows of the hold-out that the model gets most wrong."""

import numpy as np

from tabserve.reports.html.holdout import HoldOut, taken
from tabserve.reports.html.page import Table
from tabserve.reports.html.spelling import short
from tabserve.reports.html.task_page import page_of

ROWS = 10

MAX_CELL = 60
"""Most characters of a cell that are shown."""


def table(holdout: HoldOut, *, cells: bool) -> Table:
    """The ids, the truth and the answers of these rows, worst first.

    Args:
        holdout: the rows.
        cells: whether to show the cells of these rows as well.
    """
    page, frame = page_of(holdout.model.problem), holdout.frame
    worst = np.argsort(-page.error(holdout.target, holdout.answers), kind="stable")[:ROWS]
    columns = page.answered(holdout.target[worst], taken(holdout.answers, worst))
    head = [frame.problem.id or "row", *columns]
    rows = [*zip(map(str, frame.ids[worst]), *columns.values(), strict=True)]
    if cells:
        features = frame.features[worst]
        shown = frame.encoder.decode(features) or {"text": [*map(str, features)]}
        head += [*shown]
        rows = [
            (*row, *(short(cell, MAX_CELL) for cell in more)) for row, *more in zip(rows, *shown.values(), strict=True)
        ]
    return Table("Rows with the largest errors", head, rows)
