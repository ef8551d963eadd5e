"""Show foreign values safely in a message or on a terminal."""

import reprlib
from collections.abc import Iterable

MAX_SHOWN = 300
"""Most characters of a value that are shown."""


def shown(value: object) -> str:
    """A value as JSON, shortened."""
    text = _json.repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    all_names = [*names]
    more = f" and {len(all_names) - 12} more" if len(all_names) > 12 else ""
    return ", ".join(map(shown, all_names[:12])) + more


def one_line(text: str) -> str:
    """The text on one line, with escapes for line breaks, control characters and what cannot be seen."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


class _Json(reprlib.Repr):
    def repr_NoneType(self, _value: None, _level: int) -> str:  # noqa: N802  reprlib finds it by this name
        return "null"

    def repr_bool(self, value: bool, _level: int) -> str:
        return str(value).lower()

    def repr_int(self, value: int, _level: int) -> str:
        return str(value) if value.bit_length() <= 64 else "an integer of more than 64 bits"

    def repr_float(self, value: float, _level: int) -> str:
        return repr(value).replace("nan", "NaN").replace("inf", "Infinity")


_json = _Json()
_json.maxstring, _json.maxother, _json.maxlevel = 60, 60, 3
