"""What is to be learned from which columns: one frozen value that every station reads."""

from dataclasses import dataclass
from types import UnionType

from tabserve.errors import UsageError
from tabserve.problem.criterion import Criterion, f1

KINDS: dict[str, tuple[type | UnionType, str]] = {
    "name": (str, "text"),
    "features": (tuple, "a tuple of names, each written as text,"),
    "target": (str, "text"),
    "id": (str | None, "text or None"),
    "group": (str | None, "text or None"),
    "labels": (tuple, "at least two different labels, each written as text,"),
    "allow_missing": (bool, "True or False"),
    "holdout": (float, "a number between 0 and 1"),
    "folds": (int, "a whole number"),
    "seed": (int, "a whole number"),
}
"""What the fields must be, in Python and in words; True and False are no whole numbers here."""

MAX_LABELS = 127
"""What a target of one byte can tell apart."""

LIMIT = 2**32
"""What folds and seed lie below: no generator takes a larger seed."""


@dataclass(frozen=True)
class Problem:
    """A classification problem over one table, of numbers or of texts.

    Attributes:
        name: short name, written into the model folder.
        features: names of the numeric columns, in the order the model sees them; or of those that hold text, joined in
            this order, of which the first is never empty.
        target: name of the column that holds the label.
        id: name of the column that names each row, or None when rows are named by their number.
        group: name of the column whose rows of one value belong together, such as a seller; no split parts them. Of
            texts alone.
        labels: how the target column spells each class; of two, the negative and then the positive.
        allow_missing: whether an empty cell in a feature is data (NaN) instead of an error. Of
            numbers alone.
        criterion: what is maximised, from the four counts of a confusion matrix; of more than two classes, its mean
            over them.
        holdout: share of the rows kept aside until the very end, in (0, 1).
        folds: number of stratified cross-validation folds.
        seed: the only source of randomness in splits and models.
    """

    name: str
    features: tuple[str, ...]
    target: str = "target"
    id: str | None = None
    group: str | None = None
    labels: tuple[str, ...] = ("0", "1")
    allow_missing: bool = False
    criterion: Criterion = f1
    holdout: float = 0.2
    folds: int = 5
    seed: int = 42

    def __post_init__(self) -> None:
        """Refuse a problem that contradicts itself, or whose fields are of other types."""
        self._check_types()
        self._check_columns()
        if not 2 <= len(self.labels) <= MAX_LABELS or len(set(self.labels)) != len(self.labels):
            raise UsageError(
                f"A problem needs at least two different labels, and at most {MAX_LABELS}, not {self.labels!r:.60},"
                " each written as text."
            )
        if not 0 < self.holdout < 1 or not 2 <= self.folds < LIMIT:
            raise UsageError(
                "A problem needs a hold-out share between 0 and 1 and at least 2 folds,"
                f" not {self.holdout} and {self.folds!r:.60}."
            )
        if not 0 <= self.seed < LIMIT:
            raise UsageError(f"A problem needs a seed from 0 to {LIMIT - 1}, not {self.seed!r:.60}.")

    def check_numbers(self) -> None:
        """Refuse what a table of numbers has no place for.

        Raises:
            UsageError: there are more than two labels for a threshold to part, or groups.
        """
        if len(self.labels) != 2:
            raise UsageError(f"A table of numbers is learned with two labels, and this problem has {len(self.labels)}.")
        if self.group is not None:
            raise UsageError(
                f"A table of numbers is learned without groups, and this problem has the group {self.group!r:.60};"
                " leave the group out of the problem, and its column out of the table."
            )

    def check_texts(self) -> None:
        """Refuse what a table of texts has no place for.

        Raises:
            UsageError: values may be missing.
        """
        if self.allow_missing:
            raise UsageError(
                "A table of texts is learned without allow_missing, which this problem has; leave it out, as all"
                " columns of texts but the first may be empty anyway."
            )

    def _check_types(self) -> None:
        for field, (kind, expected) in KINDS.items():
            value = getattr(self, field)
            texts = value if isinstance(value, tuple) else ()
            fits = isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
            fits = fits and (value != "" or field not in {"id", "group"})  # which would be as if there were none
            if not fits or not all(isinstance(text, str) for text in texts):
                raise UsageError(f"A problem needs {expected} as its {field}, not {value!r:.60}.")
        criterion: object = self.criterion
        if not callable(criterion) or not isinstance(getattr(criterion, "name", None), str):
            raise UsageError(
                "A problem needs f1 or Costs(...) of tabserve.problem.criterion as its criterion,"
                f" not {criterion!r:.60}."
            )
        try:
            "".join((self.name, *self.features, *self.labels, self.target, self.id or "", self.group or "")).encode()
        except UnicodeEncodeError as error:
            raise UsageError(
                f"A problem needs names and labels that UTF-8 can write, not {error.object[error.start]!r}."
            ) from error
        if not self.name.isprintable():
            raise UsageError(f"A problem needs a name of one line, not {self.name!r:.60}.")

    def _check_columns(self) -> None:
        columns = [*self.features, self.target, *filter(None, [self.id, self.group])]
        if not self.features or len(set(columns)) != len(columns):
            raise UsageError("A problem needs at least one feature, and no column may be named twice.")
        for name in self.features:
            if not set("[]<").isdisjoint(name):
                raise UsageError(f"A feature cannot be named {name!r:.60}; XGBoost takes no name with [, ] or <.")
