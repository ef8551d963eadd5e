"""What options of a command line hold; argparse prints what is wrong with one beside the option's name."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable
from pathlib import Path

DAY = 86_400
"""Seconds of the longest wait: far longer ones overflow what waits."""


def count(text: str) -> int:
    """A whole number of at least 1."""
    return _whole(text, 1, float("inf"), "a whole number of at least 1")


def threads(text: str) -> int:
    """A whole number of threads that a machine can have."""
    return _whole(text, 1, 1024, "a whole number from 1 to 1024")


def seed(text: str) -> int:
    """A whole number that every library takes as seed."""
    return _whole(text, 0, 2**32 - 1, f"a whole number from 0 to {2**32 - 1}")


def threshold(text: str) -> float:
    """A probability from which on a row is called positive."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ArgumentTypeError(f"expected a number from 0 to 1, not {text!r}")
    return abs(number)  # -0.0 is 0


def seconds(text: str) -> float:
    """A time above zero, of at most a day."""
    return _time(text, DAY, "seconds")


def minutes(text: str) -> float:
    """A time above zero, of at most a day."""
    return _time(text, DAY // 60, "minutes")


def word(text: str) -> str:
    """Text that can be sent and shown."""
    if not text.strip() or not text.isprintable():
        raise ArgumentTypeError(f"expected printable text, not {text!r}")
    return text


def place(text: str) -> str:
    """A path or an address; an empty one, as of a variable that is not set, would be the folder that we are in."""
    if not text:
        raise ArgumentTypeError("expected a path, not ''")
    return text


def folder(text: str) -> Path:
    """A path of a folder on this machine, where model folders are read and written."""
    if "://" in text:
        raise ArgumentTypeError(f"expected a folder on this machine, not {text!r}")
    return Path(place(text))


def names(text: str) -> list[str]:
    """Names between commas, at least one, each once."""
    found = [*dict.fromkeys(name.strip() for name in text.split(",") if name.strip())]
    if not found:
        raise ArgumentTypeError(f"expected names between commas, not {text!r}")
    return found


def add_training(parser: ArgumentParser, known: Iterable[str], *, place: str, default_seed: int) -> None:
    """Let be said how a model is trained, by which of the known candidates, and into which folder."""
    add = parser.add_argument
    add("--rows", type=count, metavar="N", help="rows to use, drawn stratified by target (default: all)")
    add("--out", type=folder, default=place, metavar="FOLDER", help="model folder (default: %(default)s)")
    add("--seed", type=seed, default=default_seed, help="of sample, splits and models (default: %(default)s)")
    add("--candidates", type=names, metavar="NAMES", help=f"which, of {', '.join(known)} (default: all)")
    add("--jobs", type=threads, metavar="N", help="threads (default: one a core)")


def add_master(parser: ArgumentParser) -> None:
    """Let Spark's master be named."""
    parser.add_argument(
        "--master",
        type=word,
        metavar="URL",
        help="Spark: where to work (default: what spark-submit says, or all cores here)",
    )


def check_engine(parser: ArgumentParser, arguments: Namespace, of_spark: Iterable[str]) -> None:
    """End with the first of these options that is given although Spark does not do the work."""
    if arguments.engine != "spark" and (given := [name for name in of_spark if getattr(arguments, name)]):
        parser.error(f"--{given[0]} needs --engine spark")


def _time(text: str, most: int, unit: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= most:
        raise ArgumentTypeError(f"expected {unit}, above 0 and at most {most} (one day), not {text!r}")
    return number


def _whole(text: str, least: int, most: float, expected: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise ArgumentTypeError(f"expected {expected}, not {text!r}")
    return number
