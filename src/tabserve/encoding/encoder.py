"""Make features of the cells of a problem's columns, the same for files, requests and records."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.categories import UNSEEN, Categories
from tabserve.encoding.cells import BadCell, Cells, Distinct, Encoding
from tabserve.encoding.dates import Dates
from tabserve.encoding.numbers import Numbers
from tabserve.encoding.texts import check_cells, join_row
from tabserve.errors import UsageError
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.wording import listed, shown

P = ParamSpec("P")
Result = TypeVar("Result")

ENCODINGS: dict[str, type[Encoding]] = {"number": Numbers, "category": Categories, "date": Dates}
"""The encoding of each kind of column; columns of text have none, as the texts of a row are joined."""


class Encoded(NamedTuple):
    """Features, and the number of unseen levels among them.

    Attributes:
        features: float32, shape (rows, features); for columns of text, the text of each row, shape (rows,).
        unseen: number of rows with a level that training did not see, by column; columns without any are left out.
    """

    features: NDArray[Any]
    unseen: Mapping[str, int]


@dataclass(frozen=True)
class Encoder:
    """Makes features of the cells of a problem's columns.

    Attributes:
        columns: of the problem.
        encodings: one per column, in the same order; empty if the columns are texts.
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
            cells: the distinct cells of each column in `learned_columns`, by name.

        Raises:
            BadCell: a cell is not of its column's kind; the error names the column.
            DataError: a column is empty, has too many levels, or has one level in two spellings.
        """
        columns = [column for column in problem.columns if column.kind in ENCODINGS]
        encodings = (
            _call(column, ENCODINGS[column.kind].learn, column, cells.get(column.name, ())) for column in columns
        )
        return cls(problem.columns, tuple(encodings))

    @staticmethod
    def learned_columns(problem: Problem) -> list[str]:
        """The names of the columns whose encoding is learned from their cells."""
        columns = [column for column in problem.columns if column.kind in ENCODINGS]
        return [column.name for column in columns if ENCODINGS[column.kind].LEARNED]

    @classmethod
    def from_json(cls, problem: Problem, document: object) -> "Encoder":
        """The encoder whose `to_json` is this document.

        Raises:
            UsageError: the document lacks an encoding, has one too many, or has an invalid one.
        """
        kinds = [(column, ENCODINGS[column.kind]) for column in problem.columns if column.kind in ENCODINGS]
        names = cls.learned_columns(problem)
        if not isinstance(document, dict) or document.keys() != {*names}:
            found = listed(map(str, document)) if isinstance(document, dict) else shown(document)
            raise UsageError(
                f"Expected the encoding of the columns {listed(names) or '(none)'}, found {found or '{}'}."
            )
        return cls(
            problem.columns, tuple(_load_encoding(kind, column, document.get(column.name)) for column, kind in kinds)
        )

    def to_json(self) -> dict[str, Any]:
        """The learned encodings by column: the levels of categories, and whether dates have hours."""
        return {column.name: encoding.to_json() for column, encoding in self._pairs if encoding.LEARNED}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the features; a date has several features."""
        return tuple(column.name + suffix for column, encoding in self._pairs for suffix in encoding.suffixes)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The name of the column that each feature is made of."""
        return tuple(column.name for column, encoding in self._pairs for _ in encoding.suffixes)

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """Number of levels of each feature; 0 for a quantity."""
        return tuple(encoding.level_count for encoding in self.encodings for _ in encoding.suffixes)

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The type of each feature, as XGBoost's `feature_types`."""
        return tuple(encoding.TYPE for encoding in self.encodings for _ in encoding.suffixes)

    @cached_property
    def required(self) -> dict[str, str]:
        """What is expected in the cells of each column that is never missing, by column name; for messages."""
        expected = {}
        texts: list[Callable[[Cells], Any]] = [
            partial(check_cells, required=not column.missing) for column in self.columns
        ]
        for column, encode in zip(self.columns, [encoding.raw for encoding in self.encodings] or texts, strict=True):
            try:
                encode([None])
            except BadCell as bad:
                expected[column.name] = bad.expected
        return expected

    @property
    def categories(self) -> list[str]:
        """The names of the columns of categories."""
        return [column.name for column, encoding in self._pairs if encoding.TYPE == Categories.TYPE]

    @cached_property
    def numeric(self) -> bool:
        """Whether all columns are numbers, so that one matrix can hold their cells."""
        return bool(self.encodings) and all(isinstance(encoding, Numbers) for encoding in self.encodings)

    def encode(self, columns: Sequence[Cells | Distinct]) -> Encoded:
        """Encode the cells of each column, in the problem's order.

        Raises:
            BadCell: a column cannot hold a cell; the error names the column.
        """
        if not self.encodings:
            return Encoded(self._texts(columns), {})
        features = np.empty((len(columns[0]), len(self.names)), np.float32)
        start = 0
        for column, encoding, cells in zip(self.columns, self.encodings, columns, strict=True):
            raw = _call(column, _raw, encoding, cells)
            features[:, start : (start := start + raw.shape[1])] = raw
        return Encoded(features, self._clear_codes(features))

    def encode_quickly(self, columns: Sequence[list[Any]]) -> NDArray[np.float32]:
        """The features of ordinary cells; for few rows several times faster than `encode`.

        Raises:
            QUICK_ERRORS: a cell is not ordinary, as any text is not; `encode` decides about it.
        """
        pairs = zip(self.encodings, columns, strict=True)
        cells = [
            *chain.from_iterable([feature for encoding, column in pairs for feature in encoding.encode_quickly(column)])
        ]
        return np.array(cells, np.float32).reshape(len(self.names), -1).T

    def decode(self, features: NDArray[Any]) -> dict[str, list[str]]:
        """The cells of each column as texts for people, by its name; without columns of text."""
        parts = zip(self.columns, self._split(features), strict=False)
        return {column.name: encoding.decode(part) for column, (encoding, part) in parts}

    def tolerant(self) -> "Encoder":
        """The encoder that takes a level that training did not see for a missing cell in every column."""
        return replace(self, encodings=tuple(encoding.tolerant() for encoding in self.encodings))

    def unseen_levels(self, columns: Sequence[Cells | Distinct], names: Collection[str]) -> dict[str, Counter[str]]:
        """The levels of these columns that training did not see, with the number of their cells.

        Args:
            columns: the cells of each column, which `encode` has accepted.
            names: of the columns to look at, such as those of `Encoded.unseen`.
        """
        parts = zip(self._pairs, columns, strict=False)
        return {
            column.name: encoding.unseen_levels(cells) for (column, encoding), cells in parts if column.name in names
        }

    def narrow(self, features: NDArray[Any]) -> "Encoder":
        """The encoder with only the levels that occur in these features, such as a fold's."""
        parts = [encoding.narrow(part) for encoding, part in self._split(features)]
        return replace(self, encodings=tuple(parts))

    def recode(self, features: NDArray[Any], narrowed: "Encoder") -> NDArray[Any]:
        """These features as the narrowed encoder would make them; the same array if there are no categories."""
        if not len(self._codes):
            return features
        pairs = zip(self._split(features), narrowed.encodings, strict=True)
        parts = [encoding.recode(part, other) for (encoding, part), other in pairs]
        return np.ascontiguousarray(np.concatenate(parts, axis=1))

    @property
    def _pairs(self) -> Iterator[tuple[Column, Encoding]]:
        return zip(self.columns, self.encodings, strict=False)  # columns of text have no encodings

    @cached_property
    def _codes(self) -> NDArray[np.intp]:
        """The indices of the features that are codes."""
        return np.flatnonzero(np.array(self.types) == Categories.TYPE)

    def _split(self, features: NDArray[Any]) -> Iterator[tuple[Encoding, NDArray[Any]]]:
        """Pair each encoding with its features."""
        start = 0
        for encoding in self.encodings:
            yield encoding, features[:, start : (start := start + len(encoding.suffixes))]

    def _clear_codes(self, features: NDArray[np.float32]) -> dict[str, int]:
        """Set missing and unseen codes to NaN, in place; return the number of unseen ones by column, without zeros."""
        codes = features[:, self._codes]
        if not (unknown := codes < 0).any():
            return {}
        unseen = np.count_nonzero(codes == UNSEEN, axis=0).tolist()
        features[:, self._codes] = np.where(unknown, np.float32(np.nan), codes)
        return {self.names[code]: count for code, count in zip(self._codes, unseen, strict=True) if count}

    def _texts(self, columns: Sequence[Cells | Distinct]) -> NDArray[np.object_]:
        """The joined text of each row, shape (rows,)."""
        pairs = zip(self.columns, columns, strict=True)
        texts = [_call(column, check_cells, _listed(cells), required=not column.missing) for column, cells in pairs]
        return np.array([join_row(row) for row in zip(*texts, strict=True)], np.object_)


def _raw(encoding: Encoding, cells: Cells | Distinct) -> NDArray[Any]:
    """The raw features of cells; if those that repeat have a bad value, the cells one by one give the first bad row."""
    if isinstance(cells, Distinct):
        with suppress(BadCell):
            return encoding.raw(cells.values)[cells.indices]  # type: ignore[no-any-return]  # an array by an array
    return encoding.raw(_listed(cells))


def _listed(cells: Cells | Distinct) -> Cells:
    return cells.to_list() if isinstance(cells, Distinct) else cells


def _load_encoding(kind: type[Encoding], column: Column, document: object) -> Encoding:
    try:
        return kind.from_json(column, document)
    except UsageError as error:
        raise UsageError(f"The encoding of column {shown(column.name)} cannot be used: {error}") from error


def _call(column: Column, function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """Call a function of one column, and set the column's name in the BadCell that it raises."""
    try:
        return function(*args, **kwargs)
    except BadCell as bad:
        bad.column = column.name
        raise
