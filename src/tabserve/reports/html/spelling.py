"""Spell numbers for people."""

import math
from collections.abc import Iterable

from tabserve.training.bootstrap import Interval

PERCENT = "\N{NO-BREAK SPACE}%"

MAX_NAME = 26
"""Most characters of a name in a figure."""


def number(value: float, digits: int = 3) -> str:
    """A number with that many significant digits at least, and commas between thousands; a dash for NaN."""
    if not math.isfinite(value):
        return "–"
    if value == 0 or min(10**digits, 1000) <= abs(value) < 1e15:
        return f"{value:,.0f}".replace("-", "−")
    return f"{value:#.{digits}g}".rstrip(".").replace("-", "−").replace("e−0", "e−").replace("e+", "e")


def tick(value: float) -> str:
    """A number at an axis, without zeros at its end."""
    text = f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value + 0:.4g}"
    return text.replace("-", "−").replace("e+", "e")


def spread(mean: float, sd: float) -> str:
    """A mean and a standard deviation, with as many decimals as two digits of the latter need."""
    if not math.isfinite(sd) or sd < 1e-9:
        return number(mean)
    decimals = max(0, min(1 - math.floor(math.log10(sd)), 3 - math.floor(math.log10(abs(mean) or 1))))
    return f"{mean:,.{decimals}f} ± {sd:,.{decimals}f}".replace("-", "−")


def count(value: int, noun: str) -> str:
    """A number of things: `1 row`, `2,000 rows`."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def share(value: float) -> str:
    """A percentage with one decimal; a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.1%}".replace(".0%", "%").replace("-", "−").replace("%", PERCENT)


def interval(value: Interval) -> str:
    """Both ends of an interval; a dash for NaN."""
    return "–" if math.isnan(value.low) else f"{number(value.low)} to {number(value.high)}"


def short(name: str, most: int = MAX_NAME) -> str:
    """A name on one line, cut to what a figure has room for."""
    line = " ".join(name.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def listed(names: Iterable[str]) -> str:
    """Names in a sentence, joined by commas and `and`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
