"""A cell that its column does not take is refused in one sentence, the same by every transport and encoding."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from tests.serving import transports
from tests.serving.mixed import LARGE
from tests.serving.transports import BINARY, Columns, Reply, by_json

from tabserve.client.local_server import Server

Ask = Callable[[Server, str, Columns], Reply]

RIGHT: Columns = {
    "income": ("FP64", [1.0, 2.0]),
    "city": ("BYTES", ["Recife", "Olinda"]),
    "seen": ("BYTES", ["2020-02-01 08:30", "2020-02-29T23:59:59"]),
}
"""Two valid rows in the required columns."""

NEEDED = "; this model needs a number for every feature."
TIME = "a date with a time, such as 2020-12-31 08:30"


class Wrong(NamedTuple):
    """A request that is refused.

    Attributes:
        changed: the columns that replace valid ones, or are added.
        in_json: how the sentence begins if the cells are in JSON; empty if JSON cannot hold them.
        in_bytes: how the sentence begins in all other encodings; empty if these cannot hold the cells.
    """

    changed: Columns
    in_json: str
    in_bytes: str


def alike(column: str, datatype: str, cells: list[object], sentence: str) -> Wrong:
    """A wrong column that all encodings can hold, refused in the same sentence."""
    return Wrong({column: (datatype, cells)}, sentence, sentence)


WRONG: dict[str, Wrong] = {
    "category for a number": alike(
        "income", "BYTES", ["a", "b"], "Input 'income' has datatype 'BYTES'; expected 'FP32', "
    ),
    "text for a number": Wrong(
        {"income": ("FP64", ["a", 1.0])}, "Row 0, column 'income', is 'a'; expected a number.", ""
    ),
    "true for a number": Wrong(
        {"income": ("FP64", [True, 1.0])}, "Row 0, column 'income', is true; expected a number.", ""
    ),
    "number in a category's texts": Wrong(
        {"city": ("BYTES", [1, "Recife"])}, "Row 0, column 'city', is 1; expected a text.", ""
    ),
    "truth in a category's texts": Wrong(
        {"owner": ("BYTES", ["true", False])}, "Row 1, column 'owner', is false; expected a text.", ""
    ),
    "text in a category's numbers": Wrong(
        {"rooms": ("FP64", [1.0, "1"])}, "Row 1, column 'rooms', is '1'; expected a number.", ""
    ),
    "number in a category's truths": Wrong(
        {"owner": ("BOOL", [True, 1])}, "Row 1, column 'owner', is 1; a BOOL is true or false.", ""
    ),
    "number for a date": alike("seen", "FP64", [1.0, 2.0], "Input 'seen' has datatype 'FP64'; expected 'BYTES'."),
    "truth for a date": alike("since", "BOOL", [True, False], "Input 'since' has datatype 'BOOL'; expected 'BYTES'."),
    "missing number": Wrong(
        {"income": ("FP64", [1.0, None])},
        f"Row 1, column 'income', is null{NEEDED}",
        f"Row 1, column 'income', is NaN{NEEDED}",
    ),
    "infinite number": Wrong(
        {"income": ("FP64", [1.0, np.inf])}, "", "Row 1, column 'income', is Infinity; expected a finite number."
    ),
    "number beyond 32 bits": alike(
        "income", "FP64", [1.0, 1e39], "Row 1, column 'income', is 1e+39; a 32-bit float reaches only 3.403e+38."
    ),
    "infinite category": Wrong(
        {"rooms": ("FP64", [1.0, np.inf])}, "", "Row 1, column 'rooms', is Infinity; expected a finite number."
    ),
    "missing category": alike(
        "city", "BYTES", ["Recife", ""], "Row 1, column 'city', is an empty cell; expected one of "
    ),
    "null category": Wrong(
        {"city": ("BYTES", ["Recife", None])}, "Row 1, column 'city', is an empty cell; expected one of ", ""
    ),
    "category that is empty throughout": alike(
        "city", "BYTES", ["", ""], "Row 0, column 'city', is an empty cell; expected one of "
    ),
    "date that is empty throughout": alike(
        "seen", "BYTES", ["", ""], f"Row 0, column 'seen', is an empty cell; expected {TIME}."
    ),
    "30 February": alike(
        "since",
        "BYTES",
        ["2020-02-29", "2020-02-30"],
        "Row 1, column 'since', is '2020-02-30'; expected a day that the calendar has.",
    ),
    "two formats": alike(
        "since",
        "BYTES",
        ["2020-02-01", "2020-02-01 08:30"],
        "Row 1, column 'since', is '2020-02-01 08:30'; expected a date without a time, such as 2020-12-31.",
    ),
    "date among times": alike(
        "seen", "BYTES", [RIGHT["seen"][1][0], "2020-02-01"], f"Row 1, column 'seen', is '2020-02-01'; expected {TIME}."
    ),
    "year of five digits": alike(
        "since",
        "BYTES",
        ["10000-01-01", ""],
        "Row 0, column 'since', is '10000-01-01'; expected a year from 0001 to 9999.",
    ),
    "zone": alike(
        "seen",
        "BYTES",
        ["2020-02-01 08:30Z", ""],
        "Row 0, column 'seen', is '2020-02-01 08:30Z'; expected a time without a zone, such as ",
    ),
    "category of a megabyte": alike("city", "BYTES", ["Recife", "a" * 2**20], "Row 1, column 'city', is 'aaaa"),
    "date of a megabyte": alike("since", "BYTES", ["2020-02-01", "2" * 2**20], "Row 1, column 'since', is '2222"),
    "half of a pair in a category": Wrong(
        {"city": ("BYTES", ["Recife", "\ud83d"])},
        "Row 1, column 'city', is '\\ud83d'; expected whole characters, not half of a surrogate pair.",
        "",
    ),
    "half of a pair in a date": Wrong(
        {"since": ("BYTES", ["\ud83d", ""])},
        "Row 0, column 'since', is '\\ud83d'; expected whole characters, not half of a surrogate pair.",
        "",
    ),
    "no UTF-8 in a category": Wrong(
        {"city": ("BYTES", ["Recife", b"\xff"])}, "", "Row 1, column 'city', is b'\\xff'; expected UTF-8."
    ),
    "level that is refused": alike(
        "plan", "BYTES", ["a", "c"], "Row 1, column 'plan', is 'c'; expected one of 'a', 'b'."
    ),
    "number that is a refused level": alike(
        "plan", "INT64", [1, 2], "Row 0, column 'plan', is 1; expected one of 'a', 'b'."
    ),
    "unknown column": alike(
        "price", "BYTES", ["a", "c"], "The request has inputs that are no features: 'price'; expected "
    ),
    "other rows": alike(
        "plan", "BYTES", ["a"], "Input 'plan' has shape [1], and input 'income' has shape [2]; expected "
    ),
}

IN_JSON = {name: wrong for name, wrong in WRONG.items() if wrong.in_json}
IN_BYTES = {name: wrong for name, wrong in WRONG.items() if wrong.in_bytes}


def check_refused(reply: Reply, code: str, sentence: str) -> None:
    """The reply is a refusal with this code, in one short sentence that begins so."""
    assert reply.refused == code, reply
    assert reply.sentence.startswith(sentence)
    assert len(reply.sentence) < 700
    assert reply.sentence.endswith(".")
    assert "\n" not in reply.sentence


@pytest.mark.parametrize("name", IN_JSON)
def test_a_wrong_cell_in_json_is_refused_in_one_sentence(mixed_server: Server, name: str) -> None:
    """The status is 400, and the next valid request is answered."""
    wrong = IN_JSON[name]
    check_refused(by_json(mixed_server, "two", RIGHT | wrong.changed), "400", wrong.in_json)
    assert len(by_json(mixed_server, "two", RIGHT).values) == 2


@pytest.mark.parametrize("ask", BINARY)
@pytest.mark.parametrize("name", IN_BYTES)
def test_a_wrong_cell_in_binary_and_over_grpc_is_refused_in_one_sentence(
    mixed_server: Server, name: str, ask: Ask
) -> None:
    """The status is 400 or INVALID_ARGUMENT, and the next valid request is answered."""
    wrong, code = IN_BYTES[name], "400" if ask is transports.by_binary else "INVALID_ARGUMENT"
    check_refused(ask(mixed_server, "two", RIGHT | wrong.changed), code, wrong.in_bytes)
    assert len(ask(mixed_server, "two", RIGHT).values) == 2


SPELLINGS: dict[str, list[tuple[str, list[object]]]] = {
    "rooms": [
        ("BYTES", ["1", "2"]),
        ("BYTES", ["1.0", "2.00"]),
        ("INT64", [1, 2]),
        ("FP64", [1.0, 2.0]),
        ("FP32", [1.0, 2.0]),
        ("FP16", [1.0, 2.0]),
    ],
    "owner": [("BYTES", ["true", "false"]), ("BYTES", ["True", "FALSE"]), ("BOOL", [True, False])],
    "age": [("FP64", [1.0, 0.0]), ("FP16", [1.0, 0.0]), ("BOOL", [True, False]), ("UINT8", [1, 0])],
}
"""By column: datatypes and spellings of the same two cells."""


@pytest.mark.parametrize("ask", [by_json, transports.by_binary, transports.by_raw])
@pytest.mark.parametrize("column", SPELLINGS)
def test_numbers_and_booleans_are_the_same_in_every_datatype(mixed_server: Server, column: str, ask: Ask) -> None:
    """As levels, so are texts of the number without a point, or with zeros behind the point."""
    first, *others = [ask(mixed_server, "amount", RIGHT | {column: cells}) for cells in SPELLINGS[column]]
    assert len(first.values) == 2, first
    assert all(other == first for other in others)


@pytest.mark.parametrize("level", ["tRUE", "yes", "01", "1e0", "+1", " 1"])
def test_other_spellings_of_a_level_are_unseen_levels(mixed_server: Server, level: str) -> None:
    """They are answered as missing cells."""
    for column in ("rooms", "owner"):
        unseen, missing = (
            by_json(mixed_server, "amount", RIGHT | {column: ("BYTES", [cell, cell])}) for cell in (level, None)
        )
        assert unseen.values, unseen
        assert unseen == missing


def test_a_whole_number_beyond_a_floats_keeps_its_level(mixed_server: Server) -> None:
    """Sent as INT64 it is the level of the same text, and the number below it is another level."""
    text, whole, near = (
        by_json(mixed_server, "amount", RIGHT | {"rooms": cells})
        for cells in (("BYTES", [str(LARGE)] * 2), ("INT64", [LARGE] * 2), ("BYTES", [str(LARGE - 1)] * 2))
    )
    assert text == whole
    assert near == by_json(mixed_server, "amount", RIGHT)
