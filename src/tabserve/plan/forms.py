"""The forms that a cell's text can have, such as a whole number or an ISO date, found for whole arrays at once."""

from enum import Enum
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tabserve.encoding.categories import BOOLEANS
from tabserve.encoding.dates import DAY, TIME
from tabserve.table.dialect import MISSING


class Form(Enum):
    """What a cell looks like; the value says it in words, for many cells."""

    WHOLE = "whole numbers"
    DECIMAL = "numbers"
    BOOLEAN = "true or false"
    DATE = "dates"
    MOMENT = "dates with a time"
    FOREIGN_DATE = "dates in another format than 2020-12-31"
    FOREIGN_NUMBER = "numbers with thousands separators or signs such as $ and %"
    MARK = "marks such as ? and -"
    NONE = "words such as NA and None"
    TEXT = "texts"


FORMS = tuple(Form)
"""The forms in the order of their codes."""

CODES = {form: code for code, form in enumerate(FORMS)}

NUMBERS = (Form.WHOLE, Form.DECIMAL)
DATES = (Form.DATE, Form.MOMENT)
BLANKS = (Form.MARK, Form.NONE)
"""Cells that are empty where the rest of a column are numbers, and may be levels elsewhere."""

NONES = [spelling for spelling in MISSING if any(map(str.isalpha, spelling))]
MARKS = [spelling for spelling in MISSING if spelling and spelling not in NONES]

SETS: dict[Form, list[str]] = {Form.MARK: MARKS, Form.NONE: NONES, Form.BOOLEAN: [*BOOLEANS, *set(BOOLEANS.values())]}
"""The spellings of forms that have few."""

NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
ISO_DAY = DAY.removeprefix("(?!0000)")  # RE2 does not look ahead
ZONE = r"(?:\.[0-9]+)? ?(?:Z|[-+][0-9]{2}:?(?:[0-9]{2})?)"
CLOCK = r"(?:,?[T ]+[0-9]{1,2}:[0-9]{2}.*)?"
SPACE = r"[ \x{a0}\x{2009}\x{202f}]"
CURRENCY = r"(?:[$€£¥]|R\$|USD|EUR|GBP|CHF|JPY|BRL)"

PATTERNS: dict[Form, str] = {
    Form.DATE: ISO_DAY,
    Form.MOMENT: ISO_DAY + TIME,
    Form.FOREIGN_DATE: "|".join(
        (
            rf"[0-9]{{1,2}}([/.-])[0-9]{{1,2}}[/.-](?:[0-9]{{4}}|[0-9]{{2}}){CLOCK}",
            rf"[0-9]{{4}}[/.-][0-9]{{1,2}}[/.-][0-9]{{1,2}}{CLOCK}",
            rf"{ISO_DAY}{TIME}{ZONE}",
            rf"[0-9]{{1,2}}[ .-]+[A-Za-z]{{3,9}}[ .,-]+[0-9]{{2,4}}{CLOCK}",
            rf"[A-Za-z]{{3,9}}[ .]+[0-9]{{1,2}},? +[0-9]{{4}}{CLOCK}",
        )
    ),
    Form.FOREIGN_NUMBER: (
        rf"[-+]?{CURRENCY}?{SPACE}?[-+]?"
        rf"(?:[0-9]+(?:[.,][0-9]+)?|[0-9]{{1,3}}(?:(?:[.,'’]|{SPACE})[0-9]{{3}})+(?:[.,][0-9]+)?)"
        rf"{SPACE}?(?:%|{CURRENCY})?"
    ),
}
"""The patterns of the other forms, in the order in which they are tried."""


class Classified(NamedTuple):
    """The forms of texts.

    Attributes:
        codes: the index of each text's form in `FORMS`; int8, shape (texts,).
        numbers: the number that each text writes, NaN if it is none; float64, shape (texts,).
    """

    codes: NDArray[np.int8]
    numbers: NDArray[np.float64]


def classify(texts: pa.Array, decimal: str = ".") -> Classified:
    """The form of each text; none of them is null.

    Args:
        texts: an array of strings.
        decimal: the decimal sign of numbers.
    """
    plain = _with_points(texts, decimal)
    numbers = _numbers(plain)
    codes = np.full(len(texts), CODES[Form.TEXT], np.int8)
    codes[~np.isnan(numbers)] = CODES[Form.DECIMAL]
    codes[np.floor(numbers) == numbers] = CODES[Form.WHOLE]
    others = np.flatnonzero(np.isnan(numbers))
    if len(others):
        codes[others] = _other_codes(texts.take(pa.array(others)))
    return Classified(codes, numbers)


def _with_points(texts: pa.Array, decimal: str) -> pa.Array:
    """The texts with a point as their decimal sign; a text that has a point already is no number and left as it is."""
    if decimal == ".":
        return texts
    swapped = pc.replace_substring(texts, decimal, ".")
    return pc.if_else(pc.match_substring(texts, "."), pc.binary_join_element_wise("?", texts, ""), swapped)


def _numbers(texts: pa.Array) -> NDArray[np.float64]:
    """The finite number of each text, NaN where there is none."""
    try:
        numbers = texts.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        written = pc.match_substring_regex(texts, f"^(?:{NUMBER})$")
        numbers = pc.if_else(written, texts, None).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _other_codes(texts: pa.Array) -> NDArray[np.int8]:
    """The codes of texts that are no numbers; each form is sought among those that no earlier one has."""
    codes = np.full(len(texts), CODES[Form.TEXT], np.int8)
    for form, spellings in SETS.items():
        codes[np.asarray(pc.is_in(texts, pa.array(spellings)))] = CODES[form]
    for form, pattern in PATTERNS.items():
        rest = np.flatnonzero(codes == CODES[Form.TEXT])
        if len(rest):
            fits = np.asarray(pc.match_substring_regex(texts.take(pa.array(rest)), f"^(?:{pattern})$"))
            codes[rest[fits]] = CODES[form]
    return codes
