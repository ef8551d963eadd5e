"""What a server answered, once it is seen to be what was asked for."""

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.client.metadata import DTYPES, Metadata, Output
from tabserve.serving.protocol.datatypes import BYTES
from tabserve.wording import listed

PROBABILITIES = "predict_proba"

AMOUNTS = (-float(np.finfo(np.float32).max), float(np.finfo(np.float32).max), "that are finite")


class Answer(NamedTuple):
    """A model's answer for some rows.

    Attributes:
        outputs: the values of each output by name, shape (rows, columns).
        threshold: where the model cuts its labels, if it says so.
    """

    outputs: Mapping[str, NDArray[Any]]
    threshold: float | None


class Tensor(NamedTuple):
    """An output as it came: nothing of it is what it should be until it is compared with what was asked."""

    datatype: object
    shape: object
    values: NDArray[Any]


def answer_of(
    tensors: Mapping[str, Tensor], threshold: object, outputs: Sequence[str], rows: int, metadata: Metadata
) -> Answer:
    """The named outputs for so many rows, each as the metadata describe it.

    Raises:
        ValueError: saying what something in the answer is not.
    """
    found = {name: _values(tensors, name, rows, metadata.outputs.get(name), metadata.labels) for name in outputs}
    return Answer(found, _number(threshold))


def _values(
    tensors: Mapping[str, Tensor], name: str, rows: int, expected: Output | None, labels: Sequence[str]
) -> NDArray[Any]:
    """An output's values, shape (rows, columns), if it is what was asked for; a ValueError says what it is not."""
    if expected is None:
        raise ValueError(f"its metadata lack the output {name!r}, which it answers.")
    if name not in tensors:
        raise ValueError(f"its answer lacks the output {name!r}.")
    datatype, shape, values = tensors[name]
    wanted = (rows, expected.columns)
    if datatype != expected.datatype or shape != [*wanted]:
        raise ValueError(
            f"its output {name!r} is {reprlib.repr(datatype)} of shape {reprlib.repr(shape)},"
            f" expected {expected.datatype!r} of shape {[*wanted]}."
        )
    if values.shape not in {wanted, (values.size,)} or values.size != rows * expected.columns:
        raise ValueError(f"its output {name!r} does not hold the values that its shape {shape} promises.")
    if complaint := _complaint(name, expected.datatype, values, labels):
        raise ValueError(f"its output {name!r} holds something other than {complaint}.")
    return values.astype(DTYPES[expected.datatype]).reshape(wanted)


def _complaint(name: str, datatype: str, values: NDArray[Any], labels: Sequence[str]) -> str:
    """What values should have been, or nothing: labels, places of labels or probabilities from 0 to 1, or amounts."""
    if datatype == BYTES:
        texts = values.ravel().tolist()
        fits = all(isinstance(text, str) and (text in labels or not labels) for text in texts)
        return "" if fits else f"the labels {listed(labels)}"
    low, high, said = (0.0, 1.0, "from 0 to 1") if datatype == "INT64" or name == PROBABILITIES else AMOUNTS
    fits = np.can_cast(values.dtype, DTYPES[datatype], "same_kind") and bool(((values >= low) & (values <= high)).all())
    return "" if fits else f"{datatype} {said}"


def _number(threshold: object) -> float | None:
    """The threshold, which travels as text because gRPC's parameters know no fractions."""
    if threshold is None:
        return None
    try:
        number = float(threshold) if isinstance(threshold, str | float | int) else float("nan")
    except ValueError:
        number = float("nan")
    if not np.isfinite(number):
        raise ValueError(f"its threshold is {reprlib.repr(threshold)}, expected a number.")
    return number
