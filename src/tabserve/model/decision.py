"""Raw outputs in, answers out: labels and intervals are decided here alone."""

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
"""At this threshold no row is positive, not even at probability 1: the best choice if false positives cost much."""

TEMPERATURES = (1e-6, 1e6)
"""Range of a temperature, in which no probability overflows."""

COVERAGE = 0.9
"""Share of rows whose interval should hold the true amount."""

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
    """An output tensor that a request may ask for.

    Attributes:
        datatype: of the V2 protocol.
        shape: of the values of a row.
        values: makes the tensor of a batch of answers, shape (rows, *shape).
        labels: the labels along the first axis of a row's values, if it has one value or more for each label; of whole
            numbers, the labels that these count from 0.
        columns: names of the columns, which are the last axis, if they are features.
        sources: the name of the input column that each of these is made of.
        max_rows: most rows of a request for this output, which only a request that names it gets; None if it costs
            next to nothing, so that every response has it by default.
    """

    datatype: str
    shape: tuple[int, ...]
    values: Callable[[Any], NDArray[Any]]
    labels: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    max_rows: int | None = None


@dataclass(frozen=True)
class Threshold:
    """The positive class of two if its probability reaches a threshold, else the negative one.

    Attributes:
        threshold: in [0, 1], or `MAX_THRESHOLD`.
    """

    KIND: ClassVar[str] = "threshold"

    threshold: float

    def __post_init__(self) -> None:
        """Refuse a threshold out of range."""
        object.__setattr__(self, "threshold", _number("threshold", self.threshold, (0, MAX_THRESHOLD), "0 to 1"))

    @property
    def parameters(self) -> dict[str, str]:
        """The response parameters: the threshold as text, as gRPC has no parameter for fractions."""
        return {"threshold": repr(self.threshold)}

    def fits(self, problem: Problem, outputs: int) -> bool:
        """Whether it fits the problem and the number of raw outputs of a row."""
        return (len(problem.labels), outputs) == (2, 1)

    def scores(self, raw: NDArray[np.float32]) -> Scores:
        """Probabilities and labels, given the probability of the positive class, shape (rows, 1).

        The comparison is in float64, so that a client can repeat it.
        """
        probability = raw[:, 0]
        return Scores(probability, (probability.astype(np.float64) >= self.threshold).astype(np.int64))

    def outputs(self, problem: Problem) -> dict[str, OutputKind]:
        """The label as 0 or 1, and the probability of the negative and of the positive class."""
        return {
            "predict": OutputKind("INT64", (1,), lambda scores: scores.label[:, np.newaxis], problem.labels),
            "predict_proba": OutputKind("FP32", (2,), _both_classes),
        }

    def table(self, scores: Any, problem: Problem) -> dict[str, NDArray[Any]]:  # noqa: ANN401
        """The columns of a scored file: the label as the problem spells it, and the probability of the positive one."""
        return {"label": _spelled(scores, problem), "probability": scores.probability}

    def counts(self, scores: Any, problem: Problem) -> dict[str, int]:  # noqa: ANN401
        """Number of rows of a batch with each label."""
        return _counts(scores, problem)

    def watched(self, scores: Any) -> NDArray[np.float32]:  # noqa: ANN401  Scores, as a batcher gives them back
        """The monitored value of each row, shape (rows,): the probability of the positive class."""
        probability: NDArray[np.float32] = scores.probability
        return probability


@dataclass(frozen=True)
class MostProbable:
    """The most probable of several classes.

    Attributes:
        temperature: divides the margins before the softmax (Guo et al., ICML 2017).
    """

    KIND: ClassVar[str] = "most_probable"

    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a temperature out of range."""
        temperature = _number("temperature", self.temperature, TEMPERATURES, "{} to {}".format(*TEMPERATURES))
        object.__setattr__(self, "temperature", temperature)

    @property
    def parameters(self) -> dict[str, str]:
        """The response parameters: none."""
        return {}

    def fits(self, problem: Problem, outputs: int) -> bool:
        """Whether it fits the problem and the number of raw outputs of a row."""
        return len(problem.labels) == outputs

    def scores(self, raw: NDArray[np.float64]) -> Scores:
        """Probabilities and labels, given the margin of each class, shape (rows, classes)."""
        probability = softmax(raw / self.temperature)
        return Scores(probability.astype(np.float32), probability.argmax(axis=1))

    def outputs(self, problem: Problem) -> dict[str, OutputKind]:
        """The label as the problem spells it, and the probability of each label."""
        names = np.array(problem.labels, np.object_)
        return {
            "predict": OutputKind("BYTES", (1,), lambda scores: names[scores.label][:, np.newaxis]),
            "predict_proba": OutputKind("FP32", names.shape, lambda scores: scores.probability, problem.labels),
        }

    def table(self, scores: Any, problem: Problem) -> dict[str, NDArray[Any]]:  # noqa: ANN401
        """The columns of a scored file: the label as the problem spells it, and the probability of each label."""
        columns = zip(problem.labels, scores.probability.T, strict=True)
        return {"label": _spelled(scores, problem), **{f"probability_{name}": values for name, values in columns}}

    def counts(self, scores: Any, problem: Problem) -> dict[str, int]:  # noqa: ANN401
        """Number of rows of a batch with each label."""
        return _counts(scores, problem)

    def watched(self, scores: Any) -> NDArray[np.float32]:  # noqa: ANN401  Scores, as a batcher gives them back
        """The monitored value of each row, shape (rows,): the probability of its label."""
        return np.take_along_axis(scores.probability, scores.label[:, np.newaxis], axis=1)[:, 0]


@dataclass(frozen=True)
class Amount:
    """An amount with an interval, whose width is the usual error of predictions of about that size.

    Attributes:
        edges: ascending edges between the bins of the prediction; an edge belongs to the bin above it.
        widths: of each bin, the distance from the prediction to either end of the interval; one more than edges.
    """

    KIND: ClassVar[str] = "amount"

    edges: tuple[float, ...]
    widths: tuple[float, ...]

    def __post_init__(self) -> None:
        """Turn the manifest's lists into tuples, and refuse edges and widths that do not fit each other."""
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
        """The response parameters: the share of rows whose interval should hold the true amount."""
        return {"interval": repr(COVERAGE)}

    def fits(self, problem: Problem, outputs: int) -> bool:
        """Whether it fits the problem and the number of raw outputs of a row."""
        return (len(problem.labels), outputs) == (0, 1)

    def scores(self, raw: NDArray[np.floating[Any]]) -> Amounts:
        """Predictions and intervals, given the predicted amounts, shape (rows, 1)."""
        prediction = np.clip(raw[:, 0].astype(np.float32), -LARGEST, LARGEST)  # exp in some objectives may give inf
        amount = prediction.astype(np.float64)
        width = self._widths[bins(self._edges, amount)]
        low, high = np.maximum(amount - width, -LARGEST), np.minimum(amount + width, LARGEST)
        return Amounts(prediction, low.astype(np.float32), high.astype(np.float32))

    def outputs(self, _problem: Problem) -> dict[str, OutputKind]:
        """The amount, and both ends of its interval."""
        return {
            "predict": OutputKind("FP32", (1,), lambda amounts: amounts.prediction[:, np.newaxis]),
            "predict_interval": OutputKind("FP32", (2,), lambda amounts: np.stack([amounts.low, amounts.high], axis=1)),
        }

    def table(self, amounts: Any, _problem: Problem) -> dict[str, NDArray[Any]]:  # noqa: ANN401
        """The columns of a scored file: the amount, and both ends of its interval."""
        return {"prediction": amounts.prediction, "low": amounts.low, "high": amounts.high}

    def counts(self, _amounts: Any, _problem: Problem) -> dict[str, int]:  # noqa: ANN401
        """Empty: an amount has no label."""
        return {}

    def watched(self, amounts: Any) -> NDArray[np.float32]:  # noqa: ANN401  Amounts, as a batcher gives them back
        """The monitored value of each row, shape (rows,): the amount."""
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
"""The decisions by their kind in a manifest."""


def threshold_of(decision: Decision) -> float:
    """The threshold of a decision.

    Raises:
        UsageError: the decision has none.
    """
    if not isinstance(decision, Threshold):
        raise UsageError("Only a model of two labels has a threshold, and this one answers something else.")
    return decision.threshold


def class_scores(answers: Answers) -> Scores:
    """The answers of a model of two classes or more."""
    assert isinstance(answers, Scores)
    return answers


def softmax(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """The softmax of each row of margins."""
    powers = np.exp(margins - margins.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def bins(edges: NDArray[np.float64], prediction: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """The index of the bin of each predicted amount, shape (rows,)."""
    return np.searchsorted(edges, prediction, side="right")


def _spelled(scores: Scores, problem: Problem) -> NDArray[np.object_]:
    """The label of each row as the problem spells it, shape (rows,)."""
    return np.array(problem.labels, np.object_)[scores.label]


def _counts(scores: Scores, problem: Problem) -> dict[str, int]:
    return dict(zip(problem.labels, np.bincount(scores.label).tolist(), strict=False))  # the last may not occur


def _both_classes(scores: Scores) -> NDArray[np.float32]:
    """Both columns; np.column_stack takes twice the time for one row."""
    probability = scores.probability
    both = np.empty((len(probability), 2), np.float32)
    both[:, 0], both[:, 1] = 1 - probability, probability
    return both


def _number(name: str, value: object, bounds: tuple[float, float], expected: str) -> float:
    """The value as a float if it is a number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not bounds[0] <= value <= bounds[1]:
        raise UsageError(f"The {name} is {value!r:.60}, expected a number from {expected}.")
    return float(value)


def _numbers(name: str, values: object) -> tuple[float, ...]:
    if not isinstance(values, list | tuple):
        raise UsageError(f"The {name} are {values!r:.60}, expected a list of numbers.")
    expected = "those that 32-bit floats can hold"
    return tuple(_number(f"number among the {name}", value, (-LARGEST, LARGEST), expected) for value in values)
