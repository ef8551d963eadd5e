"""Raw outputs in, answers out: the only place where a label, or the interval of an amount, is decided."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.errors import UsageError
from tabserve.problem.problem import Problem

MAX_THRESHOLD = math.nextafter(1.0, 2.0)
"""Nobody is positive, not even at probability 1: what is best where a false positive costs very much."""

TEMPERATURES = (1e-6, 1e6)
"""Between these, no probability overflows."""

COVERAGE = 0.9
"""Share of rows whose interval is meant to hold the true amount."""

LARGEST = float(np.finfo(np.float32).max)
"""The largest amount that an answer can hold."""


class Scores(NamedTuple):
    """Labels and probabilities for a batch of rows.

    Attributes:
        probability: float32; of the positive class of two, shape (rows,), or of each of several, shape (rows, classes).
        label: int64, the index of the decided label among the problem's, shape (rows,).
    """

    probability: NDArray[np.float32]
    label: NDArray[np.int64]


class Amounts(NamedTuple):
    """Amounts with their intervals for a batch of rows, all float32 of shape (rows,).

    Attributes:
        prediction: the amount.
        low: the lower end of the interval.
        high: the upper end.
    """

    prediction: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]


Answers = Scores | Amounts


class OutputKind(NamedTuple):
    """What can be asked for.

    Attributes:
        datatype: of the V2 protocol.
        columns: how many.
        values: of a batch of answers, shape (rows, columns).
        labels: what the columns are called, where they are the probabilities of labels of these names.
    """

    datatype: str
    columns: int
    values: Callable[[Any], NDArray[Any]]
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

    def table(self, scores: Any, _problem: Problem) -> dict[str, NDArray[Any]]:  # noqa: ANN401
        """The columns that a file of answers has: the label as 0 or 1, and the probability of the positive class."""
        return {"label": scores.label.astype(np.int8), "probability": scores.probability}

    def counts(self, scores: Any, problem: Problem) -> dict[str, int]:  # noqa: ANN401
        """How many rows of a batch get each label."""
        return _counts(scores, problem)

    def watched(self, scores: Any) -> NDArray[np.float32]:  # noqa: ANN401  Scores, as a batcher gives them back
        """The probability of each row whose distribution is watched, shape (rows,): of the positive class."""
        probability: NDArray[np.float32] = scores.probability
        return probability


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

    def table(self, scores: Any, problem: Problem) -> dict[str, NDArray[Any]]:  # noqa: ANN401
        """The columns that a file of answers has: the label as the problem spells it, and the probability of each."""
        columns = zip(problem.labels, scores.probability.T, strict=True)
        label = np.array(problem.labels, np.object_)[scores.label]
        return {"label": label, **{f"probability_{name}": values for name, values in columns}}

    def counts(self, scores: Any, problem: Problem) -> dict[str, int]:  # noqa: ANN401
        """How many rows of a batch get each label."""
        return _counts(scores, problem)

    def watched(self, scores: Any) -> NDArray[np.float32]:  # noqa: ANN401  Scores, as a batcher gives them back
        """The probability of each row whose distribution is watched, shape (rows,): of its label."""
        return np.take_along_axis(scores.probability, scores.label[:, np.newaxis], axis=1)[:, 0]


@dataclass(frozen=True)
class Amount:
    """An amount, with an interval as wide as amounts about as large are usually missed by.

    Attributes:
        edges: what parts the bins of the prediction, ascending; an edge belongs to the bin above it.
        widths: of each bin, from the prediction to either end of its interval; one more than the edges.
    """

    KIND: ClassVar[str] = "amount"

    edges: tuple[float, ...]
    widths: tuple[float, ...]

    def __post_init__(self) -> None:
        """Keep lists, as a manifest has them, as tuples; refuse what contradicts itself."""
        for name in ("edges", "widths"):
            object.__setattr__(self, name, _numbers(name, getattr(self, name)))
        if len(self.widths) != len(self.edges) + 1:
            raise UsageError(
                f"{len(self.edges)} edges part {len(self.edges) + 1} bins, and {len(self.widths)} widths were given."
            )
        if any(low >= high for low, high in pairwise(self.edges)):
            raise UsageError(f"The edges are {self.edges!r:.60}, expected each larger than the one before.")
        if min(self.widths) < 0:
            raise UsageError(f"A width is {min(self.widths)}, expected none below 0: the interval's ends are swapped.")

    @property
    def parameters(self) -> dict[str, str]:
        """What each answer says of it: the share of rows that the interval is meant for."""
        return {"interval": repr(COVERAGE)}

    def fits(self, problem: Problem, outputs: int) -> bool:
        """Whether it can decide by so many raw outputs of a row."""
        return (len(problem.labels), outputs) == (0, 1)

    def scores(self, raw: NDArray[np.floating[Any]]) -> Amounts:
        """Amounts and their intervals, given the amounts, shape (rows, 1)."""
        prediction = np.clip(raw[:, 0].astype(np.float32), -LARGEST, LARGEST)  # a power of e may be infinite
        amount = prediction.astype(np.float64)
        width = self._widths[bins(self._edges, amount)]
        low, high = np.maximum(amount - width, -LARGEST), np.minimum(amount + width, LARGEST)
        return Amounts(prediction, low.astype(np.float32), high.astype(np.float32))

    def outputs(self, _problem: Problem) -> dict[str, OutputKind]:
        """The amount, and both ends of its interval."""
        return {
            "predict": OutputKind("FP32", 1, lambda amounts: amounts.prediction[:, np.newaxis]),
            "predict_interval": OutputKind("FP32", 2, lambda amounts: np.stack([amounts.low, amounts.high], axis=1)),
        }

    def table(self, amounts: Any, _problem: Problem) -> dict[str, NDArray[Any]]:  # noqa: ANN401
        """The columns that a file of answers has: the amount, and both ends of its interval."""
        return {"prediction": amounts.prediction, "low": amounts.low, "high": amounts.high}

    def counts(self, _amounts: Any, _problem: Problem) -> dict[str, int]:  # noqa: ANN401
        """Nothing: an amount has no label."""
        return {}

    def watched(self, amounts: Any) -> NDArray[np.float32]:  # noqa: ANN401  Amounts, as a batcher gives them back
        """The amount of each row, whose distribution is watched, shape (rows,)."""
        prediction: NDArray[np.float32] = amounts.prediction
        return prediction

    @cached_property
    def _edges(self) -> NDArray[np.float64]:
        return np.array(self.edges, np.float64)

    @cached_property
    def _widths(self) -> NDArray[np.float64]:
        return np.array(self.widths, np.float64)


Decision = Threshold | MostProbable | Amount

DECISIONS: Mapping[str, type[Decision]] = {kind.KIND: kind for kind in (Threshold, MostProbable, Amount)}
"""By the names that a manifest has for them."""


def threshold_of(decision: Decision) -> float:
    """The threshold of a decision.

    Raises:
        UsageError: it has none.
    """
    if not isinstance(decision, Threshold):
        raise UsageError("Only a model of two labels has a threshold, and this one answers something else.")
    return decision.threshold


def class_scores(answers: Answers) -> Scores:
    """The answers of a model of two classes or more."""
    assert isinstance(answers, Scores)
    return answers


def softmax(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities that rise with the margins, each row's sum 1."""
    powers = np.exp(margins - margins.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def bins(edges: NDArray[np.float64], prediction: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """The index of the bin of each predicted amount, shape (rows,)."""
    return np.searchsorted(edges, prediction, side="right")


def _counts(scores: Scores, problem: Problem) -> dict[str, int]:
    return dict(zip(problem.labels, np.bincount(scores.label).tolist(), strict=False))  # of the last there may be none


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


def _numbers(name: str, values: object) -> tuple[float, ...]:
    if not isinstance(values, list | tuple):
        raise UsageError(f"The {name} are {values!r:.60}, expected a list of numbers.")
    said = "those that 32-bit floats can hold"
    return tuple(_number(f"number among the {name}", value, (-LARGEST, LARGEST), said) for value in values)
