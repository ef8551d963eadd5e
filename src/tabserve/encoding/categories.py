"""A cell becomes the code of its level: one of a few texts that training saw.

How a cell is spelled as a text (`spelled`): a text stays as it is; the empty text, None and NaN are missing; true is
"true" and false is "false"; a number is the shortest decimal that is the same number, a whole one without a point: 1.0
is "1", and 0.5 is "0.5".

Two texts are one level if they are the same decimal but for zeros at its end: "1.0" and "-3.00" are the levels "1" and
"-3"; or if they are "true" or "false" as programs write them: "True" and "TRUE" are the level "true". There is no other
likeness: "007" is not "7", "1e3" is not "1000", "yes" is not "true", and "tRUE" is neither.
"""

import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.cells import BadCell, Cells, Encoding, described, is_missing, plain, refused
from tabserve.encoding.texts import is_writable
from tabserve.errors import DataError, UsageError
from tabserve.problem.columns import Column, Unseen
from tabserve.wording import listed, shown

MAX_LEVELS = 10_000
"""Most levels of a column; training takes minutes for millions."""

MAX_CHARACTERS = 1_000
"""Most characters of a cell."""

MISSING, UNSEEN = -1, -2
"""Codes of an empty cell, and of a level that training did not see."""

DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")

TRUTHS = {spelling: word for word in ("true", "false") for spelling in (word.title(), word.upper())}
"""Other spellings of true and false; pandas writes the first into a csv."""

FAMILIES: dict[str, set[type]] = {"a text": {str}, "true or false": {bool}, "a number": {int, float}}
"""The types of cells that may be together in one column, by their name; None may be beside each."""

FAMILY = {kind: family for family, kinds in FAMILIES.items() for kind in kinds}


def spelled(cell: str | bool | float | None) -> str:
    """The text of a cell; empty if it is missing. A number must be finite."""
    if cell is None or isinstance(cell, str):
        return cell or ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if cell != cell:  # noqa: PLR0124  only NaN differs from itself
        return ""
    return str(int(cell)) if cell == int(cell) else np.format_float_positional(cell, trim="-")


def key(text: str) -> str:
    """A key that all spellings of a level share: a decimal without trailing zeros, true, false, or the text itself."""
    if not DECIMAL.fullmatch(text):
        return TRUTHS.get(text, text)
    short = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if short == "-0" else short


@dataclass(frozen=True)
class Categories(Encoding):
    """The levels of a column.

    Attributes:
        levels: as the training table spells them, in the order of their codes.
        missing: whether a cell may be empty.
        unseen: how a level that training did not see is treated: as `missing`, or `refused`.
    """

    TYPE: ClassVar[str] = "c"
    LEARNED: ClassVar[bool] = True

    levels: tuple[str, ...]
    missing: bool = False
    unseen: Unseen = "missing"

    def __post_init__(self) -> None:
        """Refuse levels that are not different short texts."""
        levels: object = self.levels
        if not isinstance(levels, tuple) or not all(isinstance(level, str) for level in levels):
            raise UsageError(f"A category needs a tuple of texts as its levels, not {shown(levels)}.")
        if complaint := _complaint(self.levels):
            raise UsageError(f"A category {complaint}.")

    @classmethod
    def learn(cls, column: Column, cells: Cells | Iterable[str | None]) -> "Categories":
        """Learn the distinct levels, sorted as numbers if all are numbers, else as text."""
        values = uniform(cells if isinstance(cells, np.ndarray) else [*cells])
        distinct = {*values}
        _check(_excess, distinct, values)
        texts = {*map(spelled, distinct)} - {""}
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
        """The levels that the manifest keeps."""
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
            BadCell: a cell is not a text, boolean or number, or is of another of these than the cells before, is longer
                than `MAX_CHARACTERS`, or is empty or unseen where that is refused.
        """
        values = uniform(cells)
        codes = [*map(self._index.get, values)]
        if None in codes:
            codes = self._all_codes(values, codes)
        if not self.missing and MISSING in codes:
            raise self._refused(codes, MISSING, values)
        if self.unseen == "refused" and UNSEEN in codes:
            raise self._refused(codes, UNSEEN, values)
        return np.array(codes, np.int32)

    def raw(self, cells: Cells) -> NDArray[np.int32]:
        """The codes, shape (rows, 1)."""
        return self.codes(cells)[:, np.newaxis]

    def encode(self, cells: Cells) -> NDArray[np.float32]:
        """The code of each cell's level, NaN where it is missing or unseen; shape (rows, 1)."""
        codes = self.raw(cells)
        return np.where(codes < 0, np.float32(np.nan), codes.astype(np.float32))

    def quick(self, cells: list[Any]) -> list[list[float | None]]:
        """The codes of texts that are levels as they stand."""
        return [[*map(self._quick_index.__getitem__, cells)]]

    def union(self, other: Encoding) -> "Categories":
        """The levels of both."""
        assert isinstance(other, Categories)
        known = {*map(key, self.levels)}
        return Categories((*self.levels, *(level for level in other.levels if key(level) not in known)), self.missing)

    def narrowed(self, features: NDArray[Any]) -> "Categories":
        """The levels whose codes occur, in the same order."""
        codes = np.unique(features[features >= 0])
        return Categories(tuple(self.levels[int(code)] for code in codes), self.missing, self.unseen)

    def recode(self, features: NDArray[np.float32], narrowed: Encoding) -> NDArray[np.float32]:
        """The codes of the narrowed levels; NaN for a level that is not among them."""
        assert isinstance(narrowed, Categories)
        codes = {level: code for code, level in enumerate(narrowed.levels)}
        table = np.array([*(codes.get(level, np.nan) for level in self.levels), np.nan], np.float32)
        return table[np.where(np.isnan(features), -1, features).astype(np.int32)]

    @cached_property
    def _index(self) -> dict[object, int]:
        """Codes by each form of a level: its own text, its key, and its number."""
        index: dict[object, int] = {"": MISSING, None: MISSING}
        for code, level in enumerate(self.levels):
            index[level] = index[short := key(level)] = code
            if (number := _number(short)) is not None:
                index[number] = code
        return index

    @cached_property
    def _quick_index(self) -> dict[str | None, float | None]:
        """The code of each level; no number, which true and false would equal."""
        index: dict[str | None, float | None] = dict(zip(self.levels, map(float, range(len(self.levels))), strict=True))
        return index | {"": None, None: None} if self.missing else index

    def _all_codes(self, cells: list[Any], codes: list[int | None]) -> list[int | None]:
        """The codes, with those of cells that are not in the index in their own form."""
        others = {cell for cell, code in zip(cells, codes, strict=True) if code is None}
        _check(_excess, others, cells)
        _check(_unreadable, others, cells)
        other_codes = {cell: self._index.get(key(spelled(cell)), UNSEEN) for cell in others}
        return [other_codes[cell] if code is None else code for cell, code in zip(cells, codes, strict=True)]

    def _refused(self, codes: list[int | None], refused_code: int, cells: list[Any]) -> BadCell:
        rows = [row for row, code in enumerate(codes) if code == refused_code]
        return BadCell(rows, f"one of {listed(self.levels)}", described(cells[rows[0]]))


def _number(text: str) -> float | None:
    """The number that is spelled like this text, or None."""
    if not DECIMAL.fullmatch(text):
        return None
    number = float(text) if "." in text else int(text)
    return number if not _excess(number) and spelled(number) == text else None


def uniform(cells: Cells) -> list[Any]:
    """The cells as texts only or numbers only, with booleans as texts; a missing cell stays as it is or becomes None.

    Raises:
        BadCell: a cell is none of these, or is of another family than the cells before.
    """
    values: list[Any] = cells if type(cells) is list else plain(cells)
    kinds = {*map(type, values)} - {type(None)}
    if kinds == FAMILIES["a text"] or kinds <= FAMILIES["a number"]:
        return values
    values = [None if is_missing(cell) else cell for cell in plain(values)]
    return [*map(spelled, values)] if _family(values) == "true or false" else values


def _family(values: list[Any]) -> str:
    """The family of all cells that are not None."""
    expected = "a text, a number, true or false"
    if bad := refused(values, lambda cell: "" if cell is None or type(cell) in FAMILY else expected):
        raise bad
    families = [FAMILY[type(cell)] for cell in values if cell is not None]
    first = families[0] if families else ""
    others = f"{first}, as in the rows before"
    if bad := refused(values, lambda cell: "" if cell is None or FAMILY[type(cell)] == first else others):
        raise bad
    return first


def _check(check: Callable[[Any], str], distinct: Iterable[str | float | None], cells: list[Any]) -> None:
    """Refuse cells for which `check` says what they should hold."""
    if any(map(check, distinct)) and (bad := refused(cells, check)):
        raise bad


def _unreadable(cell: str | float | None) -> str:
    return "" if not isinstance(cell, str) or is_writable(cell) else "whole characters, not half of a surrogate pair"


def _excess(cell: str | float | None) -> str:
    """Of a text that is too long, or a number that has no decimal; NaN is none of these."""
    if isinstance(cell, str):
        return f"a text of at most {MAX_CHARACTERS} characters" if len(cell) > MAX_CHARACTERS else ""
    return "a finite number" if cell is not None and abs(cell) > sys.float_info.max else ""


def _complaint(levels: tuple[str, ...]) -> str:
    """What is wrong with the levels, or the empty text."""
    if len(levels) > MAX_LEVELS:
        return f"has more than {MAX_LEVELS} levels; leave the column out, or group its values"
    keys: dict[str, str] = {}
    for level in levels:
        if not 0 < len(level) <= MAX_CHARACTERS:
            return f"has the level {shown(level)} of {len(level)} characters; expected 1 to {MAX_CHARACTERS}"
        if (short := key(level)) in keys:
            return f"has one level twice, as {shown(keys[short])} and as {shown(level)}; spell it in one way"
        keys[short] = level
    return _unwritable("".join(levels))


def _unwritable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"has a level with {text[error.start]!r}, which UTF-8 cannot write"
    return ""
