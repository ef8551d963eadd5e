"""What is to be learned from which columns: one frozen value that every station reads."""

from dataclasses import dataclass
from types import UnionType

from tabserve.errors import UsageError
from tabserve.threshold import Criterion, f1

KINDS: dict[str, tuple[type | UnionType, str]] = {
    "name": (str, "text"),
    "features": (tuple, "a tuple of names, each written as text,"),
    "target": (str, "text"),
    "id": (str | None, "text or None"),
    "labels": (tuple, "two different labels, each written as text,"),
    "allow_missing": (bool, "True or False"),
    "holdout": (float, "a number between 0 and 1"),
    "folds": (int, "a whole number"),
    "seed": (int, "a whole number"),
}
"""What the fields must be, in Python and in words; True and False are no whole numbers here."""

LIMIT = 2**32
"""What folds and seed lie below: no generator takes a larger seed."""


@dataclass(frozen=True)
class Problem:
    """A binary classification problem over one table of numbers.

    Attributes:
        name: short name, written into the model folder.
        features: names of the numeric columns, in the order the model sees them.
        target: name of the column that holds the label.
        id: name of the column that names each row, or None when rows are named by their number.
        labels: how the target column spells the negative and the positive class.
        allow_missing: whether an empty cell in a feature is data (NaN) instead of an error.
        criterion: what the decision threshold maximises, from the four counts of a confusion matrix.
        holdout: share of the rows kept aside until the very end, in (0, 1).
        folds: number of stratified cross-validation folds.
        seed: the only source of randomness in splits and models.
    """

    name: str
    features: tuple[str, ...]
    target: str = "target"
    id: str | None = None
    labels: tuple[str, str] = ("0", "1")
    allow_missing: bool = False
    criterion: Criterion = f1
    holdout: float = 0.2
    folds: int = 5
    seed: int = 42

    def __post_init__(self) -> None:
        """Refuse a problem that contradicts itself, or whose fields are of other types."""
        self._check_types()
        self._check_columns()
        labels: tuple[str, ...] = self.labels
        if len(labels) != 2 or len(set(labels)) != 2:
            raise UsageError(f"A problem needs two different labels, not {labels!r:.60}, each written as text.")
        if not 0 < self.holdout < 1 or not 2 <= self.folds < LIMIT:
            raise UsageError(
                "A problem needs a hold-out share between 0 and 1 and at least 2 folds,"
                f" not {self.holdout} and {self.folds!r:.60}."
            )
        if not 0 <= self.seed < LIMIT:
            raise UsageError(f"A problem needs a seed from 0 to {LIMIT - 1}, not {self.seed!r:.60}.")

    def _check_types(self) -> None:
        for field, (kind, expected) in KINDS.items():
            value = getattr(self, field)
            texts = value if isinstance(value, tuple) else ()
            fits = isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
            if not fits or not all(isinstance(text, str) for text in texts):
                raise UsageError(f"A problem needs {expected} as its {field}, not {value!r:.60}.")
        if not self.name.isprintable():
            raise UsageError(f"A problem needs a name of one line, not {self.name!r:.60}.")

    def _check_columns(self) -> None:
        columns = [*self.features, self.target, *([self.id] if self.id else [])]
        if not self.features or len(set(columns)) != len(columns):
            raise UsageError("A problem needs at least one feature, and no column may be named twice.")
        for name in self.features:
            if not set("[]<").isdisjoint(name):
                raise UsageError(f"A feature cannot be named {name!r:.60}; XGBoost takes no name with [, ] or <.")
