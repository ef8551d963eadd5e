"""Encode the cells of a column of categories as the codes of their levels, which are the texts that training saw.

`spelling` makes a text of a cell: a text stays as it is; the empty text, None and NaN are missing; true is "true" and
false is "false"; a number becomes the shortest decimal that equals it, without a point if it is whole: 1.0 is "1", and
0.5 is "0.5".

Two texts are the same level if they are the same decimal without trailing zeros ("1.0" is "1", "-3.00" is "-3"), or
the same boolean in a usual spelling ("True" and "TRUE" are "true"), or differ in surrounding spaces and tabs
alone (" Yes" is "Yes", and a text of spaces alone is missing). All other texts differ: "007" is not "7", "1e3" is not
"1000", and neither "yes" nor "tRUE" is "true".
"""

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from itertools import repeat
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.cells import (
    SPACES,
    BadCell,
    Cells,
    Distinct,
    Encoding,
    describe_cell,
    first_refusal,
    is_missing,
    to_python,
)
from tabserve.encoding.texts import is_encodable
from tabserve.errors import DataError, UsageError
from tabserve.problem.columns import Column, Unseen
from tabserve.wording import listed, shown

MAX_LEVELS = 10_000
"""Most levels of a column; training takes minutes for millions."""

MAX_CHARACTERS = 1_000
"""Most characters of a cell."""

MISSING, UNSEEN = -1, -2
"""Codes of a missing cell, and of a level that training did not see."""

DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")

BOOLEANS = {other: word for word in ("true", "false") for other in (word.title(), word.upper())}
"""Other spellings of true and false, such as "True", which pandas writes into a csv."""

FAMILIES: dict[str, set[type]] = {"a text": {str}, "true or false": {bool}, "a number": {int, float}}
"""The types of cells that one column may hold together, by a name for messages; None goes with each."""

FAMILY = {kind: family for family, kinds in FAMILIES.items() for kind in kinds}


def spelling(cell: str | bool | float | None) -> str:
    """The text of a cell, empty if the cell is missing; a number must be finite."""
    if cell is None or isinstance(cell, str):
        return cell or ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if cell != cell:  # noqa: PLR0124  only NaN differs from itself
        return ""
    return str(int(cell)) if cell == int(cell) else np.format_float_positional(cell, trim="-")


def key(text: str) -> str:
    """The key that all spellings of a level share: a decimal without trailing zeros, "true", "false", or the text.

    Surrounding `SPACES` count for nothing.
    """
    text = text.strip(SPACES)
    if not DECIMAL.fullmatch(text):
        return BOOLEANS.get(text, text)
    short = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if short == "-0" else short


@dataclass(frozen=True)
class Categories(Encoding):
    """The levels of a column.

    Attributes:
        levels: in the order of their codes, as the training table spells them.
        missing: whether a cell may be empty.
        unseen: whether a level that training did not see counts as `missing` or is `refused`.
    """

    TYPE: ClassVar[str] = "c"
    LEARNED: ClassVar[bool] = True

    levels: tuple[str, ...]
    missing: bool = False
    unseen: Unseen = "missing"

    def __post_init__(self) -> None:
        """Refuse levels that are not distinct texts of 1 to `MAX_CHARACTERS` characters."""
        levels: object = self.levels
        if not isinstance(levels, tuple) or not all(isinstance(level, str) for level in levels):
            raise UsageError(f"A category needs a tuple of texts as its levels, not {shown(levels)}.")
        if complaint := _complaint(self.levels):
            raise UsageError(f"A category {complaint}.")

    @classmethod
    def learn(cls, column: Column, cells: Cells | Iterable[str | None]) -> "Categories":
        """Learn the distinct levels, sorted as numbers if all are numbers, else as text."""
        values = unify_types(cells if isinstance(cells, np.ndarray) else [*cells])
        distinct = {*values}
        _refuse_by(_expected_size, distinct, values)
        texts = {spelling(cell).strip(SPACES) for cell in distinct} - {""}
        if not texts:
            raise DataError(f"Column {column.name!r} is empty throughout; leave it out.")
        ordered = sorted(texts)
        if all(map(DECIMAL.fullmatch, ordered)):
            ordered.sort(key=Decimal)
        if complaint := _complaint(levels := tuple(ordered)):
            raise DataError(f"Column {column.name!r} {complaint}.")
        return cls(levels, column.missing, column.unseen)

    @classmethod
    def from_json(cls, column: Column, document: Any) -> "Categories":  # noqa: ANN401  any JSON
        """The encoding whose `to_json` is this document."""
        if not isinstance(document, dict) or document.keys() != {"levels"} or not isinstance(document["levels"], list):
            raise UsageError(f'A category needs {{"levels": […]}}, not {shown(document)}.')
        return cls(tuple(document["levels"]), column.missing, column.unseen)

    def to_json(self) -> dict[str, Any]:
        """The levels, in the order of their codes."""
        return {"levels": [*self.levels]}

    @property
    def level_count(self) -> int:
        """Number of levels."""
        return len(self.levels)

    def codes(self, cells: Cells) -> NDArray[np.int32]:
        """The code of each cell's level, or `MISSING` or `UNSEEN`; shape (rows,).

        Raises:
            BadCell: a cell is not a text, boolean or number, or not of the same of these as the cells before it, or is
                longer than `MAX_CHARACTERS`, or is missing or unseen where that is refused.
        """
        values = unify_types(cells)
        codes = [*map(self._index.get, values)]
        if None in codes:
            codes = self._all_codes(values, codes)
        if not self.missing and MISSING in codes:
            raise self._refusal(codes, MISSING, values)
        if self.unseen == "refused" and UNSEEN in codes:
            raise self._refusal(codes, UNSEEN, values)
        return np.array(codes, np.int32)

    def raw(self, cells: Cells) -> NDArray[np.int32]:
        """The codes, shape (rows, 1)."""
        return self.codes(cells)[:, np.newaxis]

    def encode(self, cells: Cells) -> NDArray[np.float32]:
        """The code of each cell's level, NaN where it is missing or unseen; shape (rows, 1)."""
        codes = self.raw(cells)
        return np.where(codes < 0, np.float32(np.nan), codes.astype(np.float32))

    def encode_quickly(self, cells: list[Any]) -> list[list[float | None]]:
        """The codes of texts that are spelled as their levels."""
        return [[*map(self._quick_index.__getitem__, cells)]]

    def decode(self, features: NDArray[Any]) -> list[str]:
        """The levels; empty if missing or unseen."""
        return ["" if np.isnan(code) else self.levels[int(code)] for code in features[:, 0]]

    def tolerant(self) -> "Categories":
        """The encoding that takes a level that training did not see for a missing cell, never refuses it."""
        return replace(self, unseen="missing")

    def unseen_levels(self, cells: Cells | Distinct) -> Counter[str]:
        """The keys of levels that training did not see, with the number of their cells; the cells are not refused."""
        values = unify_types(cells.values if isinstance(cells, Distinct) else cells)
        counts = np.bincount(cells.indices, minlength=len(values)) if isinstance(cells, Distinct) else repeat(1)
        levels: Counter[str] = Counter()
        for value, count in zip(values, counts, strict=False):
            if value not in self._index and (level := key(spelling(value))) not in self._index:
                levels[level] += int(count)
        return +levels  # without values that no cell has

    def narrow(self, features: NDArray[Any]) -> "Categories":
        """The encoding with only the levels whose codes occur, in the same order."""
        codes = np.unique(features[features >= 0])
        return Categories(tuple(self.levels[int(code)] for code in codes), self.missing, self.unseen)

    def recode(self, features: NDArray[np.float32], narrowed: Encoding) -> NDArray[np.float32]:
        """The codes of the narrowed encoding; NaN for a level that it lacks."""
        assert isinstance(narrowed, Categories)
        codes = {level: code for code, level in enumerate(narrowed.levels)}
        table = np.array([*(codes.get(level, np.nan) for level in self.levels), np.nan], np.float32)
        return table[np.where(np.isnan(features), -1, features).astype(np.int32)]

    @cached_property
    def _index(self) -> dict[object, int]:
        """The code of each level, by its text, its key and its number; also of missing cells."""
        index: dict[object, int] = {"": MISSING, None: MISSING}
        for code, level in enumerate(self.levels):
            index[level] = index[short := key(level)] = code
            if (number := _number(short)) is not None:
                index[number] = code
        return index

    @cached_property
    def _quick_index(self) -> dict[str | None, float | None]:
        """The code of each level by its text alone, since True and False would equal numbers; also of missing cells."""
        index: dict[str | None, float | None] = dict(zip(self.levels, map(float, range(len(self.levels))), strict=True))
        return index | {"": None, None: None} if self.missing else index

    def _all_codes(self, cells: list[Any], codes: list[int | None]) -> list[int | None]:
        """Complete the codes with those of cells that the index lacks in their present form."""
        others = {cell for cell, code in zip(cells, codes, strict=True) if code is None}
        _refuse_by(_expected_size, others, cells)
        _refuse_by(_expected_characters, others, cells)
        other_codes = {cell: self._index.get(key(spelling(cell)), UNSEEN) for cell in others}
        return [other_codes[cell] if code is None else code for cell, code in zip(cells, codes, strict=True)]

    def _refusal(self, codes: list[int | None], refused_code: int, cells: list[Any]) -> BadCell:
        rows = [row for row, code in enumerate(codes) if code == refused_code]
        expected = f"one of {listed(self.levels)}" if self.levels else "an empty cell, as training saw no level"
        return BadCell(rows, expected, describe_cell(cells[rows[0]]))


def _number(text: str) -> float | None:
    """The number whose spelling is this text, or None."""
    if not DECIMAL.fullmatch(text):
        return None
    number = float(text) if "." in text else int(text)
    return number if not _expected_size(number) and spelling(number) == text else None


def unify_types(cells: Cells) -> list[Any]:
    """The cells as texts only or numbers only, booleans as texts; a missing cell stays as it is or becomes None.

    Raises:
        BadCell: a cell is not a text, boolean or number, or not of the family of the cells before it.
    """
    values: list[Any] = cells if type(cells) is list else to_python(cells)
    kinds = {*map(type, values)} - {type(None)}
    if kinds == FAMILIES["a text"] or kinds <= FAMILIES["a number"]:
        return values
    values = [None if is_missing(cell) else cell for cell in to_python(values)]
    return [*map(spelling, values)] if _family(values) == "true or false" else values


def _family(values: list[Any]) -> str:
    """The family of the cells that are not None; empty if all are None."""
    expected = "a text, a number, true or false"
    if bad := first_refusal(values, lambda cell: "" if cell is None or type(cell) in FAMILY else expected):
        raise bad
    families = [FAMILY[type(cell)] for cell in values if cell is not None]
    first = families[0] if families else ""
    others = f"{first}, as in the rows before"
    if bad := first_refusal(values, lambda cell: "" if cell is None or FAMILY[type(cell)] == first else others):
        raise bad
    return first


def _refuse_by(check: Callable[[Any], str], distinct: Iterable[str | float | None], cells: list[Any]) -> None:
    """Refuse cells for which `check` returns what it expects; `distinct` is checked first, as it is shorter."""
    if any(map(check, distinct)) and (bad := first_refusal(cells, check)):
        raise bad


def _expected_characters(cell: str | float | None) -> str:
    """What is expected of a text that UTF-8 cannot encode; else the empty text."""
    return "" if not isinstance(cell, str) or is_encodable(cell) else "whole characters, not half of a surrogate pair"


def _expected_size(cell: str | float | None) -> str:
    """What is expected of a text that is too long or a number that has no decimal; else, as for NaN, the empty text."""
    if isinstance(cell, str):
        return f"a text of at most {MAX_CHARACTERS} characters" if len(cell) > MAX_CHARACTERS else ""
    return "a finite number" if cell is not None and abs(cell) > sys.float_info.max else ""


def _complaint(levels: tuple[str, ...]) -> str:
    """The reason why the levels are invalid, or the empty text."""
    if len(levels) > MAX_LEVELS:
        return f"has more than {MAX_LEVELS} levels; leave the column out, or group its values"
    keys: dict[str, str] = {}
    for level in levels:
        if not key(level) or len(level) > MAX_CHARACTERS:
            return f"has the level {shown(level)} of {len(level)} characters; expected 1 to {MAX_CHARACTERS}"
        if (short := key(level)) in keys:
            return f"has one level twice, as {shown(keys[short])} and as {shown(level)}; spell it in one way"
        keys[short] = level
    return _encoding_complaint("".join(levels))


def _encoding_complaint(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"has a level with {text[error.start]!r}, which UTF-8 cannot write"
    return ""
