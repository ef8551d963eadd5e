"""What is to be learned from which columns: one frozen value that every station reads."""

from dataclasses import dataclass

from tabserve.errors import UsageError
from tabserve.threshold import Criterion, f1


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
        """Refuse a problem that contradicts itself."""
        columns = [*self.features, self.target, *([self.id] if self.id else [])]
        if not self.features or len(set(columns)) != len(columns):
            raise UsageError("A problem needs at least one feature, and no column may be named twice.")
        if len(set(self.labels)) != 2 or not all(isinstance(label, str) for label in self.labels):
            raise UsageError(f"A problem needs two different labels, not {self.labels}, each written as text.")
        if not 0 < self.holdout < 1 or self.folds < 2:
            raise UsageError(
                "A problem needs a hold-out share between 0 and 1 and at least 2 folds,"
                f" not {self.holdout} and {self.folds}."
            )
