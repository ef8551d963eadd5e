"""Cast the cells of a batch to the types of their columns; spellings of an empty cell become one."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter

import pyarrow as pa
import pyarrow.compute as pc

from tabserve.encoding.categories import spelling
from tabserve.encoding.cells import SPACES
from tabserve.errors import DataError
from tabserve.table.columns import Columns, bad_cell, bad_indices
from tabserve.table.csv_blocks import BadRow
from tabserve.table.dialect import MISSING

NUMBERS = pa.float64()

NUMBER = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")

OTHER_SIGNS = re.compile(r"[-+]?(?:[.,]|[0-9]+[.,' _\u00a0\u2009\u202f])[0-9]+(?:[.,' _\u00a0\u2009\u202f][0-9]+)*")
"""A number with separators of thousands, or with another decimal sign than its table has."""


@dataclass(frozen=True)
class Caster:
    """Casts the columns of batches to the types of `Columns.schema`.

    Attributes:
        table: the table's name in messages.
        columns: the wanted columns.
        decimal: the decimal sign of numbers in text.
    """

    table: str
    columns: Columns
    decimal: str = "."

    def cast_batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The wanted columns of a batch in their types; cells that are read as they are stored stay as they are.

        Raises:
            BadRow: naming the first row with a cell that cannot be cast.
            DataError: no cell of a column's type can be cast.
        """
        if self.columns.stored is not None:
            return batch.select(self.columns.stored.names)
        cast, groups, bad = dict[str, pa.Array](), defaultdict(list), list[BadRow]()
        cells = dict(zip(batch.schema.names, batch.columns, strict=True))
        for name, target in self._targets.items():
            if name in self.columns.optional and name not in cells:
                cast[name] = pa.nulls(len(batch), target)
                continue
            kind = cells[name].type
            if name in self._unchanged and kind == NUMBERS:
                cast[name] = cells[name]
            else:
                groups[name if pa.types.is_dictionary(kind) else kind, target].append(name)
        for (_, target), names in groups.items():
            try:
                cast.update(self._cast_columns(batch.select(names), target))
            except BadRow as error:
                bad.append(error)
        if bad:
            raise min(bad, key=attrgetter("row"))
        return pa.record_batch([cast[name] for name in self._targets], self._schema)

    def _cast_columns(self, batch: pa.RecordBatch, target: pa.DataType) -> Iterator[tuple[str, pa.Array]]:
        """Cast columns of one type in a single call: with few rows the calls take longer than the work."""
        names, rows, cells = batch.schema.names, len(batch), pa.concat_arrays(batch.columns)
        if pa.types.is_dictionary(cells.type) and not pa.types.is_dictionary(target):
            cells = cells.dictionary_decode()
        try:
            result = self.cast(cells, target)
        except pa.ArrowNotImplementedError as error:
            expected = "numbers" if target == NUMBERS else "texts"
            raise DataError(f"{self.table}, column {names[0]!r}: expected {expected}, found {cells.type}.") from error
        except pa.ArrowInvalid as error:
            if pa.types.is_dictionary(cells.type):  # perhaps a text that no cell has
                return self._cast_columns(pa.record_batch([cells.dictionary_decode()], names), target)
            raise _first_bad_cell(batch, self, target) from error
        return ((name, result.slice(index * rows, rows)) for index, name in enumerate(names))

    def cast(self, cells: pa.Array, target: pa.DataType) -> pa.Array:
        """Cast cells to numbers, texts, or a dictionary of texts.

        Raises:
            pyarrow.ArrowInvalid: a cell cannot be cast.
            pyarrow.ArrowNotImplementedError: no cell of this type can.
        """
        if pa.types.is_dictionary(target):
            return self._levels(cells)
        return self._numbers(cells) if target == NUMBERS else self._texts(cells)

    @cached_property
    def _schema(self) -> pa.Schema:
        return self.columns.schema()

    @cached_property
    def _targets(self) -> dict[str, pa.DataType]:
        return dict(zip(self._schema.names, self._schema.types, strict=True))

    @cached_property
    def _unchanged(self) -> set[str]:
        """The columns of numbers, unless some numbers are blanks."""
        return set() if self._blank_numbers else {*self.columns.numbers}

    @cached_property
    def _blank_numbers(self) -> list[float]:
        return blank_numbers(self.columns.blanks)

    def _levels(self, cells: pa.Array) -> pa.DictionaryArray:
        """The dictionary is cast, not each cell; two of its texts may then be the same."""
        coded = cells if pa.types.is_dictionary(cells.type) else cells.dictionary_encode("encode")
        return pa.DictionaryArray.from_arrays(coded.indices.cast(pa.int32()), self._texts(coded.dictionary))

    def _texts(self, cells: pa.Array) -> pa.StringArray:
        """Numbers are spelled as in a csv, and moments in UTC."""
        cells = in_utc(cells)
        if pa.types.is_floating(cells.type):
            cells = _decimals(pc.if_else(pc.is_nan(cells), None, cells))
        texts = pc.ascii_trim(cells.cast(pa.string()), SPACES)
        return pc.if_else(pc.is_in(texts, pa.array(self.columns.blanks)), "", texts) if self.columns.blanks else texts

    def _numbers(self, cells: pa.Array) -> pa.DoubleArray:
        """Numbers are rounded to 64 bits; blanks that are numbers are compared in the type of the cells."""
        if not pa.types.is_primitive(cells.type):
            cells = self._parse(self._texts(cells))
        numbers = cells.cast(pa.float64(), safe=False)
        if not self._blank_numbers:
            return numbers
        exact = cells.type if pa.types.is_floating(cells.type) else pa.float64()
        blanks = pa.array(self._blank_numbers).cast(exact, safe=False).cast(pa.float64())
        return pc.if_else(pc.is_in(numbers, blanks), None, numbers)

    def _parse(self, texts: pa.StringArray) -> pa.DoubleArray:
        texts = pc.if_else(pc.is_in(texts, pa.array(MISSING)), None, texts)
        if self.decimal != ".":
            texts = pc.replace_substring(pc.replace_substring(texts, ".", "?"), self.decimal, ".")
        return texts.cast(pa.float64())


def blank_numbers(blanks: Sequence[str]) -> list[float]:
    """The numbers among spellings of an empty cell, which are empty however a cell writes them."""
    return [float(blank) for blank in blanks if NUMBER.fullmatch(blank)]


def in_utc(cells: pa.Array) -> pa.Array:
    """Moments of a time zone as those of UTC without a zone, in which one moment is the same whatever its column says.

    Cells of other types stay.
    """
    kind = cells.type
    return cells.cast(pa.timestamp(kind.unit)) if pa.types.is_timestamp(kind) and kind.tz else cells


def _first_bad_cell(batch: pa.RecordBatch, caster: Caster, target: pa.DataType) -> BadRow:
    """The error of the first row with a cell that cannot be cast."""

    def castable(columns: Sequence[pa.Array]) -> bool:
        return _succeeds(lambda: caster.cast(pa.concat_arrays(columns), target))

    columns = [column.dictionary_decode() if pa.types.is_dictionary(column.type) else column for column in batch]
    bad = [*bad_indices(range(len(batch)), lambda part: castable([column[part] for column in columns]))]
    row = [column[bad[0] : bad[0] + 1] for column in columns]
    index = next(bad_indices(range(len(row)), lambda part: castable(row[part])))
    cell = str(row[index][0])
    return bad_cell(bad, batch.schema.names[index], _expected(cell, row[index].type, target, caster), repr(cell[:40]))


def _expected(cell: str, kind: pa.DataType, target: pa.DataType, caster: Caster) -> str:
    """What is expected in place of a cell that cannot be cast."""
    if pa.types.is_floating(kind):
        return "a finite number"
    if target != NUMBERS:
        return "a text"
    if OTHER_SIGNS.fullmatch(cell.strip(SPACES)):
        return f"a number without separators of thousands and with {caster.decimal!r} before its decimals"
    return "a number"


def _succeeds(action: Callable[[], object]) -> bool:
    try:
        action()
    except pa.ArrowInvalid:
        return False
    return True


def _decimals(floats: pa.Array) -> pa.Array:
    """Floats as text without exponents, as `encoding.categories` spells them; infinity has no such text."""
    if pc.any(pc.is_inf(floats)).as_py():
        raise pa.ArrowInvalid("infinity is no decimal")
    text = floats.cast(pa.string())
    if not pc.any(pc.match_substring(text, "e")).as_py():
        return text
    return pa.array([spelling(float(cell)) if cell and "e" in cell else cell for cell in text.to_pylist()])
