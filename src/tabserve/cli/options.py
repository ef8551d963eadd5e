"""Types of command line options for argparse, and options that several scripts share."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable
from pathlib import Path

DAY = 86_400
"""Seconds of the longest wait that an option accepts: timers overflow at much longer ones."""


def count(text: str) -> int:
    """A whole number of at least 1."""
    return _integer(text, 1, float("inf"), "a whole number of at least 1")


def threads(text: str) -> int:
    """A number of threads, from 1 to 1024."""
    return _integer(text, 1, 1024, "a whole number from 1 to 1024")


def seed(text: str) -> int:
    """A seed, from 0 to 2³² - 1, which every library accepts."""
    return _integer(text, 0, 2**32 - 1, f"a whole number from 0 to {2**32 - 1}")


def threshold(text: str) -> float:
    """The probability from which on a row gets the positive label."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ArgumentTypeError(f"expected a number from 0 to 1, not {text!r}")
    return abs(number)  # turns -0.0 into 0.0


def seconds(text: str) -> float:
    """A number of seconds above zero, at most a day."""
    return _duration(text, DAY, "seconds")


def minutes(text: str) -> float:
    """A number of minutes above zero, at most a day."""
    return _duration(text, DAY // 60, "minutes")


def costs(text: str) -> tuple[float, float]:
    """Two costs above zero, separated by a comma: of a false positive and of a false negative."""
    try:
        false_positive, false_negative = map(float, text.split(","))
    except ValueError:
        raise ArgumentTypeError(f"expected two costs such as 1,10, not {text!r}") from None
    return false_positive, false_negative


def printable(text: str) -> str:
    """Printable text that is not blank."""
    if not text.strip() or not text.isprintable():
        raise ArgumentTypeError(f"expected printable text, not {text!r}")
    return text


def port(text: str) -> int:
    """The number of a port."""
    return _integer(text, 1, 65_535, "a whole number from 1 to 65535")


def model_name(text: str) -> str:
    """A name that a path of a URL can hold as one part of it."""
    if "/" in text:
        raise ArgumentTypeError(f"expected a name without a slash, not {text!r}")
    if text in {".", "..", "stats"}:  # the last is a route of the server
        raise ArgumentTypeError(f"expected a name that paths do not use otherwise, not {text!r}")
    return printable(text)


def path(text: str) -> str:
    """A path or an address; refuses an empty one, as of an unset variable, which would mean the working directory."""
    if not text:
        raise ArgumentTypeError("expected a path, not ''")
    return text


def folder(text: str) -> Path:
    """A folder on this machine; refuses addresses."""
    if "://" in text:
        raise ArgumentTypeError(f"expected a folder on this machine, not {text!r}")
    return Path(path(text))


def file(text: str) -> Path:
    """A file on this machine."""
    return Path(path(text))


def plan(text: str) -> Path:
    """A file on this machine that is told to be a plan by its ending."""
    if not text.endswith(".toml"):
        raise ArgumentTypeError(f"expected the name of a plan, which ends in .toml, not {text!r}")
    return file(text)


def names(text: str) -> list[str]:
    """At least one name, separated by commas; repetitions are dropped."""
    unique = [*dict.fromkeys(name.strip() for name in text.split(",") if name.strip())]
    if not unique:
        raise ArgumentTypeError(f"expected names between commas, not {text!r}")
    return unique


def add_training(parser: ArgumentParser, known: Iterable[str], *, default_out: str, default_seed: int) -> None:
    """Add the options of training.

    Args:
        parser: gets the options.
        known: names of the candidates, for the help.
        default_out: the model folder's default path.
        default_seed: the default seed.
    """
    add = parser.add_argument
    add("--rows", type=count, metavar="N", help="rows to use, drawn stratified by target (default: all)")
    add("--out", type=folder, default=default_out, metavar="FOLDER", help="model folder (default: %(default)s)")
    add("--seed", type=seed, default=default_seed, help="of sample, splits and models (default: %(default)s)")
    add("--candidates", type=names, metavar="NAMES", help=f"which, of {', '.join(known)} (default: all)")
    add("--jobs", type=threads, metavar="N", help="threads (default: one a core)")


def add_master(parser: ArgumentParser) -> None:
    """Add the option that names Spark's master."""
    parser.add_argument(
        "--master",
        type=printable,
        metavar="URL",
        help="Spark: where to work (default: what spark-submit says, or all cores here)",
    )


def check_engine(parser: ArgumentParser, arguments: Namespace, spark_only: Iterable[str]) -> None:
    """Exit with a usage error if an option that only Spark has is used with another engine."""
    if arguments.engine != "spark" and (used := [name for name in spark_only if getattr(arguments, name)]):
        parser.error(f"--{used[0]} needs --engine spark")


def _duration(text: str, maximum: int, unit: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= maximum:
        raise ArgumentTypeError(f"expected {unit}, above 0 and at most {maximum} (one day), not {text!r}")
    return number


def _integer(text: str, minimum: int, maximum: float, expected: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = minimum - 1
    if not minimum <= number <= maximum:
        raise ArgumentTypeError(f"expected {expected}, not {text!r}")
    return number
