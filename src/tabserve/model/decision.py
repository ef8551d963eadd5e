"""Raw outputs in, answers out: the only place where a label is decided."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.errors import UsageError
from tabserve.problem.problem import Problem

MAX_THRESHOLD = math.nextafter(1.0, 2.0)
"""Nobody is positive, not even at probability 1: what is best where a false positive costs very much."""

TEMPERATURES = (1e-6, 1e6)
"""Between these, no probability overflows."""


class Scores(NamedTuple):
    """Answers for a batch of rows.

    Attributes:
        probability: float32; of the positive class of two, shape (rows,), or of each of several, shape (rows, classes).
        label: int64, the index of the decided label among the problem's, shape (rows,).
    """

    probability: NDArray[np.float32]
    label: NDArray[np.int64]


class OutputKind(NamedTuple):
    """What can be asked for.

    Attributes:
        datatype: of the V2 protocol.
        columns: how many.
        values: of a batch of scores, shape (rows, columns).
        labels: what the columns are called, where they are the probabilities of labels of these names.
    """

    datatype: str
    columns: int
    values: Callable[[Scores], NDArray[Any]]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Threshold:
    """Of two classes, the positive one where its probability reaches a threshold.

    Attributes:
        threshold: in [0, 1], or `MAX_THRESHOLD`.
    """

    KIND: ClassVar[str] = "threshold"

    threshold: float

    def __post_init__(self) -> None:
        """Refuse what is no threshold."""
        found = _number("threshold", self.threshold, (0, MAX_THRESHOLD), "0 to 1")
        object.__setattr__(self, "threshold", found)

    @property
    def parameters(self) -> dict[str, str]:
        """What each answer says of it; a text, as gRPC's parameters know no fractions."""
        return {"threshold": repr(self.threshold)}

    def fits(self, problem: Problem, outputs: int) -> bool:
        """Whether it can decide by so many raw outputs of a row."""
        return (len(problem.labels), outputs) == (2, 1)

    def scores(self, raw: NDArray[np.float32]) -> Scores:
        """Probabilities and labels, given the probability of the positive class, shape (rows, 1).

        Compared in float64, as every reader of the answer can.
        """
        probability = raw[:, 0]
        return Scores(probability, (probability.astype(np.float64) >= self.threshold).astype(np.int64))

    def outputs(self, _problem: Problem) -> dict[str, OutputKind]:
        """The label as 0 or 1, and the probability of the negative and of the positive class."""
        return {
            "predict": OutputKind("INT64", 1, lambda scores: scores.label[:, np.newaxis]),
            "predict_proba": OutputKind("FP32", 2, _both_classes),
        }

    def watched(self, scores: Scores) -> NDArray[np.float32]:
        """The probability of each row whose distribution is watched, shape (rows,): of the positive class."""
        return scores.probability


@dataclass(frozen=True)
class MostProbable:
    """Of several classes, the most probable one.

    Attributes:
        temperature: what margins are divided by before they become probabilities (Guo et al., ICML 2017).
    """

    KIND: ClassVar[str] = "most_probable"

    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no temperature."""
        found = _number("temperature", self.temperature, TEMPERATURES, "{} to {}".format(*TEMPERATURES))
        object.__setattr__(self, "temperature", found)

    @property
    def parameters(self) -> dict[str, str]:
        """What each answer says of it: nothing."""
        return {}

    def fits(self, problem: Problem, outputs: int) -> bool:
        """Whether it can decide by so many raw outputs of a row."""
        return len(problem.labels) == outputs

    def scores(self, raw: NDArray[np.float64]) -> Scores:
        """Probabilities and labels, given the margin of each class, shape (rows, classes)."""
        probability = softmax(raw / self.temperature)
        return Scores(probability.astype(np.float32), probability.argmax(axis=1))

    def outputs(self, problem: Problem) -> dict[str, OutputKind]:
        """The label as the problem spells it, and the probability of each."""
        names = np.array(problem.labels, np.object_)
        return {
            "predict": OutputKind("BYTES", 1, lambda scores: names[scores.label][:, np.newaxis]),
            "predict_proba": OutputKind("FP32", len(names), lambda scores: scores.probability, problem.labels),
        }

    def watched(self, scores: Scores) -> NDArray[np.float32]:
        """The probability of each row whose distribution is watched, shape (rows,): of its label."""
        return np.take_along_axis(scores.probability, scores.label[:, np.newaxis], axis=1)[:, 0]


Decision = Threshold | MostProbable

DECISIONS: Mapping[str, type[Decision]] = {kind.KIND: kind for kind in (Threshold, MostProbable)}
"""By the names that a manifest has for them."""


def threshold_of(decision: Decision) -> float:
    """The threshold of a decision.

    Raises:
        UsageError: it has none.
    """
    if not isinstance(decision, Threshold):
        raise UsageError("The model gives each row its most probable label, and has no threshold.")
    return decision.threshold


def softmax(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities that rise with the margins, each row's sum 1."""
    powers = np.exp(margins - margins.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _both_classes(scores: Scores) -> NDArray[np.float32]:
    """As `np.column_stack` would, in half the time for one row."""
    probability = scores.probability
    both = np.empty((len(probability), 2), np.float32)
    both[:, 0], both[:, 1] = 1 - probability, probability
    return both


def _number(name: str, value: object, bounds: tuple[float, float], said: str) -> float:
    """The value as a plain float, if it is a number within bounds; JSON and numpy have others."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not bounds[0] <= value <= bounds[1]:
        raise UsageError(f"The {name} is {value!r:.60}, expected a number from {said}.")
    return float(value)
