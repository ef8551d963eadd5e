"""The labels of a target of classes: which is positive, which are pooled, and which have too few rows."""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from tabserve.encoding.categories import DECIMAL, key
from tabserve.errors import DataError, UsageError
from tabserve.plan.column_profile import ColumnProfile
from tabserve.plan.options import Options
from tabserve.wording import listed, shown


def positive_label(column: ColumnProfile, options: Options) -> str:
    """The label of the positive class: the rarer one, if the user names none."""
    labels = [label for label, _ in column.levels]
    if options.positive is None:
        return labels[-1]
    chosen = [label for label in labels if key(label) == key(options.positive)]
    if len(chosen) != 1:
        raise UsageError(
            f"--positive must be a value of column {column.name!r}, {' or '.join(map(shown, labels))}, not"
            f" {shown(options.positive)}."
        )
    return chosen[0]


def pooled_labels(column: ColumnProfile, other: str, fewest: int) -> list[str]:
    """The labels of enough rows, and the one that all others count as."""
    frequent = {label: count for label, count in column.levels if count >= fewest and label != other}
    if not frequent:
        raise DataError(f"Column {column.name!r} has no value in {fewest} rows or more; name another --target.")
    pooled = column.present - sum(frequent.values())
    if pooled < fewest:
        raise DataError(
            f"Column {column.name!r} has {_rows(pooled)} of rare classes, and the class that pools them needs {fewest};"
            " leave these rows out, or use more."
        )
    return [*frequent, other]


def check_classes(column: ColumnProfile, levels: Iterable[tuple[str, int]], fewest: int) -> None:
    """Refuse classes of too few rows."""
    rare = [(label, count) for label, count in levels if count < fewest]
    if rare:
        label, count = rare[-1]
        raise DataError(
            f"Column {column.name!r} has the value {shown(label)} in {_rows(count)}, and a"
            f" class needs {fewest} for the folds and the hold-out; use more rows, leave these out, or pool rare"
            " classes of several by --other-label other."
        )


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def refuse_two_spellings(column: ColumnProfile, labels: list[str]) -> None:
    """Refuse labels that are one number or boolean in two spellings."""
    spellings = Counter(map(key, labels))
    twice = [label for label in labels if spellings[key(label)] > 1]
    if twice:
        raise DataError(f"Column {column.name!r} has one value in two spellings, {listed(twice[:2])}; spell it in one.")


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels sorted as numbers if all are numbers, else as texts."""
    ordered = sorted(labels)
    return tuple(sorted(ordered, key=Decimal) if all(map(DECIMAL.fullmatch, ordered)) else ordered)
