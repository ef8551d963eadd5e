"""Makes features of the cells of a problem's columns: the same for files, requests and records."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.categories import UNSEEN, Categories
from tabserve.encoding.cells import BadCell, Cells, Encoding
from tabserve.encoding.dates import Dates
from tabserve.encoding.numbers import Numbers
from tabserve.encoding.texts import check_cells, join_row
from tabserve.errors import UsageError
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.wording import listed, shown

P = ParamSpec("P")
Made = TypeVar("Made")

ENCODINGS: dict[str, type[Encoding]] = {"number": Numbers, "category": Categories, "date": Dates}
"""The encoding of each kind of column; texts have none, as those of a row are joined."""


class Encoded(NamedTuple):
    """Features, and what is to be counted about them.

    Attributes:
        features: float32, shape (rows, features); for columns of text, the text of each row, shape (rows,).
        unseen: number of rows with a level that training did not see, by column of categories; zeros are left out.
    """

    features: NDArray[Any]
    unseen: Mapping[str, int]


@dataclass(frozen=True)
class Encoder:
    """Makes features of the columns of a problem.

    Attributes:
        columns: of the problem.
        encodings: one per column, or none if the columns are texts.
    """

    columns: tuple[Column, ...]
    encodings: tuple[Encoding, ...]

    def __post_init__(self) -> None:
        """Refuse two features of the same name."""
        if repeated := [name for name, times in Counter(self.names).items() if times > 1]:
            raise UsageError(f"A date gives features that other columns are called: {listed(repeated)}; rename them.")

    @classmethod
    def learn(cls, problem: Problem, cells: Mapping[str, Cells]) -> "Encoder":
        """Learn the encoding of each column of a training table.

        Args:
            problem: names the columns.
            cells: the distinct cells of each column in `learned`, by name.

        Raises:
            BadCell: a cell is not of its column's kind; the error names the column.
            DataError: a column is empty, or has too many levels, or one level in two spellings.
        """
        columns = [column for column in problem.columns if column.kind in ENCODINGS]
        encodings = (
            _named(column, ENCODINGS[column.kind].learn, column, cells.get(column.name, ())) for column in columns
        )
        return cls(problem.columns, tuple(encodings))

    @staticmethod
    def learned(problem: Problem) -> list[str]:
        """The names of the columns whose encoding is learned from their cells."""
        columns = [column for column in problem.columns if column.kind in ENCODINGS]
        return [column.name for column in columns if ENCODINGS[column.kind].LEARNED]

    @classmethod
    def from_json(cls, problem: Problem, document: object) -> "Encoder":
        """The encoder whose `to_json` is this document.

        Raises:
            UsageError: the document has an encoding of no column that needs one, lacks one, or holds a wrong one.
        """
        kinds = [(column, ENCODINGS[column.kind]) for column in problem.columns if column.kind in ENCODINGS]
        needed = cls.learned(problem)
        if not isinstance(document, dict) or document.keys() != {*needed}:
            found = listed(map(str, document)) if isinstance(document, dict) else shown(document)
            raise UsageError(
                f"Expected the encoding of the columns {listed(needed) or '(none)'}, found {found or '{}'}."
            )
        return cls(problem.columns, tuple(_read(kind, column, document.get(column.name)) for column, kind in kinds))

    def to_json(self) -> dict[str, Any]:
        """What the manifest keeps: for each column of categories its levels, for each date whether it has hours."""
        return {column.name: encoding.to_json() for column, encoding in self._pairs if encoding.LEARNED}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the features; a date has several features."""
        return tuple(column.name + part for column, encoding in self._pairs for part in encoding.parts)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The column that each feature is made of."""
        return tuple(column.name for column, encoding in self._pairs for _ in encoding.parts)

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """Number of levels of each feature; 0 for a quantity."""
        return tuple(encoding.level_count for encoding in self.encodings for _ in encoding.parts)

    @cached_property
    def types(self) -> tuple[str, ...]:
        """XGBoost's `feature_types`."""
        return tuple(encoding.TYPE for encoding in self.encodings for _ in encoding.parts)

    @cached_property
    def needed(self) -> dict[str, str]:
        """What a cell should be, for a sentence, of each column that is never empty; by the column's name."""
        found = {}
        texts: list[Callable[[Cells], Any]] = [partial(check_cells, needed=not each.missing) for each in self.columns]
        for column, encode in zip(self.columns, [each.raw for each in self.encodings] or texts, strict=True):
            try:
                encode([None])
            except BadCell as bad:
                found[column.name] = bad.expected
        return found

    @property
    def categories(self) -> list[str]:
        """The names of the columns of categories."""
        return [column.name for column, encoding in self._pairs if encoding.level_count]

    @cached_property
    def numeric(self) -> bool:
        """Whether all columns are numbers, so that one matrix can hold their cells."""
        return bool(self.encodings) and all(isinstance(encoding, Numbers) for encoding in self.encodings)

    def encode(self, columns: Sequence[Cells]) -> Encoded:
        """Encode the cells of each column, in the problem's order.

        Raises:
            BadCell: a column cannot hold a cell; the error names the column.
        """
        if not self.encodings:
            return Encoded(self._texts(columns), {})
        features = np.empty((len(columns[0]), len(self.names)), np.float32)
        start = 0
        for column, encoding, cells in zip(self.columns, self.encodings, columns, strict=True):
            raw = _named(column, encoding.raw, cells)
            features[:, start : (start := start + raw.shape[1])] = raw
        return Encoded(features, self._blank(features))

    def quick(self, columns: Sequence[list[Any]]) -> NDArray[np.float32]:
        """The same of few rows, if their cells are as nearly all are, and in a fraction of the time.

        Raises:
            UNUSUAL: one of them needs a closer look, by `encode`; of texts each does.
        """
        pairs = zip(self.encodings, columns, strict=True)
        cells = [*chain.from_iterable([feature for encoding, column in pairs for feature in encoding.quick(column)])]
        return np.array(cells, np.float32).reshape(len(self.names), -1).T

    def union(self, other: "Encoder") -> "Encoder":
        """The encoder of the same columns that knows the levels of both.

        Raises:
            UsageError: the two cannot be united.
        """
        pairs = zip(self.encodings, other.encodings, strict=True)
        return replace(self, encodings=tuple(one.union(another) for one, another in pairs))

    def narrowed(self, features: NDArray[Any]) -> "Encoder":
        """The encoder with only the levels that occur in these features, such as a fold's."""
        parts = [encoding.narrowed(part) for encoding, part in self._split(features)]
        return replace(self, encodings=tuple(parts))

    def recode(self, features: NDArray[Any], narrowed: "Encoder") -> NDArray[Any]:
        """Its features as the narrowed encoder has them: the same array if there are no categories."""
        if not len(self._codes):
            return features
        pairs = zip(self._split(features), narrowed.encodings, strict=True)
        parts = [encoding.recode(part, other) for (encoding, part), other in pairs]
        return np.ascontiguousarray(np.concatenate(parts, axis=1))

    @property
    def _pairs(self) -> Iterator[tuple[Column, Encoding]]:
        return zip(self.columns, self.encodings, strict=False)  # texts have columns alone

    @cached_property
    def _codes(self) -> NDArray[np.intp]:
        """The indices of the features that are codes."""
        return np.flatnonzero(np.array(self.types) == Categories.TYPE)

    def _split(self, features: NDArray[Any]) -> Iterator[tuple[Encoding, NDArray[Any]]]:
        """Each encoding with its features."""
        start = 0
        for encoding in self.encodings:
            yield encoding, features[:, start : (start := start + len(encoding.parts))]

    def _blank(self, features: NDArray[np.float32]) -> dict[str, int]:
        """Set missing and unseen codes to NaN, in place, and count the unseen ones of each column."""
        codes = features[:, self._codes]
        if not (blank := codes < 0).any():
            return {}
        unseen = np.count_nonzero(codes == UNSEEN, axis=0).tolist()
        features[:, self._codes] = np.where(blank, np.float32(np.nan), codes)
        return {self.names[code]: count for code, count in zip(self._codes, unseen, strict=True) if count}

    def _texts(self, columns: Sequence[Cells]) -> NDArray[np.object_]:
        """The text of each row."""
        pairs = zip(self.columns, columns, strict=True)
        texts = [_named(column, check_cells, cells, needed=not column.missing) for column, cells in pairs]
        return np.array([join_row(row) for row in zip(*texts, strict=True)], np.object_)


def _read(kind: type[Encoding], column: Column, document: object) -> Encoding:
    try:
        return kind.from_json(column, document)
    except UsageError as error:
        raise UsageError(f"The encoding of column {shown(column.name)} cannot be used: {error}") from error


def _named(column: Column, work: Callable[P, Made], *args: P.args, **kwargs: P.kwargs) -> Made:
    """Call `work`, and set the column's name in the error that it raises."""
    try:
        return work(*args, **kwargs)
    except BadCell as bad:
        bad.column = column.name
        raise
