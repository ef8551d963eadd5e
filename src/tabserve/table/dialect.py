"""How a csv separates cells and writes decimals."""

from dataclasses import dataclass

from tabserve.errors import UsageError

DECIMALS = (".", ",")


@dataclass(frozen=True)
class Dialect:
    """The signs of a csv.

    Attributes:
        delimiter: stands between two cells; one ASCII character.
        decimal: stands before the decimals of a number; a point or a comma.
    """

    delimiter: str = ","
    decimal: str = "."

    def __post_init__(self) -> None:
        """Refuse a delimiter that may stand in a cell, and other decimal signs than a point and a comma."""
        if not _separates(self.delimiter):
            raise UsageError(
                f"A csv needs one sign between its cells, such as ',', ';', '|' or a tab, not {self.delimiter!r:.60}."
            )
        if self.decimal not in DECIMALS:
            raise UsageError(f"A csv needs a point or a comma as its decimal sign, not {self.decimal!r:.60}.")


def _separates(delimiter: object) -> bool:
    """Whether a text is one ASCII character that no unquoted number, text or line end needs."""
    if not isinstance(delimiter, str) or len(delimiter) != 1 or not delimiter.isascii():
        return False
    return delimiter == "\t" or (delimiter.isprintable() and not delimiter.isalnum() and delimiter not in "\"'.+-_ ")
