"""Each text has one form, whatever stands beside it."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabserve.encoding.dates import FORMATS
from tabserve.plan.forms import FORMS, Form, classify

EXAMPLES: dict[Form, list[str]] = {
    Form.WHOLE: ["0", "-3", "007", "1.0", "1e5", "+4", "12345678901234567890"],
    Form.DECIMAL: ["1.5", "-.5", "1e-7", "1.25E+1"],
    Form.BOOLEAN: ["true", "True", "FALSE"],
    Form.DATE: ["2020-12-31", "0001-01-01"],
    Form.MOMENT: ["2020-12-31 08:30", "2020-12-31T08:30:59.123"],
    Form.FOREIGN_DATE: [
        "31/12/2024",
        "12-31-24",
        "31.12.2024 08:30",
        "2024/1/2",
        "2024-1-2",
        "31 Dec 2024",
        "31-Dec-2024",
        "Dec 31, 2024",
        "2020-12-31T08:30:00Z",
        "2020-12-31 08:30:00+02:00",
    ],
    Form.FOREIGN_NUMBER: [
        "1,234",
        "1.234.567",
        "1 234",
        "1 234,5",
        "1'234",
        "$5",
        "R$ 1.234,50",
        "12%",
        "-3 %",
        "5 USD",
    ],
    Form.MARK: ["?", "-", ".", "--"],
    Form.NONE: ["NA", "None", "null", "NaN", "#N/A"],
    Form.TEXT: ["yes", "A1", "ABC123", "5 kg", "1.2.3", "12 May", "555-1234", "infinity", "1e999", "1_000", "0x10"],
}


@pytest.mark.parametrize("form", EXAMPLES)
def test_texts_have_their_form(form: Form) -> None:
    """Alone and among texts of all forms."""
    everything = [text for texts in EXAMPLES.values() for text in texts]
    for texts in (EXAMPLES[form], everything):
        forms = dict(zip(texts, classify(pa.array(texts)).codes, strict=True))
        assert {text: FORMS[forms[text]] for text in EXAMPLES[form]} == dict.fromkeys(EXAMPLES[form], form)


def test_a_decimal_comma_makes_numbers() -> None:
    """A point is no decimal sign beside it."""
    classified = classify(pa.array(["1,5", "2", "1.5", "1.234,5"]), ",")
    assert [FORMS[code] for code in classified.codes] == [
        Form.DECIMAL,
        Form.WHOLE,
        Form.FOREIGN_NUMBER,
        Form.FOREIGN_NUMBER,
    ]
    assert classified.numbers[:2].tolist() == [1.5, 2.0]


@given(st.lists(st.one_of(st.text(), st.floats(allow_nan=False, allow_infinity=False).map(repr))))
def test_any_texts_are_classified_one_by_one(texts: list[str]) -> None:
    """The form of a text does not depend on its neighbours, and exactly the numbers have a number."""
    classified = classify(pa.array(texts, pa.string()))
    alone = [classify(pa.array([text])).codes[0] for text in texts]
    assert classified.codes.tolist() == alone
    is_number = [FORMS[code] in {Form.WHOLE, Form.DECIMAL} for code in classified.codes]
    assert is_number == np.isfinite(classified.numbers).tolist()


@given(st.datetimes())
def test_a_date_of_the_encoder_is_one_here(moment: object) -> None:
    """Every ISO text that the encoder's patterns take is a date, and in no foreign format."""
    for text in (str(moment), str(moment)[:10]):
        (code,) = classify(pa.array([text])).codes
        hours = FORMS[code] is Form.MOMENT
        assert FORMATS[hours].fullmatch(text)
        assert FORMS[code] in {Form.DATE, Form.MOMENT}
